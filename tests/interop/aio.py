"""aiocoap as a peer: its loop in a thread, servers with a site of the test's own, clients, OSCORE contexts."""

import asyncio
import contextlib
import ssl
import threading
from urllib.parse import urlsplit

import aiocoap
import pytest
from aiocoap import defaults, oscore, resource
from aiocoap.credentials import CredentialsMap

from tests.interop import ports


class Loop:
    """An event loop in a thread: `loop.run(coroutine)` from the test, with a deadline."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._contexts = []

    def run(self, coroutine, timeout=15):
        """The coroutine's result; fails the test after `timeout` s."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            pytest.fail(f"aiocoap: nothing within {timeout} s")

    def server(self, site, tls=None, credentials=None, directory=False):
        """Serve `site` on a port (UDP, TCP; TLS on the next with `tls`, an SSLContext); returns (context, port).

        With `credentials` (a CredentialsMap), OSCORE too. `directory`: `site` is a class that wants the context first.
        """
        port = ports.free(2)

        async def start():
            inner = _site_with_oscore(site, credentials) if credentials is not None else site
            context = await aiocoap.Context.create_server_context(
                None if directory else inner, bind=("127.0.0.1", port), _ssl_context=tls)
            if directory:
                context.serversite = site(context)
            return context

        context = self.run(start())
        self._contexts.append(context)
        return context, port

    def client(self, credentials=None):
        """A client's context; `credentials`: uri pattern → OSCORE context or TLSCert."""

        async def start():
            context = await aiocoap.Context.create_client_context()
            context.client_credentials.update(credentials or {})
            return context

        context = self.run(start())
        self._contexts.append(context)
        return context

    def request(self, context, code, uri, payload=b"", timeout=15, **options):
        """One request; its response (also an error response)."""

        async def ask():
            message = aiocoap.Message(code=code, uri=uri, payload=payload, **options)
            return await context.request(message).response

        return self.run(ask(), timeout)

    def close(self):
        async def end():
            for context in self._contexts:
                with contextlib.suppress(AttributeError):  # aiocoap's, for a connection that never came to be
                    await context.shutdown()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


def tls_server(pki, identity):
    """TLS 1.2 as on a small device's side, with a client certificate of `pki` required."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.cert, identity.key)
    context.load_verify_locations(pki.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["coap"])
    return context


def _site_with_oscore(site, credentials):
    from aiocoap.oscore_sitewrapper import OscoreSiteWrapper

    return OscoreSiteWrapper(site, credentials)


class SecurityContext(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """An OSCORE context (AES-CCM-16-64-128, HKDF-SHA-256) that lives as long as the test."""

    def __init__(self, secret, salt, sender_id, recipient_id, id_context=None, known_window=True):
        if defaults.oscore_missing_modules():
            pytest.skip("aiocoap's OSCORE (its modules have wheels for Linux on x86-64)")
        self.alg_aead = oscore.algorithms["AES-CCM-16-64-128"]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id, self.recipient_id, self.id_context = sender_id, recipient_id, id_context
        self.derive_keys(salt, secret)
        self.sender_sequence_number = 0
        self.echo_recovery = None
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        if known_window:
            self.recipient_replay_window.initialize_empty()
        else:  # as after a restart: RFC 8613 appendix B.1.2
            self.echo_recovery = b"\x0e" * 8

    def post_seqnoincrease(self):
        pass


def contexts(*given):
    """A server's CredentialsMap of these security contexts."""
    found = CredentialsMap()
    for number, context in enumerate(given):
        found[f":{number}"] = context
    return found


class Fixed(resource.Resource):
    """GET answers `body` with the given options."""

    def __init__(self, body, **options):
        super().__init__()
        self.body, self.options = body, options

    async def render_get(self, request):
        return aiocoap.Message(payload=self.body, **self.options)


class Counter(resource.ObservableResource):
    """An observable value: `change(body)` from any thread notifies."""

    def __init__(self, loop, body):
        super().__init__()
        self._loop, self.body = loop, body
        self.observers = threading.Semaphore(0)  # released with each new observation

    async def render_get(self, request):
        return aiocoap.Message(payload=self.body)

    async def add_observation(self, request, serverobservation):
        await super().add_observation(request, serverobservation)
        self.observers.release()

    def change(self, body):
        def do():
            self.body = body
            self.updated_state()

        self._loop.loop.call_soon_threadsafe(do)


class Sink(resource.Resource):
    """POST and PUT: kept in `received` as (body, request), answered with `code` and `answer`."""

    def __init__(self, code=aiocoap.CHANGED, answer=b""):
        super().__init__()
        self.received, self._arrived, self._code, self._answer = [], threading.Condition(), code, answer

    async def render_post(self, request):
        with self._arrived:
            self.received.append((request.payload, request))
            self._arrived.notify_all()
        return aiocoap.Message(code=self._code, payload=self._answer)

    render_put = render_post

    def wait(self, n=1, timeout=15):
        """The first n (body, request); fails after `timeout` s."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= n, timeout), self.received
            return self.received[:n]


def site(resources):
    """A Site of path → resource, with `.well-known/core`."""
    made = resource.Site()
    made.add_resource([".well-known", "core"], resource.WKCResource(made.get_resources_as_linkheader))
    for path, what in resources.items():
        made.add_resource(path.split("/"), what)
    return made


def host_port(uri):
    parts = urlsplit(uri)
    return parts.hostname, parts.port
