"""A plug on the emulated chip, with CoAP and OSCORE but without a network: this workstation is the network and the EMD.

The chip runs plug_on_device.py beside the image that a Pico gets; datagrams go over in hex through the REPL. The EMD is
the reference EMD's core, and aiocoap protects what it says: neither side shares code with the other.
"""

import json
from pathlib import Path

from aiocoap import Message
from aiocoap.message import Direction
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type

from spot_host import build
from spot_host.emd.config import EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from spot_sim.chips.bl0942 import BL0942Chip
from tests.interop.aio import SecurityContext

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("plug_on_device.py")
EUI = "020000fffe000001"
PAIRING = {"secret": bytes(range(16)).hex(), "salt": bytes(range(8)).hex(), "id": "01", "emd": "00", "generation": 0}
KINDS = {"off": 1, "on": 2, "limit": 3}
_STARTED = 1_790_000_000  # Unix s at the chip's boot
_LOAD_W = 800
_DURATION_S = 3600


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


def context(secret=PAIRING["secret"], first=0):
    """The EMD's end of the pairing, its numbers beginning with `first`."""
    made = SecurityContext(bytes.fromhex(secret), bytes.fromhex(PAIRING["salt"]), b"\x00", b"\x01")
    made.sender_sequence_number = first
    return made


class Plug:
    """The plug on `board`, on which `image()` is; `start()` builds it anew on the chip, as a restart does.

    core: the EMD. relay: level of the pin. log: what the device has counted. received: messages that its App took.
    stack: octets of it in the deepest call. statuses: those that came, decoded. proofs: requests that were made again
    with Echo. times: of the latest turn, for each message
    [µs until the relay's pin was moved or None, µs until the message was done with].
    """

    def __init__(self, board, keys=None):
        self.board = board
        self.keys = keys or context()
        self.now = _STARTED
        self.core = EmdCore(EmdConfig(plan_prices=False), MemoryStorage(), self, self.now)
        self.relay, self.log, self.times, self.up = None, {}, [], False
        self.answers = {}  # token: the answer to a request of the EMD's, as it came
        self.received = self.stack = self.proofs = 0
        self.statuses = []
        self._bodies = []  # of the core, on their way
        self._number = 0
        self._requests = {}
        self._core_requests = {}
        self._revision = 0

    def start(self, **device) -> dict:
        """Build the plug on the chip; octets of heap: imported, built, heap."""
        frames = [BL0942Chip(_Clock, _Load(w)).frame().hex() for w in (0, _LOAD_W)]
        description = (ROOT / "boards" / "pico" / "board.json").read_text()
        device = {"remote_close": True, **device}
        out = self.board.run(SCRIPT, description, json.dumps(PAIRING), json.dumps(device), *frames, timeout=120)
        return json.loads(out)

    # --- the core's way out

    def send(self, device, channel, body):
        self._bodies.append(body)
        return True

    def publish(self, group, channel, body):
        """Nobody listens."""

    # --- the network

    def request(self, body, keys=None, echo=None):
        """(token, datagram) of a CON POST /cmd under `keys`."""
        self._number += 1
        token = b"e" + self._number.to_bytes(2, "big")
        plain = Message(code=Code.POST, uri_path=("cmd",), payload=body)
        plain.opt.echo = echo
        plain.direction = Direction.OUTGOING
        message, self._requests[token] = (keys or self.keys).protect(plain)
        return token, _encoded(message, Type.CON, self._number, token)

    def _post(self, body, echo=None):
        token, datagram = self.request(body, echo=echo)
        self._core_requests[token] = body
        return datagram

    def turn(self, *datagrams, ms=0, plain=None):
        """One turn on the chip, and what the EMD takes from its answers; datagrams that it answers to."""
        hexed = [datagram.hex() for datagram in datagrams]
        text = self.board.exec(f"turn({hexed!r}, {ms}, {plain.hex() if plain else None!r})", resume=True)
        got = json.loads(text)
        self.now = _STARTED + got["now"]
        for name in ("relay", "log", "times", "up", "received", "stack"):
            setattr(self, name, got[name])
        replies = [self._arrived(bytes.fromhex(data)) for data in got["out"]]
        self.core.step(self.now)
        bodies, self._bodies = self._bodies, []
        return [reply for reply in replies if reply] + [self._post(body) for body in bodies]

    def settle(self, *datagrams, ms=0):
        """Turns until neither side has anything to say."""
        for _ in range(30):
            datagrams = self.turn(*datagrams, ms=ms)
            if not datagrams:
                return
            ms = 0
        raise AssertionError("device and EMD do not come to an end")

    def _arrived(self, data):
        """Takes one datagram of the device; the EMD's answer, or None."""
        message = Message.decode(data)
        message.direction = Direction.INCOMING
        if message.code.is_response():
            self.answers[message.token] = message
            if message.token in self._core_requests:  # the core's: it does what an endpoint does
                body = self._core_requests.pop(message.token)
                code, _, echo = self.opened(message.token)
                if echo:
                    self.proofs += 1
                    return self._post(body, echo=echo)
                assert code == Code.CHANGED, code
            return _encoded(Message(code=Code.EMPTY), Type.ACK, message.mid, b"") if message.mtype is Type.CON else None
        if not message.code.is_request():
            return None
        plain, binding = self.keys.unprotect(message)
        channel = "/".join(plain.opt.uri_path)
        answer = Message(code=Code.CREATED if channel.startswith("rd") else Code.CHANGED)
        block = plain.opt.block1
        if block is not None:
            answer.opt.block1 = block
            if block.more:
                answer.code = Code.CONTINUE
        if channel.startswith("rd"):
            answer.opt.location_path = ("rd", "1")
        elif block is None or not block.more:
            assert block is None, "a body of a channel that wants blocks"
            if channel == "status":
                self.statuses.append(codec.decode(plain.payload).values)
            self.core.receive(self.now, EUI, channel, plain.payload)
        if message.mtype is not Type.CON:
            return None
        answer.direction = Direction.OUTGOING
        answer, _ = self.keys.protect(answer, binding)
        return _encoded(answer, Type.ACK, message.mid, message.token)

    # --- commands

    def join(self):
        """From the registration at the directory on until the EMD has the device."""
        self.settle(ms=200)
        assert self.up and self.core.devices[EUI].registered

    def body(self, kind, value=None):
        """A command of the EMD's core's epoch, a new revision of the one before."""
        self._revision += 1
        values = {"epoch": self.core.epoch, "id": 10_000, "revision": self._revision, "priority": 5,
                  "kind": KINDS[kind], "issued": self.now, "delay": 0, "duration": _DURATION_S}
        return codec.encode("command", values if value is None else {**values, "value": value})

    def opened(self, token, keys=None):
        """The answer to the request with that token, verified: (code, payload, octets of Echo or None)."""
        plain, _ = (keys or self.keys).unprotect(self.answers[token], self._requests[token])
        return plain.code, plain.payload, plain.opt.echo

    def gasp(self) -> list:
        """The mains fails for a moment: [µs until the last gasp is out, µs that keeping takes]."""
        return json.loads(self.board.exec("gasp()", resume=True))

    def heap(self) -> dict:
        """used, heap, code: octets, after a collection; collect_us: what it took."""
        return json.loads(self.board.exec("heap()", resume=True))


def _encoded(message, kind, mid, token):
    message.mtype, message.mid, message.token = kind, mid, token
    return message.encode()
