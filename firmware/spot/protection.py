"""COSE between an association and its link: which directions it covers, and under which of the keyring's keys."""

from .codes import CHANNELS
from .wire.cose import Cose, CoseError


class Protection:
    """What app._Way seals and opens with. keyring: wire.keyring.Keyring; boot: number of this start, None where
    the store did not take it: then what came in before the start could come again, and nothing that is protected is let
    in; words: "up", "down" or "both".

    Broadcasts of a group pass: no key that a group shares would prove who sends; signed ones prove it themselves.
    """

    def __init__(self, keyring, boot, words):
        self._keyring = keyring
        self._boot = boot
        self._up = words != "down"
        self._down = words != "up"
        self._known = []  # one for each context of the keyring

    def _cose(self, context):
        for one in self._known:
            if one.context is context:
                return one
        self._known = [one for one in self._known if one.context in self._keyring.contexts]
        one = Cose(context, self._boot)
        self._known.append(one)
        return one

    def seal(self, channel, buf, n, out):
        """The octets of `out` that the link carries for the body buf[:n]. CoseError where it cannot be protected."""
        if self._up:
            return self._cose(self._keyring.current).seal(CHANNELS[channel][0], buf, n, out)
        return _pass(buf, n, out)

    def reserve(self):
        """Numbers ahead of need."""
        if self._up:
            self._keyring.current.reserve()

    def open(self, channel, buf, n, out):
        """The octets of the body in `out`, of what the link brought. CoseError for all but what the EMD has sealed."""
        name, way = CHANNELS[channel][:2]
        if way == "group" or not self._down:
            return _pass(buf, n, out)
        if self._boot is None:
            raise CoseError("boot")
        fault = CoseError("kid")
        for context in self._keyring.contexts:
            try:
                size = self._cose(context).open(name, buf, n, out)
            except CoseError as error:
                if error.args[0] != "kid":
                    fault = error
                continue
            self._keyring.used(context)
            return size
        raise fault


def _pass(buf, n, out):
    if n > len(out):
        raise CoseError("form")
    out[:n] = memoryview(buf)[:n]
    return n
