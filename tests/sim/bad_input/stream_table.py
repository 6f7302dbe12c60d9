"""CoAP over TCP (RFC 8323) and over a serial line (slipmux) to a device."""

from spot.link.slipmux import write_message, write_text
from spot.wire.coap_stream import to_stream
from tests.sim.bad_input.wire_row import RUNS, Row

TCP, CABLE = {"way": "tcp"}, {"way": "slipmux"}
END, ESC = b"\xc0", b"\xdb"


def _bytes(*octets):
    def do(house):
        for one in octets:
            house.stream(one)
    return do


def _framed(octets, house):
    out = bytearray(2 * len(octets) + 8)
    n = to_stream(octets, len(octets), out) if house.way == "tcp" else write_message(octets, len(octets), out)
    return bytes(out[:n])


def _message(make, *before):
    """What comes before it, then a message."""
    def do(house):
        for octets in before:
            house.stream(octets)
        house.stream(_framed(make(house), house))
    return do


def _unprotected(house):
    return house.command(type=0)


def _command(house):
    return house.protected(house.command())


def _without_csm(house, octets=None):
    """The EMD's next connection says nothing of itself."""
    house.polite = False
    house.stream(b"\x00\xe5")
    house.run(5)
    house.begin()
    if octets is None:
        house.run(12)
    else:
        house.stream(octets)


def _polite(house):
    house.polite = True


def _half(house):
    house.stream(b"\xd0\x20\x02abc")
    house.run(12)


def _slowly(house):
    for octet in _framed(_command(house), house):
        house.stream(bytes((octet,)))


def _certificate(error):
    """The EMD's end of the next connections has another certificate."""
    def do(house):
        house.certificate = error
        house.stream(b"\x00\xe4")
        house.run(20)
    return do


def _right_certificate(house):
    house.certificate = None


_AGAIN = "The connection ends, and is made anew after a pause that grows."

TLS = {"way": "tcp", "security": "certificate"}
_REAL = "What mbedTLS says; against real servers: tests/unix/link/test_faults.py."

CERTIFICATES = (
    Row("a certificate for another EMD", _certificate(ValueError("The certificate Common Name (CN) does not match with "
        "the expected CN")), (), {"link.released": 1, "link.tls_host": 4}, "", house=TLS, after=_right_certificate,
        note=_REAL),
    Row("a certificate of another authority", _certificate(ValueError("The certificate is not correctly signed by the "
        "trusted CA")), (), {"link.released": 1, "link.tls_ca": 4}, "", house=TLS, after=_right_certificate),
    Row("a certificate whose time is over", _certificate(ValueError("The certificate validity has expired")), (),
        {"link.released": 1, "link.tls_expired": 4}, "",
        house=TLS, after=_right_certificate),
    Row("an EMD that refuses the device's certificate", _certificate(OSError(-0x7780, "alert")), (),
        {"link.released": 1, "link.tls_refused": 4}, "", house=TLS,
        after=_right_certificate),
)

STREAM = (
    Row("a message of 4 GiB", _bytes(b"\xf0\xff\xff\xff\xff\x02"), ("Abort too long",), {"link.protocol": 1},
        "11 octets", house=TCP, note=_AGAIN),
    Row("a message of 2,000 octets", _bytes(b"\xe0\x06\xc3\x02"), ("Abort too long",), {"link.protocol": 1},
        "11 octets", house=TCP,
        note="More than this end's CSM says it takes."),
    Row("a token of 9 octets and more", _bytes(b"\x09\x02" + bytes(9)), ("Abort token",), {"link.protocol": 1},
        "8 octets", house=TCP),
    Row("a message before the CSM", lambda h: _without_csm(h, b"\x00\x01"), ("Abort CSM first",), {"link.protocol": 1},
        "12 octets", house=TCP, after=_polite),
    Row("no CSM", _without_csm, (), {"link.read_stall": 1}, "", house=TCP, after=_polite,
        note="Ten seconds are enough."),
    Row("an unknown critical option in a CSM", _bytes(b"\x20\xe1\x91\x00"), ("Abort option",), {"link.protocol": 1},
        "9 octets", house=TCP),
    Row("an unknown elective option in a CSM", _bytes(b"\x20\xe1\xa1\x00"), (), {}, "", house=TCP),
    Row("an unknown critical option in a ping", _bytes(b"\x20\xe2\x91\x00"), ("Abort option",), {"link.protocol": 1},
        "9 octets", house=TCP),
    Row("a signal that does not exist (7.31)", _bytes(b"\x00\xff"), (), {}, "", house=TCP),
    Row("options of a CSM that end early", _bytes(b"\x10\xe1\xd0"), ("Abort option head",), {"link.protocol": 1},
        "14 octets", house=TCP),
    Row("a request whose options end early", _bytes(b"\x10\x02\xd0"), (), {"coap.malformed": 1}, "", house=TCP,
        note="The frame is whole: the next message is read."),
    Row("an abort", _bytes(b"\x00\xe5"), (), {"link.aborted": 1}, "", house=TCP),
    Row("a release", _bytes(b"\x00\xe4"), (), {"link.released": 1}, "", house=TCP),
    Row("octets that are no CoAP, after the CSM", _bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9), ("Abort token",),
        {"coap.malformed": 5, "link.protocol": 1}, "8 octets", house=TCP),
    Row("half a message, and then nothing", _half, (), {"link.up": 1, "link.read_stall": 1}, "3 decryptions",
        house=TCP),
    Row("a hundred pings", _bytes(b"\x00\xe2" * 100), ("Pong",) * 100, {}, "200 octets", house=TCP),
    Row("a response that nobody waits for", _bytes(b"\x21\x45\x01\xffx"), (), {}, "", house=TCP),
    Row("a reserved class on a stream", _bytes(b"\x00\x21", b"\x00\xc1"), (), {}, "", house=TCP),
    Row("a command without protection", _message(_unprotected), ("4.01 unauthorized",), {"coap.refused": 1},
        "18 octets", house=TCP,
        note="That the stream is the EMD's is no proof."),
    Row("a command, octet by octet", _slowly, ("2.04, protected",), {}, "15 octets, 1 decryption, 6 flash operations",
        house=TCP, load=RUNS, still=False),
)

SERIAL = (
    Row("a frame with a wrong check sequence", _bytes(END + b"\xa9\x40\x02\x12\x34\xb3cmd\0\0" + END), (), {}, "",
        house=CABLE,
        note="As a lost datagram: it comes again."),
    Row("20,000 octets without an end, then a command", _message(_command, b"\xa9" + b"U" * 20000),
        ("2.04, protected",), {}, "23 octets, 1 remembered, 1 decryption, 6 flash operations", house=CABLE,
        load=RUNS, still=False),
    Row("a wrong escape, then a command", _message(_command, END + b"\xa9\x40" + ESC + b"A\2\x12\x34" + END),
        ("2.04, protected",), {}, "23 octets, 1 remembered, 1 decryption, 6 flash operations",
        house=CABLE, load=RUNS, still=False),
    Row("a frame that its sender gave up (ESC END)", _bytes(END + b"\xa9\x40\x02" + ESC + END), (), {}, "",
        house=CABLE),
    Row("frames that are too short, and empty ones", _bytes(END * 20 + b"\xa9" + END + b"\xa9\x40\x02\x12" + END), (),
        {}, "",
        house=CABLE),
    Row("an IPv4 packet, an IPv6 packet, an unknown frame",
        _bytes(END + b"\x45" + bytes(30) + END, b"\x60" + bytes(50) +
        END, b"\x99hello" + END), (), {}, "", house=CABLE),
    Row("text, as if the other end were a person", lambda h: h.stream(bytes(write_text_of(b"relay on\r\n" * 30))), (),
        {}, "",
        house=CABLE),
    Row("noise on the line, then a command", _message(_command, bytes(i * 73 % 256 for i in range(3000))),
        ("2.04, protected",), {}, "23 octets, 1 remembered, 1 decryption, 6 flash operations",
        house=CABLE, load=RUNS, still=False),
    Row("a command on the cable without protection", _message(_unprotected), ("4.01 unauthorized",),
        {"coap.refused": 1}, "24 octets",
        house=CABLE),
)


def write_text_of(text):
    """The frame of a text."""
    out = bytearray(2 * len(text) + 8)
    return out[: write_text(text, out)]
