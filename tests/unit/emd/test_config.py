"""A bad setting is refused in one line that names file, field and what would be right."""

import tomllib
from pathlib import Path

import pytest

from spot_host.emd import config
from spot_host.errors import UserError

BAD = [
    ("heartbeat = 5", "heartbeat: no such setting"),
    ("[association]\nheartbeats_s = 5", "heartbeats_s: no such setting; there are autonomous_cap_w, deadband_w"),
    ("[association]\nheartbeat_s = 'often'", "heartbeat_s: 'often' is not a whole number, for example 60"),
    ("[association]\nheartbeat_s = 1.5", "heartbeat_s: 1.5 is not a whole number"),
    ("[association]\nheartbeat_s = true", "heartbeat_s: True is not a whole number"),
    ("[association]\nheartbeat_s = 1", "heartbeat_s: 1 is not within 5 … 3600 s"),
    ("[association]\nheartbeat_s = 600", "heartbeat_timeout_s: 150 must be more than heartbeat_s, 600"),
    ("[association]\npolicy = 'cheap'", "policy: 'cheap' is none of none, avoid_dearest, threshold"),
    ("[heat_pump]\nfailsafe_limit_w = -1", "failsafe_limit_w: -1 is not within 0"),
    ("[split]\nreserve_w = -3", "reserve_w: must not be negative"),
    ("[rules]\nmin_spread = '20'", "min_spread: '20' is not a number, for example 20.0"),
    ("[mqtt]\nport = 99999", "port: 99999 is not within 1 … 65535; MQTT over TLS is 8883"),
    ("mqtt = 5", "[mqtt] must be a table"),
    ("utility = 'a/b'", "utility: 'a/b' must be one topic level"),
    ("base_load = 'much'", "base_load: 'much' is not a whole number"),
    ("site_meter = '12'", "site_meter: '12' is not an EUI-64: 16 hex digits"),
    ("[priorities]\n0200000000000001 = 'high'", "priorities: give EUI = whole number"),
    ("events = 5", "events: must be a list"),
    ("[[events]]\nstart = 1765540800\nend = 1765548000", "event 1: limit_w is missing"),
    ("[[events]]\nstart = 1765548000\nend = 1765540800\nlimit_w = 1", "end must be after start"),
    ("[[events]]\nstart = 1765540800\nend = 1765548000\nlimit_w = -4", "limit_w: -4 is not a whole number of W"),
    ("[[events]]\nstart = 'noon'\nend = 1\nlimit_w = 1", "start: 'noon' is no time; write 2025-01-12T17:00:00+01:00"),
    ("[[events]]\nstart = 2025-12-12T17:00:00\nend = 1\nlimit_w = 1", "has no offset from UTC"),
    ("[[events]]\nstart = 5\nend = 7\nlimit_w = 1", "outside the profile's time"),
    ("[[events]]\nwatts = 5", "watts: no such field"),
    ("no_prices = 'all'", "no_prices: must be a list"),
    ("not toml", "not TOML"),
]


@pytest.mark.parametrize("text, words", BAD, ids=[words for _, words in BAD])
def test_bad_settings(tmp_path, text, words):
    path = tmp_path / "emd.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        config.load(path)
    message = str(caught.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="emd.toml: cannot be read: No such file"):
        config.load(tmp_path / "emd.toml")


def test_a_complete_file(tmp_path):
    path = tmp_path / "emd.toml"
    path.write_text("""
        utility = "home"
        database = "state/emd.sqlite"
        base_load = 350
        [mqtt]
        host = "broker.home"
        ca = "ca.pem"
        [association]
        heartbeat_s = 30
        [heat_pump]
        failsafe_limit_w = 1400
        [priorities]
        "02:00:00:00:00:00:00:01" = 2
        [[events]]
        start = 2025-12-12T17:00:00+01:00
        end = "2025-12-12T19:00:00+01:00"
        limit_w = 4200
    """)
    got = config.load(path)
    assert got.database == str(tmp_path / "state/emd.sqlite")
    assert got.mqtt.ca == str(tmp_path / "ca.pem")
    assert got.priorities == {"0200000000000001": 2}
    (event,) = got.events
    assert (event.start, event.end - event.start, event.limit_w) == (1765555200, 7200, 4200)
    assert got.registered("heat_pump")["failsafe_limit"] == 1400
    assert "failsafe_limit" not in got.registered("plug")
    assert got.registered("plug")["heartbeat"] == 30


def test_events_from_json(tmp_path):
    path = tmp_path / "events.json"
    path.write_text(
        '[{"id": "a", "start": 1765540800, "end": 1765548000, "limit_w": 0, "devices": ["0200000000000001"]}]'
    )
    (event,) = config.events_from_file(path)
    assert (event.id, event.limit_w, event.devices) == ("a", 0, ("0200000000000001",))
    path.write_text("[{]")
    with pytest.raises(UserError, match="events.json"):
        config.events_from_file(path)


def test_the_example_of_the_documentation_is_a_good_file():
    text = (Path(__file__).resolve().parents[3] / "docs" / "emd.md").read_text()
    block = text.split("```toml\n", 1)[1].split("```", 1)[0]
    config.from_dict(tomllib.loads(block))
    commented = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") and " = " in line else line for line in block.splitlines()
    )
    got = config.from_dict(tomllib.loads(commented))
    assert got.no_prices == {"0200000000000003"} and got.events[0].devices == ("0200000000000001",)
