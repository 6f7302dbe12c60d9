"""COSE around messages on MQTT, for devices whose pairing asks for it: the broker can neither read, forge, replay, nor
redirect them. What protects, and how, is the firmware's own spot.wire.cose; here is which keys, and what is kept.
"""

import sqlite3

from spot.wire.context import Context
from spot.wire.cose import Cose, CoseError
from spot_host.emd.keyrings import REFUSALS
from spot_host.profile import codec
from spot_host.profile import definition as d

_ROOM = 64  # octets around a body
_UP, _DOWN = ("up", "both"), ("down", "both")
_LOST = codec.encode("link", {"online": 0})[1:4]  # how the body of a last will goes on behind its first octet


class _Numbers:
    """What spot.wire.context asks of a store, on storage.keys."""

    def __init__(self, keys):
        self._keys = keys

    def get(self, name):
        record = self._keys.get(name)
        return bytes.fromhex(record["raw"]) if record is not None else None

    def put(self, name, raw):
        try:
            self._keys.put({name: {"raw": bytes(raw).hex()}})
        except sqlite3.Error as exc:
            raise OSError(str(exc)) from exc


def _is_on_coap(ring):
    """Whether the device has proven itself under OSCORE: then no broker speaks or listens in its name."""
    return ring is not None and ring.protect == "none" and ring.seen is not None


class Secure:
    """`seal` what goes to a device, `open` what came from one; None where it must not pass.

    keyrings: emd.keyrings.Keyrings. boot_of(EUI): the boot count of its registration, or None. note(event, EUI,
    detail). `keep` now and then, after the core's commit: the highest numbers that came, so that nothing older passes
    after a restart either.
    """

    def __init__(self, keyrings, boot_of, note):
        self._keyrings, self._boot_of, self._note = keyrings, boot_of, note
        self._numbers, self._coses, self._kept = _Numbers(keyrings.keys), {}, {}
        self._out = bytearray(d.MAX_BODY + _ROOM)
        keyrings.listeners.append(self._changed)

    def _changed(self, eui, ring):
        good = ring.pairings if ring is not None else ()
        for key in [key for key in list(self._coses) if key[0] == eui and key[1] not in good]:
            self._coses.pop(key, None)

    def _cose(self, eui, pairing):
        cose = self._coses.get((eui, pairing))
        if cose is None:
            name = self._keyrings.state_name("cose", eui, pairing)
            context = Context(
                pairing.secret, pairing.salt, pairing.emd, pairing.id, pairing.id_context, self._numbers, name
            )
            cose = self._coses[eui, pairing] = Cose(context, 0, device=False)
            top = self._keyrings.keys.get(self._keyrings.state_name("cose_top", eui, pairing))
            if top is not None:
                cose.window.begin(top["top"])
                self._kept[eui, pairing] = top["top"]
        return cose

    def protects(self, eui: str, ways=_DOWN) -> bool:
        """Whether what is sent to this device is sealed."""
        ring = self._keyrings.rings.get(eui)
        return ring is not None and ring.protect in ways

    def seal(self, eui: str, channel: str, body: bytes) -> bytes | None:
        """The message for the broker."""
        ring = self._keyrings.rings.get(eui)
        if ring is None or ring.protect not in _DOWN:
            return None if _is_on_coap(ring) else body
        boot = self._boot_of(eui)
        if boot is None:
            self._note("cose_held", eui, "its boot count is not known before it has registered")
            return None
        cose = self._cose(eui, ring.sending)
        cose.boot = boot
        try:
            n = cose.seal(channel, body, len(body), self._out)
        except (CoseError, ValueError) as exc:
            self._note("cose_unsealed", eui, str(exc))
            return None
        return bytes(self._out[:n])

    def open(self, eui: str, channel: str, body: bytes) -> bytes | None:
        """What the device sent."""
        ring = self._keyrings.rings.get(eui)
        if _is_on_coap(ring):
            self._note("mqtt_unproven", eui, f"on {channel}, refused: it has keys, and uses them over CoAP")
            return None
        if ring is None or ring.protect not in _UP:
            return body
        if channel == "link" and body[1:4] == _LOST:
            return body  # the last will: the broker alone knows, and could cut the connection to say it
        if len(body) > len(self._out):
            self._note("cose_form", eui, f"{len(body)} octets")
            return None
        why = "kid"
        for pairing in ring.pairings:
            refusal = self._keyrings.refusal(eui, pairing)
            if refusal is not None:
                self._note(refusal, eui, REFUSALS[refusal])
                why = None
                continue
            try:
                n = self._cose(eui, pairing).open(channel, body, len(body), self._out)
            except CoseError as exc:
                why = exc.args[0]
                if why == "kid":
                    continue
                break
            if not self._keyrings.used(eui, pairing):
                self._note("cose_unkept", eui, "the disk does not take that this key is in use")
                return None
            return bytes(self._out[:n])
        if why is None:
            return None
        if channel != "link" or why not in ("kid", "replay"):  # `link` is retained: the broker has it to say again
            self._note(f"cose_{why}", eui, f"on {channel}, refused")
        return None

    def keep(self) -> None:
        """Write the highest numbers that came since the last call. Raises sqlite3.Error."""
        tops = {}
        for (eui, pairing), cose in list(self._coses.items()):
            top = cose.window.top
            if top >= 0 and top != self._kept.get((eui, pairing)):
                tops[eui, pairing] = top
        if tops:
            name = self._keyrings.state_name
            self._keyrings.keys.put({name("cose_top", eui, pairing): {"top": t} for (eui, pairing), t in tops.items()})
            self._kept.update(tops)
