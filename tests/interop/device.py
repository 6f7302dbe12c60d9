"""One CoAP endpoint of the firmware on one transport, on MicroPython: `device.py CONFIG.json`, JSON lines in and out.

Config: `uri` (the peer), `listen`, `multicast`, `insecure` (everything is served to anyone), certificates as the
transport takes them; `contexts`: name → {secret, salt, sender, recipient, id_context (hex), serve, restarted, first
(sequence number)}.

Lines in, each a JSON list: ["request", {id, code, path, body, options, context, con, observe, query, ct, accept}],
["cancel", id], ["value", hex] (changes the observable `/value`), ["plug", hex, code] (the next state of the plug
tests' observables), ["ping"], ["heap"]. Lines out: {"reply": id, …}, {"log": event}, and what the resources saw.
"""

import json
import sys

from spot.codes import MAX_BODY
from spot.link import coap
from spot.link.settings import split_uri
from spot.log import Log
from spot.port import asyncio, gc, random_bytes, ticks_ms
from spot.wire.coap import Builder, CoapError
from spot.wire.coap_endpoint import Endpoint
from spot.wire.context import Context
from spot.wire.oscore import Oscore

_SIZE = MAX_BODY + 160
GET, POST, PUT, DELETE = 1, 2, 3, 4
CREATED, DELETED, CHANGED, CONTENT = 0x41, 0x42, 0x44, 0x45


def say(**what):
    print(json.dumps(what))


class Restarted:
    """A store with the numbers of a run before."""

    def __init__(self):
        self.values = {}

    def get(self, name):
        return self.values.get(name, b"\0\0\1\0" + bytes(4))

    def put(self, name, value):
        self.values[name] = value


class Extra(Builder):
    """The endpoint's builder, with options that no part of the firmware sends, such as If-Match."""

    extra = []

    def _head(self, number, n):
        while self.extra and self.extra[0][0] <= number:
            first, value = self.extra.pop(0)
            self.option(first, value)
        return super()._head(number, n)

    def payload(self, data, at=0, n=-1):
        self._head_all()
        super().payload(data, at, n)

    def _head_all(self):
        while self.extra:
            first, value = self.extra.pop(0)
            self.option(first, value)


class Device:
    def __init__(self, config):
        self.config = config
        scheme, config["host"], config["port"] = split_uri(config["uri"])
        self.log = Log(64, 0, lambda level, event, a, b: say(log=event, a=a, b=b))
        self.transport = coap._TRANSPORTS[scheme]()(config, _SIZE, self.log)  # as the link finds it
        self.contexts = {}
        security = None
        if "contexts" in config:
            security = Oscore(self.log, random_bytes)
            for name, c in config["contexts"].items():
                hint = c.get("id_context")
                store = Restarted() if c.get("restarted") else None
                made = Context(bytes.fromhex(c["secret"]), bytes.fromhex(c["salt"]), bytes.fromhex(c["sender"]),
                               bytes.fromhex(c["recipient"]), bytes.fromhex(hint) if hint else None, store, name)
                if c.get("first"):
                    made.seq = c["first"]
                self.contexts[name] = made
                if c.get("serve"):
                    security.add(made)
        self.endpoint = ep = Endpoint(self, random_bytes, self.log, security, None)
        ep.builder = Extra(ep.plain)
        self.requests = {}
        self.value = b"first"
        self.stored = b""
        self.plug = (b"one", CONTENT)
        self.serve(ep.resource)

    # --- the endpoint's way out

    def datagram(self, peer, buf, n):
        return self.transport.datagram(peer, buf, n)

    def reliable(self, peer):
        return self.transport.reliable(peer)

    def trusted(self, peer):
        return self.config.get("insecure", False) or self.transport.secure and peer == self.transport.peer

    # --- resources

    def serve(self, resource):
        def gives(code, body=b"", method=GET, **more):
            def handler(now, request):
                if request.code != method:
                    return 0x85
                say(served=str(request.path, "ascii"), query=request.query(),
                    body=bytes(request.buf[request.at : request.at + request.n]).hex(), secure=bool(request.context))
                if body:
                    request.reply(body, **more)
                return code

            return handler

        hello = b"Hello World!"
        resource("oscore/hello/coap", gives(CONTENT, hello), open=True, ct=0)
        resource("oscore/hello/1", gives(CONTENT, hello), ct=0)
        resource("oscore/hello/2", gives(CONTENT, hello, etag=b"\x2b"), ct=0)
        resource("oscore/hello/3", gives(CONTENT, hello, max_age_s=5), ct=0)
        resource("oscore/hello/6", gives(CHANGED, b"\x4a", POST), ct=0)
        resource("oscore/hello/7", gives(CHANGED, b"", PUT), ct=0, etag=b"\x7b")
        resource("oscore/test", gives(DELETED, b"", DELETE), ct=0)
        for name in ("oscore/observe1", "oscore/observe2"):
            resource(name, self.plugged, observable=True, ct=0)
        resource("value", self.valued, 'rt="test.value";if="core.s"', observable=True, ct=0)
        resource("large", gives(CONTENT, b"0123456789" * 100), 'rt="test.large test.get";sz=1000', ct=0)
        resource("store", self.storing, 'rt="test.store"', ct=0)
        resource("later", self.later, ct=0)
        self.waiting = []

    def plugged(self, now, request):
        request.reply(self.plug[0])
        return self.plug[1]

    def valued(self, now, request):
        if request.code != GET:
            return 0x85
        request.reply(self.value)
        return CONTENT

    def storing(self, now, request):
        """POST or PUT keeps a body, GET gives it."""
        if request.code == GET:
            request.reply(self.stored)
            return CONTENT
        self.stored = bytes(request.buf[request.at : request.at + request.n])
        say(stored=len(self.stored), first=self.stored[:8].hex())
        return CHANGED

    def later(self, now, request):
        """A separate response (RFC 7252, section 5.2.2)."""
        self.waiting.append(request)
        return 0

    # --- the test's commands

    def command(self, now, what, *rest):
        if what == "request":
            self.request(now, rest[0])
        elif what == "cancel":
            self.requests.pop(rest[0]).cancel(now)
        elif what == "value":
            self.value = bytes.fromhex(rest[0])
            self.endpoint.notify(now, "value")
        elif what == "plug":
            self.plug = (bytes.fromhex(rest[0]), rest[1])
            for name in ("oscore/observe1", "oscore/observe2"):
                self.endpoint.notify(now, name)
        elif what == "ping":
            if self.reliable(self.transport.peer):
                self.transport.on_pong = lambda now: say(pong=True)
                self.transport.ping()
            else:
                self.endpoint.ping(now, self.transport.peer, lambda now, there: say(pong=there))
        elif what == "observers":
            say(observers=len(self.endpoint.server.observers.list))
        elif what == "heap":
            gc.collect()
            say(heap=gc.mem_alloc())

    def request(self, now, r):
        number = r["id"]

        def on_reply(now, code, buf, at, n, fresh):
            made = self.requests.get(number)
            options = []
            if made:
                for option, value in ((4, made.etag), (8, made.location)):
                    if value:
                        options.append([option, value.hex()])
                if made.observe and made.sequence >= 0:
                    options.append([6, "%06x" % made.sequence])
                if made.reply_ct >= 0:
                    options.append([12, "%02x" % made.reply_ct if made.reply_ct else ""])
                if made.max_age_s != 60:
                    digits = "%x" % made.max_age_s
                    options.append([14, "0" * (len(digits) & 1) + digits])
            say(reply=number, code=code, body=bytes(memoryview(buf)[at : at + n]).hex(), fresh=fresh, options=options)

        builder = self.endpoint.builder
        builder.extra = [(row[0], bytes.fromhex(row[1])) for row in r.get("options", ())]
        try:
            self.requests[number] = self.endpoint.request(
                now, self.transport.peer, r["code"], r["path"], bytes.fromhex(r.get("body", "")),
                query=r.get("query", ()), con=r.get("con", True), observe=r.get("observe", False),
                no_response=r.get("no_response", 0), context=self.contexts.get(r.get("context")), on_reply=on_reply,
                ct=r.get("ct", -1), accept=r.get("accept", -1))
        except CoapError as error:
            say(reply=number, code=-1, body="", fresh=False, options=[], error=error.text)
        builder.extra = []
        say(sent=number, going=self.requests.get(number) is not None)

    async def commands(self):
        lines = asyncio.StreamReader(sys.stdin)
        while True:
            line = await lines.readline()
            if not line:
                return
            self.command(ticks_ms(), *json.loads(line))

    async def run(self):
        await self.transport.open()
        reader = asyncio.create_task(self.commands())
        say(started=True)
        endpoint, transport = self.endpoint, self.transport
        while True:
            now = ticks_ms()
            more = transport.take(now, endpoint.received)
            endpoint.step(now)
            for request in self.waiting[:]:
                self.waiting.remove(request)
                endpoint.answer(now, request, CONTENT, b"it took a while")
            transport.flush()
            await asyncio.sleep_ms(0 if more else 2)
        reader.cancel()


with open(sys.argv[1]) as file:
    asyncio.run(Device(json.load(file)).run())
