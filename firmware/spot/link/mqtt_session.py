"""One MQTT 3.1.1 session of a device without I/O or a clock: bytes and ticks in, packets and a next deadline out.

Messages that were accepted with QoS 1 stay in the window until their PUBACK, over any number of connections. `now` is
always `port.ticks_ms()`. What the broker sends is hostile until parsed: whatever is wrong with it raises LinkError.
"""

from array import array

from ..codes import CH_CMD, CHANNELS, MAX_BODY, MAX_DEVICE_BODY
from ..port import const, ticks_add, ticks_diff
from .errors import LinkError, call

CLOSED = const(0)
CONNECTING = const(1)  # CONNECT goes out; nothing but CONNACK may come in
SUBSCRIBING = const(2)  # the broker has no session of ours: each filter waits for its SUBACK
UP = const(3)

_HEADER = const(128)  # octets beside the body: fixed header 5, topic 2 + 120
_MAX_SKIP = const(65536)  # a longer packet ends the connection; a shorter one that does not fit is passed over
_MAX_ACKS = const(32)  # PUBACKs that wait to be written; beyond, reading stops until they are
_MAX_SENDINGS = const(3)  # of one packet over one connection
_URGENT = const(64)  # octets of what is urgent, sealed

_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)

_FREE = const(0)
_QUEUED = const(1)  # to be written at the next opportunity
_SENT = const(2)  # written; QoS 1 waits for PUBACK


class _Slot:
    """A message of the window, or a subscription under way."""

    def __init__(self, size):
        self.state = _FREE
        self.buf = bytearray(size)
        self.n = 0
        self.channel = 0
        self.pid = 0  # 0: QoS 0
        self.sendings = 0  # over this connection
        self.again = False  # written before, on any connection: DUP
        self.sent_ms = 0


class Session:
    """The state of one session.

    `packets` builds (mqtt_packets.Packets), `topics` names (topics.Topics). Config keys, all optional: `keepalive` s,
    `window` messages, `connack_ms`, `ack_ms` (then a packet is sent again, at most three times), `ping_ms` (deadline of
    PINGRESP), `stall_ms` (deadline of the rest of a packet), `will` bytes, `first_pid`. `on_message(channel, buf, n)`
    gets the session's own buffer, valid during the call; PUBACK follows when it has returned.
    """

    def __init__(self, packets, topics, config, on_message, on_up, log):
        self.packets = packets
        self.topics = topics
        self.log = log
        self.state = CLOSED
        self.present = False
        self.accepted = 0  # messages taken by `offer`
        self.sent = 0  # of these: QoS 1 acknowledged, QoS 0 written or lost with a connection
        self.received = 0  # messages handed to on_message
        self._on_message = on_message
        self._on_up = on_up
        self._will = config.get("will")
        self._will_topic = topics.up[_channel("link")] if self._will is not None else None
        self._idle_ms = config.get("keepalive", 60) * 500  # ping at half of the keepalive
        self._connack_ms = config.get("connack_ms", 15000)
        self._ack_ms = config.get("ack_ms", 10000)
        self._ping_ms = config.get("ping_ms", 10000)
        self._stall_ms = config.get("stall_ms", 10000)
        self._pid = config.get("first_pid", 1) - 1
        self._window = config.get("window", 8)
        self._slots = [_Slot(MAX_DEVICE_BODY) for _ in range(self._window)] + [_Slot(_URGENT)]
        self._order = []  # slots in use, in the order of acceptance
        self._urgent = False  # the first of them goes before everything else
        self._subs = []
        self._joined = []  # filters of subscribe_group that the broker has not confirmed since boot
        self._rx = bytearray(MAX_BODY + _HEADER)
        self._view = memoryview(self._rx)
        self._body = bytearray(MAX_BODY)
        self._have = 0
        self._skip = 0
        self._acks = array("H", bytes(2 * _MAX_ACKS))
        self._ack_count = 0
        self._greeted = False
        self._since = 0
        self._ping_at = 0
        self._pinging = 0  # 0: none, 1: to be written, 2: written
        self._in_ms = 0
        self._out_ms = 0
        self._partial = False
        self._partial_ms = 0

    # --- the connection

    def begin(self, now):
        """A connection is about to be made: the next packet is CONNECT."""
        self.state = CONNECTING
        self._greeted = False
        self._since = now
        self._have = self._skip = self._ack_count = self._pinging = 0
        self._partial = False
        self._in_ms = self._out_ms = now
        self._subs = []
        for slot in self._order:
            slot.state = _QUEUED
            slot.sendings = 0

    def end(self, now=0):
        """The connection is gone: QoS 0 is dropped, QoS 1 waits for the next connection."""
        self.state = CLOSED
        self._urgent = False
        for slot in list(self._order):
            if not slot.pid:
                self._release(slot)

    @property
    def pending(self):
        """Accepted messages that are not done yet."""
        return len(self._order)

    # --- messages out

    def offer(self, channel, buf, n, urgent=False):
        """Accept `n` octets of `buf` for an up channel; False when the session is not up or the window is full. urgent:
        one more, with QoS 0, and the next packet.

        ValueError for a channel that devices do not write or a body over MAX_BODY: that is the caller's mistake.
        """
        topic = self.topics.up[channel]
        if topic is None or n > MAX_BODY:
            raise ValueError("not to be sent: channel %d, %d octets" % (channel, n))
        if self.state != UP or len(self._order) >= self._window + urgent:
            return False
        for slot in self._slots:
            if slot.state == _FREE:
                break
        if n > len(slot.buf):
            slot.buf = bytearray(MAX_BODY)  # interval back-fill; the slot keeps it
        slot.buf[:n] = buf[:n] if len(buf) != n else buf
        slot.n = n
        slot.channel = channel
        slot.pid = self._next_pid() if CHANNELS[channel][3] and not urgent else 0
        slot.state = _QUEUED
        slot.sendings = 0
        slot.again = False
        self._order.insert(0 if urgent else len(self._order), slot)
        self._urgent = self._urgent or urgent
        self.accepted += 1
        return True

    def _next_pid(self):
        while True:
            self._pid = self._pid % 65535 + 1
            for slot in self._order:
                if slot.pid == self._pid:
                    break
            else:
                for slot in self._subs:
                    if slot.pid == self._pid:
                        break
                else:
                    return self._pid

    def _release(self, slot):
        slot.state = _FREE
        slot.pid = 0
        self._order.remove(slot)
        self.sent += 1

    def next_packet(self, now):
        """Build the next packet that should be written: its length, in `packets.tape.buf`; 0 when there is none."""
        state = self.state
        if state == CLOSED:
            return 0
        packets = self.packets
        if state == CONNECTING:
            if self._greeted:
                return 0
            packets.make_connect(self._will_topic, self._will)
            self._greeted = True
            self._since = now
        elif self._ack_count and not self._urgent:
            packets.make_puback(self._acks[0])
            self._ack_count -= 1
            for i in range(self._ack_count):
                self._acks[i] = self._acks[i + 1]
        elif self._pinging == 1 and not self._urgent:
            packets.make_ping()
            self._pinging = 2
            self._ping_at = now
        else:
            slot = None if self._urgent else self._due(self._subs)
            self._urgent = False
            if slot:
                packets.make_subscribe(slot.buf, 1, slot.pid)
            else:
                slot = self._due(self._order) if state == UP else None
                if not slot:
                    return 0
                row = CHANNELS[slot.channel]
                packets.make_publish(
                    self.topics.up[slot.channel], memoryview(slot.buf)[: slot.n], row[2],
                    1 if slot.pid else 0, slot.pid or 1, slot.again,
                )
            slot.state = _SENT
            slot.sent_ms = now
            slot.sendings += 1
            slot.again = True
            if not slot.pid:
                self._release(slot)
        self._out_ms = now
        return packets.tape.n

    def _due(self, slots):
        for slot in slots:
            if slot.state == _QUEUED:
                return slot
        return None

    # --- time

    def step(self, now):
        """Milliseconds until something is due (0: a packet is); LinkError when a deadline has passed."""
        state = self.state
        if state == CLOSED:
            return 1000
        if state == CONNECTING:
            return self._left(now, self._since, self._connack_ms, "connack_timeout")
        wait = self._unacknowledged(now, self._subs, "suback_timeout")
        if state == UP:
            wait = min(wait, self._unacknowledged(now, self._order, "puback_timeout"))
        if self._partial:
            wait = min(wait, self._left(now, self._partial_ms, self._stall_ms, "read_stall"))
        if self._pinging == 2:
            wait = min(wait, self._left(now, self._ping_at, self._ping_ms, "ping_timeout"))
        elif not self._pinging:
            quiet = min(ticks_diff(ticks_add(self._in_ms, self._idle_ms), now),
                        ticks_diff(ticks_add(self._out_ms, self._idle_ms), now))
            if quiet <= 0:
                self._pinging = 1
                quiet = 0
            wait = min(wait, quiet)
        if self._pinging == 1 or self._ack_count:
            wait = 0
        return wait

    def _unacknowledged(self, now, slots, cause):
        wait = 60000
        for slot in slots:
            if slot.state == _SENT:
                left = ticks_diff(ticks_add(slot.sent_ms, self._ack_ms), now)
                if left <= 0:
                    if slot.sendings >= _MAX_SENDINGS:
                        raise LinkError(cause, slot.pid)
                    self.log.debug("link.again", slot.pid, slot.sendings)
                    slot.state = _QUEUED
                    left = 0
                wait = min(wait, left)
            else:
                wait = 0
        return wait

    def _left(self, now, since, allowed, cause):
        left = ticks_diff(ticks_add(since, allowed), now)
        if left <= 0:
            raise LinkError(cause)
        return left

    # --- bytes in

    def room(self):
        """A writable view for what the socket has; empty while acknowledgements must be written first."""
        return self._view[self._have :]

    def fed(self, n, now):
        """`n` octets were read into `room()`. LinkError when they are no MQTT that this session expects."""
        self._have += n
        self._in_ms = now
        self.parse(now)

    def parse(self, now):
        """Handle the packets that are complete; call again when acknowledgements were written."""
        at = 0
        while self._ack_count < _MAX_ACKS:
            if self._skip:
                step = min(self._skip, self._have - at)
                self._skip -= step
                at += step
                if self._skip:
                    break
            used = self._packet(at, self._have - at)
            if not used:
                break
            at += used
        if at:
            self._have -= at
            self._rx[: self._have] = self._view[at : at + self._have]
        mid_packet = bool(self._have or self._skip) and self._ack_count < _MAX_ACKS
        if mid_packet and (at or not self._partial):
            self._partial_ms = now
        self._partial = mid_packet

    def _packet(self, at, have):
        """Handle the packet that starts at `at`: octets used, 0 when it is not complete."""
        rx = self._rx
        if have < 2:
            return 0
        kind = rx[at]
        if self.state == CONNECTING and kind != _CONNACK:
            raise LinkError("protocol", kind)
        length = shift = 0
        for i in range(1, 5):
            if i >= have:
                return 0
            length |= (rx[at + i] & 0x7F) << shift
            shift += 7
            if not rx[at + i] & 0x80:
                break
        else:
            raise LinkError("protocol", kind)
        i += 1
        if kind & 0xF0 == _PUBLISH:
            return self._publish(kind, at, i, length, have)
        if kind == _CONNACK and length == 2:
            handle = self._connack
        elif kind == _PUBACK and length == 2:
            handle = self._puback
        elif kind == _SUBACK and length == 3:
            handle = self._suback
        elif kind == _PINGRESP and length == 0:
            handle = self._pingresp
        else:
            raise LinkError("protocol", kind)
        if have < i + length:
            return 0
        handle(at + i)
        return i + length

    def _connack(self, at):
        flags = self._rx[at]
        code = self._rx[at + 1]
        if self.state != CONNECTING or not self._greeted or flags > 1:
            raise LinkError("protocol", _CONNACK)
        if code:
            raise LinkError("connack_refused", code)
        self.present = flags == 1
        self.state = SUBSCRIBING
        if not self.present:
            for wanted in self.topics.filters():
                self._subscribe(wanted)
        else:
            for wanted in self._joined:  # a connection that broke before SUBACK may not have brought them there
                self._subscribe(wanted)
        self._up_if_subscribed()

    def subscribe_group(self, group):
        """Listen to a group from now on (also after a loss of the broker's session); ValueError for a bad name."""
        wanted = self.topics.add_group(group)
        if wanted:
            self._joined.append(wanted)
            if self.state >= SUBSCRIBING:
                self._subscribe(wanted)

    def _subscribe(self, wanted):
        slot = _Slot(0)
        slot.buf = wanted
        slot.pid = self._next_pid()
        slot.state = _QUEUED
        self._subs.append(slot)

    def _up_if_subscribed(self):
        if self.state == SUBSCRIBING and not self._subs:
            self.state = UP
            call(self.log, self._on_up, self.present)

    def _suback(self, at):
        rx = self._rx
        pid = rx[at] << 8 | rx[at + 1]
        for slot in self._subs:
            if slot.pid == pid and slot.state == _SENT:
                if rx[at + 2] > 1:
                    if slot.buf == self.topics.filters()[0]:
                        raise LinkError("suback_refused", rx[at + 2])
                    self.log.warn("link.group_refused", rx[at + 2])  # commands work without it
                self._subs.remove(slot)
                if slot.buf in self._joined:
                    self._joined.remove(slot.buf)
                self._up_if_subscribed()
                return
        self.log.debug("link.stray_ack", pid, _SUBACK)

    def _puback(self, at):
        pid = self._rx[at] << 8 | self._rx[at + 1]
        for slot in self._order:
            if slot.pid == pid and slot.again and pid:
                self._release(slot)
                return
        self.log.debug("link.stray_ack", pid, _PUBACK)

    def _pingresp(self, at):
        self._pinging = 0

    def _publish(self, kind, at, i, length, have):
        rx = self._rx
        qos = kind >> 1 & 3
        if qos > 1 or (kind & 8 and not qos):
            raise LinkError("protocol", kind)
        if have < i + 2:
            return 0
        topic_at = at + i + 2
        topic_n = rx[topic_at - 2] << 8 | rx[topic_at - 1]
        body_at = topic_at + topic_n + (2 if qos else 0)
        body_n = at + i + length - body_at
        if not topic_n or body_n < 0:
            raise LinkError("protocol", kind)
        too_long = i + length > len(rx) or body_n > MAX_BODY
        if too_long:
            if length > _MAX_SKIP or body_at - at > len(rx):
                raise LinkError("too_long", length)
            if have < body_at - at:
                return 0
        elif have < i + length:
            return 0
        pid = 0
        if qos:
            pid = rx[body_at - 2] << 8 | rx[body_at - 1]
            if not pid:
                raise LinkError("protocol", kind)
        if too_long:
            # Refusing it by closing would bring it back after every reconnect: it is passed over and acknowledged.
            self.log.warn("link.passed_over", length)
            self._skip = i + length - (body_at - at)
            used = body_at - at
        else:
            channel = self.topics.channel(bytes(self._view[topic_at : topic_at + topic_n]))
            if channel < 0:
                self.log.debug("link.unknown_topic", topic_n)
            elif channel == CH_CMD and kind & 1:  # profile: never retained; it would come back with every subscription
                self.log.warn("link.retained_command", body_n)
            else:
                self._body[:body_n] = self._view[body_at : body_at + body_n]
                self.received += 1
                # a message that the application trips over must not come back for ever
                call(self.log, self._on_message, channel, self._body, body_n)
            used = i + length
        if qos:
            self._acks[self._ack_count] = pid
            self._ack_count += 1
        return used


def _channel(name):
    for code, row in enumerate(CHANNELS):
        if row[0] == name:
            return code
    raise ValueError(name)
