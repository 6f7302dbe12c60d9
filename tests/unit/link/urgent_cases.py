"""What is urgent goes out whatever the link is doing: cases for both runtimes, without sockets.

A stream here takes as many octets as it is told to, and a TLS one, like mbedTLS, takes what it once refused at the next
write whatever that brings.
"""

from spot.codes import CH_ALARM, CH_INTERVAL, CH_STATUS
from spot.link.coap import CoapLink
from spot.link.errors import LinkError
from spot.link.mqtt import MqttLink
from spot.link.mqtt_packets import Packets
from spot.link.mqtt_session import SUBSCRIBING, UP, Session
from spot.link.slipmux import Frames
from spot.link.slipmux import Transport as Cable
from spot.link.topics import Topics
from spot.log import Log
from spot.wire.coap import Message
from spot.wire.coap_endpoint import Endpoint
from spot.wire.coap_numbers import NON, OPT_NO_RESPONSE, OPT_OSCORE
from spot.wire.coap_stream import StreamParser
from spot.wire.keyring import Keyring
from spot.wire.oscore import Oscore

DEVICE = "02005e10000000a1"
GASP = b"\x90\x19\x9c\x45\x1a\x02\xcc\xba\x5a\x01\x01\x19\x01\x38"
NAMES = {"client_id": DEVICE, "utility": "home", "class": "plug", "device": DEVICE, "host": "127.0.0.1", "port": 1883}
PAIRING = {"secret": "00" * 16, "salt": "00" * 8, "id": "01", "emd": "00"}


def nothing(*arguments):
    pass


def eq(found, wanted):
    assert found == wanted, (found, wanted)


class Wire:
    """A stream that takes `room` octets more; `tls`: as mbedTLS does. `dead`: the peer is gone."""

    def __init__(self, room, tls=False):
        self.room, self.tls, self.dead = room, tls, False
        self.octets = b""
        self._kept = None  # what TLS has encrypted and not got rid of

    def write(self, view):
        if self.dead:
            raise LinkError("reset")
        if self.tls:
            if self._kept is None:
                self._kept = bytes(view)
            if self.room < len(self._kept):
                return None
            self.octets += self._kept
            self._kept = None
            return len(view)  # whatever it was given now
        n = min(self.room, len(view))
        self.octets += bytes(view[:n])
        self.room -= n
        return n or None


# --- MQTT


def packets(octets):
    """(first octet, rest) of each whole packet."""
    out = []
    at = 0
    while at < len(octets):
        length = shift = 0
        start = at
        while True:
            at += 1
            length |= (octets[at] & 0x7F) << shift
            shift += 7
            if octets[at] < 0x80:
                break
        assert at + 1 + length <= len(octets), "a packet that is not whole"
        out.append((octets[start], octets[at + 1 : at + 1 + length]))
        at += 1 + length
    return out


def up(session, now=1000):
    """The broker takes it and its subscriptions."""
    session.begin(now)
    session.next_packet(now)
    feed(session, b"\x20\x02\x00\x00", now)
    while session.next_packet(now):
        tape = session.packets.tape
        assert tape.buf[0] == 0x82
        feed(session, b"\x90\x03" + bytes(tape.buf[2:4]) + b"\x01", now)
    eq(session.state, UP)


def feed(session, octets, now=1000):
    session.room()[: len(octets)] = octets
    session.fed(len(octets), now)


def mqtt(**config):
    session = Session(Packets(b"a1", 60, 1184), Topics("home", "plug", DEVICE, ()), config, nothing, nothing, Log(8))
    up(session)
    return session


def offer(session, body, channel=CH_STATUS, urgent=False):
    return session.offer(channel, body, len(body), urgent)


def written(session):
    tape, out = session.packets.tape, b""
    while session.next_packet(1000):
        out += bytes(tape.buf[: tape.n])
    return packets(out)


def test_mqtt_passes_a_full_window_and_all_that_waits_to_be_written():
    session = mqtt(window=2)
    assert offer(session, b"a") and offer(session, b"b") and not offer(session, b"c")
    feed(session, b"\x32\x31\x00\x2cder/home/plug/02005e10000000a1/cmd" + b"X" * 10 + b"\x00\x09\x07")  # to acknowledge
    session.subscribe_group("area1")
    session.step(1000 + 40000)  # a ping is due
    assert offer(session, GASP, CH_ALARM, True) and not offer(session, GASP, CH_ALARM, True)
    found = written(session)
    eq(found[0], (0x30, b"\x00\x24der/home/plug/02005e10000000a1/alarm" + GASP))
    eq([kind for kind, _ in found[1:]], [0x40, 0xC0, 0x82, 0x32, 0x32])
    eq([rest[-1:] for _, rest in found[4:]], [b"a", b"b"])
    eq((session.pending, session.sent), (2, 1))
    assert not offer(session, b"c") and offer(session, GASP, CH_ALARM, True)


def test_mqtt_sends_it_once_and_drops_it_with_the_connection():
    session = mqtt(window=2)
    assert offer(session, GASP, CH_ALARM, True) and offer(session, b"a")
    session.end()
    eq(session.pending, 1)
    assert not offer(session, GASP, CH_ALARM, True)  # no connection
    session.begin(1000)
    session.next_packet(1000)
    feed(session, b"\x20\x02\x00\x00")
    eq(session.state, SUBSCRIBING)
    assert not offer(session, GASP, CH_ALARM, True)
    session.end()
    session.begin(1000)
    session.next_packet(1000)
    feed(session, b"\x20\x02\x01\x00")
    eq([rest[-1:] for kind, rest in written(session)], [b"a"])
    assert offer(session, GASP, CH_ALARM, True)
    eq([kind for kind, _ in written(session)], [0x30])
    session.step(1000 + 10000)
    eq([kind for kind, _ in written(session) if kind != 0xC0], [0x3A])  # "a" again, and nothing else


def test_mqtt_keeps_packets_whole_wherever_the_one_under_way_is_cut():
    for room in (0, 1, 2, 40, 200, 335, 336, 338, 5000):
        for tls in (False, True):
            link = MqttLink(dict(NAMES), nothing, nothing, nothing, Log(8))
            up(link.session)
            link._stream = wire = Wire(room, tls)
            offer(link.session, b"a" * 290, CH_INTERVAL)
            offer(link.session, b"b")
            link._tape.n = link._at = 0
            link._write(wire)  # as far as it goes
            assert link.send(CH_ALARM, GASP, len(GASP), True)
            if room == 5000:
                assert wire.octets.endswith(GASP)
            wire.room = 9999
            link._write(wire)
            bodies = [rest[-14:] for _, rest in packets(wire.octets)]
            eq(len(bodies), 3)
            eq(bodies.index(GASP), 2 if room >= 336 else 1)  # then the second one is on its tape


def test_mqtt_says_no_where_the_connection_is_gone():
    link = MqttLink(dict(NAMES), nothing, nothing, nothing, Log(8))
    assert not link.send(CH_ALARM, GASP, len(GASP), True)
    up(link.session)
    link._stream = wire = Wire(0)
    wire.dead = True
    assert not link.send(CH_ALARM, GASP, len(GASP), True)


# --- CoAP


class Store(dict):
    writes = 0

    def put(self, name, value):
        self.writes += 1
        self[name] = bytes(value)


def coap(uri="coap://127.0.0.1:5683", keyring=None):
    """A CoapLink that the EMD has registered, with `out` in place of its socket: what it has sent."""
    config = {"uri": uri, "device": DEVICE, "insecure": keyring is None, "window": 2}
    link = CoapLink(config, nothing, nothing, nothing, Log(8), keyring)
    out = []
    if uri[:7] == "coap://":
        link._transport.peer = "emd"
        link._transport.datagram = lambda peer, buf, n: out.append(bytes(memoryview(buf)[:n])) or True
    link.session._begun = link.session.is_up = True
    return link, out


def parsed(octets):
    m = Message()
    m.parse(octets, len(octets))
    return m


def test_coap_passes_a_full_window_and_a_con_that_waits():
    link, out = coap()
    session = link.session
    assert link.send(CH_STATUS, b"s1", 2) and link.send(CH_STATUS, b"s2", 2) and not link.send(CH_STATUS, b"s3", 2)
    session.flush(1000)
    eq(len(out), 1)  # s1 has its CON under way
    assert link.send(CH_ALARM, GASP, len(GASP), True)
    eq(len(out), 2)
    m = parsed(out[1])
    eq((m.type, m.code, m.value(OPT_NO_RESPONSE)), (NON, 2, 26))
    eq(out[1][m.payload_at :], GASP)
    eq((session.pending, session.sent), (2, 1))
    session.flush(1000)
    eq(len(out), 2)  # nor again


def test_coap_protects_it_without_a_write():
    store = Store()
    keyring = Keyring(PAIRING, store, "keys", Log(8))
    link, out = coap(keyring=keyring)
    before = store.writes
    assert link.send(CH_ALARM, GASP, len(GASP), True)
    eq((store.writes, len(out)), (before, 1))
    m = parsed(out[0])
    assert m.type == NON and m.find(OPT_OSCORE) >= 0 and GASP not in out[0]
    heard = []

    class Silent:
        def datagram(self, peer, buf, n):
            raise AssertionError("an answer that is not wanted")

        def reliable(self, peer):
            return False

        def trusted(self, peer):
            return False

    def take(now, q):
        heard.append(bytes(q.buf[q.at : q.at + q.n]))
        return 0x44

    security = Oscore(Log(8), bytes)
    there = {"secret": PAIRING["secret"], "salt": PAIRING["salt"], "id": "00", "emd": "01"}
    security.contexts = Keyring(there, Store(), "keys", Log(8)).contexts
    for context in security.contexts:
        context.fresh = True
    emd = Endpoint(Silent(), bytes, Log(8), security)
    emd.resource("alarm", take, ct=60)
    emd.received(0, "device", out[0], len(out[0]))
    eq(heard, [GASP])


def test_coap_that_is_not_up_sends_nothing():
    link, out = coap()
    link.session.is_up = False
    assert not link.send(CH_ALARM, GASP, len(GASP), True) and not out


def test_coap_over_a_stream_keeps_frames_whole_wherever_the_one_under_way_is_cut():
    for room in (0, 1, 3, 200, 320, 5000):
        for tls in (False, True):
            link, _ = coap("coap+tcp://127.0.0.1:5683")
            transport = link._transport
            transport._stream = wire = Wire(room, tls)
            assert link.send(CH_INTERVAL, b"i" * 290, 290)
            link.session.flush(1000)
            transport.flush()
            assert link.send(CH_ALARM, GASP, len(GASP), True)
            if room == 5000:
                assert wire.octets.endswith(GASP)
            wire.room = 9999
            while not transport.flush():
                pass
            eq(bodies(wire.octets), [b"i" * 290, GASP])


def test_coap_over_a_stream_has_room_for_it_behind_all_that_has_found_room():
    link, _ = coap("coap+tcp://127.0.0.1:5683")
    transport = link._transport
    transport._stream = wire = Wire(7)
    count = 0
    while transport.datagram("stream", b"\x40\x02\x00\x00\xff" + b"x" * (900 - count), 905 - count):
        count += 1
        transport.flush()
    assert link.send(CH_ALARM, GASP, len(GASP), True)
    wire.room = 9999
    assert transport.flush()
    found = bodies(wire.octets)
    eq((len(found), found[-1]), (count + 1, GASP))


def test_coap_over_a_stream_whose_peer_is_gone_says_no():
    link, _ = coap("coap+tcp://127.0.0.1:5683")
    link._transport._stream = wire = Wire(0)
    wire.dead = True
    assert not link.send(CH_ALARM, GASP, len(GASP), True)


def bodies(octets):
    """Payloads of the frames of a stream."""
    parser, out, at = StreamParser(1184), [], 0
    while at < len(octets):
        at = parser.take(octets, at, len(octets))
        if parser.n:
            m = parsed(bytes(parser.buf[: parser.n]))
            out.append(bytes(m.buf[m.payload_at : m.payload_at + m.payload_n]))
    return out


def test_a_cable_takes_it_behind_the_frame_under_way():
    for room in (0, 1, 30, 64, 5000):
        transport = Cable({"uri": "slipmux:uart1"}, 1184)
        transport._stream = wire = Wire(room)
        first = b"\x50\x02\x00\x01\xff" + b"\xc0" * 200  # each octet escaped
        assert transport.datagram("cable", first, len(first))
        second = b"\x50\x02\x00\x02\xff" + GASP
        assert transport.datagram("cable", second, len(second))
        wire.room = 9999
        assert transport.flush()
        frames, found = Frames(1200), []
        for octet in wire.octets:
            if frames.take(octet) and frames.message():
                found.append(bytes(frames.buf[1 : 1 + frames.message()]))
        eq(found, [first, second])
        assert transport.datagram("cable", first, len(first)) and transport._end < 1000  # its room is free again
