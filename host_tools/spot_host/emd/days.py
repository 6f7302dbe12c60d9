"""A device's interval readings by local day: how many there should be, which there are, and what is wrong with them."""

from spot_host.emd.local_time import day_bounds
from spot_host.profile import definition as d

_FLAGS = {1 << bit: name for bit, name, _ in d.enum("Quality").rows}


def flags(quality: int) -> str:
    """Quality flags in words."""
    return ", ".join(name for bit, name in _FLAGS.items() if quality & bit) or "good"


def day_summary(zone, day, rows) -> dict:
    """One local day of one device. rows: (start, minutes, import_wh, export_wh, quality) that begin in it.

    expected: intervals that the day has, of the length that prevails in it (92, 96 or 100 quarter-hours); covered_s:
    seconds of the day with a reading; missing: [(from, to)] without one; twice: seconds that more than one reading
    covers (the device's clock was set back).
    """
    begin, end = day_bounds(zone, day)
    rows = sorted(rows)
    lengths = [minutes for _, minutes, *_ in rows]
    usual = max(set(lengths), key=lengths.count) if lengths else 15
    missing, at, twice, covered = [], begin, 0, 0
    for start, minutes, *_ in rows:
        stop = min(start + minutes * 60, end)
        if start > at:
            missing.append((at, start))
        twice += max(0, min(at, stop) - start)
        covered += max(0, stop - max(at, start))
        at = max(at, stop)
    if at < end:
        missing.append((at, end))
    return {
        "day": day.isoformat(),
        "begin": begin,
        "end": end,
        "expected": (end - begin) // (usual * 60),
        "intervals": len(rows),
        "minutes": usual,
        "covered_s": covered,
        "missing": missing,
        "twice_s": twice,
        "import_wh": round(sum(row[2] for row in rows), 1),
        "export_wh": round(sum(row[3] or 0 for row in rows), 1),
        "flagged": {name: sum(bool(row[4] & bit) for row in rows) for bit, name in _FLAGS.items()
                    if any(row[4] & bit for row in rows)},
    }
