"""Split a site's power limit over its devices: water-filling with smallest limits, on/off loads and priorities."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Demand:
    """What one device can do with power.

    key: its name. need_w: what it would draw now without a limit. min_w: smallest limit it can work under. max_w:
    registered maximum. on_off: it runs at full power or not at all. priority: higher first. must_run: it was held as
    long as it may be. steps: powers it can be set to, ascending, if not continuous.
    """

    key: str
    need_w: int
    min_w: int
    max_w: int
    on_off: bool = False
    priority: int = 0
    must_run: bool = False
    steps: tuple = ()


def split(available_w: int, demands) -> dict:
    """Watts for each device: the sum is at most `available_w`, each is 0 or within the device's smallest and maximum.

    Order: who must run, then priority, then who runs now, then the smaller, then the name. Within a priority what is
    left is filled up evenly (the least supplied first). Power that nobody needs now is handed out up to the maxima. The
    same demands give the same answer in any order.
    """
    order = sorted(demands, key=lambda x: (not x.must_run, -x.priority, x.need_w <= 0, _floor(x), x.key))
    grant = {x.key: 0 for x in order}
    left = max(0, int(available_w))
    for x in order:  # smallest useful powers first, for those who want any
        if (x.need_w > 0 or x.must_run) and _floor(x) <= left:
            grant[x.key] = _floor(x)
            left -= _floor(x)
    for tier in _tiers(order):
        left = _fill(tier, grant, left, lambda x: min(x.max_w, max(x.need_w, x.min_w)))
    for x in order:  # then a start for those who are idle
        if x.need_w <= 0 and not grant[x.key] and 0 < _floor(x) <= left:
            grant[x.key] = _floor(x)
            left -= _floor(x)
    for tier in _tiers(order):
        left = _fill(tier, grant, left, lambda x: x.max_w)
    for x in order:
        if x.steps and grant[x.key]:
            fitting = [s for s in x.steps if x.min_w <= s <= grant[x.key]]
            grant[x.key] = max(fitting) if fitting else grant[x.key]
    return grant


def _floor(x):
    return x.max_w if x.on_off else min(x.min_w, x.max_w)


def _tiers(order):
    tiers = {}
    for x in order:
        tiers.setdefault((x.must_run, x.priority), []).append(x)
    return tiers.values()


def _fill(tier, grant, left, ceiling):
    """Raise the lowest grants of `tier` together until `left` is used or all are at their ceiling; what remains."""
    # A device that can run from 0 W on is always in; one with a smallest power only if it was granted that.
    open_ = [x for x in tier if not x.on_off and (grant[x.key] > 0 or x.min_w == 0) and grant[x.key] < ceiling(x)]
    if sum(ceiling(x) - grant[x.key] for x in open_) <= left:
        for x in open_:
            left -= ceiling(x) - grant[x.key]
            grant[x.key] = ceiling(x)
        return left
    low, high = 0, max((ceiling(x) for x in open_), default=0)
    while low < high:  # the highest water level that fits, in whole watts
        level = (low + high + 1) // 2
        if sum(max(0, min(level, ceiling(x)) - grant[x.key]) for x in open_) <= left:
            low = level
        else:
            high = level - 1
    for x in open_:
        more = max(0, min(low, ceiling(x)) - grant[x.key])
        grant[x.key] += more
        left -= more
    for x in open_:  # the odd watts
        if left > 0 and grant[x.key] < ceiling(x):
            grant[x.key] += 1
            left -= 1
    return left
