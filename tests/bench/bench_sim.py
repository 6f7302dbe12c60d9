"""How fast the simulator is, on one core, wall time, the best of a few runs.

`sim.device_speed`: the fleet of `make run`, all of it simulated (60 s heartbeat, 5 min telemetry, 15 min intervals,
price plans) on MQTT: physics, the firmware of every device, full encoding, the link in memory, the EMD's core and its
storage. `sim.device_speed_faults`: the same of a fleet behind a bad link. `sim.device_speed_coap`: of a fleet on CoAP,
each message under OSCORE, both ends the firmware's own endpoint. `sim.reports.per_s`: readings of 10,000 devices that
are encoded by the firmware's codec, carried and decoded by the EMD's.
"""

import time
from array import array

from spot.codes import ABSENT, CH_TELEMETRY, T_TELEMETRY
from spot.wire import profile
from spot.wire.fields import (
    TEL_CLOCK,
    TEL_COUNT,
    TEL_CURRENT,
    TEL_DECIDER,
    TEL_ENERGY_IMPORT,
    TEL_FREQUENCY,
    TEL_POWER,
    TEL_SEQ,
    TEL_STATE,
    TEL_TIME,
    TEL_VOLTAGE,
)
from spot_host.emd import intake
from spot_sim import fleet, scenario
from spot_sim.clock import VirtualClock
from spot_sim.network import MemoryNetwork
from spot_sim.seeds import Seeds

_ROUNDS = 3
_FROM_S, _UNTIL_S = 6 * 3600, 9 * 3600  # start-up is over; dear hours begin at 7
_DEVICES = 10_000


def _speed(name, link="mqtt"):
    """Device-seconds a wall second."""
    best = 0
    for _ in range(_ROUNDS):
        world = fleet.World(scenario.linked(scenario.load(name), link, every=True), all_simulated=True)
        world.run_until(_FROM_S)
        begun = time.perf_counter()
        world.run_until(_UNTIL_S)
        best = max(best, len(world.devices) * (_UNTIL_S - _FROM_S) / (time.perf_counter() - begun))
    return best


def _reports(now=time.perf_counter):
    """Readings a second of the clock `now`, one of each device in each simulated second."""
    clock = VirtualClock()
    net = MemoryNetwork(clock, Seeds(1))
    got = [0]

    def take(_device, _channel, body):
        got[0] += intake.fields("telemetry", body)[3] > 0

    net.attach_emd(take)
    ports = [net.attach(f"{n:016x}", lambda *_: None) for n in range(_DEVICES)]
    for port in ports:
        port.connect()
    clock.run_until(0)
    slots, buf = array("i", [ABSENT] * TEL_COUNT), bytearray(128)
    for slot, value in (
        (TEL_CLOCK, 4), (TEL_DECIDER, 2), (TEL_STATE, 3), (TEL_VOLTAGE, 23012), (TEL_CURRENT, 9980),
        (TEL_ENERGY_IMPORT, 1234567), (TEL_FREQUENCY, 50012),
    ):
        slots[slot] = value
    begun = now()
    seconds = 0
    while now() - begun < 2:
        seconds += 1
        slots[TEL_SEQ], slots[TEL_TIME] = seconds, seconds
        for n, port in enumerate(ports):
            slots[TEL_POWER] = 1 + n
            port.send(CH_TELEMETRY, buf, profile.encode_hot(T_TELEMETRY, slots, buf))
        clock.run_until(seconds)
    assert got[0] == seconds * _DEVICES
    return got[0] / (now() - begun)


def run(emit):
    """Emit the figures."""
    emit("sim.device_speed", round(_speed("winter_day")), "device-s/s")
    emit("sim.device_speed_faults", round(_speed("bad_link")), "device-s/s")
    emit("sim.device_speed_coap", round(_speed("reboots", "coap")), "device-s/s")
    emit("sim.reports.per_s", round(max(_reports() for _ in range(_ROUNDS))), "1/s")
