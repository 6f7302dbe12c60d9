"""Values from sensors that cannot be, or do not come: what is said, what is reported instead, what the load does.

Each row is run by test_sensors.py, with the real drivers in front of simulated chips (sensor_house.py).
"""

import itertools
from dataclasses import dataclass

from tests.sim.bad_input.house import PUMP


@dataclass
class Row:
    """One way to be wrong, of one thing that is measured.

    kit: of sensor_house; do(house): begins it, and gives what ends it (or None: it ends by itself); said: alarms while
    it lasts and after; reads: readings `seconds` after it began, None for no value; load: what the contact does, from
    its beginning; back: seconds after its end until all that was read before is read again. odd: refused by the trip
    as outside physics.
    """

    what: str
    kit: str
    do: object
    said: tuple = ()
    reads: dict | None = None
    load: tuple = ()
    note: str = ""
    seconds: int = 100
    back: int = 100
    settings: dict | None = None
    odd: bool = False


def _chip(name="meter", **faults):
    """Attributes of a chip, until it is over."""
    def do(house):
        chip = house.looked.chips[name]
        before = {fault: getattr(chip, fault) for fault in faults}
        for fault, value in faults.items():
            setattr(chip, fault, value)

        def end():
            for fault, value in before.items():
                setattr(chip, fault, value)
        return end
    return do


def _each(name="meter", **faults):
    """A fault that a chip forgets with each frame or answer, said anew before each step."""
    def do(house):
        plug = house.looked
        chip, step = plug.chips[name], plug.step

        def spoiled():
            for fault, value in faults.items():
                setattr(chip, fault, value)
            step()
        plug.step = spoiled

        def end():
            plug.step = step
            for fault in faults:
                setattr(chip, fault, type(faults[fault])() if fault != "flip" else None)
        return end
    return do


def _lie(**values):
    """What a direct meter says."""
    def do(house):
        lie = house.looked.chips["meter"].lie
        lie.update(values)
        return lie.clear
    return do


def _mains(**values):
    def do(house):
        mains = house.looked.mains
        before = dict(mains.__dict__)
        mains.__dict__.update(values)
        return lambda: mains.__dict__.update(before)
    return do


def _spikes(every_s, volts_10mv=23000, mhz=50000):
    """Single seconds of another mains."""
    def do(house):
        house.looked.mains.spikes.update({house.t + n: (volts_10mv, mhz) for n in range(3, 90, every_s)})
    return do


def _noise(*pattern):
    """Counts that each reading of the thermistor has too many."""
    return lambda house: _chip("ntc", noise=itertools.cycle(pattern).__next__)(house)


def _limited(do):
    """While the EMD limits the plug to 3,000 W."""
    def limited(house):
        house.command(5000, "limit", value=3000, duration=6000)
        return do(house)
    return limited


def _locked(do, **more):
    """While the EMD has locked the heat pump for an hour."""
    def locked(house):
        house.command(5000, "off", PUMP, duration=3600, **more)
        return do(house)
    return locked


def _all(*steps):
    def do(house):
        ends = [step(house) for step in steps]

        def end():
            for one in ends:
                if one is not None:
                    one()
        return end
    return do


def _later(do):
    """A minute later."""
    def later(house):
        house.run(60)
        return do(house)
    return later


def _swapped(house):
    """Somebody put another sensor into the place of the flow's."""
    chip = house.looked.chips["flow"]
    before, chip.rom = chip.rom, bytes.fromhex("2863000000000016")
    return lambda: setattr(chip, "rom", before)


def _browned(name):
    """A sensor that loses its supply again and again: 85 °C after each."""
    def do(house):
        pump = house.looked
        chip, step = pump.chips[name], pump.step

        def spoiled():
            chip.brown_out()
            step()
        pump.step = spoiled
        return lambda: setattr(pump, "step", step)
    return do


def _spiked(house):
    """Pulses of 2 ms on the S0 line, somebody else's."""
    pump = house.looked
    meter, step = pump.chips["meter"], pump.step

    def spoiled():
        meter.spike(2000)
        step()
    pump.step = spoiled
    return lambda: setattr(pump, "step", step)


def _register(slave, name, raw):
    """A register that stands at `raw`, whatever is behind it."""
    def do(house):
        chip = house.looked.chips[slave]
        words = chip._words
        chip._words = lambda row, value: raw if row["name"] == name else words(row, value)
        return lambda: delattr(chip, "_words")
    return do


_NONE = {"voltage": None, "current": None, "frequency": None}
_SILENT = ("sensor_fault of power raised", "sensor_fault of power cleared")
_HEAT = ("sensor_fault of device_temperature raised", "sensor_fault of device_temperature cleared")
_SHEDS = {"shed_consent": True, "remote_close": True}


def _fault(*names):
    return (*("sensor_fault of %s_temperature raised" % name for name in names),
            *("sensor_fault of %s_temperature cleared" % name for name in names))


METERS = (
    Row("BL0942: each frame has a wrong checksum", "bl0942", _each(flip=7), _SILENT, _NONE,
        note="Refused; five in a row are a fault. The power stays at what was last measured, the alarm says so."),
    Row("BL0942: silence", "bl0942", _chip(dead=True), _SILENT, _NONE),
    Row("BL0942: silence, under a limit", "bl0942", _limited(_chip(dead=True)), _SILENT, _NONE,
        ((36, "opens"),), note="A limit cannot be shown to be kept: after limit_grace_s it opens, for the lease."),
    Row("BL0942: every frame ends early", "bl0942", _each(lose=3), _SILENT, _NONE),
    Row("BL0942: octets of noise before each frame", "bl0942", _each(noise=b"\x55\x01\x02"),
        reads={"power": 2000, "voltage": 23000}, note="Found behind it."),
    Row("BL0942: a frame in pieces of two octets", "bl0942", _chip(chunk=2), reads={"power": 2000, "voltage": 23000}),
    Row("BL0942: the registers stand still", "bl0942", _chip(stuck=True), _SILENT, _NONE,
        note="Power, and a pulse counter that does not move: the chip hangs."),
    Row("BL0942: 600 V", "bl0942", _mains(volts_10mv=60000), _SILENT, _NONE, note="No trip: it measures up to 450 V."),
    Row("BL0942: 600 V in single seconds", "bl0942", _spikes(7, 60000), reads={"voltage": 23000}),
    Row("BL0942: no zero crossings", "bl0942", _chip(dc=True), reads={"power": 2000, "frequency": None},
        settings=_SHEDS, note="No frequency, and nothing is shed."),
    Row("BL0942: 30 Hz, with consent to shedding", "bl0942", _mains(mhz=30000), reads={"frequency": None},
        settings=_SHEDS, note="No mains has it: not shed."),
    Row("BL0942: 47 Hz in single seconds, with consent", "bl0942", _spikes(3, mhz=47000), settings=_SHEDS,
        reads={"frequency": 50000}, note="Three samples in a row shed, one does not."),
    Row("CSE7766: each frame has a wrong checksum", "cse7766", _each(flip=(9, 3)), reads={"power": 2000},
        note="Of the twenty frames of a second one is lost."),
    Row("CSE7766: silence", "cse7766", _chip(dead=True), _SILENT, _NONE),
    Row("CSE7766: the registers stand still", "cse7766", _chip(stuck=True), _SILENT, _NONE),
    Row("CSE7766: never calibrated (state 0xAA)", "cse7766", _chip(uncalibrated=True), _SILENT, _NONE),
    Row("ADE7953: nothing is acknowledged", "ade7953", _chip(dead=True), _SILENT, _NONE),
    Row("ADE7953: a bit turned in each answer", "ade7953", _each(flip_read=20), _SILENT, _NONE,
        note="What it says it said last is not what came."),
    Row("ADE7953: the registers stand still", "ade7953", _chip(stuck=True), _SILENT, _NONE),
    Row("Modbus meter: silence", "modbus_meter", _chip(dead=True), _SILENT, _NONE),
    Row("Modbus meter: each answer has a wrong CRC", "modbus_meter", _chip(corrupt=10**6), _SILENT, _NONE),
    Row("Modbus meter: each answer is refused", "modbus_meter", _chip(refuse=10**6), _SILENT, _NONE),
    Row("Modbus meter: each answer is another's", "modbus_meter", _chip(strange=10**6), _SILENT, _NONE),
    Row("Modbus meter: the power is no number (NaN)", "modbus_meter", _register("meter", "power_dw", [0x7FC0, 0]),
        _SILENT, _NONE),
    Row("Modbus meter: 10^30 W", "modbus_meter", _register("meter", "power_dw", [0x7149, 0xF2CA]), _SILENT, _NONE),
    Row("Modbus meter: the voltage is infinite", "modbus_meter", _register("meter", "voltage_10mv", [0x7F80, 0]),
        reads={"power": 2000, "voltage": None}),
    Row("Modbus meter: a current below zero", "modbus_meter", _register("meter", "current_ma", [0xC120, 0]),
        reads={"power": 2000, "current": None}),
    Row("Modbus meter: the energy counts from zero again", "modbus_meter", _chip(base_wh=-100),
        reads={"power": 2000}, note="Energy never goes back."),
    Row("another meter: 1 GW", "direct", _lie(power_w=10**9), _SILENT, _NONE, odd=True,
        note="Beyond 150 kW, 400 A and 600 V nothing of ours has measured anything; three in a row are a fault."),
    Row("another meter: 1 GW, under a limit", "direct", _limited(_lie(power_w=10**9)), _SILENT, _NONE,
        ((32, "opens"),), odd=True, note="As with silence."),
    Row("another meter: -200 kW", "direct", _lie(power_w=-200000), _SILENT, _NONE, odd=True),
    Row("another meter: a current below zero", "direct", _lie(current_ma=-5), _SILENT, _NONE, odd=True),
    Row("another meter: 1 MA", "direct", _lie(current_ma=10**9), _SILENT, _NONE, odd=True,
        note="No over-current trip."),
    Row("another meter: 7 kV", "direct", _lie(voltage_10mv=700000), _SILENT, _NONE, odd=True),
    Row("another meter: 300 Hz", "direct", _lie(frequency_mhz=300000), reads={"power": 2000, "frequency": None},
        settings=_SHEDS),
    Row("another meter: the energy goes back", "direct", _lie(energy_wh=-5), reads={"power": 2000},
        note="Energy never goes back."),
)

HEAT = (
    Row("a plug's thermistor: a wire is broken", "bl0942", _chip("ntc", open=True), _HEAT,
        {"device_temperature": None}, note="After a minute 70 % of the rated power at most (here 2,576 W)."),
    Row("a plug's thermistor: shorted", "bl0942", _chip("ntc", shorted=True), _HEAT, {"device_temperature": None},
        settings={"over_temperature": 8000}, note="A short circuit looks like heat: no trip."),
    Row("a plug's thermistor: a wire is broken, at a plug for 2,500 W", "small", _chip("ntc", open=True), _HEAT,
        {"device_temperature": None}, ((90, "opens"), (260, "closes")), seconds=200, back=200,
        note="1,750 W at most, so it opens, until a minute after the sensor is back."),
    Row("a plug's thermistor: noise on five readings of fifteen", "bl0942",
        _noise(0, 0, 30000, 0, 0, -30000), reads={"device_temperature": 3999}),
    Row("a plug's temperature: 200 °C", "direct", _chip("device", value=20000), _HEAT, {"device_temperature": None},
        odd=True, note="Outside physics: no trip."),
    Row("a plug's temperature: no value", "direct", _chip("device", value=-(2**30 - 1)), _HEAT,
        {"device_temperature": None}),
)


def _beyond(name, celsius):
    return Row("%s: %d °C" % (name.replace("_", " "), celsius), "pump", _chip(name, value=celsius * 100),
               _fault(name), {name + "_temperature": None})


PUMPS = (
    _beyond("room", 60),
    _beyond("room", -11),
    _beyond("outdoor", -70),
    _beyond("outdoor", 61),
    _beyond("flow", 120),
    _beyond("flow", -21),
    _beyond("hot_water", -5),
    _beyond("hot_water", 101),
    _beyond("device", 150),
    Row("room: 60 °C, while it is locked", "pump", _locked(_chip("room", value=6000)), _fault("room"),
        {"room_temperature": None}, ((0, "SG-Ready 1"), (300, "SG-Ready 2"), (410, "SG-Ready 1")), seconds=400, back=60,
        note="After sensor_grace_s no lock, since nobody watches the comfort floor; then the lock goes on."),
    Row("room: -11 °C, while it is locked", "pump", _locked(_chip("room", value=-1100)), _fault("room"),
        {"room_temperature": None}, ((0, "SG-Ready 1"),), note="No frost protection, no comfort floor by a value that "
        "is none."),
    Row("flow: 120 °C, while it is locked in the cold", "pump", _locked(_all(_chip("flow", value=12000),
        _chip("outdoor", value=-500))), _fault("flow"), {"flow_temperature": None},
        ((0, "SG-Ready 1"), (300, "SG-Ready 2"), (410, "SG-Ready 1")), seconds=400, back=60,
        note="Nobody watches the frost in the pipes."),
    Row("flow and outdoor: no value, while it is locked", "pump", _locked(_all(_chip("flow", value=-(2**30 - 1)),
        _chip("outdoor", value=-(2**30 - 1)))), _fault("outdoor", "flow"), {"flow_temperature": None},
        ((0, "SG-Ready 1"), (300, "SG-Ready 2"), (410, "SG-Ready 1")), seconds=400, back=60,
        note="Not known is taken for cold."),
    Row("hot water: no value, while it is locked", "pump", _locked(_chip("hot_water", value=-(2**30 - 1))),
        _fault("hot_water"), {"hot_water_temperature": None}, ((0, "SG-Ready 1"),), seconds=400,
        note="No floor, no legionella run."),
    Row("a heat pump's meter: 1 GW", "pump", _lie(power_w=10**9), _SILENT, _NONE, odd=True),
    Row("DS18B20: bit errors in every reading", "wired_pump", _chip("bus", noise=itertools.cycle(
        [False] * 40 + [True]).__next__), _fault("room", "outdoor", "flow", "hot_water"),
        {"room_temperature": None, "flow_temperature": None}, note="The checksum refuses them."),
    Row("DS18B20: the bus is shorted, while it is locked", "wired_pump", _locked(_chip("bus", shorted=True)),
        _fault("room", "outdoor", "flow", "hot_water"), {"room_temperature": None, "outdoor_temperature": None},
        ((0, "SG-Ready 1"),), note="A short circuit reads as zeros, which pass a checksum: refused all the same."),
    Row("DS18B20: the bus is cut", "wired_pump", _chip("bus", cut=True), _fault("room", "outdoor", "flow", "hot_water"),
        {"room_temperature": None, "hot_water_temperature": None}),
    Row("DS18B20: 85 °C after each loss of supply", "wired_pump", _browned("hot_water"), _fault("hot_water"),
        {"hot_water_temperature": None, "room_temperature": 2100}),
    Row("DS18B20: another sensor in the flow's place", "wired_pump", _swapped, _fault("flow"),
        {"flow_temperature": None, "room_temperature": 2100}, note="Bound by its ROM id: never taken for it."),
    Row("DS18B20: powered by the data line", "wired_pump", _all(*(_chip(name, parasitic=True) for name in
        ("room", "outdoor", "flow", "hot_water"))), _fault("room", "outdoor", "flow", "hot_water"),
        {"room_temperature": None}),
    Row("S0: pulses of 2 ms", "wired_pump", _spiked, reads={"power": 2000}, note="None of ours: at least 25 ms."),
    Row("S0: bouncing contacts", "wired_pump", _chip("meter", bounce=(300, 300, 300, 300)), reads={"power": 2000}),
    Row("Modbus heat pump: silence, while it is locked", "modbus_pump", _locked(_later(_chip("machine", dead=True))),
        ("machine_fault raised", *_fault("room", "outdoor", "flow"), "machine_fault cleared"),
        {"room_temperature": None}, ((1, "SG-Ready 1"), (310, "SG-Ready 2"), (466, "SG-Ready 1")), seconds=400,
        note="The machine goes back to normal by itself, since nothing is written to it."),
    Row("Modbus heat pump: a room of -3276.8 °C", "modbus_pump", _register("machine", "room", [0x8000]), _fault("room"),
        {"room_temperature": None}, note="By its map, no value."),
    Row("Modbus heat pump: a flow of 1,500 °C", "modbus_pump", _register("machine", "flow", [15000]), _fault("flow"),
        {"flow_temperature": None}, note="Outside the range of its map."),
    Row("Modbus heat pump: an error of its own", "modbus_pump", _chip("machine", error=17),
        ("machine_fault raised", "machine_fault cleared"), {"room_temperature": 2100}),
)

SECTIONS = (
    ("What is measured: meters", METERS),
    ("What is measured: a plug's own temperature", HEAT),
    ("What is measured: a heat pump", PUMPS),
)
