"""The temperatures that the controller goes by: from sensors of the board, else from the machine's own.

A value outside what the role can have is no value: nothing decides by it.
"""

from array import array

from ..codes import (
    ABSENT,
    OBJ_DEVICE_TEMPERATURE,
    OBJ_FLOW_TEMPERATURE,
    OBJ_HOT_WATER_TEMPERATURE,
    OBJ_OUTDOOR_TEMPERATURE,
    OBJ_ROOM_TEMPERATURE,
    R_DEVICE_TEMPERATURE,
    R_FLOW_TEMPERATURE,
    R_HOT_WATER_TEMPERATURE,
    R_OUTDOOR_TEMPERATURE,
    R_ROOM_TEMPERATURE,
)
from ..port import const

# name, slot of the reading, object, least and greatest plausible value in 0.01 °C
ROLES = (
    ("room", R_ROOM_TEMPERATURE, OBJ_ROOM_TEMPERATURE, -1000, 5000),
    ("outdoor", R_OUTDOOR_TEMPERATURE, OBJ_OUTDOOR_TEMPERATURE, -6000, 6000),
    ("flow", R_FLOW_TEMPERATURE, OBJ_FLOW_TEMPERATURE, -2000, 10000),
    ("hot_water", R_HOT_WATER_TEMPERATURE, OBJ_HOT_WATER_TEMPERATURE, 0, 10000),
    ("device", R_DEVICE_TEMPERATURE, OBJ_DEVICE_TEMPERATURE, -4000, 12500),
)
ROOM, FLOW = 0, 2
_FIRST_S = const(60)  # a sensor behind a bus has its first value by then


class Sensors:
    """`read` once a step. `faults`: a bit for each of ROLES whose sensor gives no value, or none that can be; one that
    has not given any since boot has a minute for its first."""

    def __init__(self, board, readings):
        sensors, machine = board.sensors, board.machine
        self._readings = readings
        self._theirs = machine
        rows = []
        sampled = []
        for place, (name, slot, _, low, high) in enumerate(ROLES):
            sensor = getattr(sensors, name)
            if sensor is not None:
                rows.append((place, slot, low, high, sensor, None))
                if hasattr(sensor, "sample"):
                    sampled.append(sensor)
            elif machine is not None and hasattr(machine, name):
                rows.append((place, slot, low, high, machine, name))
        self._rows = tuple(rows)
        self._sampled = tuple(sampled)
        self._since_s = array("i", [ABSENT] * len(ROLES))  # since when it is missing
        self.faults = 0
        self._known = 0  # a bit for each that has given a value since boot
        self._begun_s = ABSENT

    def poll(self):
        for sensor in self._sampled:
            sensor.poll()

    def read(self, now_s):
        """Fills the readings."""
        for sensor in self._sampled:
            sensor.sample(now_s)
        readings, since_s = self._readings, self._since_s
        if self._begun_s == ABSENT:
            self._begun_s = now_s
        late = now_s - self._begun_s >= _FIRST_S
        faults = 0
        for place, slot, low, high, source, name in self._rows:
            value = source.value if name is None else getattr(source, name)
            if value < low or value > high:  # ABSENT is less than any
                if value != ABSENT or name is None:
                    if late or value != ABSENT or self._known >> place & 1:
                        faults |= 1 << place
                    if since_s[place] == ABSENT:
                        since_s[place] = now_s
                value = ABSENT
            else:
                since_s[place] = ABSENT
                self._known |= 1 << place
            readings[slot] = value
        self.faults = faults

    def missing(self, place, now_s, grace_s):
        """Whether the sensor of a role has given no value for so long."""
        since_s = self._since_s[place]
        return since_s != ABSENT and now_s - since_s >= grace_s
