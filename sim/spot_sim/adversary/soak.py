"""Runs histories by the hundred, in processes side by side, and sums up what was met."""

import os
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field

from spot_sim.adversary import draw
from spot_sim.adversary.arena import Arena
from spot_sim.adversary.invariants import Violation


@dataclass
class Outcome:
    """What became of one seed: `violation` is (name, at_ms, device, text, latest event) or None."""

    seed: int
    shape: str
    device_years: float
    steps: int
    cpu_s: float
    violation: tuple | None
    cover: Counter


@dataclass
class Summary:
    """Of all seeds that were run."""

    outcomes: list = field(default_factory=list)
    wall_s: float = 0.0

    @property
    def device_years(self):
        return sum(one.device_years for one in self.outcomes)

    @property
    def failures(self):
        return [one for one in self.outcomes if one.violation is not None]

    @property
    def cover(self):
        total = Counter()
        for one in self.outcomes:
            total.update(one.cover)
        return total


def command_of(outcome):
    """What replays it exactly."""
    return f"spot sim soak --seeds {outcome.seed}"


def run_seed(seed, shape=None):
    """Plays the history of one seed. Never raises for what the history finds."""
    return run(draw.draw(seed, shape))


def run(history, until_s=None):
    """Plays a History: an Outcome."""
    begun = time.process_time()
    arena = violation = None
    try:
        arena = Arena(history)
        arena.play(until_s)
    except Violation as found:
        violation = found.name, found.at_ms, found.device, found.text, arena and arena.event
    cover = arena.cover if arena is not None else Counter()
    steps = sum(device.steps for device in arena.devices.values()) if arena is not None else 0
    years = history.device_years
    if violation is not None:  # what was really run
        years *= violation[1] / 1000 / (history.days * 86400)
    return Outcome(
        history.seed, history.shape, years, steps, time.process_time() - begun, violation, cover
    )


def soak(seeds, years=0.0, jobs=None, progress=None):
    """Runs every seed of `seeds`, and further ones until `years` device-years have been run. progress(Summary) is
    called after each."""
    begun = time.monotonic()
    summary = Summary()
    left = list(seeds)
    following = max(left, default=0) + 1
    jobs = jobs or os.cpu_count() or 1
    with ProcessPoolExecutor(jobs) as pool:
        running = set()
        while True:
            under_way = len(running)
            while under_way < jobs and (left or summary.device_years < years):
                seed = left.pop(0) if left else following
                following = max(following, seed + 1)
                running.add(pool.submit(run_seed, seed))
                under_way += 1
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                summary.outcomes.append(one.result())
                summary.wall_s = time.monotonic() - begun
                if progress is not None:
                    progress(summary)
    summary.outcomes.sort(key=lambda one: one.seed)
    return summary
