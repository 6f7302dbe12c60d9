"""Runs on MicroPython: a whole App on a real session without sockets, second by second, while the link flaps.

The other end is a broker or an EMD in a few lines: it registers the device, beats, acknowledges, commands, asks, and
now and then says something broken; the connection is cut every few minutes, sometimes in the middle of a packet. The
household presses the button, the voltage leaves its band and comes back. Prints "used N" (octets of the heap after a
collection) at each twentieth of the way, and at last what there was: "seen HEARTBEATS STATUSES INTERVALS ALARMS FLAPS".

sys.argv: boards folder, folder of the store, "mqtt" or "coap", cycles (seconds), seconds from flap to flap.
"""

import gc
import sys

sys.path.insert(1, sys.argv[1] + "/unix")
import stdio

from spot.app import App
from spot.codes import (
    ABSENT,
    KIND_LIMIT,
    KIND_OFF,
    KIND_UNLIMITED,
    T_ACK,
    T_ALARM,
    T_COMMAND,
    T_HEARTBEAT,
    T_INTERVAL,
    T_READ,
    T_REGISTER,
    T_REGISTERED,
    T_STATUS,
)
from spot.config import load_board
from spot.log import Log
from spot.wire import profile

BOARDS, STORE, KIND, CYCLES, FLAP_S = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
EPOCH, UTC = 70, 30000000
_DOWN_S = 7
seen = {T_HEARTBEAT: 0, T_STATUS: 0, T_INTERVAL: 0, T_ALARM: 0}
todo = []
latest = {"events": -1, "intervals": -1, "beat": 0, "asked": 0}
body = bytearray(600)
log = Log(32)


def heard(buf, n):
    """The EMD takes a body from the device."""
    type = profile.head(buf, n)
    if type in seen:
        seen[type] += 1
    if type == T_REGISTER:
        latest["asked"] = 1
    elif type == T_HEARTBEAT:
        latest["beat"] = profile.decode(type, buf, n)[5]
    elif type == T_STATUS or type == T_ALARM:
        latest["events"] = max(latest["events"], profile.decode(type, buf, n)[0])
    elif type == T_INTERVAL:
        values = profile.decode(type, buf, n)
        latest["intervals"] = values[0] + len(values[4]) - 1


class Mqtt:
    """A session, and a broker."""

    def __init__(self, on_message, on_up):
        from spot.link.mqtt_packets import Packets
        from spot.link.mqtt_session import UP, Session
        from spot.link.topics import Topics

        self._up = UP
        self._packets = Packets(b"d1", 60, 1184)
        topics = Topics("home", "plug", "0200000000000001", ())
        self.session = Session(self._packets, topics, {}, on_message, on_up, log)
        self._cmd = b"der/home/plug/0200000000000001/cmd"
        self._pid = 0

    def offer(self, now, channel, buf, n):
        return self.session.state == self._up and self.session.offer(channel, buf, n)

    def begin(self, now):
        self.session.begin(now)

    def _feed(self, now, octets):
        at = 0
        while at < len(octets):
            room = self.session.room()
            n = min(len(room), len(octets) - at)
            room[:n] = octets[at : at + n]
            at += n
            self.session.fed(n, now)

    def step(self, now):
        self.session.step(now)
        while True:
            n = self.session.next_packet(now)
            if not n:
                return
            octets = memoryview(self._packets.tape.buf)[:n]
            at, length, shift = 1, 0, 0
            while True:
                length |= (octets[at] & 0x7F) << shift
                shift += 7
                at += 1
                if octets[at - 1] < 0x80:
                    break
            kind = octets[0] & 0xF0
            if kind == 0x10:
                self._feed(now, b"\x20\x02\x00\x00")
            elif kind == 0x80:
                self._feed(now, b"\x90\x03" + bytes(octets[at : at + 2]) + b"\x01")
            elif kind == 0xC0:
                self._feed(now, b"\xd0\x00")
            elif kind == 0x30:
                topic_n = octets[at] << 8 | octets[at + 1]
                at += 2 + topic_n
                if octets[0] & 6:
                    pid = bytes(octets[at : at + 2])
                    at += 2
                heard(octets[at:], n - at)
                if octets[0] & 6:
                    self._feed(now, b"\x40\x02" + pid)

    def give(self, now, n, cut=False):
        self._pid = self._pid % 65535 + 1
        rest = len(self._cmd).to_bytes(2, "big") + self._cmd + self._pid.to_bytes(2, "big") + bytes(body[:n])
        packet = bytes((0x32, len(rest) & 0x7F | 0x80, len(rest) >> 7)) + rest
        self._feed(now, packet[: len(packet) // 2] if cut else packet)


class Coap:
    """A session on UDP without security, and an EMD with a resource directory."""

    peer = "emd"
    secure = False

    def __init__(self, on_message, on_up):
        from spot.link.coap_session import Session
        from spot.wire.coap import Builder, Message

        self.session = Session({"device": "0200000000000001", "insecure": True}, self, on_message, on_up, log)
        self._message = Message()
        self._out = bytearray(1200)
        self._builder = Builder(self._out)
        self._wire = []
        self._mid = 0

    def reliable(self, peer):
        return False

    def datagram(self, peer, buf, n):
        self._wire.append(bytes(buf[:n]))
        return True

    def offer(self, now, channel, buf, n):
        return self.session.offer(now, channel, buf, n)

    def begin(self, now):
        self.session.begin(now)

    def step(self, now):
        self.session.step(now)
        message, builder = self._message, self._builder
        while self._wire:
            datagram = self._wire.pop(0)
            message.parse(datagram, len(datagram))
            if message.type == 0 and message.code == 0:  # a ping
                builder.start(3, 0, message.mid, b"")
                self.session.receive(now, self.peer, self._out, builder.n)
            if message.code == 0 or message.code >> 5:
                continue
            if message.payload_n and message.find(11) >= 0:
                path = bytes(message.octets(message.find(11)))
                if path != b"rd":
                    heard(datagram[message.payload_at :], message.payload_n)
            if message.type == 0:
                rd = message.find(11) >= 0 and bytes(message.octets(message.find(11))) == b"rd"
                builder.start(2, 0x41 if rd else 0x44, message.mid, message.token())
                if rd:
                    builder.text(8, "rd")
                    builder.text(8, "7")
                self.session.receive(now, self.peer, self._out, builder.n)

    def give(self, now, n, cut=False):
        self._mid = self._mid + 1 & 0xFFFF
        builder = self._builder
        builder.start(0, 2, self._mid, b"\1\2")
        builder.text(11, "cmd")
        builder.payload(body, 0, n)
        self.session.receive(now, self.peer, bytearray(self._out[: builder.n]), builder.n // 2 if cut else builder.n)


class Meter:
    """Two kilowatts while the relay is closed; the voltage leaves its band for a minute every two hours."""

    power_w, voltage_10mv, current_ma, frequency_mhz, energy_wh = 2000, 23000, 8700, 50000, 0
    total_ws = 0

    def sample(self, now_s):
        closed = hardware.pins["pin2"].level
        self.power_w = 2000 + now_s % 7 if closed else 0
        self.current_ma = self.power_w * 9 // 2
        self.voltage_10mv = 25600 if now_s % 7200 > 7140 else 23000 + now_s % 11
        self.total_ws += self.power_w
        self.energy_wh = self.total_ws // 3600
        return True


hardware = stdio.Hardware(immediate=False)
hardware.meter = Meter()
description = load_board("sim", BOARDS)
description["parts"]["meter"]["period_s"] = 1
description["parts"]["button"] = {"driver": "button", "pin": 3}
hardware.ticks_ms = lambda: now_s * 1000 & 0x3FFFFFFF
now_s = 0
now = 0
config = {"eui64": "0200000000000001", "store": STORE}


def on_message(channel, buf, n):
    app.receive(now_s, channel, buf, n)


def on_up(present):
    app.link_up(now_s, present)


link = (Mqtt if KIND == "mqtt" else Coap)(on_message, on_up)
app = App(description, config, hardware, None, lambda channel, buf, n: link.offer(now, channel, buf, n), 1, log)


def give(type, values):
    while values[-1] is None:
        values.pop()
    link.give(now, profile.encode(type, values, body))


link.begin(0)
down_s = ABSENT  # since when the link is
command = asked = flaps = 0
mark = CYCLES // 20
for now_s in range(1, CYCLES + 1):
    now = now_s * 1000 & 0x3FFFFFFF
    app.step(now_s)
    app.poll(now_s)
    hardware.edges.clear()
    if down_s != ABSENT:
        if now_s - down_s >= _DOWN_S:
            down_s = ABSENT
            link.begin(now)
    elif now_s % FLAP_S == 0:
        flaps += 1
        down_s = now_s
        if flaps & 1:
            link.give(now, 40, True)  # what came of it stays half
        link.session.end(now)
        app.link_down(now_s)
    else:
        link.step(now)
        utc = UTC + now_s
        if latest["asked"]:
            latest["asked"] = 0
            give(T_REGISTERED, [0, app.identity.boot, EPOCH, utc])
        elif now_s % 60 == 30:
            give(T_HEARTBEAT, [EPOCH, utc, app.agent.control.ledger.digest, 4, None, latest["beat"]])
            acked = [n if n >= 0 else None for n in (latest["events"], latest["intervals"])]
            if acked != [None, None]:
                give(T_ACK, [EPOCH] + acked)
        elif now_s % 300 == 45:
            command += 1
            kind = (KIND_LIMIT, KIND_OFF, KIND_UNLIMITED)[command % 3]
            give(T_COMMAND, [EPOCH, command, 0, 5, kind, utc, 0, 240, 1500 if kind == KIND_LIMIT else None])
        elif now_s % 1800 == 70:
            give(T_READ, [EPOCH, command, utc, [1, 2, 3, 4, 37, 38, 41]])
        elif now_s % 900 == 80:
            link.give(now, profile.encode(T_ACK, [EPOCH, 1], body) - 1)  # broken
    button = now_s % 3600
    if button == 100 or button == 101:
        hardware.pins["pin3"].level = button - 100
    if now_s % mark == 0:
        gc.collect()
        print("used", gc.mem_alloc())
print("seen", seen[T_HEARTBEAT], seen[T_STATUS], seen[T_INTERVAL], seen[T_ALARM], flaps)
