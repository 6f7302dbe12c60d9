"""The home's time zone: what devices are told of it, and local days with 23, 24 or 25 hours."""

import contextlib
import os
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_AHEAD_DAYS = 400  # a change of the clocks is looked for so far ahead


def zone_of(name: str) -> ZoneInfo | None:
    """The zone of this name ("Europe/Berlin"), None for "". ValueError when there is none."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(f"{name!r} is no time zone; Europe/Berlin is one") from exc


def offset_min(zone, at: int) -> int:
    """Local time less UTC at Unix second `at`, in minutes."""
    return int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds()) // 60


def next_change(zone, now: int) -> int | None:
    """Unix second at which the clocks are changed next; None: not within 400 days."""
    here = offset_min(zone, now)
    low = now
    for day in range(1, _AHEAD_DAYS):
        high = now + day * 86400
        if offset_min(zone, high) != here:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset_min(zone, middle) == here else (low, middle)
            return high
        low = high
    return None


def told(zone, now: int) -> dict:
    """The fields of `registered` that say when it is midnight; none without a zone."""
    if zone is None:
        return {}
    values = {"zone": offset_min(zone, now)}
    change = next_change(zone, now)
    if change is not None:
        values.update(zone_change=change, zone_next=offset_min(zone, change))
    return values


def day_bounds(zone, day: date) -> tuple[int, int]:
    """Unix seconds at which local `day` begins and ends."""
    first, last = (
        int(datetime.combine(day + timedelta(days=i), clock_time(), zone or UTC).timestamp()) for i in (0, 1)
    )
    return first, last


def day_of(zone, at: int) -> date:
    """The local day that holds Unix second `at`."""
    return datetime.fromtimestamp(at, zone or UTC).date()


def of_this_computer() -> str:
    """The name of this computer's time zone; "" when it does not say."""
    names = [os.environ.get("TZ", "")]
    with contextlib.suppress(OSError):
        names.append(Path("/etc/timezone").read_text().strip())
    with contextlib.suppress(OSError):
        names.append(os.readlink("/etc/localtime").partition("zoneinfo/")[2])
    for name in names:
        with contextlib.suppress(ValueError):
            if zone_of(name) is not None:
                return name
    return ""
