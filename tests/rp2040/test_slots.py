"""The chip's own image: the loader, slots in flash, code that is executed where it lies, what of the heap is left."""

import ast

import pytest

from tests.bench.bounds import BOUNDS
from tests.rp2040 import board as boards
from tests.rp2040 import plug as plugs
from tests.rp2040 import roms

# the main.mpy of a release that only says that it was started
SAY = """
import sys
with open("/said", "a") as file:
    file.write("%s %s\\n" % (NAME, sys.argv[2:]))
"""
_STARTED_S = 2  # of the board's own time
HANG = "import time\ntime.sleep(1000)\n"


def main(name, more=""):
    return {"main.py": f"NAME = {name!r}\n{SAY}{more}".encode()}


def said(board):
    """What has run since the latest call; the board stops at the REPL."""
    started(board)
    return board.exec("import os\nprint(open('/said').read() if 'said' in os.listdir('/') else '')\n"
                      "open('/said', 'w').close()").split("\n")[:-2]


def started(board):
    """Waits until the loader has done its work: what comes over the serial port before that ends it."""
    board.hold()
    board.advance(_STARTED_S)
    board.free()


def tried(board, slot, back):
    """Makes `slot` the one on trial at the next start."""
    board.exec("from spot import slots, store\n"
               f"slots.put_state(store.Store(None, 'store'), {slot}, {back}, 0, -(2**30 - 1))")


def restart(board):
    started(board)
    with pytest.raises(boards.BoardError):
        board.exec("import machine\nmachine.reset()")
    board.wait_for_reset()


def test_a_release_is_started_from_its_slot(rp2040_rig, tmp_path):
    with boards.Board(rp2040_rig, tmp_path, roms.flash(tmp_path, roms.release(main("a")))) as board:
        assert said(board) == ["a ['--slot=0', '--boards=/rom/boards', '--base=1']"]
        board.put({"hold": b""})
        restart(board)
        assert said(board) == []  # the file is for one start
        restart(board)
        assert said(board) == ["a ['--slot=0', '--boards=/rom/boards', '--base=1']"]


def test_without_a_release_the_image_s_own_is_there(fresh_board):
    out = fresh_board.exec("from spot import boot\nprint(boot.prepare('config.json', '/rom'))\n"
                           "import os\nprint(os.listdir('/rom'), os.listdir('/rom/boards/pico'))")
    assert "'--slot=2', '--safe', '--boards=/rom/boards'" in out and "main.mpy" in out and "board.json" in out


def test_a_trial_that_hangs_is_bitten_three_times_and_then_the_old_one_runs(rp2040_rig, tmp_path):
    image = roms.flash(tmp_path, roms.release(main("old")), roms.release(main("new", HANG), 2))
    with boards.Board(rp2040_rig, tmp_path, image) as board:
        board.put({"hold": b""})
        tried(board, 1, 0)
        restart(board)  # held
        restart(board)
        board.hold()
        for _ in range(3):
            assert any(board.advance(1)[0] == "reset" for _ in range(12))
        board.advance(_STARTED_S)
        board.free()
        assert said(board) == ["new ['--slot=1', '--trial', '--boards=/rom/boards', '--base=1']"] * 3 + [
            "old ['--slot=0', '--boards=/rom/boards', '--base=1']"]
        out = board.exec("from spot import slots, store\nprint(slots.read_state(store.Store(None, 'store')))")
        assert out == "[0, 0, 0, 2]\n"


FED = """
import machine, time
dog = machine.WDT(timeout=8000)
while True:
    dog.feed()
    time.sleep(5)
"""


def test_a_trial_that_only_feeds_the_watchdog_is_ended_by_the_loader(rp2040_rig, tmp_path):
    """It neither confirms nor gives up; what counts its minutes is nothing of its own."""
    image = roms.flash(tmp_path, roms.release(main("old")), roms.release(main("new", FED), 2))
    with boards.Board(rp2040_rig, tmp_path, image) as board:
        board.put({"hold": b""})
        tried(board, 1, 0)
        restart(board)  # held
        restart(board)
        board.hold()
        assert not any(board.advance(10)[0] == "reset" for _ in range(80))
        assert any(board.advance(10)[0] == "reset" for _ in range(12))


def test_copied_files_do_not_come_before_the_loader(rp2040_rig, tmp_path):
    """A board that ran from copied files has `spot` in its file system."""
    with boards.Board(rp2040_rig, tmp_path, roms.flash(tmp_path, roms.release(main("a")))) as board:
        started(board)
        board.exec("import os\nos.mkdir('/spot')")
        board.put({"spot/__init__.py": b"raise ValueError\n", "spot/boot.py": b"raise ValueError\n"})
        board.exec("open('/said', 'w').close()")
        restart(board)
        assert said(board) == ["a ['--slot=0', '--boards=/rom/boards', '--base=1']"]


def test_slots_are_written_page_by_page_over_the_repl(rp2040_rig, tmp_path):
    """As `spot flash` does it: erase, write, read back; the own release is out of reach, a written one is found."""
    octets = roms.release(main("b", "x = 1\n" * 3000), 3)
    content = roms.romfs.in_slot(octets)
    with boards.Board(rp2040_rig, tmp_path, roms.flash(tmp_path, roms.release(main("a")))) as board:
        board.put({"new.slot": content, "hold": b""})
        out = board.exec("""
from spot import boot
s = boot.opened()
print(s.active, s.spare, s.size)
with open("new.slot", "rb") as file:
    at = 0
    while True:
        data = file.read(4096)
        if not data:
            break
        s.erase(at)
        s.write(at, data)
        at += len(data)
back = bytearray(at)
s.read(0, back)
print(back == open("new.slot", "rb").read(), bytes(s.view()[:at]) == back)
try:
    s.erase(s.size)
except ValueError:
    print("refused")
s.activate()
print(boot.found(boot.chip(), s.spare)[:2])
""", timeout=120)
        image = len(content) - 4096
        assert out == f"0 1 262144\nTrue True\nrefused\n(3, {image})\n"
        restart(board)
        said(board)
        restart(board)
        assert said(board)[0].startswith("b ['--slot=1', '--trial'")


def test_bytecode_stays_where_it_lies(rp2040_rig, tmp_path):
    body = "".join(f"def f{i}():\n" + "    x = 1; x += 2; x -= 3; x *= 4\n" * 60 for i in range(20))
    with boards.Board(rp2040_rig, tmp_path, roms.flash(tmp_path, roms.release({
            "main.py": b"", "big.mpy": _mpy(body, tmp_path)}))) as board:
        out = board.exec("import gc, sys\nfrom spot import boot\nboot.prepare('config.json', '/rom')\n"
                         "sys.path.insert(0, '/rom')\nfor _ in range(3): gc.collect()\na = gc.mem_alloc()\nimport big\n"
                         "for _ in range(3): gc.collect()\nprint(gc.mem_alloc() - a)")
    assert len(_mpy(body, tmp_path)) > 10000 and int(out) < 3000


def _mpy(text, folder):
    from spot_host import build

    ast.parse(text)
    build.compile_all(boards.ARCHITECTURE, folder, {"big.py": text})
    return (folder / "big.mpy").read_bytes()


@pytest.fixture(scope="module")
def plug(rp2040_rig, tmp_path_factory):
    """A whole plug with CoAP and OSCORE, joined."""
    image = plugs.image()
    with roms.RomBoard(rp2040_rig, tmp_path_factory.mktemp("rom"), image) as board:
        plug = plugs.Plug(board)
        plug.start()
        plug.join()
        yield plug


def test_a_command_moves_the_relay_in_time(plug):
    for kind, level in (("off", 0), ("on", 1), ("off", 0)):
        token, datagram = plug.request(plug.body(kind))
        more = plug.turn(datagram)
        assert plug.relay == level and plug.times[0][0] / 1000 <= BOUNDS["rp2040.oscore_command_to_relay.ms"].high
        plug.settle(*more, ms=100)


def test_the_heap_has_room(plug):
    """Beside a script of 9 kB that stands for main.py and the transport. The product's 60 % is measured by `make bench
    B=rp2040`; what takes the rest: docs/architecture.md."""
    heap = plug.heap()
    assert 1 - heap["used"] / heap["heap"] >= 0.56, heap
