"""What every test may ask for: MicroPython, mosquitto; and the count of what was skipped, by its reason."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
for _folder in ("sim", "host_tools", "firmware"):  # also without the editable install
    if str(ROOT / _folder) not in sys.path:
        sys.path.insert(0, str(ROOT / _folder))

from spot_host.toolchain import runtimes  # noqa: E402 - needs the path above

# Files with a test of ten seconds and more begin, the longest first, so that none is left alone at the end of a tier.
_LONG = (
    "tests/unix/update/test_process.py",
    "tests/unix/build/test_built.py",
    "tests/unix/emd/test_coap.py",
    "tests/unix/boot/test_boot.py",
    "tests/unix/board/test_modbus.py",
    "tests/hil/test_real_targets.py",
    "tests/hil/test_cable_target.py",
    "tests/sim/test_update_fleet.py",
    "tests/sim/test_coap_fleet.py",
)


def pytest_collection_modifyitems(items):
    places = {path: place for place, path in enumerate(_LONG)}
    items.sort(key=lambda item: places.get(item.nodeid.split("::")[0], len(_LONG)))


def pytest_collection_finish():
    """The firmware collects garbage often: not through thousands of collected tests each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory):
    """What signing keys leave in the user's own folder (spot_host.signing_key.anchors) stays in the tests' own."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def micropython_path() -> Path:
    """The MicroPython unix port, 1.25 or later; the test is skipped, and counted, where there is none."""
    path = runtimes.installed("micropython")
    if not path.exists():
        pytest.skip("MicroPython unix port (make setup)")
    return path


@pytest.fixture(scope="session")
def mosquitto_path() -> Path:
    """mosquitto 2; the test is skipped, and counted, where there is none."""
    path = runtimes.installed("mosquitto")
    if not path.exists():
        found = runtimes.on_path("mosquitto")
        if found is None:
            pytest.skip("mosquitto 2 (make setup)")
        path = Path(found)
    return path


@pytest.fixture
def mpy(micropython_path, tmp_path):
    """Run code or a script on MicroPython: `mpy(code_or_path, *args, heap="2m", timeout=60)` → its stdout.

    `code_or_path` is a Path, the name of an existing `.py` file, or source text. The firmware, umqtt.simple and
    the frozen modules are importable. Fails the test on a non-zero exit or when `timeout` seconds have passed.
    """

    def run(code_or_path, *args, heap="2m", timeout=60):
        script = code_or_path
        if isinstance(script, str) and ("\n" in script or not script.endswith(".py")):
            script = tmp_path / f"code{len(list(tmp_path.iterdir()))}.py"
            script.write_text(code_or_path)
        env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
        command = [micropython_path, "-X", f"heapsize={heap}", script, *args]
        try:
            got = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout,
                                 env=env, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as exc:
            pytest.fail(f"MicroPython did not end within {timeout} s\n{_text(exc.stdout)}{_text(exc.stderr)}")
        if got.returncode:
            pytest.fail(f"MicroPython exit code {got.returncode}\n{got.stdout}{got.stderr}")
        return got.stdout

    return run


def _text(output) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def _skip_reason(report) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", "") or report.longrepr)


def pytest_terminal_summary(terminalreporter):
    """List each skipped capability with its count; hand the counts to `tests.tiers` where it asked for them."""
    if hasattr(terminalreporter.config, "workerinput"):
        return
    stats = terminalreporter.stats
    skips = {}
    for report in [*stats.get("skipped", []), *stats.get("xfailed", [])]:
        reason = _skip_reason(report)
        skips[reason] = skips.get(reason, 0) + 1
    for reason, number in sorted(skips.items()):
        terminalreporter.write_line(f"skipped {number}: {reason}")
    target = os.environ.get("SPOT_TEST_REPORT")
    if target:
        counts = {
            "passed": len(stats.get("passed", [])) + len(stats.get("xpassed", [])),
            "failed": len(stats.get("failed", [])) + len(stats.get("error", [])),
            "skipped": sum(skips.values()),
            "skips": skips,
        }
        Path(target).write_text(json.dumps(counts))
