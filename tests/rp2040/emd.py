"""An EMD for an emulated board: the reference EMD's core on the board's clock, and CoAP with OSCORE by aiocoap, so that
neither side shares code with the other. What carries the datagrams: plug.py (a REPL), cable.py (slipmux).
"""

from aiocoap import Message
from aiocoap.message import Direction
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type

from spot_host.emd.config import EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from tests.interop.aio import SecurityContext

EUI = "020000fffe000001"
PAIRING = {"secret": bytes(range(16)).hex(), "salt": bytes(range(8)).hex(), "id": "01", "emd": "00", "generation": 0}
KINDS = {"off": 1, "on": 2, "limit": 3}
STARTED = 1_790_000_000  # Unix s at the chip's first boot
_DURATION_S = 3600


def context(secret=PAIRING["secret"], first=0):
    """The EMD's end of the pairing, its numbers beginning with `first`."""
    made = SecurityContext(bytes.fromhex(secret), bytes.fromhex(PAIRING["salt"]), b"\x00", b"\x01")
    made.sender_sequence_number = first
    return made


class Emd:
    """The EMD's end of a device's association. `arrived(datagram)` takes what the device sends and gives the answer;
    `due()` what the core has to say. Whoever carries them keeps `now`, Unix seconds.

    core: EmdCore. bodies: those of the device, as they came; `told(name)`: what messages of that name say. proofs:
    requests that were made again with Echo.
    """

    def __init__(self, keys=None):
        self.keys = keys or context()
        self.now = STARTED
        self.core = EmdCore(EmdConfig(plan_prices=False), MemoryStorage(), self, self.now)
        self.answers = {}  # token: the answer to a request of the EMD's, as it came
        self.proofs = 0
        self.bodies = []
        self._waiting = []  # of the core, on their way
        self._number = 0
        self._requests = {}
        self._core_requests = {}
        self._revision = 0
        self._replies = {}  # message id: what a request that comes again is answered with

    # --- the core's way out

    def send(self, device, channel, body):
        self._waiting.append(body)
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

    def due(self) -> list:
        """Datagrams that the core wants to go out now."""
        self.core.step(self.now)
        bodies, self._waiting = self._waiting, []
        return [self._post(body) for body in bodies]

    def restarted(self):
        """The device begins anew: its message ids do, too, and what was asked of the life before gets no answer."""
        self._replies.clear()
        self._core_requests.clear()

    def arrived(self, data):
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
        if message.mid not in self._replies:
            self._replies[message.mid] = self._asked(message)
        return self._replies[message.mid]

    def _asked(self, message):
        plain, binding = self.keys.unprotect(message)
        answer = self._served(plain)
        if message.mtype is not Type.CON:
            return None
        answer.direction = Direction.OUTGOING
        answer, _ = self.keys.protect(answer, binding)
        return _encoded(answer, Type.ACK, message.mid, message.token)

    def _served(self, plain):
        channel = "/".join(plain.opt.uri_path)
        if plain.code == Code.GET:
            return self._piece(channel, plain.opt.block2)
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
            self.bodies.append(plain.payload)
            self.core.receive(self.now, EUI, channel, plain.payload)
        return answer

    def _piece(self, path, block):
        """GET with Block2 (RFC 7959) of a release that the core has offered the device."""
        shelf = self.core.updates.shelf
        octets = shelf.find(EUI, path.removeprefix("fw/"))
        if octets is None:
            return Message(code=Code.NOT_FOUND)
        number, size = (block.block_number, block.size) if block is not None else (0, 512)
        part = octets[number * size : (number + 1) * size]
        if not shelf.allowed(self.now, EUI, max(1, len(part))):
            return Message(code=Code.SERVICE_UNAVAILABLE, max_age=1)
        answer = Message(code=Code.CONTENT, payload=part)
        answer.opt.block2 = (number, (number + 1) * size < len(octets), size.bit_length() - 5)
        return answer

    def told(self, name: str, first: int = 0) -> list:
        """Values of the messages of that name among `bodies[first:]`."""
        messages = [codec.decode(body) for body in self.bodies[first:]]
        return [message.values for message in messages if message.name == name]

    @property
    def device(self):
        """What the EMD knows of it; None before it has registered."""
        found = self.core.devices.get(EUI)
        return found if found is not None and found.registered else None

    # --- commands

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


def _encoded(message, kind, mid, token):
    message.mtype, message.mid, message.token = kind, mid, token
    return message.encode()
