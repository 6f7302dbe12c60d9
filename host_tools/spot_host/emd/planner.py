"""What prices mean for one device: a rule table from registered capability to leases. Pure functions.

A *block* is a run of dear hours in which a device saves. Its worth is what it costs to run in it, less what it costs
to catch up in the hours right after it (what is not used in a fridge, a car or a house is mostly used later).
docs/emd.md has the table.
"""

from dataclasses import dataclass
from functools import lru_cache

from spot_host.emd.ledger import KIND
from spot_host.emd.registry import Capability

_NEAR_S = 43200  # dear means dear within half a day
_SG_LOCK_S = 7200  # SG-Ready state 1 lasts at most two hours


@dataclass(frozen=True)
class Rules:
    """The planner's settings. Durations in s, prices in EUR/MWh, temperatures in 0.01 Cel."""

    min_spread: float = 20.0  # a block must be worth so much for each MWh moved
    max_off_s: int = 4 * 3600  # longest block of a device that states none
    max_off_per_day_s: int = 8 * 3600
    min_block_s: int = 1800
    offset: int = 150  # set-point shift, at most half the comfort band
    preheat_s: int = 2 * 3600
    preheat_window_s: int = 5 * 3600  # how long before a dear block heat is stored
    negative_below: float = 0.0
    priority: int = 3
    jitter_s: int = 900
    horizon_s: int = 24 * 3600  # how far ahead commands are sent
    max_live: int = 6  # commands outstanding at one device: its ledger is small
    household_may_close: bool = True  # use "on" where the device has remote closing enabled


@dataclass(frozen=True)
class Action:
    """One lease the planner wants. purpose: a name that stays the same when the same thing is planned again."""

    purpose: str
    kind: int
    begin: int
    end: int
    value: int | None = None
    value2: int | None = None
    priority: int = 3
    jitter: int | None = None


@lru_cache(maxsize=4096)
def dear_blocks(
    prices: tuple, longest: int, shortest: int, recover: int, total: int, min_spread: float, near: int
) -> tuple:
    """The blocks worth saving in, as ((first, end), …) in slots, ascending and apart by at least `recover` slots.

    prices: EUR/MWh a slot. longest, shortest, total: slots. A block is above zero throughout, and in the mean above the
    prices from `near` slots before it to `near` after it. Greedy: the greatest worth first; of equals the earlier and
    shorter.
    """
    n = len(prices)
    sums = [0.0]
    for p in prices:
        sums.append(sums[-1] + p)
    free, chosen = [True] * n, []
    while total >= shortest:
        best = None
        for i in range(n):
            for j in range(i + 1, min(n, i + min(longest, total)) + 1):
                if not free[j - 1] or prices[j - 1] <= 0:
                    break
                length = j - i
                if length < shortest:
                    continue
                after = min(n, j + length)
                if after == j:
                    continue  # no price is known for catching up
                a, b = max(0, i - near), min(n, j + near)
                mean = (sums[j] - sums[i]) / length
                if mean <= (sums[b] - sums[a]) / (b - a):
                    continue
                worth = sums[j] - sums[i] - (sums[after] - sums[j]) * length / (after - j)
                if worth >= min_spread * length and (best is None or worth > best[0] + 1e-9):
                    best = (worth, i, j)
        if best is None:
            break
        _, i, j = best
        chosen.append((i, j))
        total -= j - i
        gap = max(recover, 1)
        for k in range(max(0, i - gap), min(n, j + gap)):
            free[k] = False
    return tuple(sorted(chosen))


@lru_cache(maxsize=4096)
def cheap_run(prices: tuple, first: int, end: int, length: int, below: float) -> tuple | None:
    """The cheapest run of `length` slots (or less, where fewer fit) in [first, end) with a mean under `below`, or None.

    Of equals the latest: stored heat is lost with time.
    """
    first = max(0, first)
    length = min(length, end - first)
    best = None
    for i in range(first, end - length + 1 if length > 0 else first):
        mean = sum(prices[i : i + length]) / length
        if mean < below and (best is None or mean <= best[0] + 1e-9):
            best = (mean, i)
    return (best[1], best[1] + length) if best else None


@lru_cache(maxsize=256)
def negative_runs(prices: tuple, below: float) -> tuple:
    """Runs of slots with a price under `below`, ((first, end), …)."""
    runs, start = [], None
    for i, p in enumerate((*prices, below + 1)):
        if p < below and start is None:
            start = i
        elif p >= below and start is not None:
            runs.append((start, i))
            start = None
    return tuple(runs)


def plan(capability: Capability, series, now: int, rules: Rules) -> list:
    """The leases that follow from `series` (a PriceSeries) for a device; what has ended is left out.

    Nothing is asked that the device did not register a service for; no block, its jitter included, is longer than its
    `max_block`; blocks are at least `min_pause` long and at least `min_run` apart.
    """
    slot_s, prices = series.interval_s, series.values
    if capability.profile_name == "heat_pump" or capability.saves_by("set_point"):
        actions = _heat(capability, prices, slot_s, series.start, rules)
    else:
        actions = _switch(capability, prices, slot_s, series.start, rules)
    return [a for a in actions if a.end > now + 60]


def _blocks(capability, prices, slot_s, rules, cap_s=None):
    longest_s = capability.max_block or rules.max_off_s
    if cap_s is not None:
        longest_s = min(longest_s, cap_s)
    longest = longest_s // slot_s
    shortest = max(1, -(-max(rules.min_block_s, capability.min_pause or 0) // slot_s))
    if longest < shortest:
        return ()
    recover = -(-max(capability.min_run or 0, slot_s) // slot_s)
    days = max(1, round(len(prices) * slot_s / 86400))
    return dear_blocks(
        prices,
        longest,
        shortest,
        recover,
        days * rules.max_off_per_day_s // slot_s,
        rules.min_spread,
        _NEAR_S // slot_s,
    )


def _action(capability, word, kind, start, slot_s, run, value, rules):
    begin, end = start + run[0] * slot_s, start + run[1] * slot_s
    if word == "save" and capability.max_block:  # the device may end later by the jitter
        end = min(end, begin + max(60, capability.max_block - rules.jitter_s))
    return Action(f"price:{word}:{begin}", KIND[kind], begin, end, value, None, rules.priority, rules.jitter_s)


def _switch(capability, prices, slot_s, start, rules):
    actions = []

    def add(word, kind, run, value=None):
        actions.append(_action(capability, word, kind, start, slot_s, run, value, rules))

    if capability.serves("on_off") and (capability.saves_by("off") or capability.saves_by("shift")):
        for block in _blocks(capability, prices, slot_s, rules):
            add("save", "off", block)
    elif capability.serves("limit") and capability.saves_by("reduce"):
        for block in _blocks(capability, prices, slot_s, rules):
            add("save", "limit", block, max(capability.limit_min or 0, capability.power_min or 0))
    for run in negative_runs(prices, rules.negative_below):
        if capability.serves("boost"):
            add("use", "boost", run)
        elif capability.saves_by("shift") and capability.serves("remote_close") and rules.household_may_close:
            add("use", "on", run)
    return sorted(actions, key=lambda a: (a.begin, a.purpose))


def _heat(capability, prices, slot_s, start, rules):
    shift = rules.offset
    if capability.comfort_low is not None and capability.comfort_high is not None:
        shift = min(shift, max(0, (capability.comfort_high - capability.comfort_low) // 2))
    by_offset = capability.serves("offset") and shift > 0
    by_state = capability.serves("sg_ready")
    actions, busy = [], set()

    def add(word, kind, run, value=None):
        busy.update(range(*run))
        actions.append(_action(capability, word, kind, start, slot_s, run, value, rules))

    blocks = _blocks(capability, prices, slot_s, rules, None if by_offset else _SG_LOCK_S if by_state else None)
    for block in blocks:
        if by_offset:
            add("save", "offset", block, -shift)
        elif by_state:
            add("save", "sg_ready", block, 1)
        elif capability.serves("limit") and capability.saves_by("reduce"):
            add("save", "limit", block, max(capability.limit_min or 0, capability.power_min or 0))
        elif capability.serves("on_off") and capability.saves_by("off"):
            add("save", "off", block)
    for run in negative_runs(prices, rules.negative_below):
        if not busy.isdisjoint(range(*run)):
            continue
        if capability.serves("boost"):
            add("use", "boost", run)
        elif by_state:
            add("use", "sg_ready", run, 4)
        elif by_offset:
            add("use", "offset", run, shift)
    for first, end in blocks:
        dear = sum(prices[first:end]) / (end - first)
        run = cheap_run(
            prices,
            first - rules.preheat_window_s // slot_s,
            first,
            rules.preheat_s // slot_s,
            dear - 2 * rules.min_spread,
        )
        if run is None or not busy.isdisjoint(range(*run)):
            continue
        if by_offset:
            add("store", "offset", run, shift)
        elif by_state:
            add("store", "sg_ready", run, 3)
        elif capability.serves("boost"):
            add("store", "boost", run)
    return sorted(actions, key=lambda a: (a.begin, a.purpose))
