"""`spot sim`: what it prints for people and programs, and how it refuses."""

import json

import pytest

from spot_host import cli
from spot_sim import scenario

SMALL = """
title = "Two plugs"
day = 2024-12-12
[[devices]]
kind = "ev"
count = 2
load = { at_home_share = 1.0 }
[[base_loads]]
[[limits]]
start = "17:00"
end = "19:00"
limit_w = 2600
site = "home"
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return str(path)


def spot(capsys, *arguments):
    """(exit code, stdout, stderr) of `spot sim …`."""
    with pytest.raises(SystemExit) as end:
        cli.main(["sim", *arguments])
    out = capsys.readouterr()
    return end.value.code, out.out, out.err


def test_list_names_every_scenario(capsys):
    code, out, _ = spot(capsys, "list", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == scenario.names()
    code, out, _ = spot(capsys, "list")
    assert code == 0 and all(name in out for name in scenario.names())


def test_run_gives_programs_the_figures(capsys, small):
    code, out, err = spot(capsys, "run", small, "--json", "--seed", "3")
    figures = json.loads(out)
    assert (code, err) == (0, "")
    assert figures["devices"] == 2 and figures["seed"] == 3 and figures["scenario"] == "small"
    assert figures["limits"][0]["kept"] and figures["cost_eur"] < figures["uncontrolled_cost_eur"]
    assert figures["commands"]["completed"] >= 4
    again = json.loads(spot(capsys, "run", small, "--json", "--seed", "3")[1])
    assert again["digest"] == figures["digest"]
    assert json.loads(spot(capsys, "run", small, "--json", "--seed", "4")[1])["digest"] != figures["digest"]


def test_run_tells_people_in_words_and_draws(capsys, small, tmp_path):
    picture = tmp_path / "day.svg"
    code, out, _ = spot(capsys, "run", small, "--picture", str(picture))
    assert code == 0
    assert "Two plugs" in out and "limit of 2600 W was kept" in " ".join(out.split())
    assert picture.read_text().lstrip().startswith("<?xml")


def test_without_control_there_are_no_commands_but_the_permission_to_run(capsys, small):
    figures = json.loads(spot(capsys, "run", small, "--json", "--no-control")[1])
    assert figures["commands"] == {} and figures["switches"] == 0
    assert figures["energy_kwh"] == figures["uncontrolled_energy_kwh"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "{small}", "--processes"], 'runs = "micropython"'),
        (["run", "no_such"], "no scenario 'no_such'"),
        (["run", "{small}", "--site", "moon"], "there are home and all"),
        (["run", "{small}", "--day", "someday"], "a date such as 2024-12-12"),
        (["run", "{small}", "--picture", "day.gif"], ".png or .svg"),
        (["run", "{small}", "--picture", "nowhere/day.png"], "no folder that can be written"),
        (["run", "{small}", "--prices", "none.csv"], "none.csv"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_exit_code_2(capsys, small, arguments, told):
    code, out, err = spot(capsys, *[word.replace("{small}", small) for word in arguments])
    assert (code, out) == (2, "")
    assert told in err and err.count("\n") == 1
