"""The firmware as it is flashed, .mpy with its constants in place, on MicroPython: the same tables, vectors and rules.

What runs is compiled for x64; nothing of firmware/ is on the path. The scripts are those that run from source too.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from spot_host import build
from spot_host.inlining import Program
from spot_host.toolchain import runtimes

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT / "tests" / "unit" / "wire"
WIRE = ROOT / "tests" / "unix" / "wire"
TABLES = ROOT / "tests" / "unit" / "agent"
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def program():
    return Program(build.sources())


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """A folder with the built firmware for the unix port."""
    folder = tmp_path_factory.mktemp("image")
    build.build("x64", folder)
    assert not list(folder.rglob("*.py"))
    return folder


@pytest.fixture
def built(image, program, micropython_path, tmp_path):
    """`built(script, *args, beside=())`: runs it, and modules beside it, with the built firmware; its stdout."""

    def run(script, *args, beside=(), path=image, heap="8m"):
        for source in (script, *beside):
            (tmp_path / source.name).write_text(program.guest(source.read_text(), source.stem))
        command = [micropython_path, "-X", f"heapsize={heap}", tmp_path / script.name, *args]
        env = {**os.environ, "MICROPYPATH": f"{tmp_path}:{path}:{runtimes.umqtt_dir()}:.frozen"}
        got = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, env=env,
                             stdin=subprocess.DEVNULL)
        assert got.returncode == 0, got.stdout + got.stderr
        return got.stdout

    return run


def test_golden_vectors_and_mutations(built):
    rows = json.loads((VECTORS / "golden.json").read_text())
    out = built(WIRE / "golden_on_device.py", VECTORS / "golden.json", 5000)
    assert out == f"vectors {len(rows)} mutations 5000\n"


def test_rfc8949_vectors(built):
    out = built(WIRE / "rfc8949_on_device.py", VECTORS / "rfc8949.json")
    assert out == "accepted 64 refused 18 malformed 94\n"


def test_hot_messages_allocate_nothing(built):
    rows = json.loads((VECTORS / "golden.json").read_text())
    hot = sum(row["hot"] and "slots" not in row for row in rows)
    assert built(WIRE / "heap_on_device.py", VECTORS / "golden.json") == f"locked {hot}\n"


@pytest.mark.parametrize("table", ["agent_cases", "delivery_cases"])
def test_rules_of_the_agent(built, tmp_path, table):
    script = tmp_path / "run.py"
    script.write_text(
        f"import {table} as table\n"
        "failed = table.run()\n"
        "for sentence, error in failed:\n    print(sentence, error)\n"
        "print(len(table.CASES), 'cases', len(failed), 'failed')\n"
    )
    beside = [TABLES / name for name in ("agent_rig.py", "agent_cases.py", "delivery_cases.py")]
    out = built(script, beside=beside).split()
    assert int(out[-4]) > 40 and out[-3:] == ["cases", "0", "failed"], " ".join(out)


def _app(built, folder, **options):
    return json.loads(built(HERE / "app_on_device.py", folder, ROOT / "boards", **options))


def test_a_whole_plug(built, tmp_path):
    """Built from the image it does in an hour what it does from source: the same messages, the same events logged."""
    plain = _app(built, tmp_path / "a", path=ROOT / "firmware")
    ours = _app(built, tmp_path / "b")
    assert ours["sent"] and ours["sent"] == plain["sent"]
    assert ours["log"] == plain["log"]


def test_an_image_saves_heap(built, tmp_path):
    """Constants in place need no dictionaries of names: less heap than the same .mpy without that."""
    plain = tmp_path / "plain"
    build.compile_all("x64", plain, build.sources())
    without, ours = _app(built, tmp_path / "a", path=plain), _app(built, tmp_path / "b")
    assert ours["built"] < 0.95 * without["built"], (ours, without)


@pytest.mark.parametrize("board", ["pico", "unix", "unix_heat_pump"])
def test_the_image_of_a_board_holds_all_that_it_imports(built, tmp_path, board):
    """Every module of a board's image can be imported with nothing but the image."""
    image = tmp_path / "image"
    paths = [path for path, _ in build.build("x64", image, board)]
    names = [path.removesuffix(".mpy").removesuffix("/__init__").replace("/", ".") for path in paths]
    script = tmp_path / "all.py"
    script.write_text(f"for name in {names!r}:\n    __import__(name)\nprint('all')\n")
    assert built(script, path=image) == "all\n"
