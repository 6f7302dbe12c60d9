"""`make soak-heap CYCLES=1000000`: the heap of a whole App over many turns, with the link flapping, on each session."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from spot_host.toolchain import runtimes
from tests.conftest import ROOT
from tests.unix.app.test_memory import HEAP, HERE, flat


def _run(link, cycles):
    env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
    with tempfile.TemporaryDirectory() as store:
        command = [runtimes.installed("micropython"), "-X", f"heapsize={HEAP}k", HERE / "years_on_device.py",
                   ROOT / "boards", f"{store}/s", link, cycles, 500]
        return subprocess.run([str(part) for part in command], env=env, check=True, capture_output=True, text=True)


def main(cycles):
    """Runs both sessions at once, prints what the heap held; 1 where it grew."""
    code = 0
    with ThreadPoolExecutor() as pool:
        for link, done in zip(("mqtt", "coap"), pool.map(lambda link: _run(link, cycles), ("mqtt", "coap")),
                              strict=True):
            used = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("used")]
            print(f"{link}: {cycles} turns, {min(used[2:])} to {max(used[2:])} octets, {done.stdout.splitlines()[-1]}")
            try:
                flat(done.stdout)
            except AssertionError as error:
                print(error)
                code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
