"""AES-CCM-16-64-128 (RFC 3610, RFC 9053 section 4.2: nonce of 13 octets, tag of 8) from the two modes that MicroPython
has, in four calls and without heap.

The key stream is one ECB call over counter blocks. The CBC-MAC is one CBC call over B0, the additional data and the
text. A CBC object goes on from its last ciphertext block; that block is remembered and folded into the next B0, so that
each message starts from a zero vector, as the RFC has it, on an object that is made once a key. A long text is done in
pieces, which follow each other in the same way.

The working buffers are shared by all keys: seal and open are for one thread, and not for interrupts.
"""

from spot.port import const, cryptolib, micropython, ptr8

TAG = const(8)
NONCE = const(13)
MAX = const(1200)  # octets of text and additional data together
_AAD = const(200)  # of additional data
_BLOCKS = const(16)  # of a piece, with B0 and the additional data in the first
_PIECE = const(256)
_ECB = const(1)
_CBC = const(2)


def _views(buf):
    """View of the first i blocks at [i]: cutting one takes heap. Over 8 blocks all of them: what is behind the message
    is enciphered for nothing."""
    whole = memoryview(buf)
    return tuple([whole[: 16 * i] if i < 9 else whole for i in range((len(buf) + 16) >> 4)])


_stream = bytearray(16 + _PIECE)  # counter blocks, then the key stream: block 0 is the tag's
_mac = bytearray(_PIECE)  # B0, additional data, text, then the CBC's output
_stream_views = _views(_stream)
_mac_views = _views(_mac)


@micropython.viper
def _lay(k: ptr8, m: ptr8, nonce: ptr8, aad: ptr8, last: ptr8, aad_n: int, n: int, done: int) -> int:
    """For the piece of a text of n octets before which `done` have had their turn: in `m`, for the first, B0 with the
    CBC's state folded in and the additional data; in `k` A0 and the piece's counter blocks. Where the text goes in
    `m`."""
    p = 0
    if done == 0:
        m[0] = (0x59 if aad_n else 0x19) ^ last[0]  # RFC 3610, section 2.2: M = 8, L = 2
        j = 0
        while j < 13:
            v = nonce[j]
            j += 1
            m[j] = v ^ last[j]
        m[14] = (n >> 8) ^ last[14]
        m[15] = (n & 0xFF) ^ last[15]
        p = 16
        if aad_n:
            m[16] = aad_n >> 8
            m[17] = aad_n & 0xFF
            p = 18
            j = 0
            while j < aad_n:
                m[p] = aad[j]
                p += 1
                j += 1
            while p & 15:
                m[p] = 0
                p += 1
    i = n - done
    if i > 256 - p:
        i = 256 - p
    i = (i + 31) >> 4
    done >>= 4
    while i > 0:
        i -= 1
        q = i << 4
        k[q] = 1
        k[q + 14] = 0
        k[q + 15] = i + done if i else 0
        j = 0
        while j < 13:
            q += 1
            k[q] = nonce[j]
            j += 1
    return p


@micropython.viper
def _text(m: ptr8, b: ptr8, k: ptr8, p: int, at: int, n: int, sealing: int) -> int:
    """The plaintext into `m` at p, padded, and for sealing the ciphertext in its place in `b`; blocks in `m`."""
    end = at + n
    i = 16
    while at < end:
        v = b[at]
        w = v ^ k[i]
        if sealing:
            b[at] = w
        else:
            v = w
        m[p] = v
        p += 1
        i += 1
        at += 1
    while p & 15:
        m[p] = 0
        p += 1
    return p >> 4


@micropython.viper
def _end(m: ptr8, b: ptr8, k: ptr8, last: ptr8, tag: int, at: int, n: int, end: int) -> int:
    """With the tag in block `tag` of `m`, from 1: end < 0 opens (compares it, in the same time for every tag, and
    deciphers when it is right), else seals (writes it). The CBC's last block, before abs(end), goes to `last`.
    1: sealed, or right."""
    i = 0
    tag = (tag << 4) - 16
    q = at + n
    v = 0
    if end > 0:
        while i < 8:
            b[q] = m[tag + i] ^ k[i]
            q += 1
            i += 1
    else:
        end = -end
        while i < 8:
            v |= b[q] ^ m[tag + i] ^ k[i]
            q += 1
            i += 1
        if v == 0:
            i = 16
            q = at
            n += at
            while q < n:
                b[q] = b[q] ^ k[i]
                q += 1
                i += 1
    i = 0
    while i < 16:
        i += 1
        last[16 - i] = m[end - i]
    return 1 if v == 0 else 0


class CCM:
    """One key of 16 octets. Offsets and lengths in octets; ValueError for what does not fit `buf` or MAX, and for more
    than 200 octets of additional data."""

    def __init__(self, key):
        self._ecb = cryptolib.aes(key, _ECB).encrypt
        self._cbc = cryptolib.aes(key, _CBC, bytes(16)).encrypt
        self._last = bytearray(16)

    def seal(self, nonce, aad, aad_n, buf, at, n, way=1):
        """Encrypt buf[at:at+n] in place and write the tag, 8 octets, behind it. nonce: 13 octets; additional data: the
        first aad_n octets of aad."""
        if n < 0 or aad_n < 0 or at < 0 or n + aad_n > MAX or at + n + TAG > len(buf) or aad_n > len(aad) \
                or aad_n > _AAD or len(nonce) != NONCE:
            raise ValueError("ccm")
        k = _stream
        m = _mac
        last = self._last
        end = at + n
        q = at
        while True:  # way: 1 seals, 0 compares the tag and opens what is one piece, 2 deciphers what was right
            p = _lay(k, m, nonce, aad, last, aad_n, n, q - at)
            size = min(end - q, _PIECE - p)
            view = _stream_views[(size + 31) >> 4]
            self._ecb(view, view)
            p = _text(m, buf, k, p, q, size, way)
            q += size
            if way < 2:
                view = _mac_views[p]
                self._cbc(view, view)
            if q < end:
                continue
            if way == 2:
                return 1
            if way or size == n:
                return _end(m, buf, k, last, p, at, n, len(view) if way else -len(view))
            if not _end(m, buf, k, last, p, end, 0, -len(view)):
                return 0
            q = at
            way = 2

    def open(self, nonce, aad, aad_n, buf, at, n):
        """Check the tag behind the n octets of ciphertext at `at` and decrypt them in place; False: it is wrong, and
        buf is as it was."""
        return self.seal(nonce, aad, aad_n, buf, at, n, 0) == 1
