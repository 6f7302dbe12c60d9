"""OSCORE's security context (RFC 8613, section 3): keys derived from the shared secret, sender sequence numbers that no
reset repeats, the replay window, and what is needed to get both back (appendices B.1 and B.2).

Sequence numbers are reserved in strides: before the first number of a stride is used, the number behind the stride's
last is in flash, and after a restart the numbers go on from there. A write that is cut leaves the old number or the new
one, and neither stride has been used beyond what it says. A device that sends 2,000 messages a day writes 8 times; a
restart costs at most 256 numbers. They end at 2^30 - 1, a small int on every chip and not RFC's 2^40: at one message a
second that is 34 years; then ContextError, and new keys are due.

The counter never starts over under a name, whatever the keys are: numbers used under a secret that comes back later are
not used again.
"""

from array import array

from spot.port import const, micropython, ptr8, sha256
from spot.wire.ccm import CCM
from spot.wire.kdf import expand, hmac_sha256

PIV_MAX = const(0x3FFFFFFF)
AAD = const(40)  # octets that bind() may write, and some
_STRIDE = const(256)
_WINDOW = const(32)
_CCM = const(10)  # AES-CCM-16-64-128 in COSE's registry


class ContextError(Exception):
    """No number may be used: the store refuses, they are used up, or lost until the peer answers."""


def bstr(data):
    """A CBOR byte string of at most 255 octets."""
    n = len(data)
    return (bytes([0x40 + n]) if n < 24 else bytes([0x58, n])) + data


def own_iv(common, id):
    """The common IV with a side's id folded in: what its numbers are folded into (section 5.2)."""
    iv = bytearray(common)
    iv[0] ^= len(id)
    at = 8 - len(id)
    for octet in id:
        iv[at] ^= octet
        at += 1
    return bytes(iv)


@micropython.viper
def bind(nonce: ptr8, aad: ptr8, side: ptr8, n: int, piv: int) -> int:
    """The nonce (section 5.2) and the additional data (5.4) for number `piv` of the side, whose n octets are an IV
    and the additional data up to the number; its length. With n = 13 the nonce alone."""
    i = 0
    while i < 9:
        nonce[i] = side[i]
        i += 1
    nonce[9] = side[9] ^ (piv >> 24)
    nonce[10] = side[10] ^ (piv >> 16 & 0xFF)
    nonce[11] = side[11] ^ (piv >> 8 & 0xFF)
    nonce[12] = side[12] ^ (piv & 0xFF)
    if n == 13:
        return 0
    i = 13
    while i < n:
        aad[i - 13] = side[i]
        i += 1
    n -= 13
    i = 8
    while piv >> i:
        i += 8
    aad[n] = 0x40 + (i >> 3)
    n += 1
    while i > 0:
        i -= 8
        aad[n] = piv >> i & 0xFF
        n += 1
    aad[n] = 0x40
    n += 1
    aad[11] = 0x34 + n  # head of the byte string that begins behind it
    return n


class Window:
    """Numbers that were received: each is taken once, and none that is 32 or more below the highest."""

    def __init__(self):
        self._seen = array("i", [-1] * _WINDOW)  # the latest number at each residue
        self.top = -1

    def seen(self, piv):
        """Whether the number has to be refused."""
        return self._seen[piv & 31] >= piv or piv + _WINDOW <= self.top

    def accept(self, piv):
        self._seen[piv & 31] = piv
        if piv > self.top:
            self.top = piv

    def begin(self, piv):
        """Refuse all numbers up to `piv`."""
        for i in range(_WINDOW):
            self._seen[i] = piv
        self.top = piv


class Context:
    """Keys, numbers and window shared with one peer.

    secret, salt, sender_id, recipient_id (0 to 7 octets), id_context: bytes, the last may be None. store, name: where
    numbers are kept (None: nowhere, for a run of a test). known: the keys have been used before, so that a store
    without their numbers has lost them.

    fresh: the window can be trusted (False after a restart until a request proves itself with Echo). lost: the numbers
    are lost; requests start the procedure of appendix B.2, which gives new keys. hint: the ID context as it goes on
    the wire; shown: requests carry it.
    """

    def __init__(self, secret, salt, sender_id, recipient_id, id_context=None, store=None, name="", known=False):
        if len(sender_id) > 7 or len(recipient_id) > 7 or sender_id == recipient_id:
            raise ValueError("ids")  # the same id both ways would be the same key and the same nonces
        self.secret = secret
        self.salt = salt
        self.sender_id = sender_id
        self.recipient_id = recipient_id
        self._store = store
        self._name = name
        self._root = hmac_sha256(salt, secret)
        self._print = sha256(b"spot" + secret)[:4]
        self.seq = self._limit = 0
        raw = store.get(name) if store is not None else None
        if raw is not None and len(raw) < 8:
            raw = None
        if raw is not None:
            self.seq = self._limit = int.from_bytes(raw[:4], "big")
            if len(raw) > 8 and raw[4:8] == self._print:
                id_context = raw[8:]
        self.derive(id_context, raw is not None and len(raw) > 8 and id_context == raw[8:])
        self.lost = known and store is not None and raw is None
        self.fresh = raw is None and not self.lost
        self._echo = self._key = None
        self._asked = -1

    def derive(self, id_context, random=True):
        """Take the keys for that ID context (section 3.2), and an empty window; random: it is one of appendix B.2."""
        self.id_context = id_context
        self.hint = bstr(id_context) if random and id_context is not None else id_context
        self.shown = id_context is not None
        self.random = random
        common = self.key(_CCM, b"IV", 13, b"")
        self.ccm_out, self._out = self._side(self.sender_id, common)
        self.ccm_in, self._in = self._side(self.recipient_id, common)
        self.window = Window()
        self.fresh = True

    def key(self, alg, kind, n, id):
        """n octets for algorithm `alg` and purpose `kind` (bytes) of the side with that id."""
        info = b"\x85" + bstr(id) + (b"\xf6" if self.id_context is None else bstr(self.id_context))
        info += bytes([alg, 0x60 + len(kind)]) + kind + (bytes([n]) if n < 24 else bytes([0x18, n]))
        return expand(self._root, info, n)

    def _side(self, id, common):
        """A side's cipher, and what bind() is given of it."""
        aad = b"\x83\x68Encrypt0\x40\x00\x85\x01\x81\x0a" + bstr(id)
        return CCM(self.key(_CCM, b"Key", 16, id)), own_iv(common, id) + aad

    def bind(self, nonce, aad, sent, piv):
        """Nonce and additional data of number `piv`, which was sent or received; length of the latter. aad None: of a
        response, whose additional data is its request's."""
        side = self._out if sent else self._in
        return bind(nonce, aad or nonce, side, len(side) if aad else 13, piv)

    def take_piv(self):
        """The next sender sequence number, never to be given again. ContextError: none may be used."""
        piv = self.seq
        if piv >= self._limit:
            self._reserve(piv)
        self.seq = piv + 1
        return piv

    def reserve(self):
        """Reserve the next stride ahead of need, in a quiet moment: a write may take 0.4 s. True when written. A store
        that refuses is asked again when another number has been used; take_piv says so when it matters."""
        if self.lost or self._limit - self.seq > _STRIDE // 4 or self._asked == self.seq:
            return False
        self._asked = self.seq
        try:
            self._reserve(self._limit)
        except ContextError:
            return False
        return True

    def begin(self):
        """Have numbers reserved before the keys are used at all. ContextError where the store refuses."""
        if self.seq >= self._limit:
            self._reserve(self.seq)

    def _reserve(self, first):
        limit = first + _STRIDE
        if self.lost:
            if self.id_context is None or not self.random:
                raise ContextError("lost")
        elif limit > PIV_MAX:
            raise ContextError("used up")
        elif self._store is not None:
            data = limit.to_bytes(4, "big") + self._print
            try:
                self._store.put(self._name, data + self.id_context if self.random and self.id_context else data)
            except OSError:
                raise ContextError("store")  # noqa: B904 - MicroPython has no `from`
        self._limit = limit

    # --- after a loss: appendix B ---

    def challenge(self, random):
        """The Echo value that a request must carry to be taken for fresh (B.1.2, RFC 9175)."""
        if self._echo is None:
            self._echo = random(8)
        return self._echo

    def proven(self, piv):
        """A request with the right Echo has come: it is new, and what is older than it is refused."""
        self.window.begin(piv)
        self.fresh = True
        self._echo = None

    def twin(self, id_context):
        """A context of the same secret and ids for another ID context, with numbers of its own, kept nowhere."""
        twin = Context(self.secret, self.salt, self.sender_id, self.recipient_id, id_context)
        twin.hint = bstr(id_context)
        return twin

    def recover(self, random):
        """Begin the procedure of B.2 where numbers are lost: keys for a random ID context R1 (step 1)."""
        if self.lost and not self.random:
            self.derive(random(8))

    def nonce_r2(self, random):
        """R2 (step 2): eight random octets and their HMAC, so that none has to be remembered (B.2.1)."""
        if self._key is None:
            self._key = random(16)
        s2 = random(8)
        return s2 + hmac_sha256(self._key, s2)[:8]

    def knows_r2(self, id_context):
        """Whether R2 || R3 begins with an R2 that was given since the last run that was completed."""
        return (self._key is not None and len(id_context) > 16
                and hmac_sha256(self._key, id_context[:8])[:8] == id_context[8:16])

    def adopt(self, id_context):
        """Take the keys of R2 || R3 for good (steps 3 and 4): what was lost is not needed any more."""
        self.derive(id_context)
        self.lost = False
        self._key = self._echo = None
        self._reserve(self.seq)
