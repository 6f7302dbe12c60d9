"""Machine code that the base has: recognised by its text, taken where it is there, left where it is not."""

import sys
import types

from spot_host import build, image, natives

ONE = """
@micropython.viper
def Ab(b: ptr8, n: int) -> int:
    i = 0
    while i < n:
        b[i] = 7
        i += 1
    return i
"""


def test_a_function_is_known_by_its_text_whatever_its_names_are():
    (name, (own, source)), = natives.found(ONE).items()
    renamed = ONE.replace("Ab", "zz").replace("i", "j").replace("jnt", "int").replace("vjper", "viper").replace(
        "mjcropython", "micropython").replace("whjle", "while")
    assert name == "Ab" and natives.found(renamed)["zz"] == (own, source)
    assert natives.found(ONE.replace("7", "8"))["Ab"][0] != own
    assert f"def {own}(" in source


def test_what_reads_its_module_or_is_bytecode_stays():
    assert natives.found(ONE.replace("= 7", "= TABLE[i]")) == {}
    assert natives.found(ONE.replace("@micropython.viper", "@other")) == {}
    assert natives.taking("x = 1\n") == "x = 1\n"


def _run(text):
    space = {"micropython": types.SimpleNamespace(viper=lambda f: f), "ptr8": None}
    exec(text, space)  # noqa: S102
    return space


def test_a_module_takes_what_is_there_and_has_its_own_otherwise(monkeypatch):
    base = types.ModuleType(natives.MODULE)
    base.__dict__.update(_run(natives.frozen([ONE])))
    own = _run(natives.taking(ONE))["Ab"]
    assert own.__name__ == "Ab"  # there is no base
    monkeypatch.setitem(sys.modules, natives.MODULE, base)
    (digest, _), = natives.found(ONE).values()
    taken = _run(natives.taking(ONE))["Ab"]
    assert taken.__name__ == digest
    buf = bytearray(4)
    assert taken(buf, 3) == 3 == own(buf, 3) and buf == b"\x07\x07\x07\x00"
    assert _run(natives.taking(ONE.replace("7", "8")))["Ab"].__name__ == "Ab"  # another base


def test_the_base_has_those_of_the_firmware():
    """They age as the names do: `python -m spot_host.image --names`, and a new base."""
    texts = build.Image(build.sources("pico")).texts.values()
    used = dict(pair for text in texts for pair in natives.found(text).values())
    known = image._NATIVES.read_text()
    there = [source for source in used.values() if source in known]
    assert len(used) >= 7 and sum(map(len, there)) > 0.8 * sum(map(len, used.values()))
