"""What comes over a wire to a driver: the frames of two metering chips, answers on a Modbus line."""

from spot.board.bl0942 import BL0942
from spot.board.cse7766 import CSE7766
from spot.board.modbus import Modbus, Request
from spot.board.trip import Trip
from spot.codes import ABSENT
from spot_sim.chips.bl0942 import BL0942Chip
from spot_sim.chips.cse7766 import CSE7766Chip
from spot_sim.chips.modbus_slave import crc, sealed

_V, _A, _KW = 15883, 251213, 623373  # counts of a volt, an ampere, a kilowatt, as boards have them


class _Wire:
    """A UART: `feed(octets)` arrives."""

    def __init__(self):
        self.coming = b""
        self.written = 0

    def feed(self, octets):
        self.coming += bytes(octets)

    def any(self):
        return len(self.coming)

    def readinto(self, buf, n=None):
        n = min(len(self.coming), len(buf) if n is None else n)
        buf[:n], self.coming = self.coming[:n], self.coming[n:]
        return n or None

    def write(self, octets):
        self.written += 1
        return len(octets)


class _Seen(Trip):
    """A trip that remembers what it was shown."""

    def __init__(self):
        super().__init__(None)
        self.shown = []

    def check(self, current_ma, power_w, voltage_10mv):
        self.shown.append((current_ma, power_w, voltage_10mv))
        super().check(current_ma, power_w, voltage_10mv)


class _Kettle:
    """What the good frames are about. `now_s`, `now_ms` as of a Hardware."""

    power_factor = 1.0
    now_s = now_ms = 0

    def power_w(self, now_s):
        return 2000.0

    def energy_mj(self, now_s):
        return 2000_000 * now_s


def _good(kind, seconds):
    """Frames of a chip in order, one a second."""
    source = _Kettle()
    chip = kind(source, source)
    out = []
    for second in seconds:
        source.now_s, source.now_ms = second, second * 1000
        out.append(bytes(chip.frame()))
    return out


_BL = _good(BL0942Chip, (60, 1000, 2000))
_CSE = _good(CSE7766Chip, range(100, 160, 10))


def _bl_windows(data):
    """(mA, W, 10 mV) of each 23 octets that the data sheet calls a frame."""
    for at in range(len(data) - 22):
        frame = data[at : at + 23]
        if frame[0] == 0x55 and ~(0x58 + sum(frame[:22])) & 0xFF == frame[22]:
            amps, volts = (int.from_bytes(frame[i : i + 3], "little") for i in (1, 4))
            watts = int.from_bytes(frame[10:13], "little", signed=True)
            yield amps * 1000 / _A, watts * 1000 / _KW, volts * 100 / _V


def _near(shown, true):
    return all(abs(a - b) <= 2 + abs(b) * 0.001 for a, b in zip(shown, true, strict=True))


def _play(meter, wire, data):
    """The first octet says in which pieces the others come; a sample is due after every third. Energy never falls."""
    size, data = 1 + data[0] % 40, data[1:]
    now_s = energy_wh = 0
    for n, at in enumerate(range(0, len(data), size)):
        wire.feed(data[at : at + size])
        meter.poll()
        if n % 3 == 2:
            now_s += 1
            meter.sample(now_s)
        assert meter.energy_wh >= energy_wh
        energy_wh = meter.energy_wh
        assert meter.voltage_10mv == ABSENT or 0 <= meter.voltage_10mv <= 45000
    return now_s, data


def bl0942(data: bytes):
    """No value but of a frame that the data sheet knows; and after whatever came, a good frame is taken."""
    if not data:
        return
    wire, trip = _Wire(), _Seen()
    meter = BL0942(wire, trip)
    now_s, data = _play(meter, wire, data)
    true = list(_bl_windows(data))
    assert len(trip.shown) <= len(true)
    for shown in trip.shown:
        assert any(_near(shown, one) for one in true), shown
    taken = False
    for frame in _BL:  # one of them at least has another pulse count than the latest
        now_s += 2
        meter.sample(now_s)
        wire.feed(frame)
        taken = meter.sample(now_s) or taken
    assert taken and abs(meter.power_w - 2000) <= 2 and abs(meter.voltage_10mv - 23000) <= 2


def cse7766(data: bytes):
    """No more values than frames whose sum is right; and after whatever came, good frames are taken."""
    if not data:
        return
    wire, trip = _Wire(), _Seen()
    meter = CSE7766(wire, trip)
    now_s, data = _play(meter, wire, data)
    right = [at for at in range(len(data) - 23) if data[at + 1] == 0x5A and sum(data[at + 2 : at + 23]) & 0xFF ==
             data[at + 23]]
    assert len(trip.shown) <= len(right)
    for current_ma, power_w, _ in trip.shown:
        assert (current_ma >= 0 or current_ma == ABSENT) and power_w >= 0
    wire.feed(bytes(24))  # the chip pauses: what was cut off does not go on
    taken = False
    for frame in _CSE:
        now_s += 10
        wire.feed(frame)
        taken = meter.sample(now_s)
    assert taken and abs(meter.power_w - 2000) <= 20 and abs(meter.voltage_10mv - 23000) <= 50


_REQUESTS = ((3, 7, 2), (4, 0x100, 5), (1, 3, 11), (6, 1, 1), (16, 2, 2), (5, 9, 1))


def _answers(frame, octets, data):
    """(error, values) of each answer to the request `frame` that stands somewhere in `data`."""
    for at in range(len(data) - 4):
        if data[at] != frame[0] or data[at + 1] & 0x7F != frame[1]:
            continue
        n = 5
        if data[at + 1] == frame[1]:
            if frame[1] > 4:
                n = 8
                if data[at + 2 : at + 6] != bytes(frame[2:6]):
                    continue
            else:
                n += octets
                if data[at + 2] != octets:
                    continue
        part = data[at : at + n]
        if len(part) == n and crc(part[:-2]) == part[-2] | part[-1] << 8:
            yield (data[at + 2] & 0x7F or 4) if data[at + 1] & 0x80 else 0, part[3:-2] if n == octets + 5 else b""


def modbus(data: bytes):
    """Each request ends once and in its time, and with an answer only where there is one to it, with its values."""
    if len(data) < 2:
        return
    function, register, count = _REQUESTS[data[0] % len(_REQUESTS)]
    size, data = 1 + data[1] % 50, data[2:]
    wire, now = _Wire(), [0]
    bus = Modbus(wire, lambda: now[0], 1000, retries=0, echo=0)
    ended = []
    request = Request(bus.slave(17), function, register, count, lambda r: ended.append(r.error))
    assert bus.submit(request)
    at = 0
    while bus.busy:
        now[0] += 5
        bus.poll()
        if wire.written and at < len(data):
            wire.feed(data[at : at + size])
            at += size
        assert now[0] < 5000
    assert len(ended) == 1 and not request.waiting
    true = list(_answers(request.frame, request.octets, data))
    if ended[0] == 0 and function <= 4:
        assert (0, bytes(request.data)) in true
    elif ended[0] < 0x80:
        assert ended[0] in [error for error, _ in true]
    wire.coming = b""
    again = Request(bus.slave(18), 3, 0, 1, lambda r: ended.append(r.error))
    assert bus.submit(again)
    written = wire.written
    while bus.busy:
        now[0] += 5
        bus.poll()
        if wire.written > written:
            written = wire.written
            wire.feed(sealed(b"\x12\x03\x02\x12\x34"))
        assert now[0] < 10000
    assert ended[1] == 0 and again.word(0) == 0x1234


TARGETS = {"bl0942": bl0942, "cse7766": cse7766, "modbus": modbus}
SEEDS = {
    "bl0942": [b"\x16" + b"".join(_BL), b"\x04\x55" + _BL[0][:9] + _BL[1]],
    "cse7766": [b"\x17" + b"".join(_CSE[:3]), b"\x05\x55\x5a" + _CSE[0][:20] + _CSE[1] + _CSE[2]],
    "modbus": [b"\x00\x20" + sealed(b"\x11\x03\x04\x00\x01\x00\x02"), b"\x01\x03" + sealed(b"\x11\x84\x02"),
               b"\x02\x20" + sealed(b"\x11\x01\x02\xff\x07"), b"\x03\x20" + sealed(b"\x11\x06\x00\x01\x00\x00"),
               b"\x04\x07" + sealed(b"\x11\x10\x00\x02\x00\x02")],
}
