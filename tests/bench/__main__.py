"""`make bench`: run every `bench_*.py`, write out/bench.json and docs/benchmarks.md, mark what misses its bound.

A module has `run(emit)` and calls `emit(name, value, unit, **peers)`. `python -m tests.bench NAME…` runs only
the modules of these names (`bench_wire` or `wire`) and keeps the other figures of the last run.
Exit code 1 if a bound is missed, a module failed, or (of all modules) a name has no figure; Ctrl-C 130.
"""

import importlib
import json
import os
import platform
import sys
import time
import traceback
from pathlib import Path

from .bounds import BOUNDS

ROOT = Path(__file__).resolve().parents[2]


def modules(names) -> list[str]:
    """The benchmark modules asked for, in alphabetical order; all without names. SystemExit for an unknown one."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    if not names:
        return found
    wanted = [name if name.startswith("bench_") else "bench_" + name for name in names]
    unknown = [name for name in wanted if name not in found]
    if unknown:
        sys.exit(f"bench: no {', '.join(unknown)}; there is {', '.join(found)}")
    return wanted


def measure(names) -> tuple[dict, list[str]]:
    """Run the modules; the results by name in the layout of out/bench.json, and the modules that failed."""
    results, failed = {}, []

    def emit(name, value, unit, **peers):
        results[name] = {"value": value, "unit": unit, "peer": peers}
        print(f"  {name:<38} {number(value):>12} {unit:<8} {peer_text(value, peers)}".rstrip(), flush=True)

    for module in names:
        print(module.removeprefix("bench_"), flush=True)
        start = time.monotonic()
        try:
            importlib.import_module(f"tests.bench.{module}").run(emit)
        except Exception:
            traceback.print_exc()
            failed.append(module)
        print(f"  ({time.monotonic() - start:.1f} s)", flush=True)
    return results, failed


def number(value) -> str:
    """A figure with as many digits as mean something."""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def peer_text(value, peers) -> str:
    """Each peer with its figure and how many times ours it is."""
    return ", ".join(
        f"{name} {number(peer)}" + (f" ({peer / value:.2g} ×)" if value else "") for name, peer in peers.items()
    )


def judged(results: dict) -> list[tuple]:
    """Rows (name, entry or None, bound text, what is missed or "") of every bound and every other figure."""
    rows = []
    for name in [*BOUNDS, *sorted(set(results) - set(BOUNDS))]:
        bound, entry = BOUNDS.get(name), results.get(name)
        if entry is None:
            missed = "not measured"
        else:
            missed = bound.missed(entry["value"], entry["peer"]) if bound else ""
        rows.append((name, entry, bound.text() if bound else "", missed))
    return rows


def page(rows, machine: str) -> str:
    """docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; the same figures are in `out/bench.json`. Bounds: `tests/bench/bounds.py`.",
        "A figure in brackets after a peer is how many times ours the peer's is.",
        "",
        f"Machine: {machine}",
        "",
        "| name | value | unit | bound | kept | peers |",
        "|---|---:|---|---|---|---|",
    ]
    for name, entry, bound, missed in rows:
        value, unit, peers = ("", "", "") if entry is None else (
            number(entry["value"]), entry["unit"], peer_text(entry["value"], entry["peer"]))
        kept = "yes" if bound else ""
        if missed:
            kept = missed if entry is None else f"**no: {missed}**"
        lines.append(f"| `{name}` | {value} | {unit} | {bound} | {kept} | {peers} |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """One line about where the figures come from."""
    model = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} cores, CPython {platform.python_version()}, {platform.system()}"


def figures_of(document) -> set[str]:
    """The names that have a figure in docs/benchmarks.md as it is."""
    lines = document.read_text().splitlines() if document.exists() else ()
    return {line.split("`")[1] for line in lines if line.startswith("| `") and "not measured" not in line}


def main(arguments) -> int:
    """Measure, publish and judge."""
    chosen = modules(arguments)
    out = ROOT / "out" / "bench.json"
    earlier = {}
    if arguments and out.exists():
        earlier = json.loads(out.read_text())
    measured, failed = measure(chosen)
    results = {**earlier, **measured}
    rows = judged(results)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    document = ROOT / "docs" / "benchmarks.md"
    # A part of the figures, with no earlier run to take the others from, does not replace a document that has them.
    published = not arguments or figures_of(document) <= set(results)
    if published:
        document.write_text(page(rows, machine()))
    due = set(measured) if arguments else {row[0] for row in rows}  # a part answers for its own figures
    missed = [(name, why) for name, _, _, why in rows if why and name in due]
    for name, why in missed:
        print(f"MISSED {name}: {why}")
    for module in failed:
        print(f"FAILED {module}")
    print(f"{len(results)} figures, {len(missed)} bounds missed, {len(failed)} modules failed; "
          "out/bench.json" + (", docs/benchmarks.md" if published else ""))
    return 1 if missed or failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
