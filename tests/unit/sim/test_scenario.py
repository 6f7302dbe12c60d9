"""Scenario files: what a good one means, and what a bad one is told: file, field, what is right."""

import pytest

from spot_host.errors import UserError
from spot_sim import faults, scenario

GOOD = {"day": "2024-12-12", "devices": [{"kind": "ev", "count": 2}]}


def build(**changes):
    return scenario.from_dict({**GOOD, **changes}, "mine.toml")


@pytest.mark.parametrize("name", scenario.names())
def test_what_ships_loads_and_lasts_whole_days(name):
    found = scenario.load(name)
    assert found.name == name and found.title != name
    assert found.seconds == found.days * 86400
    assert len({d.eui for d in found.devices}) == len(found.devices) == len({d.name for d in found.devices})


def test_five_at_least_ship():
    assert {"winter_day", "negative_prices", "bad_link", "emd_gone", "reboots"} <= set(scenario.names())


def test_times_are_local_and_may_lie_on_later_days():
    found = build(limits=[{"start": "17:00", "end": "24:00", "limit_w": 1, "devices": ["ev-2"]}])
    limit, = found.limits
    assert (limit.start, limit.end) == (17 * 3600, 86400)
    assert limit.devices == (found.devices[1].eui,) and not limit.base


def test_a_day_of_25_hours_goes_by_the_hands_of_the_clock(tmp_path):
    rows = ["time,price"] + [f"2024-10-{day} {h:02d}:00:00,{h}" for day in (27, 28) for h in range(24)]
    (tmp_path / "p.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "long.toml").write_text(
        'day = 2024-10-27\ndays = 2\nprices = "p.csv"\n[[devices]]\nkind = "ev"\n'
        '[[limits]]\nstart = "17:00"\nend = "+1 17:00"\nlimit_w = 100\n'
    )
    found = scenario.load(tmp_path / "long.toml")
    assert found.seconds == (25 + 24) * 3600
    assert (found.limits[0].start, found.limits[0].end) == (18 * 3600, (25 + 17) * 3600)
    assert [len(series.prices) for series in found.prices] == [25, 24]


def test_names_kinds_and_all_stand_for_devices():
    rows = [{"kind": "ev", "name": "car"}, {"kind": "ev", "name": "car"}, {"kind": "fridge"}]
    found = build(devices=rows, reboots=[{"device": "car-2", "at": "01:00"}, {"device": "ev", "at": "02:00"},
                                         {"device": "all", "at": "03:00", "power": False}])
    assert [d.name for d in found.devices] == ["car-1", "car-2", "fridge-1"]
    assert [r.at for r in found.reboots] == [3600, 7200, 7200, 10800, 10800, 10800]
    assert found.reboots[0].eui == found.devices[1].eui
    assert [d.price_control for d in found.devices] == [True, True, False]


def test_link_faults_and_windows():
    found = build(link={"loss": 0.1, "delay_ms": [1, 2], "from_s": "10:00", "windows": [
        {"at": "09:00", "duration_s": 40, "forget": True}, {"at": "10:00", "duration_s": 1, "device": "emd"},
        {"at": "11:00", "duration_s": 1, "device": "ev-1"}]})
    assert found.link.loss == 0.1 and found.link.delay_ms == (1, 2) and found.link.from_s == 36000
    assert [w.device for w in found.link.windows] == [faults.EVERYBODY, faults.EMD, found.devices[0].eui]


BAD = [
    # what the file has, what the message names, what it says is right
    ({"dya": 1}, "dya", "there are title, seed, day"),
    ({"day": None}, "day", "a date such as 2024-12-12"),
    ({"day": "12.12.2024"}, "day", "a date such as 2024-12-12"),
    ({"day": "2024-12-13"}, "prices", "2024-05-12"),
    ({"days": 0}, "days", "a whole number from 1 to"),
    ({"days": 1.5}, "days", "a whole number"),
    ({"seed": -1}, "seed", "from 0"),
    ({"zone": "Berlin"}, "zone", "Europe/Berlin"),
    ({"devices": []}, "devices", "at least one"),
    ({"devices": {}}, "devices", "[[devices]]"),
    ({"devices": [{"count": 1}]}, "devices 1.kind", "is missing"),
    ({"devices": [{"kind": "toaster"}]}, "devices 1.kind", "ev, fridge, kettle, washing_machine, heat_pump"),
    ({"devices": [{"kind": "ev", "count": "2"}]}, "devices 1.count", "a whole number"),
    ({"devices": [{"kind": "ev", "count": 10**6}]}, "devices 1.count", "100000"),
    ({"devices": [{"kind": "ev", "runs": "esp32"}]}, "devices 1.runs", "sim, micropython"),
    ({"devices": [{"kind": "ev", "load": {"rated": 1}}]}, "devices 1.load.rated", "rated_w"),
    ({"devices": [{"kind": "ev", "load": {"rated_w": "big"}}]}, "devices 1.load.rated_w", "a number"),
    ({"devices": [{"kind": "ev", "load": {"need_kwh": 4}}]}, "devices 1.load.need_kwh", "a list of numbers"),
    ({"devices": [{"kind": "heat_pump", "load": {"model": "X"}}]}, "devices 1.load.model", "CHA-07/400V"),
    ({"devices": [{"kind": "ev", "device": {"min_on": 1}}]}, "device.min_on", "no such setting"),
    ({"devices": [{"kind": "ev", "device": {"min_on_s": -1}}]}, "device.min_on_s", "from 0 to 86400"),
    ({"devices": [{"kind": "ev", "device": {"comfort_low": 1}}]}, "device.comfort_low", "no such setting"),
    ({"base_loads": [{"annual_kwh": -1}]}, "base_loads 1.annual_kwh", "from 0"),
    ({"limits": [{"start": "17:00", "end": "19:00"}]}, "limits 1.limit_w", "is missing"),
    ({"limits": [{"start": "5pm", "end": "19:00", "limit_w": 1}]}, "limits 1.start", '"17:00"'),
    ({"limits": [{"start": "17:60", "end": "19:00", "limit_w": 1}]}, "limits 1.start", '"17:00"'),
    ({"limits": [{"start": "19:00", "end": "17:00", "limit_w": 1}]}, "limits 1.end", "after start"),
    ({"limits": [{"start": "+1 17:00", "end": "+1 19:00", "limit_w": 1}]}, "limits 1.start", "after the end of the"),
    ({"limits": [{"start": "17:00", "end": "19:00", "limit_w": 1, "site": "moon"}]}, "limits 1.site", "one of home"),
    ({"limits": [{"start": "17:00", "end": "19:00", "limit_w": 1, "devices": ["x"]}]}, "limits 1.devices", "ev-1"),
    ({"link": {"los": 0.1}}, "link.los", "loss"),
    ({"link": {"loss": 1.5}}, "link", "probability"),
    ({"link": {"delay_ms": [5]}}, "link.delay_ms", "[least, most]"),
    ({"link": {"windows": [{"at": "09:00"}]}}, "link.windows 1.duration_s", "is missing"),
    ({"reboots": [{"at": "09:00", "device": "ev-9"}]}, "reboots 1.device", "ev-1, ev-2"),
    ({"emd_outages": [{"at": "9", "duration_s": 1}]}, "emd_outages 1.at", '"17:00"'),
    ({"emd_outages": 2 * [{"at": "09:00", "duration_s": 10}]}, "emd_outages 2.at", "after"),
    ({"mains": [{"at": "09:00", "duration_s": 10, "voltage_factor": "high"}]}, "mains 1.voltage_factor", "a number"),
    ({"emd": {"heartbeat": 1}}, "heartbeat", "no such setting"),
    ({"emd": {"database": "x"}}, "emd.database", "left out"),
    ({"prices": "nowhere.csv"}, "nowhere.csv", "No such file"),
]


@pytest.mark.parametrize(("changes", "where", "right"), BAD, ids=[f"{i} {row[1]}" for i, row in enumerate(BAD)])
def test_a_bad_file_is_told_where_and_what_is_right(changes, where, right):
    with pytest.raises(UserError) as caught:
        build(**changes)
    text = str(caught.value)
    assert where in text and right in text
    assert "\n" not in text


def test_files_that_are_no_scenarios(tmp_path):
    for name, content, told in (
        ("a.toml", b"day = ", "not TOML"), ("b.toml", b"\xff\xfe", "not UTF-8"), ("c.toml", b"days = 1", "day: is"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=told) as caught:
            scenario.load(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(UserError, match="there are bad_link"):
        scenario.load("winter")
    with pytest.raises(UserError, match="cannot be read"):
        scenario.load(tmp_path / "none.toml")


def test_what_the_command_line_says_wins(tmp_path):
    found = scenario.load("winter_day", seed=9, day="2024-05-12", days=2)
    assert (found.seed, str(found.day), found.days) == (9, "2024-05-12", 2)
    assert found.prices[0].prices[13] == -135.45
    assert found.prices[1].prices == found.prices[0].prices  # beyond what is built in, the day repeats
