"""The head of a release: one SUIT envelope (draft-ietf-suit-manifest) of the one form that docs/updates.md gives.

Nothing is interpreted: literal octets are compared, and what may differ between releases is taken from its place. So
there is exactly one encoding of each release, and whatever else is refused.
"""

from spot.port import const, sha256
from spot.wire.cbor import BYTES, TEXT, CBORError, Reader

HEAD_MAX = const(4096)  # octets
SIGNED = b"\x84jSignature1D\xa1\x018-@X$\x82/X "  # what is signed (COSE's Sig_structure) before the digest

_MAX_INT = const(1073741822)
_MAX_SIZE = const(4190208)
_DIGEST = b"\x82/X "  # [-16, 32 octets]
_SIGN1 = b"\xd2\x84D\xa1\x018-\xa0\xf6"  # COSE_Sign1, HSS-LMS, the payload elsewhere
_IMAGE = b"f#image"
_INSTALL = b"\x07C\x82\x03\x0f\x14Q\x88 \x0f\x14\xa1\x15f#image\x15\x02\x03\x0f"  # validate, install


class SuitError(ValueError):
    """No head of a release."""


def extent(buf, n):
    """Octets of the head of which the first n are in buf; as long as that does not show, more than n. SuitError."""
    at = 2
    for _ in range(2):  # authentication, manifest
        if n < at + 3:
            return at + 3
        if buf[at] == 0x58:
            at += 2 + buf[at + 1]
        elif buf[at] == 0x59:
            at += 3 + (buf[at + 1] << 8 | buf[at + 2])
        else:
            raise SuitError("no head of a release")
        if at > HEAD_MAX:
            raise SuitError("head of over 4096 octets")
        at += 1
    at += 6  # behind the key "#image"
    if n < at + 1:
        return at + 1
    return at + (5 if buf[at] == 0x5A else 3 if buf[at] == 0x59 else 2 if buf[at] == 0x58 else 1)


class Manifest:
    """What the head in the first n octets of buf says. SuitError for anything but one of docs/updates.md.

    sequence, vendor and class_id (16 octets each), digest (32, of the image), size (octets of the image), base, board,
    march, version; head_n: octets of the head; own_digest: the manifest's, as calculated; signature: the LMS
    signature of SIGNED and own_digest, a slice of buf, or None: not signed. buf must stay for as long as that is used.
    """

    def __init__(self, buf, n):
        self._buf = buf
        self._reader = Reader(buf, n)
        try:
            self._parse()
        except CBORError as error:
            raise SuitError(str(error))  # noqa: B904 - MicroPython has no `from` that says more

    def _same(self, octets):
        reader = self._reader
        end = reader.at + len(octets)
        if end > reader.end or self._buf[reader.at : end] != octets:
            raise SuitError("octet %d" % reader.at)
        reader.at = end

    def _take(self, n):
        """The next n octets."""
        reader = self._reader
        reader.at += n
        if reader.at > reader.end:
            raise SuitError("octet %d" % reader.end)
        return bytes(self._buf[reader.at - n : reader.at])

    def _string(self, major=BYTES):
        """Octets of the string whose head comes next."""
        reader = self._reader
        if reader.head() != major:
            raise SuitError("octet %d" % reader.at)
        return reader.arg

    def _int(self, most):
        value = self._reader.read_uint()
        if not 0 < value <= most:
            raise SuitError("octet %d" % self._reader.at)
        return value

    def _word(self, most):
        n = self._string(TEXT)
        word = self._take(n)
        for c in word:
            if not 0x20 <= c < 0x7F:
                n = 0
        if not 0 < n <= most:
            raise SuitError("octet %d" % self._reader.at)
        return str(word, "utf-8")

    def _at(self, end):
        if self._reader.at != end:
            raise SuitError("octet %d" % self._reader.at)

    def _parse(self):
        reader, same, take = self._reader, self._same, self._take
        same(b"\xa3\x02")
        n = self._string()
        end = reader.at + n
        signed = reader.at < reader.end and self._buf[reader.at] == 0x82
        same((b"\x82" if signed else b"\x81") + b"X$" + _DIGEST)
        digest = take(32)
        self.signature = None
        if signed:
            n = self._string()
            self._at(end - n)
            same(_SIGN1)
            n = self._string()
            self._at(end - n)
            same(b"\0\0\0\0")
            self.signature = memoryview(self._buf)[reader.at : end]
            reader.at = end
        self._at(end)
        same(b"\x03")
        start = reader.at
        n = self._string()
        end = reader.at + n
        same(b"\xa5\x01\x01\x02")
        self.sequence = self._int(_MAX_INT)
        same(b"\x03")
        n = self._string()
        common = reader.at + n
        same(b"\xa2\x02\x81\x81A\0\x04")
        n = self._string()
        self._at(common - n)
        same(b"\x86\x14\xa8\x01P")
        self.vendor = take(16)
        same(b"\x02P")
        self.class_id = take(16)
        same(b"\x03X$" + _DIGEST)
        self.digest = take(32)
        same(b"\x0e")
        self.size = self._int(_MAX_SIZE)
        same(b" ")
        self.base = self._int(255)
        same(b"!")
        self.board = self._word(24)
        same(b'"')
        self.march = self._word(12)
        same(b"#")
        self.version = self._word(16)
        same(b"\x01\x0f\x02\x0f")
        self._at(common)
        same(_INSTALL)
        self._at(end)
        self.own_digest = sha256(memoryview(self._buf)[start:end])
        same(_IMAGE)
        size = self.size
        if size < 24:
            same(bytes((0x40 | size,)))
        elif size < 256:
            same(bytes((0x58, size)))
        elif size < 65536:
            same(bytes((0x59, size >> 8, size & 255)))
        else:
            same(bytes((0x5A, 0, size >> 16, size >> 8 & 255, size & 255)))
        self.head_n = reader.at
        if self.own_digest != digest:
            raise DigestError("manifest")
        if reader.at > HEAD_MAX:
            raise SuitError("head of over 4096 octets")


class DigestError(SuitError):
    """The manifest is not the one that was digested."""
