"""A plug on the emulated chip, with CoAP and OSCORE but without a network: this workstation is the network and the EMD.

The chip runs plug_on_device.py beside the image that a Pico gets; datagrams go over in hex through the REPL. The EMD is
the reference EMD's core, and aiocoap protects what it says: neither side shares code with the other.
"""

import json
from pathlib import Path

from spot_host import build
from spot_sim.chips.bl0942 import BL0942Chip
from tests.rp2040.emd import EUI, PAIRING, STARTED, Emd, context

__all__ = ("EUI", "PAIRING", "Plug", "context", "image")

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("plug_on_device.py")
_LOAD_W = 800


def image() -> build.Image:
    """What a Pico gets of App, session and OSCORE; it leaves out what reads files and sockets (main.py, transports)."""
    texts = {}
    for start in ("app", "run", "link/coap_session", "wire/keyring", "wire/oscore", "wire/linkformat"):
        texts |= build.sources("pico", start=f"spot/{start}.py")
    return build.Image(texts, [SCRIPT.read_text()])


class _Load:
    power_factor = 1.0

    def __init__(self, power_w):
        self.w = power_w

    def power_w(self, now_s):
        return self.w

    def energy_mj(self, now_s):
        return 0


class _Clock:
    now_s = 0


class Plug(Emd):
    """The plug on `board`, on which `image()` is, and its EMD; `start()` builds it anew on the chip, as a restart does.

    relay: level of the pin. log: what the device has counted. received: messages that its App took. stack: octets of it
    in the deepest call. times: of the latest turn, for each message [µs until the relay's pin was moved or None, µs
    until the message was done with].
    """

    def __init__(self, board, keys=None):
        super().__init__(keys)
        self.board = board
        self.relay, self.log, self.times, self.up = None, {}, [], False
        self.received = self.stack = 0

    def start(self, **device) -> dict:
        """Build the plug on the chip; octets of heap: imported, built, heap."""
        self.restarted()
        frames = [BL0942Chip(_Clock, _Load(w)).frame().hex() for w in (0, _LOAD_W)]
        description = (ROOT / "boards" / "pico" / "board.json").read_text()
        device = {"remote_close": True, **device}
        out = self.board.run(SCRIPT, description, json.dumps(PAIRING), json.dumps(device), *frames, timeout=120)
        return json.loads(out)

    def turn(self, *datagrams, ms=0, plain=None):
        """One turn on the chip, and what the EMD takes from its answers; datagrams that it answers to."""
        hexed = [datagram.hex() for datagram in datagrams]
        text = self.board.exec(f"turn({hexed!r}, {ms}, {plain.hex() if plain else None!r})", resume=True)
        got = json.loads(text)
        self.now = STARTED + got["now"]
        for name in ("relay", "log", "times", "up", "received", "stack"):
            setattr(self, name, got[name])
        replies = [self.arrived(bytes.fromhex(data)) for data in got["out"]]
        return [reply for reply in replies if reply] + self.due()

    def settle(self, *datagrams, ms=0):
        """Turns until neither side has anything to say."""
        for _ in range(30):
            datagrams = self.turn(*datagrams, ms=ms)
            if not datagrams:
                return
            ms = 0
        raise AssertionError("device and EMD do not come to an end")

    def join(self):
        """From the registration at the directory on until the EMD has the device."""
        self.settle(ms=200)
        assert self.up and self.device

    def gasp(self) -> list:
        """The mains fails for a moment: [µs until the last gasp is out, µs that keeping takes]."""
        return json.loads(self.board.exec("gasp()", resume=True))

    def heap(self) -> dict:
        """used, heap, code: octets, after a collection; collect_us: what it took."""
        return json.loads(self.board.exec("heap()", resume=True))
