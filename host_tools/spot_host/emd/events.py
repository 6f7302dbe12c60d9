"""Limit events at the core: which devices they touch, how the limit is split over them, and what came of it."""

from spot_host.emd.accounting import SiteMeter, usual_w
from spot_host.emd.config import LimitEvent
from spot_host.emd.ledger import KIND, LIVE
from spot_host.emd.split import Demand, split


class RunningEvent:
    """One limit event with its share for each device. `purpose` names its commands in the ledgers."""

    def __init__(self, event: LimitEvent, now: int, tolerance_w: int = 0):
        self.event, self.purpose = event, f"limit:{event.id}"
        self.shares, self.moved_at, self.moves = {}, {}, 0
        self.meter, self.members, self.base_w = None, [], 0
        self.baseline_w, self.tolerance_w, self.closed = 0.0, tolerance_w, False
        self.due, self.unconfirmed = None, {}

    def begin(self, now: int, rows, base_w: float) -> None:
        """The event starts (or the EMD, within it): from here on the time above the limit counts."""
        self.meter = SiteMeter(now, self.event.limit_w, self.tolerance_w)
        self.members = rows
        self.base_w = base_w
        self.baseline_w = sum(usual_w(row, now) for row in rows) + base_w
        self.meter.add(now, sum(row.power_w for row in rows) + base_w)
        for row in rows:
            row.watchers.append(self.meter)

    def join(self, now: int, row) -> None:
        """A device that registers while the event runs."""
        if self.meter is not None and row not in self.members:
            self.members.append(row)
            self.meter.add(now, row.power_w)
            row.watchers.append(self.meter)

    def base_moved(self, now: int, base_w: float) -> None:
        if self.meter is not None and base_w != self.base_w:
            self.meter.add(now, base_w - self.base_w)
            self.base_w = base_w

    def finish(self, now: int) -> None:
        """The event is over."""
        if self.meter is not None:
            self.meter.close(self.event.end)
            for row in self.members:
                row.watchers.remove(self.meter)
        self.closed = True

    def summary(self, now: int) -> dict:
        """The event held against its limit and its baseline (usual power before it), in plain values."""
        event, meter = self.event, self.meter
        result = {
            "id": event.id,
            "start": event.start,
            "end": event.end,
            "limit_w": event.limit_w,
            "devices": list(event.devices) if event.devices is not None else None,
            "include_base": event.include_base,
            "state": "ended" if self.closed else "running" if meter else "known",
        }
        if meter is not None:
            if not self.closed:
                meter.close(min(now, event.end))
            length_s = max(0, min(now, event.end) - event.start)
            result.update(
                kept=meter.violated_s == 0,
                violated_s=meter.violated_s,
                worst_excess_w=round(meter.worst_w),
                over_wh=round(meter.over_wh, 1),
                peak_w=round(meter.peak_w),
                peak_15min_w=round(meter.mean_peak_w),
                energy_wh=round(meter.energy_wh, 1),
                baseline_wh=round(self.baseline_w * length_s / 3600, 1),
                response_wh=round(self.baseline_w * length_s / 3600 - meter.energy_wh, 1),
                splits=self.moves,
            )
        return result


def demand(row, now: int, priority: int, share: int | None) -> Demand:
    """What `row` would do with power: by its registration and its readings; `share` is what it is held to now."""
    c = row.capability
    most = c.power_max
    on_off = c.on_off_only
    need = row.recent_w if share is None else row.want_w
    if share is None or (on_off and share >= most):
        row.want_w = need = row.recent_w
    elif row.power_w * 10 >= share * 9 and share > 0:
        row.want_w = need = min(most, max(row.want_w, share + max(100, share // 4)))
    elif share > 0 and row.recent_w * 10 < share * 9:
        row.want_w = need = row.recent_w
    must_run = False
    if on_off and share == 0:
        if row.held_since is None:
            row.held_since = now
        must_run = c.max_block is not None and now - row.held_since >= max(0, c.max_block - 60)
    elif row.held_since is not None:
        if row.released_at is None:
            row.released_at = now
        must_run = now - row.released_at < (c.min_run or 0)  # it was just let go: not back before its least run
        if not must_run:
            row.held_since = row.released_at = None
    if need <= (c.standby or 0):
        need = 0
    least = most if on_off else max(c.limit_min or 0, min(c.steps, default=0) if c.steps else 0)
    return Demand(
        row.eui, min(need, most), min(least, most), most, on_off, priority, must_run, tuple(sorted(c.steps or ()))
    )


def shares(running: RunningEvent, now: int, rows, base_w: float, settings, priorities: dict, timeout_s: int) -> dict:
    """The new share of each device of `rows` (EUI → W) under what the base load and the uncontrollable leave.

    Shares that moved by less than `step_w` (or a tenth) stay. A raise is for who fills its share (all that it has, or
    nothing), and waits until `raise_after_s` after the last move.
    Whatever stays, the shares never exceed what is available.
    """
    event = running.event
    free = event.limit_w - settings.reserve_w - event.limit_w * settings.reserve_percent / 100 - base_w
    demands, before = [], running.shares
    for row in rows:
        c = row.capability
        if not (c.serves("limit") or c.serves("on_off")) or (row.online == 0 or now - row.heard_at > 2 * timeout_s):
            free -= max(row.power_w, 0)  # nobody reaches it: it does what it does
            continue
        demands.append(demand(row, now, priorities.get(row.eui, 0), before.get(row.eui)))
    new = split(int(free), demands)
    if not before:
        return new
    kept, needs = {}, {x.key: x.need_w for x in demands}
    for key, want_w in new.items():
        have_w = before.get(key)
        if have_w is None or want_w == have_w:
            kept[key] = want_w
        elif (want_w == 0) != (have_w == 0):
            kept[key] = want_w
        elif abs(want_w - have_w) < max(settings.step_w, have_w // 10):
            kept[key] = have_w
        elif want_w > have_w and (needs[key] <= have_w or now - running.moved_at.get(key, 0) < settings.raise_after_s):
            kept[key] = have_w  # nobody asks for more yet, or not so soon again: each revision costs flash writes there
        else:
            kept[key] = want_w
    if sum(kept.values()) > max(0, free):
        kept = new
    return kept


def confirmed(row, purpose: str) -> bool:
    """The device has answered the latest revision of its command for this event (or has none)."""
    return all(not c.unanswered and c.state in LIVE for c in row.ledger.live_for(purpose))


def command_for(row, share_w: int) -> tuple:
    """(kind, value) that holds `row` to `share_w`: a limit where it takes one, else off or nothing (None)."""
    if row.capability.serves("limit"):
        return KIND["limit"], share_w
    return (KIND["off"], None) if share_w < row.capability.power_max else (None, None)
