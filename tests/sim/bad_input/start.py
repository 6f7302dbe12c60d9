"""Bad configuration, once: what is wrong with it, and the one line that the device says before it ends with exit
code 2.

test_start.py runs the rows on CPython, tests/unix/app/test_start.py as processes of MicroPython.
"""

import json
import shutil
from dataclasses import dataclass

from tests.conftest import ROOT

OUTPUTS = ("relay", "pin")


class Place:
    """A configuration that is right, in `folder`, with everything that it names; a row spoils it before it is
    written."""

    def __init__(self, folder):
        self.folder, self.raw = folder, None
        self.boards = folder / "boards"
        shutil.copytree(ROOT / "boards", self.boards)
        files = {name: folder / (name + ".der") for name in ("ca", "cert", "key")}
        for path in files.values():
            path.write_bytes(b"0")
        self.config = {
            "board": "unix", "boards": str(self.boards), "eui64": "0200000000000001", "store": str(folder / "store"),
            "mqtt": {"host": "127.0.0.1", "port": 1, "utility": "home", **{name: str(path) for name, path
            in files.items()}},
            "device": {}, "agent": {},
        }
        self.path = folder / "config.json"

    def write(self):
        """The configuration file, as it was spoiled."""
        if self.raw is None:
            self.path.write_text(json.dumps(self.config))
        elif self.raw is not False:
            self.path.write_bytes(self.raw)
        return self.path

    def text(self):
        return json.dumps(self.config).encode()

    def short(self, line):
        """`line` with the names of this place left out."""
        return line.replace(str(self.path), "config.json").replace(str(self.folder) + "/", "")


@dataclass
class Start:
    """what: the sentence; spoil(place); line: what is printed, by Place.short."""

    what: str
    spoil: object
    line: str


def _raw(make):
    def spoil(place):
        place.raw = make(place)
    return spoil


def _with(*path_and_value):
    *path, value = path_and_value

    def spoil(place):
        at = place.config
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
    return spoil


def _without(name):
    return lambda place: place.config.pop(name)


def _remove(name):
    return lambda place: (place.folder / name).unlink()


def _empty(name):
    return lambda place: (place.folder / name).write_bytes(b"")


def _torn_board(place):
    path = place.boards / "unix" / "board.json"
    path.write_bytes(path.read_bytes()[:100])


def _board(change):
    def spoil(place):
        path = place.boards / "unix" / "board.json"
        board = json.loads(path.read_text())
        change(board)
        path.write_text(json.dumps(board))
    return spoil


ROWS = (
    Start("no configuration at all", _raw(lambda p: False),
          "config.json: cannot be read (errno 2)"),
    Start("an empty file", _raw(lambda p: b""),
          "config.json: is not JSON: torn or mistyped"),
    Start("a torn file", _raw(lambda p: p.text()[:150]),
          "config.json: is not JSON: torn or mistyped"),
    Start("a file of zeros, as a power cut leaves them", _raw(lambda p: bytes(300)),
          "config.json: is not JSON: torn or mistyped"),
    Start("octets that are no text", _raw(lambda p: b'{"eui64": "\xff\xfe"}'),
          "config.json: is not JSON: torn or mistyped"),
    Start("a list instead of an object", _raw(lambda p: b"[1, 2]"),
          "config.json: is not a JSON object"),
    Start("an unknown board", _with("board", "esp99"),
          "config.json: board: must be a board in boards/, not 'esp99'"),
    Start("a board whose name is a path", _with("board", "../unix"),
          "config.json: board: must be a name of letters, digits and _ (at most 32), not '../unix'"),
    Start("a torn board description", _torn_board,
          "boards/unix/board.json: is not JSON: torn or mistyped"),
    Start("a board with two parts on one pin", _board(lambda b: b["parts"]["led"].update(pin=2)),
          "boards/unix/board.json: parts.relay.pin: must be a pin of its own, not 2, which parts.led.pin has"),
    Start("a board without a meter", _board(lambda b: b["parts"].pop("meter")),
          "boards/unix/board.json: parts.meter: must be given: a plug has one"),
    Start("an EUI-64 that is too short", _with("eui64", "02000001"),
          "config.json: eui64: must be 16 hexadecimal digits, not '02000001'"),
    Start("no link", _without("mqtt"),
          "config.json: coap: must be given, or mqtt: where the EMD is, and what proves who it is"),
    Start("a missing key file", _remove("key.der"),
          "config.json: mqtt.key: must be a file that can be read: key.der is not"),
    Start("an empty key file", _empty("key.der"),
          "config.json: mqtt.key: must be a certificate or key: key.der is empty"),
    Start("a port that is none", _with("mqtt", "port", 70000),
          "config.json: mqtt.port: must be an integer from 1 to 65535, not 70000"),
    Start("a number in words", _with("device", "min_off_s", "ten"),
          "config.json: device.min_off_s: must be an integer from 0 to 86400, not 'ten'"),
    Start("a number out of its range", _with("device", "limit_grace_s", 0),
          "config.json: device.limit_grace_s: must be an integer from 1 to 600, not 0"),
    Start("true where a number belongs", _with("device", "min_on_s", True),
          "config.json: device.min_on_s: must be an integer from 0 to 86400, not True"),
    Start("a setting that does not exist", _with("device", "min_of_s", 10),
          "config.json: device.min_of_s: must be left out: no such setting"),
    Start("a field that does not exist", _with("agnet", {}),
          "config.json: agnet: must be left out: it is none of agent, associations, board, boards, coap, device, "
          "eui64, log, model, mqtt, parts, store, watchdog, wifi"),
    Start("a bad number in the plan's defaults", _with("agent", "heartbeat_timeout", "two minutes"),
          "config.json: agent.heartbeat_timeout: must be an integer from 10 to 7200, not 'two minutes'"),
    Start("a default of the plan that does not exist", _with("agent", "heartbeat_tiemout", 120),
          "config.json: agent.heartbeat_tiemout: must be left out: it is none of lease, heartbeat, "
          "heartbeat_timeout, telemetry_interval, deadband, interval_length, failsafe_limit, failsafe_min, "
          "jitter, policy, policy_value, autonomous_cap, priority_ceiling"),
    Start("a bad calibration", _with("parts", "meter", {"counts_per_v": "a lot"}),
          "config.json: parts.meter.counts_per_v: must be an integer from 1000 to 1000000, not 'a lot'"),
    Start("a calibration of a part that the board does not have", _with("parts", "metre", {"counts_per_v": 15000}),
          "config.json: parts.metre: must be left out: the board has no such part"),
    Start("a store that cannot be written", lambda p: _with("store", str(p.folder / "config.json/store"))(p),
          "config.json: store: must be a folder that can be made: config.json/store is not"),
)
