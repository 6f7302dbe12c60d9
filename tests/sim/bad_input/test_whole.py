"""A configuration that is wrong as a whole: the one line, exit code 2, and nothing has moved, nor been looked for."""

import importlib.util
import sys

import pytest

from tests.conftest import ROOT
from tests.sim.bad_input.start import WHOLE, Place, Start


@pytest.fixture(scope="module")
def main():
    """firmware/main.py, as a computer runs it."""
    spec = importlib.util.spec_from_file_location("spot_main", ROOT / "firmware" / "main.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("row", WHOLE, ids=[row.what for row in WHOLE])
def test_one_line(main, tmp_path, capsys, monkeypatch, row):
    def built(*arguments):
        raise AssertionError("a device was built")

    monkeypatch.setattr(main.application, "App", built)
    place = Place(tmp_path)
    row.spoil(place)
    assert main.main([str(place.write()), "--lockstep"]) == 2
    assert place.short(capsys.readouterr().out) == row.line + "\n"
    assert "stdio" not in sys.modules and not (tmp_path / "store").exists()  # no pin, no file


def test_each_of_the_boards_is_right_before_it_is_spoiled(main, tmp_path):
    """And so are a calibration and a period over it, with register maps too."""
    place = Place(tmp_path)
    for board, meter in (("unix", {"counts_per_v": 15790}), ("unix_heat_pump", {"period_s": 5}),
                         ("sim_modbus", {"period_s": 5})):
        place.config["board"] = board
        place.config["parts"] = {"meter": meter}
        config, description = main.checked(str(place.write()))
        assert description["name"] == board and config["parts"]["meter"] == meter


def test_no_two_rows_are_one():
    assert len({row.line for row in WHOLE}) >= len(WHOLE) - 1 and all(isinstance(row, Start) for row in WHOLE)
