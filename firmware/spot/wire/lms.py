"""LMS signatures (RFC 8554) with SHA-256 alone, in slices: who verifies on a chip must not stop its control loop.

Single level. Trees of height 5 to 20 (LMS_SHA256_M32_H5 … H20), one-time signatures LMOTS_SHA256_N32_W4 and W8.
Public key, 56 octets: tree type (4), one-time type (4), I (16), root (32). Signature: leaf number (4), one-time type
(4), C (32), the chains (32 each), tree type (4), path (32 a level).
"""

from spot.port import const, sha256_object

KEY_OCTETS = const(56)
_PLAIN = const(44)  # octets of a signature beside chains and path
_TREES = (5, 10, 15, 20)  # height by tree type, from type 5 on
_W4 = const(3)
_W8 = const(4)


def _number(buf, at):
    """The 32-bit number there, or -1 when it is 2^24 or more: none here is, and it would be a big integer on a chip."""
    return -1 if buf[at] else buf[at + 1] << 16 | buf[at + 2] << 8 | buf[at + 3]


def signature_octets(key):
    """Octets of every signature under this public key. ValueError: none, or one of a type that is not verified here."""
    if len(key) == KEY_OCTETS:
        tree, ots = _number(key, 0) - 5, _number(key, 4)
        if 0 <= tree < len(_TREES) and _W4 <= ots <= _W8:
            return _PLAIN + 32 * (_TREES[tree] + (67 if ots == _W4 else 34))
    raise ValueError("LMS public key")


class Verifier:
    """One verification. key: 56 octets; label, then the first n octets of message are what was signed.

    signature: bytes, bytearray or memoryview; message and signature must stay as they are until the end.
    ValueError: key is none of ours. left: hashes that are still to be done at most, the path's not counted.
    """

    def __init__(self, key, message, n, signature, label=b""):
        self._octets = signature_octets(key)
        self._key = key
        self._signature = signature
        self._ots = key[7]
        self._height = _TREES[key[3] - 5]
        self._count = 67 if self._ots == _W4 else 34
        self._top = 15 if self._ots == _W4 else 255
        self._i = -1
        self.left = 0
        if len(signature) != self._octets or _number(signature, 4) != self._ots:
            return
        q = _number(signature, 0)
        if not 0 <= q < 1 << self._height or _number(signature, self._octets - 32 * self._height - 4) != key[3]:
            return
        self._q = q
        self._octets -= 32 * self._height  # where the path begins
        pre = self._pre = bytearray(23)  # I, q, number of the chain, place in the chain
        pre[:16] = key[8:24]
        pre[16:20] = signature[:4]
        signed = self._start(0x81)
        signed.update(signature[8:40])
        signed.update(label)
        signed.update(memoryview(message)[:n])
        digits = self._digits = bytearray(34)
        digits[:32] = signed.digest()
        total = 0
        for i in range(64 if self._ots == _W4 else 32):
            total += self._top - self._digit(i)
        self.left = total
        total <<= 4 if self._ots == _W4 else 0  # RFC 8554 section 4.4
        digits[32], digits[33] = total >> 8, total & 255
        for i in range(64 if self._ots == _W4 else 32, self._count):
            self.left += self._top - self._digit(i)
        self._sum = self._start(0x80)
        self._begin(0)

    def _start(self, what):
        """A hash over I, q and the domain `what`."""
        self._pre[20] = self._pre[21] = 0x80 | what
        return sha256_object(memoryview(self._pre)[:22])

    def _digit(self, i):
        if self._ots == _W8:
            return self._digits[i]
        return self._digits[i >> 1] & 15 if i & 1 else self._digits[i >> 1] >> 4

    def _begin(self, i):
        """Chain i, from what the signature holds of it."""
        self._i = i
        if i < self._count:
            self._at = self._digit(i)
            self._value = self._signature[40 + 32 * i:72 + 32 * i]

    def step(self, hashes=1 << 20):
        """Does so many hashes (and the path, with the last). True or False: verified or not; None: call again."""
        if self._i < 0:
            return False
        pre, new = self._pre, sha256_object
        while self._i < self._count:
            at = self._at
            end = min(self._top, at + hashes)
            if end > at:
                pre[20] = 0
                pre[21] = self._i
                value = self._value
                for j in range(at, end):
                    pre[22] = j
                    one = new(pre)
                    one.update(value)
                    value = one.digest()
                self._value = value
                self._at = end
                self.left -= end - at
                hashes -= end - at
            if end < self._top:
                return None
            self._sum.update(self._value)
            self._begin(self._i + 1)
        return self._root() == self._key[24:]

    def _root(self):
        """The root that leaf and path lead to (RFC 8554 section 5.4.2)."""
        pre, signature, at = self._pre, self._signature, self._octets
        node = (1 << self._height) + self._q
        pre[17], pre[18], pre[19] = node >> 16, node >> 8 & 255, node & 255
        one = self._start(0x82)
        one.update(self._sum.digest())
        value = one.digest()
        while node > 1:
            other = signature[at:at + 32]
            at += 32
            odd = node & 1
            node >>= 1
            pre[17], pre[18], pre[19] = node >> 16, node >> 8 & 255, node & 255
            one = self._start(0x83)
            one.update(other if odd else value)
            one.update(value if odd else other)
            value = one.digest()
        return value


def verify(key, message, n, signature):
    """True when `signature` is one of the first n octets of `message` under the public key; see Verifier."""
    return Verifier(key, message, n, signature).step()
