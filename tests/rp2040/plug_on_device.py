"""Runs on the chip: a plug with a CoAP session, OSCORE and a keyring, as main.py builds it, on a transport that keeps
what it is given. The workstation is the network: it calls `turn` over the REPL.

Arguments: the board's description, a pairing, the device's section of the configuration, a frame of its meter with the
relay open, one with it closed (JSON, JSON, JSON, hex, hex). Prints JSON: the heap after the imports and after the plug
was built. The relay is the chip's own pin; each time it is moved the moment is kept.
"""

import gc
import json
import sys
import time

gc.collect()
_EMPTY = gc.mem_alloc()

import os  # noqa: E402

import machine  # noqa: E402
import micropython  # noqa: E402

from spot import app as application  # noqa: E402
from spot.codes import CH_CMD  # noqa: E402
from spot.link.coap_session import Session  # noqa: E402
from spot.run import RealPace  # noqa: E402
from spot.wire.keyring import Keyring  # noqa: E402

_EUI = "020000fffe000001"


def used():
    gc.collect()
    return gc.mem_alloc() - _EMPTY


class Pin:
    """The chip's pin, which notes when it is set."""

    IN, OUT, PULL_UP = machine.Pin.IN, machine.Pin.OUT, machine.Pin.PULL_UP
    IRQ_RISING, IRQ_FALLING = machine.Pin.IRQ_RISING, machine.Pin.IRQ_FALLING
    moved_us = None

    def __init__(self, number, mode=machine.Pin.IN, pull=None, value=None):
        self.pin = machine.Pin(number, mode, pull, value=value)
        self.number = number
        self.irq = self.pin.irq

    def value(self, level=None):
        if level is None:
            return self.pin.value()
        self.pin.value(level)
        if self.number == RELAY:
            Pin.moved_us = time.ticks_us()


class Uart:
    """A meter whose answer, one of two frames by the relay, is there after the time that it takes at 4800 baud. No
    interrupt comes."""

    IRQ_RXIDLE = machine.UART.IRQ_RXIDLE

    def irq(self, handler, trigger):
        pass

    def __init__(self, number, **options):
        self.frame = None
        self.due = 0

    def any(self):
        return len(self.frame) if self.frame and time.ticks_diff(time.ticks_ms(), self.due) >= 0 else 0

    def readinto(self, buf, n=0):
        frame, self.frame = self.frame, None
        buf[: len(frame)] = frame
        return len(frame)

    def write(self, buf):
        level = hardware_level()
        self.frame = FRAMES[level]
        if level:  # under load the chip's pulses count on
            for frame in FRAMES:
                frame[13] = (frame[13] + 1) & 0xFF
                frame[22] = (frame[22] - 1) & 0xFF
        self.due = time.ticks_add(time.ticks_ms(), 52)
        return len(buf)


class Hardware:
    Pin, UART = Pin, Uart


class Fs:
    """The chip's files; notes how deep the stack is where one is opened, which is as deep as a command leads."""

    deepest = 0

    def __getattr__(self, name):
        return getattr(os, name)

    def open(self, *arguments):
        Fs.deepest = max(Fs.deepest, micropython.stack_use())
        return open(*arguments)


class Transport:
    """The way to the EMD: whatever is sent lies in `out` until the workstation fetches it."""

    peer, secure = "emd", False

    def __init__(self):
        self.out = []

    def reliable(self, peer):
        return False

    def datagram(self, peer, buf, n):
        self.out.append(bytes(memoryview(buf)[:n]))
        return True


DESCRIPTION, PAIRING, DEVICE = (json.loads(text) for text in sys.argv[1:4])
FRAMES = tuple(bytearray(bytes.fromhex(text)) for text in sys.argv[4:6])
RELAY = DESCRIPTION["parts"]["relay"]["pin"]


def hardware_level():
    return machine.Pin(RELAY).value()


def say(channel, buf, n, urgent=False):
    return session.offer(time.ticks_ms(), channel, buf, n, urgent)


def build():
    """The parts of a plug: what main.start does, but for files and sockets."""
    global app, pace, transport, session
    config = {"eui64": _EUI, "store": "/store", "device": DEVICE, "agent": {}}
    app = application.App(DESCRIPTION, config, Hardware, Fs(), say)
    pace = RealPace(app)
    keys = Keyring(PAIRING, app.store, "keys", app.log)
    app.agent.seats[0].keys = keys
    transport = Transport()
    port = pace.port(0)
    settings = {"device": _EUI, "keepalive": 3600}
    session = Session(settings, transport, port.deliver, port.link_up, app.log, keys)
    pace.turns.step(pace.now())
    session.begin(time.ticks_ms())


def loop(ms=0):
    """The loops of run.py and link/coap.py, for so long, or one turn."""
    until = time.ticks_add(time.ticks_ms(), ms)
    due_s = 0
    while True:
        now_s = pace.now()
        if pace.turns.poll(now_s) or now_s >= due_s:
            due_s = now_s + pace.turns.step(now_s)
        session.step(time.ticks_ms())
        session.reserve()
        if time.ticks_diff(until, time.ticks_ms()) <= 0:
            return
        time.sleep_ms(50)


def took(call, *arguments):
    """Calls; microseconds until the relay's pin was moved (None: it was not), and until the call was over."""
    Pin.moved_us = None
    start = time.ticks_us()
    call(*arguments)
    over = time.ticks_diff(time.ticks_us(), start)
    return [None if Pin.moved_us is None else time.ticks_diff(Pin.moved_us, start), over]


def turn(datagrams=(), ms=0, plain=None):
    """Takes datagrams, or a plain body of the command channel, then goes round the loops for ms. Prints JSON."""
    times = []
    gc.collect()  # as the loop does every ten seconds
    for text in datagrams:
        data = bytearray(bytes.fromhex(text))
        times.append(took(session.receive, time.ticks_ms(), transport.peer, data, len(data)))
    if plain:
        data = bytes.fromhex(plain)
        times.append(took(pace.deliver, CH_CMD, data, len(data)))
    loop(ms)
    out, transport.out = transport.out, []
    print(json.dumps({"times": times, "now": pace.now(), "out": [data.hex() for data in out], "up": session.is_up,
                      "relay": hardware_level(), "log": app.log.counts, "received": app.received,
                      "stack": Fs.deepest}))


class Mains:
    """Stands for the power-fail input's driver."""

    failed = False


def gasp():
    """The mains fails and is back. Prints JSON: microseconds until the last gasp is with the transport, and those that
    keeping takes."""
    app.board.power_fail = Mains
    Mains.failed = True
    gc.collect()
    before = len(transport.out)
    gone = took(app.power_fail, pace.now())[1]
    if len(transport.out) != before + 1:
        raise AssertionError("no gasp")
    kept = took(app.power_fail, pace.now())[1]
    Mains.failed = False
    app.power_fail(pace.now())
    app.board.power_fail = None
    print(json.dumps([gone, kept]))


def heap():
    """Prints JSON: octets in use after a collection, and in all; microseconds that the collection took; octets in use
    before the script's own, by the code."""
    start = time.ticks_us()
    gc.collect()
    took_us = time.ticks_diff(time.ticks_us(), start)
    print(json.dumps({"used": gc.mem_alloc(), "heap": gc.mem_alloc() + gc.mem_free(), "code": _EMPTY,
                      "collect_us": took_us}))


imported = used()
build()
print(json.dumps({"imported": imported, "built": used(), "heap": gc.mem_alloc() + gc.mem_free()}))
