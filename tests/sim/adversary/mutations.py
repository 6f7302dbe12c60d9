"""A test of the adversary: deliberate bugs, each put into a copy of the tree,
to be caught by the seeds of `make test`.

`make mutants` (python -m tests.sim.adversary.mutations [NAME…] [--jobs N]) prints a table; exit code 1 when one lives,
or when its place in the code is no longer there.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from spot_sim.adversary import draw
from tests.sim.adversary.seeds import SEEDS

ROOT = Path(__file__).resolve().parents[3]
_A, _D, _E = "firmware/spot/agent/", "firmware/spot/device/", "host_tools/spot_host/emd/"

# name, file, text (found once), what takes its place, what is wrong then
MUTATIONS = (
    ("ack_off_by_one", _A + "outbox.py", "            return True\n        self._journal.ack(seq)\n",
     "            return True\n        self._journal.ack(seq + 1)\n", "an acknowledgement counts for one record more"),
    ("ledger_not_kept", _A + "control.py", "                ledger.save(now_s, self.baseline.total_wh)\n",
     "                ledger.dirty = False\n", "commands are reported, and not kept"),
    ("no_pause_after_opening", _D + "protected.py",
     "        self._position = ABSENT\n        self.guards.arm(MIN_OFF, now_s, now_s + self._min_off_s)\n",
     "        self._position = ABSENT\n", "the least time off is not armed"),
    ("no_least_time_on", _D + "protected.py",
     "            self._closed_s = now_s\n            self.guards.arm(MIN_ON, now_s, now_s + self._min_on_s)\n",
     "            self._closed_s = now_s\n", "the least time on is not armed"),
    ("energy_not_kept", _D + "metering.py", "        self._base_wh = self._kept_wh = self.energy_wh\n",
     "        self._base_wh = self._kept_wh = self.energy_wh = 0\n", "the energy register begins anew at each start"),
    ("failsafe_ignored", _A + "deciding.py", "            own, name = seat.plan.failsafe_limit, DECIDER_FAILSAFE\n",
     "            own, name = ABSENT, DECIDER_FAILSAFE\n", "failsafe has no limit"),
    ("stale_is_fresh", _A + "heartbeat.py",
     "        return self.proof_age(now_s, beat) <= period_s + TOLERANCE_S\n", "        return True\n",
     "a heartbeat out of a queue counts"),
    ("time_twice_not_said", _A + "intervals.py",
     "        if self._start < self._covered:  # this time was there before: the clock went back\n"
     "            quality |= QUALITY_CLOCK\n",
     "", "an interval that begins in the one before it does not say that the clock went back"),
    ("number_used_again", "firmware/spot/store.py", "                self.next = start + count\n",
     "                self.next = start + max(1, count - 1)\n", "after a restart the latest number is given again"),
    ("revoke_forgotten", _A + "commands.py", "        new.told = True\n        self.rows.append(new)\n",
     "        new.told = True\n", "a revoke that comes before its command leaves nothing behind"),
    ("ends_late", _A + "commands.py",
     "            if entry.phase == RUNNING:\n                if now_s >= entry.end_s:\n",
     "            if entry.phase == RUNNING:\n                if now_s >= entry.end_s + 600:\n",
     "a command outlives its end"),
    ("numbers_not_reserved", "firmware/spot/wire/context.py",
     "                self._store.put(self._name, data + self.id_context if self.random and self.id_context else "
     "data)\n",
     "                if first < _STRIDE:\n"
     "                    self._store.put(\n"
     "                        self._name, data + self.id_context if self.random and self.id_context else data)\n",
     "OSCORE's sequence numbers are reserved once, and not again"),
    ("trip_not_kept", _D + "protected.py",
     "            self._store.put(_NAME, bytes((alarm,)))\n        except OSError:",
     "            pass\n        except OSError:", "a trip is forgotten at a restart"),
    ("trip_not_held", _D + "protected.py",
     "        self.guards.arm(TRIP, now_s)\n        self.guards.clear(VOLTAGE)\n",
     "        self.guards.clear(VOLTAGE)\n", "a trip opens the relay and does not hold it"),
    ("configuration_not_kept", _D + "household.py",
     "            if not self._save():\n                self._auto_off_s, self._auto_on_s = before\n",
     "            if False:\n                self._auto_off_s, self._auto_on_s = before\n",
     "an acknowledged configuration is not kept"),
    ("lock_without_end", _D + "heat_pump_lock.py",
     "            self._guards.arm(BLOCK, self._block_at_s + self._block_s)\n"
     "            self._guards.arm(LONGEST, now_s + _LONGEST_S)\n",
     "            pass\n", "a lock of the heat pump has no longest time"),
    ("emd_ack_over_hole", _E + "streams.py",
     "        room = MAX_AHEAD - len(ahead)\n",
     "        self.upto = max(upto or 0, seq)\n        room = MAX_AHEAD - len(ahead)\n",
     "the EMD acknowledges what it does not have"),
    ("emd_says_before_it_keeps", _E + "kernel.py",
     "        if self.storage.durable:\n            self._commit(now)\n        outbox,",
     "        outbox,", "the EMD acknowledges before it has written"),
    ("limit_grace_endless", _D + "plug.py", "            if now_s - self._over_s >= self._grace_s:\n",
     "            if now_s - self._over_s >= 100 * self._grace_s:\n", "a limit does not open the relay in time"),
    # From here on they were real, until the adversary found them
    ("said_before_kept", _A + "control.py",
     "        # kept before it is said: what was said to be over must not be there again after a power cut\n",
     "        self._say(now_s)\n", "a command's end is reported before it is kept"),
    ("late_copy_lifts_the_cap", _A + "lease.py",
     "not (self.heard and now_s - self.fresh_s < self._plan.heartbeat_timeout):", "not self.heard:",
     "a late copy of a command ends failsafe though the EMD is gone again"),
    ("refusal_ends_a_revoke", _E + "ledger.py",
     "command.unanswered and not command.revoked and reason", "command.unanswered and reason",
     "a refusal that is of something else ends a revoke that nobody has confirmed"),
    ("status_of_no_epoch", _A + "events.py",
     "            if type == T_STATUS and values[STA_EPOCH] == self._plan.epoch:\n",
     "            if type == T_STATUS:\n", "a status for an EMD that is no more is taken by the next one for its own"),
)

_PLAY = """
import json, sys
from spot_sim.adversary import soak
for seed in map(int, sys.argv[1:]):
    outcome = soak.run_seed(seed)
    if outcome.violation is not None:
        print(json.dumps([seed, *outcome.violation[:4]]))
        break
"""


def copy_tree(folder):
    """The parts that a history needs, copied."""
    ignore = shutil.ignore_patterns("__pycache__", "*.mpy", "*.egg-info")
    for name in ("firmware", "host_tools", "sim", "boards"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore, symlinks=False)


def apply(folder, mutation):
    """Put the bug into the copy; False when its place is not there, or there twice."""
    path = folder / mutation[1]
    text = path.read_text()
    if text.count(mutation[2]) != 1:
        return False
    path.write_text(text.replace(mutation[2], mutation[3]))
    return True


def start(folder, seeds):
    """A process that plays seeds until one fails."""
    places = os.pathsep.join(str(folder / part) for part in ("firmware", "host_tools", "sim"))
    return subprocess.Popen(
        [sys.executable, "-c", _PLAY, *map(str, seeds)], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def caught(folder, jobs, patience_s=900):
    """[seed, invariant, at_ms, device, text] of what catches it, or None."""
    order = {"dense": 0, "coap": 1, "week": 2, "months": 3}
    seeds = sorted(SEEDS, key=lambda seed: (order[draw.shape_of(seed)], seed))
    running = [start(folder, seeds[i::jobs]) for i in range(jobs)]
    until, found = time.monotonic() + patience_s, None
    try:
        while running and found is None:
            for one in list(running):
                try:
                    out, err = one.communicate(timeout=0.3)
                except subprocess.TimeoutExpired:
                    continue
                running.remove(one)
                if out.strip():
                    found = json.loads(out)
                elif one.returncode:  # it cannot even start, or hangs on its own words
                    found = [0, "crash", 0, "", err.strip().splitlines()[-1] if err.strip() else "no word"]
            if time.monotonic() > until:
                found = [0, "endless", 0, "", f"not through in {patience_s} s"]
    finally:
        for one in running:
            one.kill()
            one.communicate()
    return found


def main(arguments):
    """Each mutation, or those named."""
    jobs = os.cpu_count() or 1
    if "--jobs" in arguments:
        at = arguments.index("--jobs")
        jobs = int(arguments[at + 1])
        del arguments[at : at + 2]
    chosen = [m for m in MUTATIONS if not arguments or m[0] in arguments]
    unknown = set(arguments) - {m[0] for m in MUTATIONS}
    if unknown:
        sys.exit(f"mutations: no {', '.join(sorted(unknown))}; there is {', '.join(m[0] for m in MUTATIONS)}")
    table = Table("mutation", "what is wrong then", "caught by", "seed", "s", box=None)
    console, lives = Console(), 0
    for mutation in chosen:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="spot-mutant-") as work:
            folder = Path(work)
            copy_tree(folder)
            found = caught(folder, jobs) if apply(folder, mutation) else [0, "no such place", 0, "", ""]
        took_s = time.monotonic() - begun
        good = found is not None and found[1] not in ("no such place", "endless", "crash")
        lives += not good
        by = "[red]nobody[/]" if found is None else found[1] if good else f"[red]{found[1]}[/] {found[4]}"
        row = mutation[0], mutation[4], by, str(found[0]) if good else "", f"{took_s:.0f}"
        table.add_row(*row)
        print("  ".join((row[0], "lives" if found is None else found[1], row[3], row[4])), flush=True)
    console.print(table)
    console.print(f"{len(chosen) - lives} of {len(chosen)} caught")
    return 1 if lives else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
