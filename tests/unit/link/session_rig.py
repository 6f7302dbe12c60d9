"""A session without sockets: what it writes is parsed by a few lines, what it reads is chosen by the test."""

from spot.codes import CHANNELS
from spot.link.mqtt_packets import Packets
from spot.link.mqtt_session import UP, Session
from spot.link.topics import Topics
from spot.log import Log

DEVICE = "02005e10000000a1"
TOPICS = ("utility", "plug", DEVICE, ("area1",))
CMD = f"der/utility/plug/{DEVICE}/cmd"
CH = {row[0]: code for code, row in enumerate(CHANNELS)}
CONNACK, CONNACK_PRESENT = b"\x20\x02\x00\x00", b"\x20\x02\x01\x00"


def publish(topic: str, body: bytes, pid=0, kind=None):
    """The octets of a PUBLISH, QoS 1 if `pid`."""
    rest = len(topic).to_bytes(2, "big") + topic.encode() + (pid.to_bytes(2, "big") if pid else b"") + body
    length, octets = len(rest), b""
    while True:
        length, low = length >> 7, length & 0x7F
        octets += bytes([low | (0x80 if length else 0)])
        if not length:
            return bytes([kind or (0x32 if pid else 0x30)]) + octets + rest


class Rig:
    """`written` is a list of packets (first octet, rest); `messages` what the application got; `now` in ticks."""

    def __init__(self, now=1000, up=True, **config):
        self.now = now
        self.messages, self.ups, self.written = [], [], []
        self.log = Log(32, 0)
        self.packets = Packets(DEVICE.encode(), config.get("keepalive", 60), 1184)
        self.session = Session(self.packets, Topics(*TOPICS), config, self._on_message, self.ups.append, self.log)
        if up:
            self.connect()

    def _on_message(self, channel, buf, n):
        self.messages.append((channel, bytes(buf[:n])))

    def connect(self, connack=CONNACK):
        """CONNECT, CONNACK, and a SUBACK for each filter."""
        self.session.begin(self.now)
        self.flush()
        self.feed(connack)
        for kind, rest in self.flush():
            if kind == 0x82:
                self.feed(b"\x90\x03" + rest[:2] + b"\x01")
        assert self.session.state == UP

    def flush(self):
        """Let it write all that it has; the new packets."""
        new = []
        while True:
            n = self.session.next_packet(self.now)
            if not n:
                break
            octets = bytes(self.packets.tape.buf[:n])
            at, length, shift = 1, 0, 0
            while True:
                length |= (octets[at] & 0x7F) << shift
                shift += 7
                at += 1
                if octets[at - 1] < 0x80:
                    break
            assert len(octets) - at == length, "the packet's length is wrong"
            new.append((octets[0], octets[at:]))
        self.written += new
        if new:
            self.session.parse(self.now)  # as the pump does: what waited for acknowledgements to be written
            return new + self.flush()
        return new

    def feed(self, octets: bytes, piece=None):
        """Give it octets, in pieces of `piece`, and as much at a time as it has room for."""
        while octets:
            room = self.session.room()
            n = min(len(octets), len(room), piece or len(octets))
            if not n:
                self.flush()
                assert len(self.session.room()), "no room, and nothing to write"
                continue
            room[:n] = octets[:n]
            octets = octets[n:]
            self.session.fed(n, self.now)

    def step(self, ms=0):
        self.now += ms
        return self.session.step(self.now)

    def send(self, channel="status", body=b"body"):
        return self.session.offer(CH[channel], bytearray(body), len(body))


def pid_of(rest):
    """Packet id of a QoS 1 PUBLISH."""
    end = 2 + int.from_bytes(rest[:2], "big")
    return int.from_bytes(rest[end : end + 2], "big")
