"""Bytes from devices become rows of numbers, or are refused: the EMD's one gate.

The few frequent, all-integer messages take a short way (cbor2, canonical re-encoding, ranges from the definition). What
is not perfect there goes through the complete codec, which either accepts it or says what is wrong.
"""

import cbor2

from spot_host.profile import codec
from spot_host.profile import definition as d

HEARTBEAT, STATUS, TELEMETRY, ALARM, ANSWER, LINK, PIECE = (
    d.message(name).code for name in ("heartbeat", "status", "telemetry", "alarm", "answer", "link", "piece")
)
REGISTER, UPDATE, UNREGISTER, INTERVAL, READ_RESPONSE, TIME, FORECAST, OFFER, LOG, REGISTERS = (
    d.message(name).code
    for name in (
        "register", "update", "unregister", "interval", "read_response", "time", "forecast", "offer", "log", "registers"
    )
)

# What a device may send, and the channel it must come on. A heartbeat, time and answer go both ways.
CHANNEL_OF = {m.code: m.channel for m in d.MESSAGES if m.way in ("up", "both")}
CHANNEL_NAMES = {row[0]: row[1] for row in d.CHANNELS}
_FIELD_NAMES = {m.code: tuple(f.name for f in m.fields) for m in d.MESSAGES}
_MAX_HOT = 128  # octets; a longer body takes the long way

_loads, _dumps = cbor2.loads, cbor2.dumps


def _ranges(code):
    return tuple((*d.bounds(field), field.need) for field in d.message(code).fields)


_HOT = {code: _ranges(code) for code in (HEARTBEAT, STATUS, TELEMETRY, ALARM)}
_LEAST = {code: max(i for i, row in enumerate(ranges, 1) if row[2]) for code, ranges in _HOT.items()}
_PAD = [None] * 32


class Refused(Exception):
    """A body that changes nothing. reason: code of a Reason; about: head or -1; position: field index or -1."""

    def __init__(self, reason, about=-1, position=-1, ref=None, text=""):
        super().__init__(text or f"reason {reason}")
        self.reason, self.about, self.position, self.ref = reason, about, position, ref


REASON = {name: code for code, name, _ in d.enum("Reason").rows}


def fields(channel: str, body: bytes) -> list:
    """Decode and check one body that came up on `channel`.

    Returns `[type, field, field, ...]` in the order of the definition's table, one element for each field, None where
    absent; series are lists of numbers, UTC is in Unix seconds. Raises Refused.
    """
    size = len(body)
    if 2 < size <= _MAX_HOT and body[1] in _HOT and body[0] & 0xE0 == 0x80:
        try:
            got = _loads(body)
            canonical = _dumps(got) == body and got[-1] is not None
        except Exception:  # whatever it was: the long way names it
            canonical = False
        if canonical:
            code = got[0]
            ranges = _HOT[code]
            n = len(got) - 1
            if _LEAST[code] <= n <= len(ranges) and CHANNEL_OF[code] == channel:
                i = 1
                for lo, hi, need in ranges:
                    if i > n:
                        got += _PAD[: len(ranges) - n]
                        return got
                    v = got[i]
                    if v is None:
                        if need:
                            break
                    elif v.__class__ is not int or v < lo or v > hi:
                        break
                    i += 1
                else:
                    return got
    return _long_way(channel, body)


def _long_way(channel, body):
    if len(body) > d.MAX_BODY:
        raise Refused(REASON["malformed"], text=f"{len(body)} octets, {d.MAX_BODY} allowed")
    try:
        message = codec.decode(bytes(body))
    except codec.ProfileError as exc:
        raise Refused(exc.code, exc.type, exc.position, exc.ref, str(exc)) from exc
    code = message.type
    if CHANNEL_OF.get(code) is None:
        raise Refused(REASON["unknown_type"], code, text=f"{message.name} is not for an EMD")
    if CHANNEL_OF[code] != channel:
        raise Refused(
            REASON["malformed"], code, text=f"{message.name} came on {channel}, belongs on {CHANNEL_OF[code]}"
        )
    values = message.values
    return [code] + [values.get(name) for name in _FIELD_NAMES[code]]


def named(code: int, row: list) -> dict:
    """The fields of `row` (as `fields` returns it) by name, absent ones left out."""
    return {name: value for name, value in zip(_FIELD_NAMES[code], row[1:], strict=False) if value is not None}
