"""What a device costs in the long run, on the MicroPython unix port: flash (littlefs with the sectors of a Pico on a
RAM disk, which counts), a turn of device and agent, and the way from an over-current frame to the relay.
"""

import tempfile

from spot import run as runner
from tests.bench import unix_port


def run(emit):
    """Emit store.…, control.step.… and trip.latency.ms; the best of three processes, since other work disturbs."""
    with tempfile.TemporaryDirectory() as folder:
        best = unix_port.best("years_on_device.py", unix_port.ROOT / "boards", f"{folder}/s", runner._SLICE_MS)
    emit("store.write.us", round(best["write_us"], 1), "µs", posix=round(best["posix_us"], 1))
    emit("store.flash_bytes_per_day", best["day_erased"], "B erased", programmed=best["day_programmed"],
         writes=best["day_writes"])
    emit("control.step.us", best["step_us"], "µs")
    emit("control.step.heap_bytes", best["step_heap"], "B")
    emit("trip.latency.ms", round(best["trip_ms"], 1), "ms")
