"""`make test` counts what happened, by name, and a run that shows nothing is not a pass."""

import fnmatch

import pytest

from tests import tiers

_ALONE = ("-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "/dev/null")


def _tier(tmp_path, monkeypatch, capsys, source):
    (tmp_path / "test_sample.py").write_text("import pytest\n" + source)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take as long to load as all the rest
    monkeypatch.setattr(tiers, "TIERS", (("sample", str(tmp_path), 90, _ALONE),))
    code = tiers.main([])
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("source", "code", "last"),
    [
        ("def test_a(): pass\n", 0, "1 passed, 0 failed, 0 skipped"),
        ("def test_a(): pass\ndef test_b(): assert 0\n", 1, "1 passed, 1 failed, 0 skipped"),
        ("def test_a(x): pass\ndef test_b(): pass\n", 1, "1 passed, 1 failed, 0 skipped"),
        ("import nowhere_at_all\n", 1, "0 passed, 1 failed, 0 skipped"),
        ("", 1, "0 passed, 0 failed, 0 skipped"),
        ("def test_a(): pytest.skip('no camera')\n", 1, "0 passed, 0 failed, 1 skipped"),
        ("import os\ndef test_a(): os._exit(3)\n", 1, "0 passed, 1 failed, 0 skipped"),
    ],
    ids=["passes", "fails", "error in a fixture", "error at import", "no tests", "only skips", "pytest dies"],
)
def test_the_last_line_and_the_exit_code(tmp_path, monkeypatch, capsys, source, code, last):
    got, lines = _tier(tmp_path, monkeypatch, capsys, source)
    assert (got, lines[-1]) == (code, last)


def test_skips_are_listed_by_what_is_missing(tmp_path, monkeypatch, capsys):
    source = "def test_a(): pass\ndef test_b(): pytest.skip('no camera')\ndef test_c(): pytest.skip('no camera')\n"
    code, lines = _tier(tmp_path, monkeypatch, capsys, source)
    assert code == 0 and lines[-2:] == ["skipped 2: no camera", "1 passed, 0 failed, 2 skipped"]


def test_every_tier_has_its_time_and_its_budget(tmp_path, monkeypatch, capsys):
    _, lines = _tier(tmp_path, monkeypatch, capsys, "def test_a(): pass\n")
    (row,) = [line for line in lines if line.startswith("sample")]
    assert " s" in row and "90 s" in row


def test_no_folder_with_tests_is_left_out(pytestconfig):
    """pytest enters no folder named `build` unless it is told to."""
    folders = {part for path in (tiers.ROOT / "tests").rglob("test_*.py")
               for part in path.relative_to(tiers.ROOT).parent.parts}
    left_out = {name for name in folders for pattern in pytestconfig.getini("norecursedirs")
                if fnmatch.fnmatch(name, pattern)}
    assert "build" in folders and not left_out
