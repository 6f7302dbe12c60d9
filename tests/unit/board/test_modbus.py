"""The Modbus master and register maps: the cases (modbus_cases.py, which MicroPython runs as well), and properties."""

import json
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # the cases are plain modules, for both runtimes

import modbus_cases  # noqa: E402
from modbus_rig import Rig  # noqa: E402

from spot.board.modbus import GARBLED, TIMEOUT, Modbus, Request  # noqa: E402
from spot.board.modbus_map import float_scaled  # noqa: E402
from spot.codes import ABSENT  # noqa: E402
from spot_sim.chips.modbus_slave import Slave, crc, sealed  # noqa: E402


@pytest.mark.parametrize("function", [case[1] for case in modbus_cases.CASES], ids=[c[0] for c in modbus_cases.CASES])
def test_case(function):
    function()


FRAMES = json.loads(Path(__file__).with_name("modbus_frames.json").read_text())["rows"]


class Wire:
    """A UART that gives what it is fed."""

    def __init__(self):
        self.sent = self.waiting = b""

    def write(self, data):
        self.sent += bytes(data)

    def any(self):
        return len(self.waiting)

    def readinto(self, buf, n):
        got, self.waiting = self.waiting[:n], self.waiting[n:]
        buf[: len(got)] = got
        return len(got) or None


@pytest.mark.parametrize("row", FRAMES, ids=[f"{i}-{row['function']}" for i, row in enumerate(FRAMES)])
def test_frames_are_those_of_another_implementation(row):
    """Requests, answers and exceptions as pymodbus builds them (modbus_frames.json says which)."""
    for answer, code in ((row["answer"], 0), (row["exception"], row["code"])):
        clock, wire, ended = [0], Wire(), []
        bus = Modbus(wire, lambda clock=clock: clock[0], 1042, retries=0, echo=0)

        def poll(ms, clock=clock, bus=bus):
            clock[0] += ms
            bus.poll()

        request = Request(bus.slave(row["address"]), row["function"], row["register"], row["count"], ended.append)
        if row["function"] > 4:
            for at, value in enumerate(row["values"]):
                request.put(value, at)
        bus.submit(request)
        poll(50)
        poll(50)
        assert wire.sent.hex() == row["request"]
        poll(50)
        wire.waiting = bytes.fromhex(answer)
        poll(50)
        assert ended == [request] and request.error == code
        if not code and row["function"] <= 4:
            take = request.bit if row["function"] <= 2 else request.word
            assert [take(i) for i in range(row["count"])] == row["values"]


class Recorded(Slave):
    """Has the row's values."""

    def __init__(self, row):
        super().__init__(row["address"])
        self.row = row

    def read(self, function, register, count):
        assert (function, register, count) == (self.row["function"], self.row["register"], self.row["count"])
        return self.row["values"]

    def write(self, function, register, values):
        assert (function, register, values) == (self.row["function"], self.row["register"], self.row["values"])


@pytest.mark.parametrize("row", FRAMES, ids=[f"{i}-{row['function']}" for i, row in enumerate(FRAMES)])
def test_the_simulated_slave_answers_as_another_implementation(row):
    slave = Recorded(row)
    assert sealed(slave.answer(bytes.fromhex(row["request"]))).hex() == row["answer"]
    slave.refuse, slave.refusal = 1, row["code"]
    assert sealed(slave.answer(bytes.fromhex(row["request"]))).hex() == row["exception"]


SHAPES = st.sampled_from([(3, 0, 2), (4, 7, 1), (1, 0, 9), (6, 2, 1), (5, 1, 1), (16, 0, 2)])
PIECES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"\x01\x03\x04", b"\x01\x83\x02", b"\x01\x06\x00\x02", b"\x01\x03\x04\x00\x01\x00\x02"]),
    st.binary(min_size=4, max_size=4).map(lambda words: sealed(b"\x01\x03\x04" + words)),
    st.integers(0, 255).map(lambda code: sealed(bytes((1, 0x83, code)))),
    st.integers(0, 5).map(lambda n: sealed(b"\x01\x06\x00\x02\x00\x00")[:n + 3]),
)


@settings(max_examples=300, deadline=None)
@given(SHAPES, st.lists(st.tuples(st.integers(0, 300), PIECES), max_size=8), st.booleans())
def test_nothing_on_the_line_breaks_the_master_or_becomes_a_value_without_a_right_crc(shape, traffic, echo):
    rig = Rig(retries=1, echo=echo)
    function, register, count = shape
    request = Request(rig.bus.slave(1), function, register, count, rig.end)
    rig.bus.submit(request)
    heard = bytearray()
    readinto = rig.line.readinto

    def listen(buf, n=None):
        got = readinto(buf, n)
        heard.extend(buf[: got or 0])
        return got

    rig.line.readinto = listen
    for delay_ms, octets in traffic:
        rig.run(delay_ms)
        rig.line.babble(octets)
    rig.quiet()  # every request ends
    assert len(rig.ended) == 1
    _, error, data = rig.ended[0]
    if error == 0 and function <= 4:  # only from a frame that was on the line with its CRC
        assert sealed(bytes((1, function, len(data))) + data) in heard
    assert error in (0, TIMEOUT, GARBLED) or sealed(bytes((1, function | 0x80, error))) in heard or (
        sealed(bytes((1, function | 0x80, error | 0x80))) in heard or error == 4)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 790)), min_size=2, max_size=12),
       st.integers(0, 2), st.sampled_from([5, 20, 50]), st.booleans())
def test_an_answer_however_late_never_counts_for_another_request(asks, retries, step_ms, slow):
    """Answers come up to four times the timeout after the request; every register holds its own number."""
    rig = Rig(step_ms=step_ms, timeout_ms=200, retries=retries, turnaround_ms=1)
    slave = rig.slave(1, {at: 100 + at for at in range(10)})
    lateness = iter([late_ms for _, _, late_ms in asks] * 50)
    slave._spoil = lambda data: [(next(lateness) if not slow else asks[0][2], sealed(data))]
    for register, wait, _ in asks:
        request = Request(rig.bus.slave(1), 3, register, 1, rig.end)
        rig.bus.submit(request)
        if wait == 0:
            rig.quiet(60000)
    rig.quiet(60000)
    assert len(rig.ended) == len(asks)
    for request, error, data in rig.ended:
        if error == 0:
            assert data == (100 + request.frame[3]).to_bytes(2, "big")


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=9, max_size=9), st.integers(0, 8), st.integers(1, 255))
def test_no_damaged_answer_is_taken(octets, at, flip):
    """Any change of one octet of an answer is found by the CRC, or makes it somebody else's."""
    frame = bytearray(sealed(b"\x01\x03\x04" + octets[:4]))
    frame[at] ^= flip
    rig = Rig(retries=0)
    request = Request(rig.bus.slave(1), 3, 0, 2, rig.end)
    rig.bus.submit(request)
    rig.run(51)
    rig.line.babble(bytes(frame))
    rig.quiet()
    assert rig.ended[0][1] in (TIMEOUT, GARBLED)


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from([1, 10, 100, 1000]))
def test_a_float_in_integers_is_the_float_rounded(bits, mul):
    value = struct.unpack(">f", bits.to_bytes(4, "big"))[0]
    got = float_scaled(bits >> 16, bits & 0xFFFF, mul)
    if value != value or abs(value) * mul > 0x3FFFFFFF:
        assert got == ABSENT
    else:
        assert got == ABSENT and abs(value * mul) > 0x3FFFFF00 or abs(got - value * mul) <= 0.502


@given(st.binary(min_size=1, max_size=200))
def test_the_crc_is_that_of_an_independent_implementation(data):
    from spot.board.modbus import crc as ours

    assert ours(data) == crc(data)
