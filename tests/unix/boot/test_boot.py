"""The loader on the unix port: what it starts, in the same process, from slots that are files."""

import json
import os
import subprocess

import pytest

from spot_host import romfs, suit
from spot_host.toolchain import runtimes
from tests.conftest import ROOT

BOOT = ROOT / "firmware" / "boot.py"


def release(sequence, files):
    image = romfs.pack({"release.json": json.dumps({"sequence": sequence}).encode(), **files})
    return suit.write(suit.Manifest.of(image, sequence=sequence, version="1.0", board="unix", march="x64", base=1),
                      image)


def script(text):
    return {"main.py": f"import sys\n{text}\n".encode()}


class Home:
    """A device's folder: its configuration, its store, its slots."""

    def __init__(self, folder, micropython):
        self.folder, self.micropython = folder, micropython
        self.slots = folder / "slots"
        self.slots.mkdir()
        self.config = {"board": "unix", "boards": str(ROOT / "boards"), "eui64": "0200000000000001",
                       "store": str(folder / "store"), "slots": str(self.slots), "log": "print",
                       "coap": {"uri": "coap://127.0.0.1:1", "insecure": True}}

    def put(self, slot, octets):
        (self.slots / f"slot_{'ab'[slot]}.bin").write_bytes(romfs.in_slot(octets).ljust(262144, b"\xff"))

    def process(self, *options, until=None):
        """(exit code, lines that were printed) of one start; until: it is ended by Ctrl-C when a line holds this."""
        (self.folder / "config.json").write_text(json.dumps(self.config))
        env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
        command = [self.micropython, "-X", "heapsize=4m", BOOT, self.folder / "config.json", *options]
        got = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, env=env)
        lines = []
        with got:
            for line in got.stdout:
                lines.append(line.rstrip())
                if until is not None and until in line:
                    got.send_signal(2)
                    until = None
            return got.wait(60), lines


@pytest.fixture
def home(tmp_path, micropython_path):
    return Home(tmp_path, micropython_path)


SAY = "import spot_part\nprint(sys.argv[2:], sys.path[0], 'spot' in sys.modules, spot_part.WHAT)\nsys.exit(3)"


def test_a_release_runs_in_the_same_process(home):
    home.put(0, release(5, {**script(SAY), "spot_part.py": b"WHAT = 'of the release'"}))
    code, lines = home.process("--lockstep")
    assert code == 3
    assert lines == ["['--lockstep', '--slot=0', '--boards=/rom/boards'] /rom False of the release"]


def test_a_trial_is_counted_and_given_up(home):
    home.put(0, release(1, script("print('old', sys.argv[2:-1])")))
    home.process()
    home.put(1, release(2, script("print('new', sys.argv[2:-1])\nsys.exit(3)")))
    from spot.slots import put_state
    from spot.store import Store

    put_state(Store(None, home.config["store"]), 1, 0, 0, -(2**30 - 1))
    said = [home.process()[1] for _ in range(4)]
    assert said == [["new ['--slot=1', '--trial']"]] * 3 + [["old ['--slot=0']"]]


def test_what_cannot_be_imported_asks_for_a_start_afresh_and_is_doubted(home):
    home.put(0, release(1, script("import nowhere_to_be_found")))
    for _ in range(3):
        code, lines = home.process()
        assert code == 3 and "nowhere_to_be_found" in "".join(lines)
    code, lines = home.process(until="board.built")  # what runs in its place is the source
    assert code == 0, lines


def test_without_a_release_the_source_runs(home):
    code, lines = home.process(until="board.built")
    assert code == 0 and any("board.built" in line for line in lines), lines
    assert (home.slots / "slot_b.bin").stat().st_size == 262144


def test_the_firmware_runs_from_its_release(home):
    """The whole of it, as it is built; it knows its slots, and confirms nothing that has not registered."""
    image = romfs.build("unix", "1.2", 7)
    octets = suit.write(suit.Manifest.of(image, sequence=7, version="1.2", board="unix", march="x64", base=1), image)
    home.put(1, octets)
    code, lines = home.process(until="board.built")
    assert code == 0, lines
    assert any("board.built" in line for line in lines) and not any("Traceback" in line for line in lines), lines
