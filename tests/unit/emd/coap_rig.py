"""A CoapLink on loopback ports, and devices that talk to it with aiocoap and OSCORE contexts of their own."""

import asyncio
import contextlib
import socket
import threading
import time

import aiocoap
from aiocoap import oscore
from aiocoap.numbers.constants import Unreliable

from spot_host.emd.coap import CoapLink
from spot_host.emd.coap_oscore import SecureRemote, SecureTransport
from spot_host.emd.config import Coap
from spot_host.emd.keyrings import Keyrings
from spot_host.emd.storage import MemoryKeys
from spot_host.errors import UserError
from spot_host.pairing import Pairing

EUIS = [f"02000000000000{n:02x}" for n in range(1, 256)]
BODY = bytes.fromhex("82181801")


def free_port(kind=socket.SOCK_DGRAM):
    """A port that nobody has now, for UDP and TCP."""
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def pairing(n=1, generation=0, until=None, secret=None):
    """The pairing of device number `n`."""
    secret = bytes([n, generation]) * 8 if secret is None else secret
    return Pairing(secret, bytes([n]) * 8, bytes([n]), generation=generation, until=until)


class DeviceSide(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """The device's end of a pairing, in RAM. echo: it has a replay window from the start."""

    alg_aead = oscore.algorithms[oscore.DEFAULT_ALGORITHM]
    hashfun = oscore.hashfunctions[oscore.DEFAULT_HASHFUNCTION]
    echo_recovery = None

    def __init__(self, pairing, following=0):
        self.sender_id, self.recipient_id, self.id_context = pairing.id, pairing.emd, pairing.id_context
        self.derive_keys(pairing.salt, pairing.secret)
        self.sender_sequence_number = following
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.name = f"device {self.sender_id.hex()}"

    def post_seqnoincrease(self):
        pass


class _Commands:
    """The device's own site: takes what is posted under its context."""

    def __init__(self, device):
        self._device = device

    async def render_to_pipe(self, pipe):
        device = self._device
        inner, binding = device.context.unprotect(pipe.request)
        device.got.append((inner.opt.uri_path, inner.payload))
        response = aiocoap.Message(code=device.answer_code, payload=device.answer_payload)
        response.opt.no_response = inner.opt.no_response
        if (inner.opt.no_response or 0) & 2:
            pipe.add_response(aiocoap.Message(code=aiocoap.CHANGED, no_response=26), is_last=True)
            return
        protected, _ = device.context.protect(response, binding)
        pipe.add_response(protected, is_last=True)


class Device:
    """An aiocoap endpoint with one OSCORE context (or none, or TLS)."""

    def __init__(self, loop, uri, pairing=None, following=0, tls=None):
        self.loop, self.uri, self.tls = loop, uri, tls
        self.context = DeviceSide(pairing, following) if pairing is not None else None
        self.got, self.answer_code, self.answer_payload, self._aiocoap = [], aiocoap.CHANGED, b"", None

    async def _ready(self):
        if self._aiocoap is None:
            kind = "tlsclient" if self.uri.startswith("coaps+tcp") else "tcpclient" if "+tcp" in self.uri else "udp6"
            self._aiocoap = await aiocoap.Context.create_client_context(transports=[kind])
            self._aiocoap.request_interfaces.insert(0, SecureTransport(self._aiocoap))
            self._aiocoap.serversite = _Commands(self) if self.context is not None else None
            if self.tls is not None:
                self._aiocoap.request_interfaces[-1].token_interface._ssl_context_factory = lambda hostinfo: self.tls
        return self._aiocoap

    async def message(self, code, path, payload=b"", query=(), **options):
        """A message for the EMD with its remote resolved, and protected where there is a context."""
        context = await self._ready()
        message = aiocoap.Message(code=code, uri=self.uri + path, payload=payload, **options)
        message.opt.uri_query = query
        await context.request_interfaces[-1].fill_or_recognize_remote(message)
        message.opt.uri_host = message.opt.uri_port = None
        if self.context is not None:
            reliable = "+tcp" in self.uri
            message.remote = SecureRemote(self.context, message.remote, reliable)
        return message

    async def asked(self, code, path, payload=b"", query=(), blocks=True, **options):
        message = await self.message(code, path, payload, query, **options)
        try:
            return await (await self._ready()).request(message, handle_blockwise=blocks).response
        except oscore.NotAProtectedMessage as exc:  # an error in the clear
            return exc.plain_message

    def request(self, code, path, payload=b"", **options):
        """The response, from the test's thread."""
        return self.loop.do(self.asked(code, path, payload, **options))

    def post(self, channel, body=BODY, **options):
        return self.request(aiocoap.POST, "/" + channel, body, **options)

    def get(self, path, **options):
        return self.request(aiocoap.GET, path, **options)

    def fire(self, channel, body=BODY):
        """Non-confirmable and without an answer, as telemetry."""
        async def go():
            message = await self.message(aiocoap.POST, "/" + channel, body, no_response=26)
            message.transport_tuning = Unreliable()
            protected, _ = self.context.protect(message)
            protected.transport_tuning = Unreliable()
            protected.remote, protected.token = message.remote.address, b""
            interface = self._aiocoap.request_interfaces[-1].token_interface
            protected.mtype = aiocoap.NON
            interface.send_message(protected, lambda: None)
        self.loop.do(go())

    async def close(self):
        if self._aiocoap is not None:
            await self._aiocoap.shutdown()


class Loop:
    """An asyncio loop in a thread, for the devices."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, coroutine, timeout=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)


class Rig:
    """One CoapLink with `count` paired devices; `serve` answers what arrives, in a thread, until the rig is closed."""

    def __init__(self, count=2, keys=None, clock=time.time, rings=None, refuse=lambda a: None, **settings):
        self.tls_port = 0
        self.keys = MemoryKeys() if keys is None else keys
        self.log, self.refuse, self.taken = [], refuse, []
        self.keyrings = Keyrings(None, self.keys, lambda *what: self.log.append(what), clock)
        self.keyrings.set(rings or {EUIS[n - 1]: [pairing(n)] for n in range(1, count + 1)})
        for attempt in range(5):  # another test may take the port between finding and binding it
            self.port = free_port()
            values = {"host": "127.0.0.1", "udp_port": self.port, "tcp_port": self.port, "tls_port": 0, **settings}
            self.link = CoapLink(Coap(**values), self.keyrings)
            try:
                self.link.start()
                break
            except UserError:
                if settings or attempt == 4:
                    raise
        self.loop, self.devices, self._serving = Loop(), [], True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while self._serving:
            self.link.wait(0.05)
            if not self._serving:
                return
            arrivals = self.link.take()
            self.taken += arrivals
            self.link.answer([(a, self.refuse(a)) for a in arrivals])

    def device(self, n=1, scheme="coap", port=None, secure=True, generation=0, following=0, secret=None, tls=None):
        made = Device(
            self.loop, f"{scheme}://127.0.0.1:{port or self.port}",
            pairing(n, generation, secret=secret) if secure else None, following, tls,
        )  # fmt: skip
        self.devices.append(made)
        return made

    def events(self):
        """[(EUI, event)] of the notes so far."""
        self.noted = getattr(self, "noted", []) + self.link.notes.take()
        return [(eui, event) for eui, event, _ in self.noted]

    def wait(self, condition, what, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, what
            time.sleep(0.005)

    def close(self, gracefully=True):
        self._serving = False
        self._thread.join(5)
        for device in self.devices:
            with contextlib.suppress(Exception):
                self.loop.do(device.close(), 5)
        self.loop.stop()
        self.link.stop()
