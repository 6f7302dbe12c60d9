"""The household's calendar: days of 23, 24 or 25 hours beside the simulator's plain seconds."""

from bisect import bisect_right
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

BERLIN = "Europe/Berlin"


class LocalCalendar:
    """Local days over simulated seconds; second 0 is midnight at the start of `first_day`.

    first_day: `datetime.date` or its ISO text. zone: name of the time zone.
    """

    def __init__(self, first_day, zone=BERLIN):
        self.first_day = date.fromisoformat(first_day) if isinstance(first_day, str) else first_day
        self.zone = ZoneInfo(zone)
        self.start_utc = self._midnight_utc(0)
        self._starts = [0, self._midnight_utc(1) - self.start_utc]

    def _midnight_utc(self, index):
        day = self.first_day + timedelta(days=index)
        return int(datetime.combine(day, time(), self.zone).timestamp())

    def date(self, index):
        """The date of day `index`, 0 being the first."""
        return self.first_day + timedelta(days=index)

    def day_start(self, index):
        """Simulated second at which local day `index` begins; also for the days before the first."""
        if index < 0:
            return self._midnight_utc(index) - self.start_utc
        starts = self._starts
        while len(starts) <= index:
            starts.append(self._midnight_utc(len(starts)) - self.start_utc)
        return starts[index]

    def day_of(self, now_s):
        """Index of the local day that holds second `now_s` (not negative)."""
        starts = self._starts
        while starts[-1] <= now_s:
            self.day_start(len(starts))
        return bisect_right(starts, now_s) - 1

    def second_of_day(self, now_s):
        """Seconds since local midnight."""
        return now_s - self._starts[self.day_of(now_s)]

    def utc(self, now_s):
        """Unix time of simulated second `now_s`."""
        return self.start_utc + now_s

    def local(self, now_s):
        """Local time as an aware `datetime`."""
        return datetime.fromtimestamp(self.start_utc + now_s, self.zone)
