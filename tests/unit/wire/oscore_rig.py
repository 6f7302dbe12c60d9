"""Two ends of OSCORE for tests: messages in and out of tuples, a log that counts; the other implementation, aiocoap."""

import hashlib
import itertools

import aiocoap
import aiocoap.oscore
from aiocoap.message import Direction

from spot.log import Log
from spot.wire.coap import Builder, CoapError, Message
from spot.wire.context import Context
from spot.wire.oscore import Oscore

SECRET, SALT = bytes.fromhex("0102030405060708090a0b0c0d0e0f10"), bytes.fromhex("9e7ca92223786340")


_count = itertools.count(1)


def _random(n):
    """Octets that no other call gives, the same in every run."""
    return hashlib.sha256(str(next(_count)).encode()).digest()[:n]


def message(code, options=(), payload=b"", type=0, mid=0x1234, token=b"\x4a"):
    """Octets of a CoAP message; options: (number, value) in ascending order."""
    builder = Builder(bytearray(1500))
    builder.start(type, code, mid, token)
    for number, value in options:
        builder.option(number, value)
    builder.payload(payload)
    return bytes(builder.buf[: builder.n])


def parsed(octets):
    m = Message()
    m.parse(octets, len(octets))
    return m


def shown(octets):
    """(code, options, payload) of a message."""
    m = parsed(octets)
    options = [(m.numbers[i], m.octets(i)) for i in range(m.count)]
    return m.code, options, bytes(octets[m.payload_at : m.payload_at + m.payload_n])


class End:
    """One end with its contexts: calls take and give octets."""

    def __init__(self, *contexts, random=None):
        self.log = Log(64)
        self.oscore = Oscore(self.log, random or _random)
        for context in contexts:
            self.oscore.add(context)
        self.context = contexts[0] if contexts else None

    def request(self, octets, context=None):
        binding, out = self.oscore.binding(), bytearray(len(octets) + 60)
        n = self.oscore.protect_request(octets, len(octets), out, context or self.context, binding)
        return bytes(out[:n]), binding

    def take(self, octets, binding=None):
        """The request inside; raises OscoreError. Returns (octets, binding); the binding is `last` as well."""
        self.last = binding = binding or self.oscore.binding()
        out = bytearray(len(octets) + 8)
        n = self.oscore.unprotect_request(parsed(octets), out, binding)
        return bytes(out[:n]), binding

    def respond(self, octets, binding, own_piv=False):
        out = bytearray(len(octets) + 60)
        n = self.oscore.protect_response(octets, len(octets), out, binding, own_piv)
        return bytes(out[:n])

    def response(self, octets, binding):
        out = bytearray(len(octets) + 16)
        n = self.oscore.unprotect_response(parsed(octets), out, binding)
        return bytes(out[:n])


def pair(id_context=None, a=b"\x01", b=b"", store=None, **options):
    """A client and a server that share a secret."""
    return (End(Context(SECRET, SALT, a, b, id_context, store, "oscore", **options)),
            End(Context(SECRET, SALT, b, a, id_context)))


class Aiocoap(aiocoap.oscore.CanProtect, aiocoap.oscore.CanUnprotect, aiocoap.oscore.SecurityContextUtils):
    """The other implementation's context with the same secret."""

    def __init__(self, sender_id, recipient_id, id_context=None):
        self.alg_aead = aiocoap.oscore.algorithms["AES-CCM-16-64-128"]
        self.hashfun = aiocoap.oscore.hashfunctions["sha256"]
        self.sender_id, self.recipient_id, self.id_context = sender_id, recipient_id, id_context
        self.derive_keys(SALT, SECRET)
        self.sender_sequence_number = 0
        self.recipient_replay_window = aiocoap.oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.echo_recovery = None

    def post_seqnoincrease(self):
        pass

    def seal(self, octets, request_id=None):
        plain = aiocoap.Message.decode(octets)
        plain.direction = Direction.OUTGOING
        outer, request_id = self.protect(plain, request_id)
        outer.mtype, outer.mid, outer.token = plain.mtype, plain.mid, plain.token
        return outer.encode(), request_id

    def open(self, octets, request_id=None):
        """(code, options, payload) and the request's identifiers."""
        outer = aiocoap.Message.decode(octets)
        outer.direction = Direction.INCOMING
        plain, request_id = self.unprotect(outer, request_id)
        options = [(int(option.number), option.encode()) for option in plain.opt.option_list()]
        return (int(plain.code), options, plain.payload), request_id


__all__ = ("SALT", "SECRET", "Aiocoap", "CoapError", "End", "message", "pair", "parsed", "shown")
