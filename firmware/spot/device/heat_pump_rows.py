"""The heat pump's guards in order of precedence. "On" is released, "off" is locked (SG-Ready state 1).

| guard | acts |
|---|---|
| longest | from two hours after a lock began, whatever else holds: SG-Ready allows no longer one |
| min_pause | for min_pause_s after the measured stop, and after boot; never beyond an hour |
| fault | while the machine's own controller is silent, and in safe mode: normal operation |
| frost | while room or flow is below its frost limit |
| starts | until the oldest of starts_per_hour measured starts is an hour ago |
| comfort | while the room is below the comfort band |
| hot_water | while the hot water is below its floor |
| legionella | while a legionella run is on that can wait no longer |
| sensor | while a sensor is missing without which nobody may lock |
| block | max_block_s after a lock began, for block_pause_s |
| defrost | while the machine defrosts and for defrost_after_s |
| min_run | for min_run_s after the measured start, and after boot |
"""

from ..codes import (
    REASON_COMFORT,
    REASON_DEFROST,
    REASON_FROST,
    REASON_HOT_WATER,
    REASON_LEGIONELLA,
    REASON_MAX_BLOCK,
    REASON_MIN_PAUSE,
    REASON_MIN_RUN,
    REASON_SENSOR,
    REASON_STARTS,
)
from ..port import const
from .guards import FORBID_OFF, FORBID_ON, FORCE_ON

LONGEST = const(0)
PAUSE = const(1)
FAULT = const(2)
FROST = const(3)
STARTS = const(4)
COMFORT = const(5)
WATER = const(6)
LEGIONELLA = const(7)
SENSOR = const(8)
BLOCK = const(9)
DEFROST = const(10)
RUN = const(11)

ROWS = (
    ("longest", FORCE_ON, REASON_MAX_BLOCK),
    ("min_pause", FORBID_ON, REASON_MIN_PAUSE),
    ("fault", FORCE_ON, REASON_SENSOR),
    ("frost", FORCE_ON, REASON_FROST),
    ("starts", FORBID_ON, REASON_STARTS),
    ("comfort", FORCE_ON, REASON_COMFORT),
    ("hot_water", FORCE_ON, REASON_HOT_WATER),
    ("legionella", FORCE_ON, REASON_LEGIONELLA),
    ("sensor", FORCE_ON, REASON_SENSOR),
    ("block", FORCE_ON, REASON_MAX_BLOCK),
    ("defrost", FORBID_OFF, REASON_DEFROST),
    ("min_run", FORBID_OFF, REASON_MIN_RUN),
)
