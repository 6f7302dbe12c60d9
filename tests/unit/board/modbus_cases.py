"""The Modbus master case by case, against slaves on a simulated line: plain asserts, for CPython and MicroPython."""

from modbus_rig import Rig

from spot.board.modbus import EXCEPTIONS, GARBLED, QUEUE, TIMEOUT, Request, crc
from spot.board.modbus_map import Reader, float_scaled
from spot.codes import ABSENT
from spot.port import TICKS_PERIOD
from spot_sim.chips.modbus_slave import BUSY, sealed
from spot_sim.chips.modbus_slave import crc as crc_by_bits

CASES = []


def case(function):
    CASES.append((function.__name__, function))
    return function


def ask(rig, address=1, function=3, register=0, count=2):
    request = Request(rig.bus.slave(address), function, register, count, rig.end)
    assert rig.bus.submit(request)
    return request


WORDS = {0: 0x1234, 1: 0xABCD, 2: 7, 3: 8, 4: 9}


@case
def the_crc_is_that_of_the_specification():
    # MODBUS over serial line V1.02, appendix B: the frame 02 07 carries 41 12
    assert crc(b"\x02\x07") == 0x1241
    assert crc(b"123456789") == 0x4B37  # the check value of CRC-16/MODBUS
    data = bytes(range(256))
    for n in range(1, 256):
        assert crc(data[:n]) == crc_by_bits(data[:n])


@case
def requests_are_framed_as_in_the_application_protocol():
    # V1.1b3, the examples of 6.3, 6.4, 6.6, 6.12, 6.1, 6.2 and 6.5, with address 1
    rig = Rig()
    slave = rig.bus.slave(1)
    for request, pdu in (
        (Request(slave, 3, 0x6B, 3), b"\x03\x00\x6b\x00\x03"),
        (Request(slave, 4, 8, 1), b"\x04\x00\x08\x00\x01"),
        (Request(slave, 6, 1), b"\x06\x00\x01\x00\x03"),
        (Request(slave, 16, 1, 2), b"\x10\x00\x01\x00\x02\x04\x00\x0a\x01\x02"),
        (Request(slave, 1, 0x13, 0x13), b"\x01\x00\x13\x00\x13"),
        (Request(slave, 2, 0xC4, 0x16), b"\x02\x00\xc4\x00\x16"),
        (Request(slave, 5, 0xAC), b"\x05\x00\xac\xff\x00"),
    ):
        if pdu[0] == 6:
            request.put(3)
        elif pdu[0] == 16:
            request.put(10, 0)
            request.put(0x102, 1)
        elif pdu[0] == 5:
            request.put(1)
        assert bytes(request.frame) == sealed(b"\x01" + pdu), pdu


@case
def registers_and_bits_are_read():
    rig = Rig()
    slave = rig.slave(1, dict(WORDS))
    slave.bits = {at: at & 1 for at in range(20)}
    one, two = ask(rig), ask(rig, function=4, register=2, count=3)
    bits = ask(rig, function=2, register=3, count=11)
    rig.quiet()
    assert [error for _, error, _ in rig.ended] == [0, 0, 0]
    assert (one.word(0), one.word(1)) == (0x1234, 0xABCD)
    assert [two.word(i) for i in range(3)] == [7, 8, 9]
    assert [bits.bit(i) for i in range(11)] == [1, 0] * 5 + [1]
    assert rig.bus.answered == rig.bus.sent == 3 and rig.bus.strange == 0


@case
def registers_and_coils_are_written():
    rig = Rig(echo=False)
    slave = rig.slave(1, dict(WORDS))
    slave.bits = {5: 0}
    ask(rig)  # a read tells that this line has no echo
    rig.quiet()
    single = Request(rig.bus.slave(1), 6, 2, 1, rig.end)
    single.put(-2)
    many = Request(rig.bus.slave(1), 16, 3, 2, rig.end)
    many.put(100, 0)
    many.put(65535, 1)
    coil = Request(rig.bus.slave(1), 5, 5, 1, rig.end)
    coil.put(1)
    for request in (single, many, coil):
        assert rig.bus.submit(request)
    rig.quiet()
    assert [error for _, error, _ in rig.ended] == [0, 0, 0, 0]
    assert slave.words[2] == 0xFFFE and slave.words[3] == 100 and slave.words[4] == 65535 and slave.bits[5] == 1


@case
def every_exception_is_told_by_its_code():
    for code in EXCEPTIONS:
        rig = Rig()
        slave = rig.slave(1, dict(WORDS))
        slave.refusal, slave.refuse = code, 99
        request = ask(rig)
        rig.quiet()
        assert request.error == code and rig.ended[0][1] == code
        assert slave.requests == (3 if code in (5, 6) else 1), code  # busy and acknowledge are asked again
        assert rig.bus.refused == slave.requests


@case
def an_exception_without_a_code_is_a_failure():
    for code in (0, 0x80):
        rig = Rig()
        slave = rig.slave(1, dict(WORDS))
        slave.refusal, slave.refuse = code, 1
        request = ask(rig)
        rig.quiet()
        assert request.error == 4 and not any(request.data)


@case
def more_or_fewer_registers_than_asked_are_no_answer():
    for octets in (b"", b"\x00\x01", b"\x00\x01\x00\x02\x00\x03"):
        rig = Rig(retries=0)
        request = ask(rig)
        rig.run(100)
        rig.line.babble(sealed(bytes((1, 3, len(octets))) + octets))
        rig.quiet()
        assert request.error == GARBLED


@case
def a_busy_slave_is_asked_again_later():
    rig = Rig()
    slave = rig.slave(1, dict(WORDS))
    slave.refusal, slave.refuse = BUSY, 2
    request = ask(rig)
    rig.quiet()
    assert request.error == 0 and request.word(0) == 0x1234 and rig.bus.retries == 2


@case
def a_silent_slave_costs_a_bounded_time():
    rig = Rig(timeout_ms=200, retries=2)
    request = ask(rig)
    spent = rig.quiet()
    assert request.error == TIMEOUT and rig.bus.timeouts == 3
    assert spent <= 3 * (200 + 4 * 50) + 200 + 400  # the time and the polls' grain, and the rests between
    for _ in range(3):  # by now it is known to be silent: no repetitions
        ask(rig)
        rig.quiet()
    assert rig.bus.timeouts == 6
    rig.slave(1, dict(WORDS))
    request = ask(rig)
    assert rig.quiet() <= 3200 + 800 + 500 and request.error == 0  # the longest rest is 16 times the time


@case
def a_wrong_crc_is_never_a_value():
    rig = Rig(retries=0)
    rig.slave(1, dict(WORDS)).corrupt = 1
    request = ask(rig)
    rig.quiet()
    assert request.error == GARBLED and rig.ended == [(request, GARBLED, b"\0\0\0\0")] and rig.bus.garbled == 1


@case
def what_was_garbled_is_asked_again():
    rig = Rig()
    slave = rig.slave(1, dict(WORDS))
    for fault in ("corrupt", "short", "strange", "drop"):
        setattr(slave, fault, 2)
        request = ask(rig)
        rig.quiet()
        assert request.error == 0 and request.word(1) == 0xABCD, fault


@case
def noise_before_an_answer_is_passed_over():
    for noise in (b"\x00", b"\xff\xff\x01", b"\x01\x03", b"\x01\x03\x04\x00", b"\x01\x83", bytes(100)):
        rig = Rig(retries=0)
        rig.slave(1, dict(WORDS)).noise = noise
        request = ask(rig)
        rig.quiet()
        assert request.error == 0 and request.word(0) == 0x1234, noise
        assert rig.bus.strange == len(noise)


@case
def noise_between_frames_delays_and_does_not_harm():
    rig = Rig()
    rig.slave(1, dict(WORDS))
    rig.line.babble(sealed(b"\x01\x03\x04\x55\x55\x55\x55"))  # an answer to nobody
    rig.run(20)
    request = ask(rig)
    rig.quiet()
    assert request.error == 0 and request.word(0) == 0x1234


@case
def a_line_that_is_never_quiet_is_talked_over():
    rig = Rig(retries=0)
    rig.slave(1, dict(WORDS))
    request = ask(rig)
    for _ in range(60):
        rig.line.babble(b"\x77" * 12)
        rig.run(50)
    assert rig.bus.sent and not request.waiting


@case
def a_late_answer_is_not_taken_for_the_next_one():
    # two requests alike but for the register: the answer to the first one comes while the second one would be asked
    for late_ms in range(100, 390, 10):
        rig = Rig(timeout_ms=200, retries=0)
        slave = rig.slave(1, {0: 111, 1: 111, 10: 222, 11: 222})
        slave.late, slave.late_ms = 1, late_ms
        ask(rig)
        second = ask(rig, register=10)
        rig.quiet()
        assert second.error == 0 and second.word(0) == 222, late_ms


@case
def an_answer_that_comes_twice_counts_once():
    rig = Rig()
    slave = rig.slave(1, {0: 111, 1: 111, 10: 222, 11: 222})
    for _ in range(20):
        slave.double = 1
        first, second = ask(rig), ask(rig, register=10)
        rig.quiet()
        assert (first.word(0), second.word(0)) == (111, 222)


@case
def its_own_echo_is_no_answer():
    rig = Rig(echo=True)
    slave = rig.slave(1, dict(WORDS))
    read = ask(rig)
    rig.quiet()
    assert read.error == 0 and read.word(0) == 0x1234 and rig.bus.strange == 0
    write = Request(rig.bus.slave(1), 6, 2, 1, rig.end)
    write.put(99)
    rig.bus.submit(write)
    rig.quiet()
    assert write.error == 0 and slave.words[2] == 99
    slave.dead = True
    write.put(55)
    rig.bus.submit(write)
    rig.quiet()
    assert write.error == TIMEOUT  # the echo alone confirms nothing


@case
def an_echo_with_noise_before_it_confirms_nothing():
    for noise in (b"\x00", b"\x01\x06"):
        rig = Rig(echo=True, retries=0)
        slave = rig.slave(1, dict(WORDS))
        ask(rig)
        rig.quiet()
        slave.dead = True
        write = Request(rig.bus.slave(1), 6, 2, 1, rig.end)
        write.put(55)
        rig.bus.submit(write)
        while not rig.line._sent:
            rig.run(1)
            rig.bus.poll()
        rig.line._coming = [(0, octet) for octet in noise] + rig.line._coming
        rig.quiet()
        assert write.error == GARBLED, noise


@case
def a_write_before_the_echo_is_known_is_not_believed_blindly():
    rig = Rig(echo=True, retries=0)
    slave = rig.slave(1, dict(WORDS))
    slave.dead = True
    write = Request(rig.bus.slave(1), 6, 2, 1, rig.end)
    rig.bus.submit(write)
    rig.quiet()
    assert write.error == TIMEOUT


@case
def the_line_is_given_up_when_the_last_bit_is_out():
    for baudrate in (2400, 9600, 19200, 38400):
        rig = Rig(de="timer", baudrate=baudrate)
        rig.slave(1, dict(WORDS)).reaction_ms = 0
        for _ in range(5):
            request = ask(rig)
            rig.quiet()
            assert request.error == 0 and rig.line.collisions == 0, baudrate
        assert rig.timer.fired >= 5 and rig.de.level == 0


@case
def without_a_timer_frequent_polls_give_the_line_up():
    rig = Rig(de="polls", step_ms=1)
    rig.slave(1, dict(WORDS))
    request = ask(rig)
    rig.quiet()
    assert request.error == 0 and rig.line.collisions == 0


@case
def a_uart_that_still_sends_keeps_the_line():
    rig = Rig(de="timer")
    rig.slave(1, dict(WORDS))
    rig.line.char_us = rig.line.char_us * 13 // 10  # slower than the master computes
    request = ask(rig)
    rig.quiet()
    assert request.error == 0 and rig.line.collisions == 0


@case
def slaves_are_served_in_turn():
    rig = Rig(retries=2)
    counts = {}
    requests = []

    def again(request):
        counts[request.slave.address] = counts.get(request.slave.address, 0) + 1
        rig.bus.submit(request)

    for address in (1, 2, 3):
        if address != 2:
            rig.slave(address, dict(WORDS))
        requests.append(Request(rig.bus.slave(address), 3, 0, 2, again))  # 2 is not there
        rig.bus.submit(requests[-1])
    rig.run(30000)
    assert counts[2] >= 7 and counts[1] > 10 * counts[2] and abs(counts[1] - counts[3]) <= 2, counts


@case
def the_queue_is_bounded():
    rig = Rig()
    rig.slave(1, dict(WORDS))
    requests = [Request(rig.bus.slave(1), 3, 0, 1, rig.end) for _ in range(QUEUE + 3)]
    taken = [rig.bus.submit(request) for request in requests]
    assert taken == [True] * QUEUE + [False] * 3 and rig.bus.dropped == 3
    assert not rig.bus.submit(requests[0])  # it waits already
    rig.quiet()
    assert len(rig.ended) == QUEUE and rig.bus.submit(requests[-1])


@case
def the_clock_may_wrap():
    rig = Rig(start_ms=TICKS_PERIOD - 400)
    slave = rig.slave(1, dict(WORDS))
    for _ in range(10):
        slave.drop = 1
        request = ask(rig)
        rig.quiet()
        assert request.error == 0


@case
def a_babbling_slave_does_not_fill_the_memory():
    rig = Rig(retries=0)
    slave = rig.slave(1, dict(WORDS))
    slave.noise = b"\x01\x03\x04" * 400
    request = ask(rig)
    rig.quiet()
    assert request.error == GARBLED
    rig.run(2000)
    request = ask(rig)
    rig.quiet()
    assert request.error == 0


@case
def floats_become_integers_without_floats():
    for high, low, mul, want in (
        (0x4366, 0x3334, 100, 23020),  # 230.2 V
        (0x0000, 0x0000, 1000, 0),
        (0x8000, 0x0000, 1000, 0),
        (0xC49A, 0x5000, 10, -12345),  # -1234.5
        (0x4640, 0xE6B7, 1000, 12345679),  # 12345.679 kWh
        (0x3A83, 0x126F, 1000, 1),  # 0.001
        (0x39D1, 0xB717, 1000, 0),  # 0.0004
        (0x0001, 0x0000, 1000, 0),  # not normal
        (0x7F80, 0x0000, 1, ABSENT),
        (0x7FC0, 0x0000, 1, ABSENT),
        (0xFF80, 0x0000, 1, ABSENT),
        (0x4E6E, 0x6B28, 1, 1000000000),
        (0x4E80, 0x0000, 1, ABSENT),  # 2^30
        (0x4E6E, 0x6B28, 10, ABSENT),
    ):
        assert float_scaled(high, low, mul) == want, (high, low, mul, float_scaled(high, low, mul))


MAP = {
    "gap": 2,
    "registers": [
        {"name": "power_w", "function": 3, "address": 0, "type": "uint16", "range": [0, 5000], "absent": [65535]},
        {"name": "flow", "function": 3, "address": 3, "type": "int16", "scale": [10, 1], "range": [-3000, 10000]},
        {"name": "compressor", "function": 3, "address": 4, "type": "uint16", "bit": 3},
        {"name": "defrost", "function": 3, "address": 5, "type": "uint16", "values": {"0": 0, "7": 1}},
        {"name": "hot_water_active", "function": 3, "address": 6, "type": "uint16", "above": 10},
        {"name": "energy_wh", "function": 3, "address": 40, "type": "uint32", "range": [0, 1000000]},
        {"name": "room", "function": 3, "address": 42, "type": "int32", "range": [-5000, 5000]},
    ],
}
NAMES = ("power_w", "flow", "compressor", "defrost", "hot_water_active", "energy_wh", "room", "outdoor")


def reading(words, **options):
    rig = Rig(**options)
    slave = rig.slave(1, words)
    reader = Reader(rig.bus, 1, MAP, NAMES, lambda: None)

    def round_():
        assert reader.start()
        assert not reader.start()
        rig.quiet()
        return list(reader.values)

    return rig, slave, reader, round_


def filled():
    words = dict.fromkeys(range(7), 0)
    words.update({0: 1500, 3: 0xFFF6, 4: 8, 5: 7, 6: 11, 40: 1, 41: 2, 42: 0xFFFF, 43: 0xFF9C})
    return words


@case
def a_map_is_read_in_groups():
    rig, slave, reader, round_ = reading(filled())
    assert round_() == [1500, -100, 1, 1, 1, 65538, -100, ABSENT]
    assert slave.requests == 2  # a gap of two is read over, a larger one is not
    assert reader.has == (True,) * 7 + (False,) and reader.rounds == 1


@case
def what_cannot_be_is_absent_and_counted():
    rig, slave, reader, round_ = reading(filled())
    round_()
    slave.words.update({0: 5001, 3: 2000, 4: 0, 5: 3, 6: 10, 40: 0x10})
    assert round_() == [ABSENT, ABSENT, 0, ABSENT, 0, ABSENT, -100, ABSENT] and reader.implausible == 4
    slave.words[0] = 65535  # the machine says that it does not know
    assert round_()[0] == ABSENT and reader.implausible == 7


@case
def values_stand_for_two_missed_rounds_then_age_out():
    rig, slave, reader, round_ = reading(filled(), retries=0)
    values = round_()
    slave.dead = True
    assert round_() == values and round_() == values
    assert round_() == [ABSENT] * 8 and reader.silent == 3
    slave.dead = False
    assert round_() == values and reader.silent == 0


@case
def one_group_may_fail_alone():
    rig, slave, reader, round_ = reading(filled(), retries=0)
    round_()
    del slave.words[43]
    for _ in range(3):
        values = round_()
    assert values == [1500, -100, 1, 1, 1, ABSENT, ABSENT, ABSENT] and reader.silent == 0 and reader.refused == 3


def main():
    for name, function in CASES:
        function()
        print(name)
