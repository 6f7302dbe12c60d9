"""Reads day-ahead prices: a CSV or JSON file of the user's own, or one of the days that SPOT ships.

CSV: a heading, then `time,price` a line, in local time ("2024-12-12 00:00:00,122.24"). JSON: `{"start":
"2024-12-12T00:00", "interval_min": 60, "prices": [...], "unit": "EUR/MWh"}`, or a list of `{"time": ..., "price":
...}`. Times without an offset are local. A day of 23 or 25 hours is told by the zone: a line for the hour that spring
skips is passed over, and a single line for the hour that autumn repeats stands for both. The first and the last day of
a file may be incomplete, and whole days may be missing; a hole within a day is an error.
"""

import csv
import io
import json
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

from spot_host.errors import UserError

BERLIN = "Europe/Berlin"
BUILT_IN = ("2024-05-12", "2024-12-12")
INTERVALS_MIN = (15, 30, 60)
_UNITS = {"EUR/MWh": 1.0, "EUR/kWh": 1000.0, "ct/kWh": 10.0}
_LIMIT = 10_000.0  # EUR/MWh, either sign: what the profile can carry
_MAX_BYTES = 20_000_000


class PriceError(UserError):
    """Prices cannot be used. `line`: of the file, 1 first, or None; the text names file, line and reason."""

    def __init__(self, reason, source="", line=None):
        where = f"{source}, line {line}: " if line else f"{source}: " if source else ""
        super().__init__(where + reason)
        self.reason, self.line = reason, line


@dataclass(frozen=True)
class PriceSeries:
    """Consecutive prices in EUR/MWh. start_utc: Unix time; interval_s: length of one."""

    start_utc: int
    interval_s: int
    prices: tuple

    @property
    def end_utc(self):
        """Unix time of the end of the last interval."""
        return self.start_utc + self.interval_s * len(self.prices)

    def at(self, utc):
        """The price at a Unix time, None outside the series."""
        index = (utc - self.start_utc) // self.interval_s
        return self.prices[index] if 0 <= index < len(self.prices) else None


class PriceBook:
    """Prices of whole local days. `days`: {date: PriceSeries} in the order of the calendar; `zone`: its name; `source`:
    for messages.
    """

    def __init__(self, days, zone, source):
        self.days, self.zone, self.source = dict(sorted(days.items())), zone, source

    def day(self, day):
        """The prices of one day (a date, or its ISO text). Raises PriceError when it is not there."""
        if isinstance(day, str):
            try:
                day = date.fromisoformat(day)
            except ValueError:
                raise PriceError(f"{day!r} is no date: write it as 2024-12-12") from None
        if day not in self.days:
            known = list(self.days)
            if len(known) <= 4:
                have = ", ".join(str(one) for one in known)
            else:
                have = f"{len(known)} days from {known[0]} to {known[-1]}"
            raise PriceError(f"no prices for {day}; there are {have}", self.source)
        return self.days[day]


def built_in():
    """The days that SPOT ships, as a PriceBook."""
    content = json.loads(files("spot_sim.data").joinpath("day_ahead_de_lu.json").read_text())
    zone = ZoneInfo(content["zone"])
    days = {}
    for text, prices in content["days"].items():
        day = date.fromisoformat(text)
        days[day] = PriceSeries(_midnight(day, zone), content["interval_min"] * 60, tuple(prices))
    return PriceBook(days, content["zone"], "built-in prices")


def prices_of(day, path=None, zone=BERLIN):
    """The prices of one day: from the file `path`, or built in when it is None. Raises PriceError."""
    return (built_in() if path is None else read(path, zone)).day(day)


def read(path, zone=BERLIN):
    """A price file as a PriceBook. Raises PriceError with line and reason."""
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise PriceError(f"larger than {_MAX_BYTES // 1_000_000} MB: no price file", path.name)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise PriceError(exc.strerror or str(exc), str(path)) from None
    except UnicodeDecodeError as exc:
        raise PriceError("not UTF-8 text", path.name, _line_in_bytes(path, exc.start)) from None
    return parse(text, path.name, zone)


def parse(text, source="prices", zone=BERLIN):
    """The content of a price file, CSV or JSON, as a PriceBook. Raises PriceError."""
    reader = _Rows(source, ZoneInfo(zone))
    if text.lstrip()[:1] in ("{", "["):
        interval_min = reader.json(text)
    else:
        interval_min = reader.csv(text)
    return PriceBook(reader.days(interval_min), zone, source)


def _line_in_bytes(path, offset):
    return path.read_bytes()[:offset].count(b"\n") + 1


def _midnight(day, zone):
    return int(datetime.combine(day, time(), zone).timestamp())


class _Rows:
    """Lines of a file on their way to days: (local time without zone, price, line)."""

    def __init__(self, source, zone):
        self.source, self.zone, self.rows = source, zone, []

    def error(self, reason, line=None):
        return PriceError(reason, self.source, line)

    def csv(self, text):
        scale = 1.0
        table = csv.reader(io.StringIO(text))
        while True:
            try:
                cells = next(table)
            except StopIteration:
                return None
            except csv.Error as exc:
                raise self.error(f"not CSV: {exc}", table.line_num) from None
            line = table.line_num
            if not cells or not any(cell.strip() for cell in cells):
                continue
            if len(cells) != 2:
                raise self.error(f"{len(cells)} columns instead of time,price (write 12.5, not 12,5)", line)
            if not self.rows and line == 1 and not cells[0].strip()[:1].isdigit():
                scale = self.unit_in_heading(cells[1])
                continue
            self.add(cells[0].strip(), cells[1].strip(), line, scale)

    def unit_in_heading(self, cell):
        if "(" not in cell:
            return 1.0
        return self.unit(cell.rpartition("(")[2].rstrip(") "), 1)

    def unit(self, name, line):
        if not isinstance(name, str) or name not in _UNITS:
            raise self.error(f"unit {name!r} is not one of {', '.join(_UNITS)}", line)
        return _UNITS[name]

    def json(self, text):
        try:
            content = json.loads(text)
        except json.JSONDecodeError as exc:
            raise self.error(f"not JSON: {exc.msg}", exc.lineno) from None
        except (RecursionError, ValueError) as exc:  # nested too deep, or a number of thousands of digits
            raise self.error(f"not JSON: {exc}") from None
        if isinstance(content, list):
            for line, item in zip(_lines_of_items(text, text.index("[")), content, strict=True):
                if not isinstance(item, dict) or "time" not in item or "price" not in item:
                    raise self.error('an entry must be {"time": ..., "price": ...}', line)
                self.add(item["time"], item["price"], line, self.unit(item.get("unit", "EUR/MWh"), line))
            return None
        return self.json_series(text, content)

    def json_series(self, text, content):
        for name in ("start", "interval_min", "prices"):
            if name not in content:
                raise self.error(f'"{name}" is missing', 1)
        places = _places_of_values(text)
        lines = {name: text.count("\n", 0, at) + 1 for name, at in places.items()}
        interval_min, prices = content["interval_min"], content["prices"]
        if isinstance(interval_min, bool) or interval_min not in INTERVALS_MIN:
            raise self.error(f"interval_min is {interval_min!r}, not one of 15, 30, 60", lines["interval_min"])
        if not isinstance(prices, list):
            raise self.error('"prices" must be a list', lines["prices"])
        scale = self.unit(content.get("unit", "EUR/MWh"), lines.get("unit"))
        start = self.moment(content["start"], lines["start"])
        if start.tzinfo is None:
            start = start.replace(tzinfo=self.zone)
        start = start.astimezone(UTC)
        for number, (line, price) in enumerate(zip(_lines_of_items(text, places["prices"]), prices, strict=True)):
            when = (start + timedelta(minutes=interval_min * number)).astimezone(self.zone)
            self.rows.append((when.replace(tzinfo=None, fold=0), self.price(price, line, scale), line))
        return interval_min

    def add(self, when, price, line, scale):
        moment = self.moment(when, line)
        if moment.tzinfo is not None:
            moment = moment.astimezone(self.zone).replace(tzinfo=None, fold=0)
        self.rows.append((moment, self.price(price, line, scale), line))

    def moment(self, value, line):
        try:
            moment = datetime.fromisoformat(value)
            if not 1990 <= moment.year <= 2200:
                raise ValueError
            return moment
        except (TypeError, ValueError):
            raise self.error(f"{value!r} is no time: write it as 2024-12-12 17:00:00", line) from None

    def price(self, value, line, scale):
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise self.error(f"{value!r} is no price", line)
        try:
            number = float(value) * scale
        except (ValueError, OverflowError):
            raise self.error(f"{value!r} is no price", line) from None
        if not math.isfinite(number) or abs(number) > _LIMIT:
            raise self.error(f"price {value!s:.40} is outside -{_LIMIT:.0f} to {_LIMIT:.0f} EUR/MWh", line)
        return number

    def days(self, interval_min):
        """{date: PriceSeries} of the complete days."""
        if not self.rows:
            raise self.error("holds no prices")
        by_day = {}
        last = None
        for row in self.rows:
            day = row[0].date()
            if last is not None and day < last:
                raise self.error(f"{row[0]} stands after {last}: times must ascend", row[2])
            by_day.setdefault(day, []).append(row)
            last = day
        interval_min = interval_min or self.interval()
        first, found = min(by_day), {}
        for day, rows in by_day.items():
            series = self.one_day(day, rows, interval_min, at_edge=day in (first, last))
            if series is not None:
                found[day] = series
        if not found:
            raise self.error("holds no complete day, midnight to midnight", self.rows[-1][2])
        return found

    def interval(self):
        """Minutes between neighbouring times, as most often in the file."""
        gaps = Counter()
        for (before, _, _), (after, _, _) in zip(self.rows, self.rows[1:], strict=False):
            gaps[int((after - before).total_seconds()) // 60] += 1
        usual = gaps.most_common(1)[0][0] if gaps else 60
        if usual not in INTERVALS_MIN:
            raise self.error(f"times are {usual} minutes apart, not 15, 30 or 60", self.rows[0][2])
        return usual

    def one_day(self, day, rows, interval_min, at_edge):
        """The series of one day, None for an incomplete one at the edge of the file."""
        start, end = _midnight(day, self.zone), _midnight(day + timedelta(days=1), self.zone)
        step = interval_min * 60
        labels = [
            datetime.fromtimestamp(utc, self.zone).replace(tzinfo=None, fold=0) for utc in range(start, end, step)
        ]
        times = {label: labels.count(label) for label in labels} if end - start > 86400 else dict.fromkeys(labels, 1)
        given = {}
        for when, price, line in rows:
            if when not in times and not self.skipped(when, interval_min):
                raise self.error(f"{when} does not fall on an interval of {interval_min} minutes", line)
            given.setdefault(when, []).append((price, line))
            if when in times and len(given[when]) > times[when]:
                raise self.error(f"{when} stands there twice", line)
        prices, holes = [], []
        for label in labels:
            have = given.get(label)
            if have is None:
                holes.append(label)
            else:
                prices.append(have.pop(0)[0] if len(have) > 1 else have[0][0])
        if not holes:
            return PriceSeries(start, step, tuple(prices))
        if at_edge and (holes[0] == labels[0] or holes[-1] == labels[-1]) and _together(holes, labels):
            return None
        after = next((line for when, _, line in rows if when > holes[0]), rows[-1][2])
        raise self.error(f"the price of {holes[0]} is missing", after)

    def skipped(self, when, interval_min):
        """Whether a local time is one that the change to summer time leaves out."""
        there = when.replace(tzinfo=self.zone).astimezone(UTC).astimezone(self.zone)
        return there.replace(tzinfo=None, fold=0) != when and when.minute % interval_min == 0 and when.second == 0


def _together(holes, labels):
    """Whether what is missing is one stretch at one end of the day, not a hole in it."""
    missing = set(holes)
    kept = [number for number, label in enumerate(labels) if label not in missing]
    return bool(kept) and kept[-1] - kept[0] + 1 == len(kept)


def _places_of_values(text):
    """Where in the text of a JSON object the value of each key begins."""
    decoder, places, at = json.JSONDecoder(), {}, text.index("{") + 1
    while True:
        at = _past(text, at, " \t\r\n,")
        if text[at] == "}":
            return places
        key, at = decoder.raw_decode(text, at)
        places[key] = at = _past(text, at, " \t\r\n:")
        at = decoder.raw_decode(text, at)[1]


def _past(text, at, what):
    while text[at] in what:
        at += 1
    return at


def _lines_of_items(text, at):
    """The lines on which the items of the JSON list at `text[at]` begin."""
    decoder, lines, line, at = json.JSONDecoder(), [], text.count("\n", 0, at) + 1, at + 1
    while True:
        while text[at] in " \t\r\n,":
            line += text[at] == "\n"
            at += 1
        if text[at] == "]":
            return lines
        lines.append(line)
        end = decoder.raw_decode(text, at)[1]
        line += text.count("\n", at, end)
        at = end
