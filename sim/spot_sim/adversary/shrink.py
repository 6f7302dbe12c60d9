"""A failing history made small: events are left out for as long as the same invariant fails (delta debugging)."""

from spot_sim.adversary.arena import Arena
from spot_sim.adversary.invariants import Violation


def failure(history, until_s=None):
    """The Violation that a history ends in, or None."""
    try:
        Arena(history).play(until_s)
    except Violation as violation:
        return violation
    return None


def shrink(history, violation, tries=200, progress=None):
    """A History with as few events as `tries` runs can find that fails in the same invariant, and its Violation.

    progress(events left, tries left) is called after each run.
    """
    end_ms = violation.at_ms
    events = [event for event in history.events if event[0] <= end_ms]
    until_s = None if violation.name in ("calm", "energy_sum") else -(-end_ms // 1000)
    parts = 2
    best = violation
    while tries > 0 and events:
        size = -(-len(events) // parts)
        for at in range(0, len(events), size):
            fewer = events[:at] + events[at + size :]
            tries -= 1
            found = failure(history.without(fewer), until_s)
            if progress is not None:
                progress(len(events), tries)
            if found is not None and found.name == violation.name:
                events, best = fewer, found
                parts = max(2, parts - 1)
                break
            if tries <= 0:
                break
        else:
            if size == 1:
                break
            parts = min(len(events), parts * 2)
    return history.without(events), best
