"""How fast the adversary is, and a fleet that reports every second, on one core, by the processor's time.

`sim.device_years_per_hour`: histories of `make test` under all their faults, invariants checked at every step: the
mixture of plans that the seeds draw (heartbeats of a minute to an hour). `sim.device_years_per_hour_minute`: only those
with a heartbeat a minute, meters sampled each minute or two and some sixty faults a device and day.
`sim.fleet_realtime_factor`: simulated seconds a second of 10,000 devices that each encode a reading every second with
the firmware's codec; the link in memory carries it, the EMD's intake checks and decodes it.
"""

import time

from spot_sim.adversary import draw, soak
from tests.bench.bench_sim import _DEVICES, _ROUNDS, _reports

_SEEDS = (4, 5, 6, 7, 8, 9, 16)  # a few of every shape


def _rate(outcomes):
    return sum(one.device_years for one in outcomes) * 3600 / sum(one.cpu_s for one in outcomes)


def run(emit):
    """Emit the figures."""
    outcomes = [soak.run_seed(seed) for seed in _SEEDS]
    for one in outcomes:
        if one.violation is not None:
            raise AssertionError(f"seed {one.seed}: {one.violation}")
    dense = [one for one in outcomes if draw.shape_of(one.seed) == "dense"]
    emit("sim.device_years_per_hour", round(_rate(outcomes), 1), "years/h")
    emit("sim.device_years_per_hour_minute", round(_rate(dense), 1), "years/h")
    factor = max(_reports(time.process_time) for _ in range(_ROUNDS)) / _DEVICES
    emit("sim.fleet_realtime_factor", round(factor, 2), "×")
