"""Voltage and frequency of the mains: small, slow, seeded movements, and the events of a scenario."""

from dataclasses import dataclass
from math import pi, sin

_FREQUENCY_MHZ = ((9.0, 900), (8.0, 337), (7.0, 121), (5.0, 41), (3.0, 13))  # amplitude, period in seconds
_VOLTAGE_10MV = ((120, 7200), (90, 1511), (60, 331), (40, 67), (25, 17))


@dataclass(frozen=True)
class MainsEvent:
    """A disturbance: the voltage is multiplied and the frequency shifted while it lasts; `outage`: no voltage."""

    start_s: int
    duration_s: int
    voltage_factor: float = 1.0
    frequency_shift_mhz: int = 0
    outage: bool = False


class Mains:
    """The supply of one street. The same second gives the same values, in any order of asking.

    Both are sums of waves with seeded phases: the frequency within about 30 mHz of 50 Hz, most of the time within 15;
    the voltage within about 3.5 V of `nominal_10mv`, lower in the evening.
    """

    def __init__(self, seeds, calendar, nominal_10mv=23000, events=()):
        rng = seeds.stream("mains")
        self._calendar, self._nominal, self._events = calendar, nominal_10mv, tuple(events)
        self._frequency_waves = [(a, 2 * pi / around, 2 * pi * rng.random()) for a, around in _FREQUENCY_MHZ]
        self._voltage_waves = [(a, 2 * pi / around, 2 * pi * rng.random()) for a, around in _VOLTAGE_10MV]
        self._at_s = -1
        self._voltage = self._frequency = 0

    def _tune(self, now_s):
        frequency, voltage, out = 50000.0, float(self._nominal), False
        for amplitude, speed, phase in self._frequency_waves:
            frequency += amplitude * sin(speed * now_s + phase)
        for amplitude, speed, phase in self._voltage_waves:
            voltage += amplitude * sin(speed * now_s + phase)
        voltage -= (
            80 * sin(pi * (self._calendar.second_of_day(now_s) / 43200 - 1)) ** 2
        )  # least at six, morning and evening
        for event in self._events:
            if event.start_s <= now_s < event.start_s + event.duration_s:
                voltage *= event.voltage_factor
                frequency += event.frequency_shift_mhz
                out = out or event.outage
        self._at_s = now_s
        self._voltage, self._frequency = (0, 0) if out else (round(voltage), round(frequency))

    def voltage_10mv(self, now_s):
        """Voltage in 10 mV; 0 in an outage."""
        if now_s != self._at_s:
            self._tune(now_s)
        return self._voltage

    def frequency_mhz(self, now_s):
        """Frequency in mHz; 0 in an outage."""
        if now_s != self._at_s:
            self._tune(now_s)
        return self._frequency
