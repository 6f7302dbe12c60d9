"""A board by itself on a cable: its own main.py runs, and this end of the slipmux cable is its EMD, both on the board's
clock. Time goes on in steps that this end grants (Board.advance), so the EMD answers within no time at all.
"""

import json
from pathlib import Path

from spot.link.slipmux import TEXT, Frames, write_message
from spot_host.profile import codec
from tests.rp2040.board import Board
from tests.rp2040.emd import EUI, PAIRING, STARTED, Emd

ROOT = Path(__file__).resolve().parents[2]
BOARD = "pico"
DESCRIPTION = json.loads((ROOT / "boards" / BOARD / "board.json").read_text())
RELAY = DESCRIPTION["parts"]["relay"]["pin"]
BUTTON = DESCRIPTION["parts"]["button"]["pin"]
LOAD_W, LOAD_MA = 800, 3_500
_END = 0xC0
_LONGEST = 2048  # of a frame
_STEP_S = 1.0  # the core looks at its clock so often
_HEARTBEAT_S, _JITTER_S = 5, 5


def config(**more) -> dict:
    """A configuration for a board on a cable; the watchdog as in the field, since its time is the board's."""
    return {"board": BOARD, "eui64": EUI, "store": "/store", "device": {"remote_close": True},
            "coap": {"uri": "slipmux:stdio", "pairing": "pairing.json"}, **more}


def files(**more) -> dict:
    """What `config(**more)` wants beside it on the board: path there → octets."""
    return {"config.json": json.dumps(config(**more)).encode(), "pairing.json": json.dumps(PAIRING).encode(),
            f"boards/{BOARD}/board.json": (ROOT / "boards" / BOARD / "board.json").read_bytes()}


def wiring(loads=((1, LOAD_W, LOAD_MA),)) -> list:
    """A button that nobody presses, a BL0942 with these loads (inputs.mjs), and the relay's edges."""
    return [{"do": "drive", "pin": BUTTON, "level": 1},
            {"do": "bl0942", "uart": DESCRIPTION["parts"]["meter"]["uart"], "relay": RELAY, "loads": loads},
            {"do": "watch", "pin": RELAY}]


class Cable(Emd):
    """The cable of a held board, and the EMD at its other end.

    said: lines that the board has printed. cuts, resets: how often its power went in mid-write, how often it has reset
    itself. damaged: frames whose octets did not come whole.
    """

    def __init__(self, board: Board, keys=None):
        super().__init__(keys)
        if not board.held:
            board.hold()
        self.board = board
        self.said = []
        self.cuts = self.resets = 0
        self.damaged = 0
        self.up_s = None  # when it first said that its link is up
        self._frames = Frames(_LONGEST)
        self._out = bytearray(2 * _LONGEST + 8)
        self._pending = b""
        plan = self.core.config.association
        plan.heartbeat_s, plan.jitter_s, plan.deadband_w = _HEARTBEAT_S, _JITTER_S, LOAD_W // 10

    @property
    def elapsed_s(self) -> float:
        """Emulated seconds since this cable's board was first switched on."""
        return self.board.elapsed_s

    def run(self, seconds: float, until=None) -> bool:
        """Let the board and its EMD go on for so long, or until `until()`: True when that came. Ends early where the
        power goes."""
        end_s = self.elapsed_s + seconds
        while (left_s := end_s - self.elapsed_s) > 0:
            for datagram in self.due():
                self.post(datagram)
            octets, self._pending = self._pending, b""
            why, said = self.board.advance(min(left_s, _STEP_S), octets, stop=_END)
            self.now = STARTED + int(self.elapsed_s)
            for datagram in self._fed(said):
                self.post(datagram)
            if why in ("reset", "off"):
                self._gone(why)
            if until is not None and until():
                return True
            if why == "off":
                return False
        return until is None

    def post(self, datagram: bytes) -> None:
        """A datagram goes to the board, with the next time that it is granted."""
        self._pending += bytes(self._out[: write_message(datagram, len(datagram), self._out)])

    def command(self, kind, **values):
        """A command of the EMD's for an hour; it goes with the next time that the board is granted. ledger.Command."""
        return self.core.command(self.now, EUI, kind, **{"duration": 3600, **values})

    def moved(self, seconds: float = 3):
        """The relay's next move: (milliseconds from now, level). AssertionError when it does not come."""
        begun_us, before = self.board.status()["micros"], len(self.relay_moves())
        assert self.run(seconds, lambda: len(self.relay_moves()) > before), self.story()
        us, level = self.relay_moves()[before]
        return (us - begun_us) / 1000, level

    @property
    def relay(self) -> int:
        """Level of the relay's pin."""
        return self.board.level(RELAY)

    def power_cycle(self) -> None:
        """The power goes and comes back."""
        self.board.power_off()
        self._gone(None)
        self.board.power_on()

    def join(self, seconds: float = 30) -> float:
        """Wait until the board has registered; emulated seconds that it took. AssertionError with the story."""
        begun_s = self.elapsed_s
        first = len(self.bodies)
        assert self.run(seconds, lambda: self.told("register", first)), self.story()
        return self.elapsed_s - begun_s

    def relay_moves(self) -> list:
        """[(µs since this boot, level)] of the relay's pin."""
        return self.board.edges(RELAY)

    def power_w(self):
        """The latest power that the board has told, W; None: none yet."""
        rows = self.told("telemetry")
        return next((row["power"] for row in reversed(rows) if "power" in row), None)

    def story(self) -> str:
        """What happened, for an assertion's message."""
        told = [codec.decode(body).name for body in self.bodies[-12:]]
        return f"{self.elapsed_s:.1f} s, {told}, {self.said[-12:]}, {self.resets} resets, {self.damaged} damaged"

    def _gone(self, why):
        self._pending = b""
        self._frames = Frames(_LONGEST)
        self.resets += why == "reset"
        self.cuts += why == "off"
        self.restarted()

    def _fed(self, octets) -> list:
        """What came from the board: the EMD's answers to the messages in it."""
        answers = []
        for octet in octets:
            if not self._frames.take(octet):
                continue
            n = self._frames.message()
            frame = bytes(self._frames.buf[: self._frames.n])
            if n:
                answers.append(self.arrived(frame[1 : 1 + n]))
            elif frame[0] == TEXT or frame[0] != 0xA9:  # what is printed past the framing is text as well
                text = frame[1:] if frame[0] == TEXT else frame
                if self.up_s is None and b"link.up" in text:
                    self.up_s = self.elapsed_s
                self.said += [line for line in text.decode(errors="replace").splitlines() if line.strip()]
        self.damaged += self._frames.damaged
        self._frames.damaged = 0
        return [answer for answer in answers if answer]
