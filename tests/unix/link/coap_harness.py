"""An EMD's CoAP end for the tests: an aiocoap server in a thread, and a UDP path with faults before it."""

import asyncio
import contextlib
import socket
import threading
import time

import aiocoap
import aiocoap.resource as resource
from aiocoap.credentials import CredentialsMap
from aiocoap.numbers.codes import Code

from tests.unix.link.harness import DEVICE, QUICK

CHANNELS = ("register", "status", "telemetry", "interval", "alarm", "link")


def config(uri, **more):
    """A device's link configuration for the EMD at `uri`; times short, so that faults show soon."""
    return {**QUICK, "uri": uri, "device": DEVICE, "groups": ["area1"], "lifetime": 60, "ack_timeout_ms": 70,
            **({} if "pairing" in more or uri.startswith("coaps") else {"insecure": True}), **more}


class _Channel(resource.Resource):
    def __init__(self, emd, name):
        super().__init__()
        self._emd, self._name = emd, name

    async def render_post(self, request):
        return self._emd.took(self._name, request)

    async def render_delete(self, request):
        return self._emd.took(self._name, request)


class _Broadcast(resource.ObservableResource):
    def __init__(self, emd):
        super().__init__()
        self._emd = emd
        self.body = b"\x01first"

    async def render_get(self, request):
        self._emd.took("observe", request)
        return aiocoap.Message(code=Code.CONTENT, payload=self.body, max_age=3600, etag=self.body[:8])


class CoapEmd:
    """A server at `uri`, over "coap", "coap+tcp" or, with an ssl context, "coaps+tcp".

    `received`: (channel, payload, query) of what came; `answers`: code by channel, else 2.04, or 2.01 of the directory.
    security: an OSCORE context (tests.interop.aio.SecurityContext) that its requests and answers are under as well.
    `send(path, body)` is a request to the device, where the latest of its own came from.
    """

    def __init__(self, port=0, scheme="coap", tls=None, security=None):
        self.received, self.answers, self.remote = [], {}, None
        self.requests = []  # aiocoap's own, as they came
        self._arrived = threading.Condition()
        self._scheme, self._tls, self._security = scheme, tls, security
        self.port = port or free_port(socket.SOCK_DGRAM if scheme == "coap" else socket.SOCK_STREAM)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.context = self.do(self._start())

    @property
    def uri(self):
        return f"{self._scheme}://localhost:{self.port}"

    def do(self, work, timeout=20):
        """Run a coroutine in the EMD's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    async def _start(self):
        site = resource.Site()
        for name in CHANNELS:
            site.add_resource([name], _Channel(self, name))
        site.add_resource(["rd"], _Channel(self, "rd"))
        site.add_resource(["rd", "1"], _Channel(self, "rd/1"))
        self.broadcast = _Broadcast(self)
        site.add_resource(["group", "area1", "price"], self.broadcast)
        return await self.serve(site)

    async def serve(self, site):
        kind = {"coap": "udp6", "coap+tcp": "tcpserver", "coaps+tcp": "tlsserver"}[self._scheme]
        port = self.port - (1 if self._tls else 0)  # aiocoap adds what is between the two default ports
        kinds = [kind]
        if self._security is not None:
            from aiocoap.oscore_sitewrapper import OscoreSiteWrapper

            kinds.insert(0, "oscore")  # the first that knows an address sends to it
            self.credentials = CredentialsMap()
            self.credentials["coap://device"] = self._security
            site = OscoreSiteWrapper(site, self.credentials)
        return await aiocoap.Context.create_server_context(
            site, bind=("127.0.0.1", port), transports=kinds, _ssl_context=self._tls)

    def took(self, channel, request):
        """What every resource answers with."""
        with self._arrived:
            self.received.append((channel, request.payload, request.opt.uri_query))
            self.requests.append(request)
            self.remote = request.remote
            self._arrived.notify_all()
        code = self.answers.get(channel, Code.CREATED if channel == "rd" else Code.CHANGED)
        message = aiocoap.Message(code=code)
        if channel == "rd" and code == Code.CREATED:
            message.opt.location_path = ("rd", "1")
        return message

    def wait(self, condition, timeout=15):
        """Wait until `condition(self.received)` is true."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: condition(self.received), timeout), self.received

    def bodies(self, channel):
        return [body for name, body, _ in self.received if name == channel]

    def publish(self, body):
        """A new broadcast of the group area1."""

        async def change():
            self.broadcast.body = body
            self.broadcast.updated_state()

        self.do(change())

    def request(self, code, path, payload=b"", remote=None, **options):
        """A request to the device, over the connection or from the address that it uses; the response."""
        return self.do(self.ask(code, path, payload, remote, **options))

    async def ask(self, code, path, payload=b"", remote=None, **options):
        message = aiocoap.Message(code=code, payload=payload, **options)
        message.opt.uri_path = tuple(path.split("/"))
        message.remote = remote or self.remote
        return await self.context.request(message).response

    def send(self, path, body):
        return self.request(Code.POST, path, body)

    def under(self, security):
        """The device's address, under another OSCORE context, that its requests may be under as well from now on."""
        from aiocoap.transports.oscore import OSCOREAddress

        self.credentials["coap://next"] = security
        return OSCOREAddress(security, self.remote.underlying_address)

    def observe(self, path):
        """Observe a resource of the device: a list that notifications go to, and a function that ends it."""
        heard = []

        async def begin():
            message = aiocoap.Message(code=Code.GET, observe=0)
            message.opt.uri_path = tuple(path.split("/"))
            message.remote = self.remote
            request = self.context.request(message)
            first = await request.response

            async def follow():
                with contextlib.suppress(aiocoap.error.Error):
                    async for one in request.observation:
                        heard.append(one)

            self._following = asyncio.ensure_future(follow())
            return first

        return self.do(begin()), heard

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        if self.context is not None:
            with contextlib.suppress(Exception):
                self.do(self.context.shutdown(), 5)
            self.context = None
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(5)


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Path:
    """A UDP path to `target`, as a router with NAT: `drop` (a function of the datagram that says whether it is lost),
    `rebind()` (a new address towards the EMD in the middle of everything)."""

    def __init__(self, target):
        self._target = ("127.0.0.1", target)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.port = self._front.getsockname()[1]
        self.drop = lambda datagram, up: False
        self.twice = False
        self.carried = 0
        self._client = None
        self._backs = []
        self.rebind()
        threading.Thread(target=self._up, daemon=True).start()

    def rebind(self):
        back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        back.bind(("127.0.0.1", 0))
        self._backs.append(back)
        threading.Thread(target=self._down, args=(back,), daemon=True).start()

    def _up(self):
        with contextlib.suppress(OSError):
            while True:
                data, self._client = self._front.recvfrom(4096)
                if not self.drop(data, True):
                    self.carried += 1
                    for _ in range(1 + self.twice):
                        self._backs[-1].sendto(data, self._target)

    def _down(self, back):
        with contextlib.suppress(OSError):
            while True:
                data, _ = back.recvfrom(4096)
                if back is self._backs[-1] and self._client and not self.drop(data, False):
                    for _ in range(1 + self.twice):
                        self._front.sendto(data, self._client)

    def inject(self, data):
        """A datagram to the device from the EMD's address, that the EMD never sent."""
        self._front.sendto(data, self._client)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for sock in (self._front, *self._backs):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def until(condition, timeout=15):
    """Wait for `condition()` to be true, for what no event tells; fails after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
