"""`make test`: the tiers in order, the time of each against its budget, and one line of totals.

`python -m tests.tiers` runs all tiers; `python -m tests.tiers PATH… [pytest options]` only those tests.
Exit code 0 only if something ran and nothing failed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# name, folder, seconds on two cores, pytest options. Brokers and processes of one file stay on one worker; where tests
# wait for processes there is one more worker than cores, and files come in the order of tests/conftest.py.
# Others are split in two halves, so that what a file builds is built once, and who is done takes from the other.
_HALVES = ("-n", "2", "--dist", "worksteal")
_FILES = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
TIERS = (
    ("unit and property", "tests/unit", 90, _HALVES),
    ("simulation", "tests/sim", 120, _HALVES),
    ("unix port", "tests/unix", 150, ("-n", "4", *_FILES[2:])),
    ("interoperation", "tests/interop", 60, _FILES),
    ("device suite", "tests/hil", 60, ("-n", "4", *_FILES[2:], "--target", "sim,unix,unix_coap")),
)
_NO_TESTS = 5  # pytest's exit code


def run_tier(folder: str, options) -> dict:
    """Run pytest on `folder`; its counts: `passed`, `failed`, `skipped`, and `skips` (reason → number)."""
    with tempfile.TemporaryDirectory() as work:
        report = Path(work) / "counts.json"
        env = {**os.environ, "SPOT_TEST_REPORT": str(report)}
        command = [sys.executable, "-m", "pytest", "-q", *folder.split(), *options]
        code = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL).returncode
        counts = {"passed": 0, "failed": 0, "skipped": 0, "skips": {}}
        if report.exists():
            counts.update(json.loads(report.read_text()))
        if code not in (0, _NO_TESTS) and not counts["failed"]:
            counts["failed"] = 1  # pytest itself broke off: that is never a pass
        return counts


def main(arguments) -> int:
    """Run what is asked for, print the table and the totals; 1 if anything failed."""
    if arguments:
        tiers = [(" ".join(arguments), "", None, tuple(arguments))]
    else:
        tiers = [tier for tier in TIERS if (ROOT / tier[1]).is_dir()]
    rows, total, skips = [], {"passed": 0, "failed": 0, "skipped": 0}, {}
    for name, folder, budget_s, options in tiers:
        if not arguments:
            print(f"\n== {name} ({folder})", flush=True)
        start = time.monotonic()
        counts = run_tier(folder, options)
        rows.append((name, time.monotonic() - start, budget_s, counts))
        for key in total:
            total[key] += counts[key]
        for reason, number in counts["skips"].items():
            skips[reason] = skips.get(reason, 0) + number
    if not arguments:
        print(f"\n{'tier':<20}{'time':>8}{'budget':>8}{'passed':>8}{'failed':>8}{'skipped':>9}")
        for name, took_s, budget_s, counts in rows:
            over = "  over budget" if took_s > budget_s else ""
            print(f"{name:<20}{took_s:>6.1f} s{budget_s:>6} s{counts['passed']:>8}{counts['failed']:>8}"
                  f"{counts['skipped']:>9}{over}")
        print(f"{'all':<20}{sum(row[1] for row in rows):>6.1f} s{600:>6} s")
    for reason, number in sorted(skips.items()):
        print(f"skipped {number}: {reason}")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped", flush=True)
    return 1 if total["failed"] or not total["passed"] else 0  # a run of nothing proves nothing


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
