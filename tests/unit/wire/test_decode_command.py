"""`spot decode`: explains every example, and says of a bad message what is wrong and at which octet."""

import base64
import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spot_host.commands.decode import app, octets
from spot_host.errors import UserError
from spot_host.profile.codec import ProfileError, encode
from spot_host.profile.examples import every
from spot_host.profile.explain import explain

EXAMPLES = {name: encode(kind, values) for name, kind, _, values in every()}
POWER = EXAMPLES["power"]


def call(*arguments, stdin=None):
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin, env={"COLUMNS": "160"})


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_explained(name):
    """The parts cover the body without a gap, and nothing in it is unknown."""
    message, parts = explain(EXAMPLES[name])
    assert b"".join(part.octets for part in parts) == EXAMPLES[name]
    assert [part.offset for part in parts][:2] == [0, 1 if EXAMPLES[name][0] != 0x98 else 2]
    assert message.unknown == 0
    assert all(part.words for part in parts)
    assert call(EXAMPLES[name].hex()).exit_code == 0


@pytest.mark.parametrize("name, words", [
    ("telemetry6", ["230.12 V", "9.980 A", "50.012 Hz", "1,234,567 Wh", "2025-12-12 17:00:00 UTC", "closed, running"]),
    ("command_limit", ["limit (3)", "2,300 W", "86,400 s (1 d)", "consume (0)", "previous (1)"]),
    ("command_band", ["19.00 °C", "21.00 °C"]),
    ("command_schedule", ["after 0 s: off 0; after 1,800 s (30 min): limit 1,100 W"]),
    ("price24", ["24 numbers: 122.2, 115.3", "EUR/MWh"]),
    ("answer_refusal", ["command (6)", "missing_field (5)", "7: duration"]),
    ("read_response", ["room_temperature (14) = 20.47 °C"]),
    ("register_plug", ["70-b3-d5-ff-fe-4a-1c-07", "power_on (1)", "off, shift", "998 ‰"]),
])
def test_words(name, words):
    _, parts = explain(EXAMPLES[name])
    text = "\n".join(part.words for part in parts)
    for word in words:
        assert word in text


@pytest.mark.parametrize("text", [
    POWER.hex(), POWER.hex(" "), "0x" + POWER.hex(), POWER.hex(" ").upper(),
    " 0x".join([""] + [f"{b:02x}" for b in POWER]),
    POWER.hex(":"), base64.b64encode(POWER).decode(), "h'" + POWER.hex() + "'"])
def test_forms_of_input(text, tmp_path):
    """Hex in any dress, base64; on the command line, in a file, on standard input; and a file of octets."""
    assert octets(text) == POWER
    (tmp_path / "message.txt").write_text(text + "\n")
    (tmp_path / "message.bin").write_bytes(POWER)
    assert octets(str(tmp_path / "message.txt")) == POWER
    assert octets(str(tmp_path / "message.bin")) == POWER
    assert "power" in call("-", stdin=text).output
    assert call("-", stdin=POWER).exit_code == 0


@pytest.mark.parametrize("body, reason, offset", [
    (POWER[:-1], "malformed", 10), (POWER + b"\0", "malformed", 13), (b"\x84\x08\x19\x00\x10\0\0", "malformed", 2),
    (POWER[:2] + b"\x20" + POWER[5:], "out_of_range", 2), (POWER[:1] + b"\x1f" + POWER[2:], "malformed", 1),
    (bytes.fromhex("820801"), "missing_field", 3), (bytes.fromhex("821901"), "malformed", 1), (b"\x9f", "malformed", 0),
])
def test_bad_messages(body, reason, offset):
    """Exit code 1, the reason and the octet, in words and as JSON."""
    with pytest.raises(ProfileError) as caught:
        explain(body)
    assert (caught.value.reason, caught.value.offset) == (reason, offset)
    result = call(body.hex())
    assert result.exit_code == 1
    assert f"octet {offset} of {len(body)}" in result.output and reason in result.output
    result = call(body.hex(), "--json")
    told = json.loads(result.output)
    assert result.exit_code == 1
    assert (told["ok"], told["reason"], told["offset"]) == (False, reason, offset)


def test_json():
    told = json.loads(call(POWER.hex(), "--json").output)
    assert told["values"] == {"seq": 40000, "time": 1765558800, "power": 2300}
    assert (told["name"], told["version"], told["octets"], told["words"]["power"]) == ("telemetry", 1, 13, "2,300 W")


@pytest.mark.parametrize("source", ["no such file", "/", "123", "zz"])
def test_no_octets(source):
    """What is neither hex, base64 nor a file is the user's error, in one line."""
    with pytest.raises(UserError) as caught:
        octets(source)
    assert "\n" not in str(caught.value)


def test_through_the_spot_command(tmp_path):
    """As a user calls it: exit codes 0, 1 and 2, and no traceback."""
    (tmp_path / "empty").write_bytes(b"")
    for argument, code in ((POWER.hex(), 0), ("8408", 1), ("no such file", 2), (str(tmp_path / "empty"), 2)):
        got = subprocess.run([sys.executable, "-m", "spot_host.cli", "decode", argument], capture_output=True,
                             text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=60)
        assert got.returncode == code, got.stderr
        assert "Traceback" not in got.stderr + got.stdout
