"""Modbus RTU master: one bus, many slaves, requests in a queue; never waits.

Source: MODBUS over serial line V1.02 (2.5.1: frames, silent times, CRC), MODBUS application protocol V1.1b3 (sections 6
and 7: functions, exceptions). `poll()`, every 50 ms or more often, drives one request after the other:

    idle -> sending (the driver of the line on until the last stop bit) -> waiting -> turn-around -> idle

A poll comes too late to see the silence of 3.5 characters that ends a frame, so an answer is known by what was asked:
slave, function, number of octets, CRC. What else is on the line is passed over.

An answer that comes after its time must not be taken for that of the next request, which may ask for as many octets. So
a slave is left alone for a while after a silence; its first answer then counts only if it is to the very request that
was not answered, otherwise that is asked again; and either way what else is under way may arrive before the next one.
An answer that comes within four times its time never counts for another request.
"""

from ..port import const, micropython, ptr8, ticks_add, ticks_diff

FIELDS = {
    "uart": (0, 9, True),
    "tx": (0, 255, False),
    "rx": (0, 255, False),
    "baudrate": (1200, 115200, False),
    "parity": ("none", "even", "odd"),
    "stop": (1, 2, False),
    "de_pin": (0, 255, False),  # direction of an RS-485 transceiver; none where it finds it by itself
    "de_active": (0, 1, False),
    "timer": (-1, 15, False),  # releases de_pin between two polls
    "timeout_ms": (20, 5000, False),
    "turnaround_ms": (1, 1000, False),
    "retries": (0, 5, False),
    "echo": (0, 1, False),  # the transceiver hears what it sends; found out where it is not said
}

READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT = const(1), const(2), const(3), const(4)
WRITE_COIL, WRITE_REGISTER, WRITE_REGISTERS = const(5), const(6), const(16)

# Request.error: 0, an exception code of the slave (below 0x80), or one of these
TIMEOUT, GARBLED = const(0x80), const(0x81)
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
_FAILURE, _ACKNOWLEDGE, _BUSY = const(4), const(5), const(6)

_IDLE, _SENDING, _WAITING, _TURN = const(0), const(1), const(2), const(3)
QUEUE = const(16)  # requests that may wait
_BUF = const(264)
_CHUNK = const(32)
_PATIENCE_MS = const(1000)  # a line that is never quiet is talked over after this
_SLACK_MS = const(50)  # beyond the computed end, for a UART that says it still sends
_PATIENT = const(4)  # a silent slave is left alone for at most 2^4 times the time for an answer
_LATE = const(2)  # an answer may come after 2^2 times the time for it
_TIRED = const(3)  # silences in a row after which a slave's requests are not repeated any more

# CRC-16, polynomial 0xA001, by half octets: low octets of the 16 entries, then the high ones
_TABLE = (b"\x00\x01\x01\x00\x01\x00\x00\x01\x01\x00\x00\x01\x00\x01\x01\x00"
          b"\x00\xcc\xd8\x14\xf0\x3c\x28\xe4\xa0\x6c\x78\xb4\x50\x9c\x88\x44")


@micropython.viper
def crc16(data: ptr8, table: ptr8, start: int, end: int) -> int:
    """CRC of data[start:end]; it follows low octet first. `table` is _TABLE."""
    crc = 0xFFFF
    while start < end:
        crc = crc ^ data[start]
        i = crc & 15
        crc = (crc >> 4) ^ (table[i] | (table[i + 16] << 8))
        i = crc & 15
        crc = (crc >> 4) ^ (table[i] | (table[i + 16] << 8))
        start += 1
    return crc


def crc(data):
    """CRC-16 of some octets, as a number."""
    return crc16(data, _TABLE, 0, len(data))


class Slave:
    """What is known of one address on the bus: `silent` requests in a row that got no answer."""

    def __init__(self, address):
        self.address = address
        self.silent = 0
        self.doubt = None  # the request that was not answered: its answer may still come
        self.rests = False
        self.until_ms = 0


class Request:
    """One request, made once and asked again and again: nothing is allocated then.

    slave: bus.slave(address). count: registers, or bits of functions 1 and 2. done(request) is called in poll() with
    `error` 0 (and `data`, what was read), TIMEOUT, GARBLED or the slave's exception code. `waiting`: in the queue or on
    the line.
    """

    def __init__(self, slave, function, register, count=1, done=None):
        self.slave = slave
        self.done = done
        self.waiting = False
        self.error = 0
        self.tries = 0
        octets = 0
        if function == WRITE_REGISTERS:
            octets = 2 * count
            frame = bytearray(9 + octets)
            frame[6] = octets
        else:
            frame = bytearray(8)
            if function <= READ_INPUT:
                octets = 2 * count if function >= READ_HOLDING else (count + 7) // 8
        frame[0] = slave.address
        frame[1] = function
        frame[2] = register >> 8
        frame[3] = register & 255
        frame[4] = count >> 8
        frame[5] = count & 255
        self.frame = frame
        self.octets = octets  # of values in the answer, of a read
        self.data = bytearray(octets if function <= READ_INPUT else 0)
        self.seal()

    def put(self, value, at=0):
        """A register's value for functions 6 and 16 (16 bits of it); for function 5 whether the coil is to be on."""
        frame = self.frame
        if frame[1] == WRITE_COIL:
            value = 0xFF00 if value else 0
        i = 7 + 2 * at if frame[1] == WRITE_REGISTERS else 4
        frame[i] = value >> 8 & 255
        frame[i + 1] = value & 255
        self.seal()

    def seal(self):
        frame = self.frame
        n = len(frame) - 2
        value = crc16(frame, _TABLE, 0, n)
        frame[n] = value & 255
        frame[n + 1] = value >> 8

    def word(self, at):
        """Register `at` of what was read, 0 to 65535."""
        return self.data[2 * at] << 8 | self.data[2 * at + 1]

    def bit(self, at):
        """Bit `at` of what was read with functions 1 and 2."""
        return self.data[at >> 3] >> (at & 7) & 1


class Modbus:
    """The bus. `submit(request)`, `poll()`; counters `sent, answered, timeouts, garbled` (wrong CRC, short, long),
    `refused` (exceptions), `strange` (octets that belonged to no answer), `retries, dropped` (the queue was full).

    uart: `write(buf)`, `any()`, `readinto(buf, n)`, maybe `txdone()`. de: a pin, or None. timer: `machine.Timer`, or
    None. char_us: time of a character.
    """

    def __init__(self, uart, ticks_ms, char_us, de=None, de_active=1, timer=None, timeout_ms=200, turnaround_ms=5,
                 retries=2, echo=-1):
        self._uart = uart
        self._ticks = ticks_ms
        self._char_us = char_us
        self._de = de
        self._de_active = de_active
        self._timer = timer
        self._txdone = getattr(uart, "txdone", None)
        self._release = self._on_timer  # bound once
        self._timeout_ms = timeout_ms
        # 3.5 characters, above 19200 baud 1.75 ms; one more since a poll's clock counts whole milliseconds
        self._turn_ms = max(turnaround_ms, char_us * 7 // 2000 + 1, 2) + 1
        self._retries = retries
        self._echo = echo
        self._slaves = {}
        self._queue = [None] * (QUEUE + 1)  # one for a request that is asked again
        self._n = 0
        self._state = _TURN  # who knows what is on the line at the start
        self._at_ms = ticks_ms()  # when this state began
        self._for_ms = self._turn_ms
        self._since_ms = self._at_ms  # since when the line is waited for
        self._request = None
        self._buf = bytearray(_BUF)
        self._chunk = bytearray(_CHUNK)
        self._got = 0
        self._bad = False
        self.sent = self.answered = self.timeouts = self.garbled = self.refused = 0
        self.strange = self.retries = self.dropped = 0
        self.last_words = None
        self._drive(False)

    def slave(self, address):
        """The Slave at an address; one for all who talk to it."""
        if address not in self._slaves:
            self._slaves[address] = Slave(address)
        return self._slaves[address]

    @property
    def busy(self):
        """Whether a request waits or is under way."""
        return self._n > 0 or self._request is not None

    def submit(self, request):
        """Puts a request in the queue. False: it is in there already, or the queue is full."""
        if request.waiting:
            return False
        if self._n >= QUEUE:
            self.dropped += 1
            return False
        if not self._n and self._state == _IDLE:
            self._since_ms = self._ticks()
        request.waiting = True
        request.tries = 0
        self._append(request)
        return True

    def _append(self, request):
        self._queue[self._n] = request
        self._n += 1

    def poll(self):
        """Does what is due. Never waits, allocates nothing."""
        now_ms = self._ticks()
        if self._state == _SENDING:
            self._sending(now_ms)
        if self._state == _WAITING:
            self._listen(now_ms)
        elif self._state != _SENDING:
            if self._drain():
                self._turn(now_ms, self._turn_ms)
                if self._n and ticks_diff(now_ms, self._since_ms) >= _PATIENCE_MS:
                    self._state = _IDLE
            elif self._state == _TURN and ticks_diff(now_ms, self._at_ms) >= self._for_ms:
                self._state = _IDLE
            if self._state == _IDLE and self._n:
                self._start(now_ms)

    def close(self):
        """Leaves the line to others, after last_words()."""
        if self.last_words is not None:
            self.last_words()
        self._drive(False)
        if self._timer is not None:
            self._timer.deinit()

    # --- the line ---------------------------------------------------------------------------------------------------

    def _drive(self, on):
        if self._de is not None:
            self._de.value(self._de_active if on else 1 - self._de_active)

    def _drain(self):
        """Throws away what has arrived; returns how many octets."""
        uart, chunk, total = self._uart, self._chunk, 0
        while total < _BUF:
            n = uart.any()
            if not n:
                break
            n = uart.readinto(chunk, n if n < _CHUNK else _CHUNK)
            if not n:
                break
            total += n
        self.strange += total
        return total

    def _turn(self, now_ms, for_ms):
        self._state = _TURN
        self._at_ms = now_ms
        self._for_ms = for_ms

    def _start(self, now_ms):
        """Sends the oldest request whose slave may be asked."""
        queue = self._queue
        for i in range(self._n):
            slave = queue[i].slave
            if slave.rests and ticks_diff(now_ms, slave.until_ms) >= 0:
                slave.rests = False
            if not slave.rests:
                break
        else:
            return
        self._request = request = queue[i]
        self._n -= 1
        while i < self._n:
            queue[i] = queue[i + 1]
            i += 1
        queue[i] = None
        self._got = 0
        self._bad = False
        frame = request.frame
        send_ms = (len(frame) * self._char_us + 999) // 1000
        if self._txdone is None and self._timer is None:
            send_ms += 1  # of a poll's clock, which counts whole milliseconds
        self._state = _SENDING
        self._at_ms = now_ms
        self._for_ms = send_ms
        self.sent += 1
        self._drive(True)
        self._uart.write(frame)
        if self._timer is not None and self._de is not None:
            self._timer.init(period=send_ms, mode=0, callback=self._release)  # 0: ONE_SHOT, on every port

    def _on_timer(self, timer):
        if self._state == _SENDING and not self._sending(self._ticks()):
            timer.init(period=1, mode=0, callback=self._release)

    def _sending(self, now_ms):
        """True once the last stop bit is out: the line is given up there and then."""
        over_ms = ticks_diff(now_ms, self._at_ms) - self._for_ms
        if over_ms < 0 or self._txdone is not None and over_ms < _SLACK_MS and not self._txdone():
            return False
        self._drive(False)
        self._at_ms = now_ms
        self._state = _WAITING
        return True

    # --- the answer -------------------------------------------------------------------------------------------------

    def _listen(self, now_ms):
        uart, buf, chunk = self._uart, self._buf, self._chunk
        fresh = False
        while True:
            n = uart.any()
            if not n or self._got == _BUF:
                break
            room = _BUF - self._got
            if room > _CHUNK:
                room = _CHUNK
            n = uart.readinto(chunk, n if n < room else room)
            if not n:
                break
            at = self._got
            for i in range(n):
                buf[at + i] = chunk[i]
            self._got = at + n
            fresh = True
        if fresh:
            error = self._scan()
            if error >= 0:
                self._finish(now_ms, error)
                return
        spent_ms = ticks_diff(now_ms, self._at_ms)
        # an answer that has begun in time may end; who babbles has twice the time
        if spent_ms >= self._timeout_ms and (not fresh or spent_ms >= 2 * self._timeout_ms):
            self._finish(now_ms, GARBLED if self._bad or self._got > self._skipped() else TIMEOUT)

    def _skipped(self):
        """Octets at the beginning of the buffer that are the request itself, heard back."""
        frame, buf = self._request.frame, self._buf
        n = len(frame)
        if self._echo == 0 or self._got < n:
            return 0
        for i in range(n):
            if buf[i] != frame[i]:
                return 0
        return n

    def _scan(self):
        """Looks for the answer in what has arrived: 0 (taken), an exception code, or -1: not here yet."""
        request, buf, got = self._request, self._buf, self._got
        frame = request.frame
        address, function = frame[0], frame[1]
        begin = at = self._skipped()
        reads = function <= READ_INPUT
        if at and reads:
            self._echo = 1
        # what confirms functions 5 and 6 looks as the request: where that may be heard back, the second one counts
        heard = begin or self._echo == 0 or reads or function == WRITE_REGISTERS
        while at + 5 <= got:
            if buf[at] == address:
                code = buf[at + 1]
                n = 0
                if code == function | 0x80:
                    n = 5
                elif code == function:
                    if reads:
                        if buf[at + 2] == request.octets:
                            n = request.octets + 5
                    elif (buf[at + 2] == frame[2] and buf[at + 3] == frame[3] and buf[at + 4] == frame[4]
                          and at + 6 <= got and buf[at + 5] == frame[5]):
                        n = 8
                if n and at + n <= got:
                    value = crc16(buf, _TABLE, at, at + n - 2)
                    if buf[at + n - 2] != value & 255 or buf[at + n - 1] != value >> 8:
                        self._bad = True
                    elif not heard and code == function:
                        heard = True
                        at += n - 1
                    else:
                        self.strange += got - begin - n
                        if code & 0x80:
                            return buf[at + 2] & 0x7F or _FAILURE  # 0 is no code
                        if reads:
                            data = request.data
                            for i in range(request.octets):
                                data[i] = buf[at + 3 + i]
                            if self._echo < 0 and got == n:
                                self._echo = 0  # nothing but the answer: this line does not hear itself
                        return 0
            at += 1
        return -1

    def _finish(self, now_ms, error):
        """The request has its answer, or has had its time."""
        request = self._request
        self._request = None
        slave = request.slave
        self._since_ms = now_ms
        self._turn(now_ms, self._turn_ms)
        again = False
        if error == TIMEOUT or error == GARBLED:
            if error == TIMEOUT:
                self.timeouts += 1
                slave.silent += 1
            else:
                self.garbled += 1
            slave.doubt = request  # who stays silent is asked less and less
            self._rest(slave, now_ms, min(max(slave.silent - 1, 0), _PATIENT))
            again = slave.silent < _TIRED
        else:
            slave.silent = 0
            doubt = slave.doubt
            if doubt is not None:
                slave.doubt = None
                self._rest(slave, now_ms, _LATE)
                if doubt is not request:
                    self._ask_again(request)
                    return
            if not error:
                self.answered += 1
            else:
                self.refused += 1
                again = error == _BUSY or error == _ACKNOWLEDGE
                if again and not slave.rests:
                    self._rest(slave, now_ms, 0)
        if again and request.tries < self._retries and self._n < QUEUE:
            request.tries += 1
            self.retries += 1
            self._append(request)  # behind the others: one bad slave does not hold up the rest
            return
        request.error = error
        request.waiting = False
        if request.done is not None:
            request.done(request)

    def _ask_again(self, request):
        """Puts a request first: behind the one that gets no answer it would only be doubted again."""
        queue = self._queue
        for i in range(self._n, 0, -1):
            queue[i] = queue[i - 1]
        queue[0] = request
        self._n += 1
        request.tries += 1  # a write is one more write
        self.retries += 1

    def _rest(self, slave, now_ms, doublings):
        """Leaves a slave alone for the time of an answer, doubled so often."""
        slave.rests = True
        slave.until_ms = ticks_add(now_ms, self._timeout_ms << doublings)


def make(part, hardware, board, ticks_ms, name):
    baudrate = part.get("baudrate", 9600)
    parity = part.get("parity", "none")
    stop = part.get("stop", 1)
    options = {"baudrate": baudrate, "bits": 8, "stop": stop}
    options["parity"] = {"none": None, "even": 0, "odd": 1}[parity]
    for line in ("tx", "rx"):
        if line in part:
            options[line] = hardware.Pin(part[line])
    de = timer = None
    active = part.get("de_active", 1)
    if "de_pin" in part:
        de = hardware.Pin(part["de_pin"], hardware.Pin.OUT, value=1 - active)
        timer = hardware.Timer(part.get("timer", -1))
    bits = 9 + (parity != "none") + stop
    return Modbus(
        hardware.UART(part["uart"], **options),
        ticks_ms,
        bits * 1000000 // baudrate + 1,
        de,
        active,
        timer,
        part.get("timeout_ms", 200),
        part.get("turnaround_ms", 5),
        part.get("retries", 2),
        part.get("echo", -1),
    )
