"""MQTT 3.1.1 packets, built by umqtt.simple onto a tape instead of a socket: one call, one packet, and nothing blocks.

Works with umqtt.simple 1.3.4 (PyPI) and 1.8 (micropython-lib) through their public methods only. umqtt counts the
packet id up before it writes it and waits for the acknowledgement of what it sent: so `pid` is set one below, and the
tape plays the acknowledgement back.
"""

from umqtt.simple import MQTTClient

from .errors import LinkError

_NUMERIC = "127.0.0.1"  # umqtt resolves an address before it connects: a numeric one asks nobody


class Tape:
    """Stands where umqtt has its socket: `buf[:n]` is what was written, `reply` what reads return."""

    def __init__(self, size):
        self.buf = bytearray(size)
        self.n = 0
        self.reply = b""

    def write(self, data, length=None):
        size = len(data) if length is None else length
        end = self.n + size
        if end > len(self.buf):
            raise LinkError("too_long", end)
        self.buf[self.n : end] = data if size == len(data) else data[:size]
        self.n = end
        return size

    def read(self, size):
        taken = self.reply[:size]
        self.reply = self.reply[size:]
        return taken

    def connect(self, address):
        pass

    def settimeout(self, seconds):
        pass

    def setblocking(self, flag):
        pass

    def close(self):
        pass


class Packets(MQTTClient):
    """Builder of one client's packets; each method leaves one packet in `tape.buf[:tape.n]`.

    `client_id` and topics are bytes. A packet longer than `size` octets raises LinkError("too_long").
    """

    def __init__(self, client_id, keepalive_s, size):
        self.tape = Tape(size)
        self._op = 0
        super().__init__(client_id, _NUMERIC, keepalive=keepalive_s)
        self.set_callback(self._unused)

    def _unused(self, topic, message):
        raise LinkError("protocol")

    def _tape(self):
        return self.tape

    def _not_a_socket(self, opened):
        if opened is not None and opened is not self.tape:
            opened.close()  # umqtt.connect() opens a socket that is not wanted

    sock = property(_tape, _not_a_socket)

    def wait_msg(self):
        """What umqtt calls to wait for an acknowledgement: it is on the tape already."""
        return self._op

    def _start(self, op=0, reply=b""):
        self._op = op
        self.tape.n = 0
        self.tape.reply = reply

    def make_connect(self, will_topic=None, will=b"", clean=False):
        """CONNECT (section 3.1), with a retained last will of QoS 1 when `will_topic` is given."""
        if will_topic is not None:
            self.set_last_will(will_topic, will, True, 1)
        self._start(0, b"\x20\x02\x00\x00")
        self.connect(clean)

    def make_publish(self, topic, body, retain, qos, pid, again=False):
        """PUBLISH (section 3.3); `pid` 1..65535 counts for QoS 1, `again` sets DUP."""
        self.pid = pid - 1
        self._start(0x40, bytes((2, pid >> 8, pid & 255)))
        self.publish(topic, body, retain, qos)
        if again:
            self.tape.buf[0] |= 8

    def make_subscribe(self, topic, qos, pid):
        """SUBSCRIBE (section 3.8) to one filter of at most 120 octets (umqtt writes the length in one octet)."""
        self.pid = pid - 1
        self._start(0x90, bytes((3, pid >> 8, pid & 255, qos)))
        self.subscribe(topic, qos)

    def make_ping(self):
        self._start()
        self.ping()

    def make_disconnect(self):
        self._start()
        self.disconnect()

    def make_puback(self, pid):
        """PUBACK (section 3.4): umqtt has no method for it."""
        self._start()
        self.tape.write(bytes((0x40, 2, pid >> 8, pid & 255)))
