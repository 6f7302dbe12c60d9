"""The ADE7953 driver against a chip simulated from the data sheet, register by register over I2C."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.board.ade7953 import ADE7953
from spot.board.board import build
from spot.codes import ABSENT
from spot_sim.chips.ade7953 import ADE7953Chip
from spot_sim.hardware import Hardware, I2CBus
from tests.unit.board.meters import Appliance, Clock, Mains, NoTrip, run


def rig(watts=1000, other=None, **options):
    clock, load, mains, trip = Clock(), Appliance(watts), Mains(), NoTrip()
    chip = ADE7953Chip(clock, [load, Appliance(other)] if other is not None else load, mains, random.Random(1))
    bus = I2CBus()
    bus.chips[0x38] = chip
    return clock, load, mains, chip, ADE7953(bus, trip, **options), trip


class Recorder(I2CBus):
    """Writes down each transaction, and answers from a table of registers."""

    def __init__(self, registers):
        super().__init__()
        self.registers, self.log = registers, []

    def writeto_mem(self, address, memory, buf, addrsize=8):
        assert (address, addrsize) == (0x38, 16)
        self.log.append(("w", memory, bytes(buf).hex()))
        self.registers[memory] = bytes(buf)

    def readfrom_mem_into(self, address, memory, buf, addrsize=8):
        assert (address, addrsize) == (0x38, 16)
        if memory == 0x1FE:
            buf[:] = self.last.to_bytes(2, "big")
        elif memory & 0xFF == 0xFF:
            buf[:] = self.registers[self.last]
        else:
            self.log.append(("r", memory))
            self.last = memory
            buf[:] = self.registers[memory]


def test_registers_worked_out_by_hand():
    # 230 V x 26000 = 5B3F60; 10 A x 100000 = 0F4240; -2300 W x 154 = -354200 = FA9868; 223750 / 50 - 1 = 4474 = 117A
    table = {0x004: b"\x40", 0x120: b"\x00\x00", 0x102: b"\x80\x04", 0x21C: bytes.fromhex("5b3f60"),
             0x21A: bytes.fromhex("0f4240"), 0x212: bytes.fromhex("fa9868"), 0x21E: bytes(3), 0x10E: b"\x11\x7a"}
    bus, trip = Recorder(table), NoTrip()
    meter = ADE7953(bus, trip)
    assert meter.sample(1)
    assert meter.voltage_10mv == pytest.approx(23000, abs=1) and meter.current_ma == 10000
    assert meter.power_w == -2300 and meter.power_dw == -23000 and meter.frequency_mhz == 50000
    assert trip.seen == [(10000, -2300, meter.voltage_10mv)]
    writes = [row for row in bus.log if row[0] == "w"]
    assert writes == [("w", 0x0FE, "ad"), ("w", 0x120, "0030"), ("w", 0x102, "0004"), ("w", 0x004, "00")], (
        "0x120 at once after it was unlocked; what says that all was done, last"
    )
    bus.log.clear()
    assert meter.sample(2) and {row[0] for row in bus.log} == {"r"}, "set up once"


@pytest.mark.parametrize("watts", [0, 1, 7, 100, 2300, 5000, -1, -500, -4600])
@pytest.mark.parametrize(("volts", "mhz"), [(23000, 50000), (25300, 50200), (11500, 60000)])
def test_the_values_of_the_simulated_chip_come_back(watts, volts, mhz):
    clock, _, mains, _, meter, _ = rig(watts)
    mains.volts_10mv, mains.mhz = volts, mhz
    assert run(clock, meter, 2) == 2
    assert meter.power_dw == pytest.approx(watts * 10, rel=2e-4, abs=1)
    assert meter.voltage_10mv == pytest.approx(volts, abs=2)
    assert meter.current_ma == pytest.approx(abs(watts) * 100000 / volts, rel=2e-4, abs=1)
    assert meter.frequency_mhz == pytest.approx(mhz, abs=9)  # a count of Period is 11 mHz at 50 Hz


def test_a_channel_is_the_one_that_the_board_names():
    for channel, watts in ((0, 400), (1, 700)):
        clock, _, _, _, meter, _ = rig(400, 700, channel=channel)
        run(clock, meter, 3600)
        assert meter.power_w == watts and meter.energy_wh == pytest.approx(watts, abs=1)


def test_energy_each_way_over_a_day_and_no_count_is_lost_to_the_other():
    clock, load, _, _, meter, _ = rig(0)
    wh = [0, 0]
    for hour in range(24):
        watts = (hour % 5 - 2) * 600
        load.draw(clock.now_s, watts)
        run(clock, meter, 3600, 60 if hour % 2 else 5)
        wh[watts < 0] += abs(watts)
    assert meter.energy_wh == pytest.approx(wh[0], rel=1e-3)
    assert meter.energy_export_wh == pytest.approx(wh[1], rel=1e-3)


@pytest.mark.parametrize("watts", [3600, -3600])
def test_the_register_turns_over_and_energy_goes_on(watts):
    clock, _, _, _, meter, _ = rig(watts)
    run(clock, meter, 3600)  # 85 million counts: ten times over
    assert (meter.energy_wh, meter.energy_export_wh)[watts < 0] == pytest.approx(3600, abs=1)


def test_a_silence_in_which_it_turned_over_is_counted_by_the_power_before_and_after():
    clock, _, _, chip, meter, _ = rig(3600)
    run(clock, meter, 60)
    chip.dead = True
    run(clock, meter, 1200)
    assert meter.fault
    chip.dead = False
    run(clock, meter, 1)
    assert not meter.fault and meter.energy_wh == pytest.approx(1261, abs=2)


@pytest.mark.parametrize("seconds", [2, 20, 100])
def test_a_reset_of_the_chip_is_found_set_up_again_and_costs_nothing(seconds):
    clock, _, _, chip, meter, _ = rig(2000)
    run(clock, meter, seconds)
    chip.restart()
    run(clock, meter, 180)
    assert meter.power_w == 2000, "with the required setting: else 2 % more"
    assert meter.energy_wh == pytest.approx(100 + (seconds - 1) / 1.8, abs=1) and not meter.fault
    assert meter.energy_export_wh == 0


def test_a_set_up_that_is_interrupted_begins_again():
    for transactions in range(1, 12):
        clock, _, _, chip, meter, _ = rig(1000)
        chip.restart()
        original, left = chip.write, [transactions]

        def write(octets, original=original, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(110)
            original(octets)

        chip.write = write
        run(clock, meter, 4)
        assert meter.power_w == 1000, transactions


def test_what_the_bus_does_never_escapes():
    clock, _, _, chip, meter, _ = rig()
    run(clock, meter, 2)
    chip.dead = True
    run(clock, meter, 4)
    assert not meter.fault and meter.errors == 4 and meter.power_w == 1000
    run(clock, meter, 1)
    assert meter.fault and meter.voltage_10mv == ABSENT and meter.frequency_mhz == ABSENT
    chip.dead = False
    run(clock, meter, 1)
    assert not meter.fault
    meter = ADE7953(I2CBus(), NoTrip())  # nothing there
    run(clock, meter, 10)
    assert meter.fault and meter.errors == 10


@given(at=st.integers(0, 17), bit=st.integers(0, 23), watts=st.integers(-4000, 4000))
@settings(max_examples=300, deadline=None)
def test_no_single_bit_is_believed_as_another_value(at, bit, watts):
    clock, load, _, chip, meter, trip = rig(watts)
    run(clock, meter, 2)
    load.draw(clock.now_s, watts + 50)
    reads = [0]
    original = chip.read

    def read(n):
        if reads[0] == at:
            chip.flip_read = bit
        reads[0] += 1
        return original(n)

    chip.read = read
    before = len(trip.seen)
    clock.now_s += 1
    assert not meter.sample(clock.now_s), "18 reads: five values and a mode, each with its two proofs"
    assert len(trip.seen) == before


@given(at=st.integers(0, 17), bit=st.integers(0, 15))
@settings(max_examples=200, deadline=None)
def test_no_register_is_taken_for_another(at, bit):
    clock, load, _, chip, meter, trip = rig(1000)
    run(clock, meter, 2)
    reads = [0]
    original = chip.write

    def write(octets):
        if reads[0] == at:
            chip.flip_address = bit
        reads[0] += 1
        original(octets)

    chip.write = write
    clock.now_s += 1
    if meter.sample(clock.now_s):
        assert meter.power_w == 1000 and meter.current_ma == pytest.approx(4348, abs=1)
        assert meter.voltage_10mv == pytest.approx(23000, abs=2)


def test_a_chip_whose_last_registers_follow_their_own_reading_works_too():
    clock, _, _, chip, meter, _ = rig(1000)
    chip.hasty = True
    assert run(clock, meter, 5) == 5 and meter.errors == 0


def test_registers_that_stand_still_are_a_fault():
    clock, _, _, chip, meter, _ = rig(1000)
    run(clock, meter, 5)
    chip.stuck = True
    run(clock, meter, 12)
    assert meter.fault
    chip.stuck = False
    run(clock, meter, 1)
    assert not meter.fault and meter.energy_wh == pytest.approx(5, abs=1)


@pytest.mark.parametrize("watts", [0, 1, 4])
def test_little_or_no_load_may_stand_still_for_long(watts):
    clock, _, _, chip, meter, _ = rig(watts)
    chip.noise = 0.3
    run(clock, meter, 7200, 10)
    assert not meter.fault and meter.errors == 0


def test_a_warm_restart_of_the_controller_counts_nothing_twice():
    clock, _, _, chip, meter, _ = rig(2000)
    run(clock, meter, 300)
    bus = I2CBus()
    bus.chips[0x38] = chip
    again = ADE7953(bus, NoTrip())
    run(clock, again, 180)
    assert again.energy_wh == pytest.approx(100, abs=1)


@given(st.lists(st.tuples(st.sampled_from(["", "nack", "dead", "flip_read", "flip_address", "restart", "stuck"]),
                          st.integers(0, 23), st.integers(-4000, 4000)), max_size=40))
@settings(max_examples=150, deadline=None)
def test_whatever_the_bus_does_nothing_breaks_and_energy_never_runs_backward(events):
    clock, load, _, chip, meter, _ = rig(0)
    before = (0, 0)
    for what, n, watts in events:
        chip.dead = chip.stuck = False
        chip.nack, chip.flip_read, chip.flip_address = 0, None, None
        if what == "restart":
            chip.restart()
        elif what:
            setattr(chip, what, n % 16 if what == "flip_address" else n)
        load.draw(clock.now_s, watts)
        run(clock, meter, 1)
        now = (meter.energy_wh, meter.energy_export_wh)
        assert now[0] >= before[0] and now[1] >= before[1]
        assert now[0] + now[1] <= 2 * len(events) + 2, "never more than 4 kW made in its time"
        before = now


def test_a_reference_load_corrects_the_calibration():
    clock, _, _, _, meter, _ = rig(1000)
    run(clock, meter, 2)
    found = meter.adjust((meter.voltage_10mv, meter.current_ma, meter.power_dw), (ABSENT, 4391, 10300))
    assert meter.use(found)
    counted_wh = meter.energy_wh
    run(clock, meter, 3600)
    assert meter.power_w == 1030 and meter.current_ma == pytest.approx(4391, abs=2)
    assert meter.energy_wh - counted_wh == pytest.approx(1030, abs=1)


def test_a_board_is_built_with_it():
    class Log:
        def info(self, *arguments):
            pass

    hardware = Hardware()
    hardware.i2cs[0].chips[0x38] = ADE7953Chip(hardware, [Appliance(100), Appliance(-900)], Mains())
    part = {"driver": "ade7953", "i2c": 0, "scl_pin": 1, "sda_pin": 2, "channel": "b"}
    board = build({"name": "x", "parts": {"meter": part}}, {}, hardware, Log())
    hardware.advance(1)
    assert board.meter.sample(1) and board.meter.power_w == -900
