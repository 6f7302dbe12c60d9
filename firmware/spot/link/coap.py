"""The asynchronous pump between a CoAP session and its transport: open, take, send, wait, again. MicroPython only."""

from ..codes import MAX_BODY
from ..port import asyncio, const, gc, ticks_ms
from .base import Link
from .coap_session import Session
from .errors import LinkError
from .settings import split_uri

_SIZE = MAX_BODY + 160  # a body, its options, tag and token
_TURN_MS = const(1000)  # the longest sleep: stalls are looked for
_BLOCKED_MS = const(20)  # how often a transport that takes nothing is tried again


def _udp():
    from .coap_udp import Transport

    return Transport


def _dtls():
    from .coap_dtls import Transport

    return Transport


def _tcp():
    from .coap_tcp import Transport

    return Transport


def _slipmux():
    from .slipmux import Transport

    return Transport


# by the URI's scheme; loaded on demand, so that an image holds its own only (spot_host.build)
_TRANSPORTS = {"coap": _udp, "coaps": _dtls, "coap+tcp": _tcp, "coaps+tcp": _tcp, "slipmux": _slipmux}


def window(*arguments):
    """A coap_window.AccessPoint."""
    from .coap_window import AccessPoint

    return AccessPoint(*arguments)


class CoapLink(Link):
    """One device's link to its EMD; docs/architecture.md has the place of each call.

    Config: `uri`, and what its transport, coap_session.Session and base.Link read. keyring: wire.keyring.Keyring of the
    association, for OSCORE.
    """

    def __init__(self, config, on_message, on_up, on_down, log, keyring=None):
        super().__init__(config, on_up, on_down, log)
        scheme, config["host"], config["port"] = split_uri(config["uri"])
        self._transport = transport = _TRANSPORTS[scheme]()(config, _SIZE, log)
        self.session = Session(config, transport, on_message, self._came_up, log, keyring)
        transport.on_pong = self.session.ponged

    # --- what the application calls

    @property
    def is_up(self):
        return self.session.is_up

    def send(self, channel, buf, n, urgent=False):
        """Accept `n` octets of `buf` (copied) for an up channel; False: not now (not up, or the window is full).
        urgent: once, and on the socket when this returns, unless a stream takes nothing: then behind what is under
        way."""
        try:
            if self._closing or not self.session.offer(ticks_ms(), channel, buf, n, urgent):
                return False
            if urgent:
                self._transport.flush()
        except LinkError:  # the pump meets it as well
            return False
        self._wake.set()
        return True

    def fetch(self, path, at, n, taken):
        """As Session.fetch."""
        if self._closing or not self.session.fetch(ticks_ms(), path, at, n, taken):
            return False
        self._wake.set()
        return True

    def say(self, text):
        """Diagnostic text beside the messages, where the transport has room for such (slipmux)."""
        self._transport.say(text)

    # --- inside

    async def _connection(self):
        transport, session, watches = self._transport, self.session, []
        session.check()
        try:
            await transport.open()
            gc.collect()
            watches = [asyncio.create_task(self._watch(raw)) for raw in transport.raws()]
            session.begin(ticks_ms())
            await self._pump()
        finally:
            for watch in watches:
                watch.cancel()
            transport.close()

    async def _pump(self):
        transport, session = self._transport, self.session
        while True:
            now = ticks_ms()
            self._settle(now)
            more = transport.take(now, session.receive)
            wait = min(_TURN_MS, session.step(now))
            if self._closing:
                session.farewell(now)
                return transport.leave()
            if not transport.flush():
                wait = min(wait, _BLOCKED_MS)
            if more:
                await asyncio.sleep_ms(0)  # a peer that never pauses must not stop the other tasks
            else:
                self._drained.set()
                if not session.reserve():
                    await self._sleep(wait)
