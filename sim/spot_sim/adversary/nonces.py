"""Watches every encryption under every key: the same nonce twice under one key, for anything but the same octets,
breaks AES-CCM.
"""

from spot.wire.ccm import CCM


class NonceReused(AssertionError):
    """A nonce was used twice."""


class Nonces:
    """A context manager; `count`: encryptions seen. Only sealing counts: to open is to repeat the other's nonce."""

    def __init__(self):
        self.count = 0
        self._seen = {}

    def __enter__(self):
        self._init, self._seal = CCM.__init__, CCM.seal
        init, seal, seen = self._init, self._seal, self._seen

        def keyed(ccm, key):
            init(ccm, key)
            ccm.watched = bytes(key)

        def sealed(ccm, nonce, aad, aad_n, buf, at, n, sealing=1):
            if not sealing:
                return seal(ccm, nonce, aad, aad_n, buf, at, n, sealing)
            self.count += 1
            use = (ccm.watched, bytes(nonce[:13]))
            said = hash((bytes(aad[:aad_n]), bytes(buf[at : at + n])))
            if seen.setdefault(use, said) != said:
                raise NonceReused(f"nonce {use[1].hex()} was used twice under one key")
            return seal(ccm, nonce, aad, aad_n, buf, at, n, sealing)

        CCM.__init__, CCM.seal = keyed, sealed
        return self

    def __exit__(self, *error):
        CCM.__init__, CCM.seal = self._init, self._seal
