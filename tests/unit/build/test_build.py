"""What an image holds: every module by default, and for a board those that it can load."""

import ast
import contextlib
import io
import json

import pytest

from spot.app import _DEVICES
from spot.board.board import _DRIVERS
from spot.board.fields import _FIELDS
from spot_host import build
from spot_host.bundling import Bundle
from spot_host.errors import UserError
from spot_host.inlining import Program

TEXTS = {
    "main.py": "from spot import app",
    "spot/__init__.py": "",
    "spot/app.py": "from .board.board import build\ndef _plug():\n    from .plug import Plug\n"
                   "def _pump():\n    from .pump import Pump\n_DEVICES = {'plug': _plug, 'heat_pump': _pump}",
    "spot/plug.py": "import spot.shared",
    "spot/pump.py": "from . import shared",
    "spot/shared.py": "",
    "spot/nobody.py": "",
    "spot/board/__init__.py": "",
    "spot/board/board.py": "def _a():\n    from . import a\ndef _none():\n    from .none import N\n"
                           "_DRIVERS = {'a': _a, 'no_meter': _none}",
    "spot/board/a.py": "",
    "spot/board/none.py": "",
}
_ALWAYS = {"main.py", "spot/__init__.py", "spot/app.py", "spot/board/__init__.py", "spot/board/board.py"}


@pytest.mark.parametrize("words, more", [
    ({"plug", "a"}, {"spot/plug.py", "spot/shared.py", "spot/board/a.py"}),
    ({"heat_pump", "no_meter"}, {"spot/pump.py", "spot/shared.py", "spot/board/none.py"}),
    (set(), set()),
])
def test_a_board_gets_what_its_words_ask_for(words, more):
    assert build.loadable(TEXTS, words) == _ALWAYS | more


def test_words_of_a_description():
    parts = {"relay": {"driver": "gpio_relay", "pin": 2}, "sensors": {"room": {}}}
    assert build.words_of({"device": "plug", "parts": parts}) == {"plug", "gpio_relay", "no_meter"}
    parts["meter"] = {"driver": "bl0942"}
    assert build.words_of({"device": "plug", "parts": parts}) == {"plug", "gpio_relay", "bl0942"}


def test_a_board_does_not_carry_the_rows_of_others():
    text = build.sources("pico")["spot/board/board.py"]
    assert "_bl0942" in text and "_sg_ready" not in text and "sg_ready import" not in text


def test_every_module_is_loaded_by_some_words():
    """A module that no board could reach is dead, or imported in a way that the build does not see."""
    reached = build.loadable(build.sources(), {*_DEVICES, *_FIELDS, *_DRIVERS})
    assert set(build.sources()) - reached == {
        "spot/boot.py",  # the loader's: spot_host.image.loader
        "spot/wire/cbor_objects.py"}  # of tests and host tools


def test_the_tables_are_where_the_build_looks():
    for path, tables in build._ON_DEMAND.items():
        tree = ast.parse(build.sources()[path])
        there = {ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)}
        assert tables and set(tables) <= there, path


def test_a_plug_carries_no_heat_pump():
    paths = set(build.sources("pico"))
    assert "spot/device/plug.py" in paths and "spot/board/bl0942.py" in paths
    assert not paths & {"spot/device/heat_pump.py", "spot/board/sg_ready.py", "spot/board/direct.py",
                        "spot/agent/forecast.py"}
    assert "spot/agent/forecast.py" in build.sources("sim_heat_pump")


def test_an_unknown_board_is_named():
    with pytest.raises(UserError, match="no board toaster"):
        build.sources("toaster")


@pytest.mark.parametrize("march", ["armv6m", "x64"])
def test_compiled(march, tmp_path):
    rows = build.compile_all(march, tmp_path, {"spot/a.py": "x = [1]\n", "main.py": "import spot.a\n"})
    assert [path for path, _ in rows] == ["main.mpy", "spot/a.mpy"]
    for path, octets in rows:
        body = (tmp_path / path).read_bytes()
        assert len(body) == octets and body[:1] == b"M"


def test_a_file_that_does_not_compile_is_named(tmp_path):
    with pytest.raises(UserError, match=r"spot/a\.py does not compile for armv6m:\n(?s:.*)SyntaxError"):
        build.compile_all("armv6m", tmp_path, {"spot/a.py": "x = = 1\n"})


@pytest.fixture(scope="module")
def pico(tmp_path_factory):
    """(folder, what was printed) of an image and its names, from the command line."""
    folder, printed = tmp_path_factory.mktemp("pico"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert build.main(["pico", str(folder / "image")]) == 0
    return folder, printed.getvalue()


def test_an_image_and_its_names_from_the_command_line(pico, tmp_path):
    folder, printed = pico
    assert (folder / "image" / "spot" / "__init__.mpy").exists() and (folder / "image" / "main.mpy").exists()
    names = json.loads((folder / "names.json").read_text())
    assert "Control" in names.values()
    meant = [name for names in names.values() for name in names.split(" or ")]  # what several classes have
    assert {"check_plan", "Clock.set_utc", "Ledger._changed", "Plug._decide"} <= set(meant)
    assert len(set(names.values())) == len(names)
    assert "spot/__init__.mpy" in printed
    assert build.main(["toaster", str(tmp_path)]) == 2 and build.main([]) == 2


def test_parts_are_files_of_their_own(pico):
    """None of them is imported at the top of a module that is not of that part: that would put it into the bundle."""
    parts = {part.replace(".", "/") + ".py" for part in build.PARTS}
    program = Program(build.sources("sim_heat_pump"))
    files = Bundle(program.trees(), program.packages(), build.PARTS, set()).files
    assert parts <= {build._path(name) for name in files} | {"spot/device/shedding.py"}
    image = pico[0] / "image"
    compiled = {path.relative_to(image).with_suffix(".py").as_posix() for path in image.rglob("*.mpy")}
    assert parts - compiled == set(build._ONLY)


def test_two_values_for_two_names_make_no_tuple():
    text = "a, b = c, d\na, (b, e) = f(c, d), (c, lambda: 1)\nx = (1, 2)\na, b = (yield), c if d else e\n"
    source = "def f():\n" + "".join(f"    {line}\n" for line in text.splitlines())
    written = build._text(ast.parse(source))
    assert "a, b = c, d\n" in written and "x = (1, 2)" in written
    assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(source))


def test_the_text_of_every_module_is_its_tree():
    for path, text in build.sources().items():
        tree = ast.dump(ast.parse(text))
        assert ast.dump(ast.parse(build._text(ast.parse(text)))) == tree, path
