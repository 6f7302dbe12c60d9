"""An NTC thermistor in a voltage divider at an analog input.

Sources: the B parameter equation 1/T = 1/T25 + ln(R/R25)/B (Vishay application note 29053; TDK, "NTC thermistors,
general technical information", section 1.2), or a table of resistances from the sensor's own data sheet. The divider
is fed from the reference of the converter, so that its supply cancels out. Logarithms are taken once, when the table of
converter readings is made; a measurement is integers.

A measurement is 15 readings in a row, of which the middle 5 count: what a relay or a converter throws in is not among
them. Where 5 degrees make less than 32 steps of the 16-bit reading (two of a converter with 12 bits), the table ends:
what is beyond has no value. A divider at its end is a broken wire or a short circuit: no value, and `fault`.
"""

from array import array
from math import exp

from ..codes import ABSENT
from ..port import const

_FULL = const(65535)
_READINGS = const(15)
_MIDDLE = const(5)
_STEP = const(500)  # 0.01 °C between two rows
_LOW = const(-5500)
_HIGH = const(12500)
_LEAST = const(32)  # of the reading, between two rows
_RAIL = const(320)  # of the reading, from either end: a wire is broken or shorted
_T0 = 273.15


class Ntc:
    """`.value` in 0.01 °C or ABSENT; `.fault` with `.broken`: 1 open, 2 short circuit, 0 out of range or none.

    adc: read_u16(). ohms(c) → resistance at c °C, or None where the sensor is not specified. to_supply: the thermistor
    lies between supply and input, the resistor of `series` Ohm below it, rather than the other way round.
    ValueError: no temperature at which this divider can be read.
    """

    errors = 0

    def __init__(self, adc, ohms, series, to_supply=False, offset=0):
        self._adc = adc
        self._to_supply = to_supply
        self._offset = offset
        self._readings = array("H", bytes(2 * _READINGS))
        rows = []
        low = 0
        for c100 in range(_LOW, _HIGH + 1, _STEP):
            ohm = ohms(c100 / 100)
            code = -1
            if ohm is not None:
                code = round(_FULL * (series if to_supply else ohm) / (series + ohm))
                if not _RAIL < code < _FULL - _RAIL or rows and abs(code - rows[-1]) < _LEAST:
                    code = -1
            if code >= 0:
                if not rows:
                    low = c100
                rows.append(code)
            elif len(rows) > 1:
                break
            else:
                rows = []
        if len(rows) < 2:
            raise ValueError("one with which this divider can be read")
        if not to_supply:  # one direction for the search below
            for i in range(len(rows)):
                rows[i] = _FULL - rows[i]
        self._rows = array("H", rows)  # ascending
        self._low = low
        self.value = ABSENT
        self.fault = False
        self.broken = 0

    def poll(self):
        pass

    def sample(self, now_s):
        """Measures: 15 readings, no wait."""
        readings = self._readings
        adc = self._adc
        for n in range(_READINGS):  # sorted as they come
            code = adc.read_u16()
            while n and readings[n - 1] > code:
                readings[n] = readings[n - 1]
                n -= 1
            readings[n] = code
        code = 0
        for i in range((_READINGS - _MIDDLE) // 2, (_READINGS + _MIDDLE) // 2):
            code += readings[i]
        code //= _MIDDLE
        if not self._to_supply:
            code = _FULL - code  # small when the resistance is large
        self.broken = 1 if code <= _RAIL else 2 if code >= _FULL - _RAIL else 0
        self.value = self._value(code)
        self.fault = self.value == ABSENT

    def _value(self, code):
        rows = self._rows
        low = 0
        high = len(rows) - 1
        if not rows[0] <= code <= rows[high]:
            return ABSENT
        while high - low > 1:
            mid = (low + high) // 2
            if rows[mid] <= code:
                low = mid
            else:
                high = mid
        span = rows[high] - rows[low]
        return self._low + self._offset + low * _STEP + ((code - rows[low]) * _STEP + span // 2) // span


def by_beta(r25, beta):
    """ohms(c) of the B parameter equation."""
    return lambda c: r25 * exp(beta * (1 / (c + _T0) - 1 / (25 + _T0)))


def by_table(pairs):
    """ohms(c) of ascending [°C, Ohm] pairs, between which ln R is a line in 1/T (B is constant). ValueError."""
    from math import log

    if not 2 <= len(pairs) <= 60:
        raise ValueError("2 to 60 pairs of °C and Ohm")
    for i in range(1, len(pairs)):
        if not (-100 < pairs[i - 1][0] < pairs[i][0] < 300 and pairs[i - 1][1] > pairs[i][1] > 0):
            raise ValueError("pairs of °C, ascending, and Ohm, falling: see pair %d" % i)

    def ohms(c):
        for i in range(1, len(pairs)):
            (c0, r0), (c1, r1) = pairs[i - 1], pairs[i]
            if c0 <= c <= c1:
                share = (1 / (c + _T0) - 1 / (c0 + _T0)) / (1 / (c1 + _T0) - 1 / (c0 + _T0))
                return exp(log(r0) + (log(r1) - log(r0)) * share)
        return None

    return ohms


def _wrong(part):
    """What is wrong with a part of the right fields: (field, what would be right), or None."""
    field = "table" if "table" in part else "series"
    try:
        _sensor(part, None)
    except ValueError as error:
        return field, error.args[0]
    except (TypeError, LookupError):
        return field, "a list of pairs, °C and Ohm"
    return None


_FIELDS = {
    "pin": (0, 255, True),
    "series": (100, 1000000, True),
    "side": ("ground", "supply"),  # where the thermistor is
    "offset": (-500, 500, False),  # 0.01 K
    "": _wrong,
}
BETA_FIELDS = dict(_FIELDS)
BETA_FIELDS.update({"r25": (100, 1000000, True), "beta": (1000, 6000, True)})
TABLE_FIELDS = dict(_FIELDS)
TABLE_FIELDS["table"] = "any"


def make(part, hardware, board, ticks_ms, name):
    return _sensor(part, hardware.ADC(hardware.Pin(part["pin"])))


def _sensor(part, adc):
    ohms = by_table(part["table"]) if "table" in part else by_beta(part["r25"], part["beta"])
    return Ntc(adc, ohms, part["series"], part.get("side") == "supply", part.get("offset", 0))
