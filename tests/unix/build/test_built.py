"""The firmware as it is flashed, one .mpy under short names, on MicroPython: the same tables, vectors and rules.

What runs is compiled for x64; nothing of firmware/ is on the path. The scripts are those that run from source too; what
only they use is in this image and not in a device's.
"""

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spot_host import build, naming, romfs
from spot_host.toolchain import runtimes
from tests.unix.link import test_coap_main as over_coap
from tests.unix.link.conftest import broker, pki  # noqa: F401 - fixtures
from tests.unix.link.harness import DEVICE, UTILITY
from tests.unix.network import test_window as window

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT / "tests" / "unit" / "wire"
WIRE = ROOT / "tests" / "unix" / "wire"
TABLES = ROOT / "tests" / "unit" / "agent"
HERE = Path(__file__).parent


STDIO = ROOT / "boards" / "unix" / "stdio.py"
RIG = [TABLES / name for name in ("agent_rig.py", "agent_cases.py", "delivery_cases.py")]
SCRIPTS = [STDIO, *RIG, HERE / "app_on_device.py",
           *(WIRE / f"{name}_on_device.py" for name in ("golden", "heap", "rfc8949"))]


@pytest.fixture(scope="session")
def image():
    return build.Image(build.sources(), [script.read_text() for script in SCRIPTS])


@pytest.fixture(scope="session")
def folder(image, tmp_path_factory):
    """A folder with the built firmware for the unix port."""
    folder = tmp_path_factory.mktemp("image")
    image.compile("x64", folder)
    assert not list(folder.rglob("*.py"))
    return folder


@pytest.fixture
def run(micropython_path):
    """`run(path, script, *args)`: what a script prints, with the firmware in the folder `path`."""

    def run(path, script, *args, heap="8m", code=0):
        command = [micropython_path, "-X", f"heapsize={heap}", script, *args]
        env = {**os.environ, "MICROPYPATH": f"{script.parent}:{path}:{runtimes.umqtt_dir()}:.frozen"}
        got = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, env=env,
                             stdin=subprocess.DEVNULL)
        assert got.returncode == code, got.stdout + got.stderr
        return got.stdout

    return run


@pytest.fixture
def built(image, folder, run, tmp_path):
    """`built(script, *args, beside=())`: runs it, and modules beside it, with the built firmware; its stdout."""

    def built(script, *args, beside=(), path=None):
        scripts = tmp_path / ("plain" if path else "guests")
        scripts.mkdir(exist_ok=True)
        for source in (script, *beside):
            text = source.read_text()
            (scripts / source.name).write_text(text if path else image.guest(text, source.stem))
        return run(path or folder, scripts / script.name, *args)

    return built


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
        "print('%d cases %d failed' % (len(table.CASES), len(failed)))\n"
    )
    out = built(script, beside=RIG).split()
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
    """One module without the names of its constants: less heap than the same sources compiled one by one."""
    plain = tmp_path / "sources"
    build.compile_all("x64", plain, build.sources())
    without, ours = _app(built, tmp_path / "a", path=plain), _app(built, tmp_path / "b")
    assert ours["built"] < 0.9 * without["built"], (ours, without)


@pytest.fixture
def root(image, folder, tmp_path, monkeypatch):
    """Stands where the checkout stands: the image with its main.py, and the boards with what goes with that image."""
    root = tmp_path / "root"
    shutil.copytree(folder, root / "firmware")
    (root / "firmware" / "main.mpy").unlink()
    (root / "firmware" / "main.py").write_text(image.texts["main.py"])
    shutil.copytree(ROOT / "boards", root / "boards")
    (root / "boards" / "unix" / "stdio.py").write_text(image.guest(STDIO.read_text(), "stdio"))
    monkeypatch.setattr(over_coap, "ROOT", root)
    return root


@pytest.mark.parametrize("case", [
    over_coap.test_one_link_with_oscore, over_coap.test_two_associations_each_with_its_own_keys,
    over_coap.test_new_keys_are_taken_as_well_until_the_emd_uses_them,
])
def test_a_device_over_coap(root, tmp_path, case):
    """UDP and TCP, OSCORE, two associations, new keys: the whole device from its image."""
    case(tmp_path)


def test_the_provisioning_window(root, tmp_path, monkeypatch):
    monkeypatch.setattr(window, "ROOT", root)
    monkeypatch.setattr(window, "START", "")
    with window.CoapEmd(security=over_coap.context(window.PAIRING.secret)) as emd:
        window.from_the_button_to_another_network(window.Device(tmp_path, emd), emd)


def test_a_device_over_mqtt_with_tls(root, broker, tmp_path):  # noqa: F811
    identity = broker.pki.identity(DEVICE)
    files = {"ca": broker.pki.ca_der, "cert": identity.cert_der, "key": identity.key_der}
    mqtt = {"host": "localhost", "port": broker.port, "utility": UTILITY, **{k: str(v) for k, v in files.items()}}
    with over_coap.Process(tmp_path, mqtt=mqtt) as process:
        over_coap.until(lambda: "link.up" in process.said)
        assert process.end() == 0
        assert "Traceback" not in process.said


def test_the_build_and_the_libraries_name_nothing_alike(image, run, tmp_path):
    """What a module, a type or an object of MicroPython offers, and what umqtt names, is no short name, and keeps its
    own."""
    script = tmp_path / "names.py"
    script.write_text(
        "import builtins, sys, asyncio, socket, select, json, time, os, io, struct, gc, hashlib, binascii, cryptolib, "
        "machine, array, micropython, tls, umqtt.simple\n"
        "for thing in list(globals().values()):\n"
        "    for name in dir(thing):\n        print(name, *dir(getattr(thing, name)))\n")
    names = set(run(tmp_path, script).split())
    tree = ast.parse((runtimes.umqtt_dir() / "umqtt" / "simple.py").read_text())
    names |= {name for node in ast.walk(tree) for field in ("attr", "name")
              if (name := getattr(node, field, None))}
    assert {"sock", "SOCK_STREAM", "readinto"} < names
    assert not names & set(naming.short_names())
    assert len(image.names) > 900
    assert sorted(names & set(image.names)) == []


@pytest.mark.parametrize("board", ["pico", "unix", "unix_heat_pump"])
def test_the_image_of_a_board_starts_alone(run, tmp_path, board):
    """With nothing but the image all of it is imported, and main comes to its configuration, which is not there."""
    path = tmp_path / "image"
    if board == "unix":  # as it is in a release, which tests/unix/boot starts as well
        files = romfs.compiled(board, "x64")
        for name, octets in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(octets)
        files = [name for name in files if not name.startswith("boards/")]
    else:
        files = [name for name, _ in build.build("x64", path, board)]
    names = [build.module_name(name.removesuffix(".mpy")) for name in files]
    script = tmp_path / "all.py"
    names.remove("main")
    script.write_text(f"for name in {names!r}:\n    __import__(name)\nprint('all')\n")
    assert run(path, script) == "all\n"
    script.write_text("import sys\nsys.argv[:] = ['main', 'none.json']\n__import__('main')\n")
    assert run(path, script, code=2) == "none.json: cannot be read (errno 2)\n"
