"""Command latency over CoAP in real time: an EMD (aiocoap) POSTs the command, the relay of a MicroPython process moves.

Plain UDP, UDP with OSCORE, and TLS. The peer is aiocoap's PUT of as many octets to libcoap's coap-server on this
machine, protected in the same way, until its answer is here: what libraries and machine take without a device.
"""

import asyncio
import json
import tempfile
import threading
import time
from pathlib import Path

import aiocoap
from aiocoap import resource
from aiocoap.credentials import TLSCert

from spot_host.emd.config import EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.storage import MemoryStorage
from spot_host.pki import Pki
from spot_host.profile import codec
from spot_host.profile.definition import CHANNELS
from spot_host.toolchain import libcoap as tools
from spot_host.toolchain import paths, runtimes
from spot_sim.lockstep import Process, micropython_command, micropython_environment
from tests.interop import aio, libcoap

_EUI = "0200000000000001"
_COMMANDS = 200
_WARM_UP = 5
_AT_ONCE = 22  # commands to one device on plain UDP, which remembers 32 requests for four minutes and takes no more
_KIND = (1, 2)  # off, on
_SECRET, _SALT, _DEVICE, _EMD = bytes(range(16)), bytes(8), b"\x01", b"\x00"
_WAYS = {"": "coap", "_oscore": "coap", "_tls": "coaps+tcp"}


def run(emit):
    if any(name.endswith("openssl") for name in tools.missing()):
        raise FileNotFoundError("libcoap is missing: make setup")
    for way, scheme in _WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            pki = Pki(folder / "pki")
            pki.broker(name="server")
            pki.device(_EUI)
            loop = aio.Loop()
            try:
                times = []
                while len(times) < _COMMANDS:
                    work = Path(tempfile.mkdtemp(dir=folder))
                    times += _command_times(loop, work, pki, way, scheme, _COMMANDS if way else _AT_ONCE)
                peer = _peer_times(loop, folder, pki, way, scheme)
            finally:
                loop.close()
        emit(f"coap.command.latency{way}.ms", _ms(times, 0.5), "ms", libcoap=_ms(peer, 0.5))
        emit(f"coap.command.latency{way}_p99.ms", _ms(times, 0.99), "ms", libcoap=_ms(peer, 0.99))


def _ms(times, share):
    return round(1000 * sorted(times)[int(share * (len(times) - 1))], 3)


class _Channel(resource.Resource):
    def __init__(self, emd, name):
        super().__init__()
        self._emd, self._name = emd, name

    async def render_post(self, request):
        return self._emd.took(self._name, request)


class _Emd:
    """Channels on an aiocoap server, and the core's way out: `cmd` goes where the device's latest request came from."""

    def __init__(self, loop, tls, credentials):
        self._loop, self._remote, self._arrived = loop, None, threading.Condition()
        self._inbox = []
        site = aio.site({name: _Channel(self, name) for name in [row[1] for row in CHANNELS] + ["rd"]})
        self._context, self.port = loop.server(site, tls, credentials)

    def took(self, channel, request):
        with self._arrived:
            self._remote = request.remote
            if channel != "rd":
                self._inbox.append((_EUI, channel, request.payload))
            self._arrived.notify_all()
        return aiocoap.Message(code=aiocoap.CREATED if channel == "rd" else aiocoap.CHANGED)

    def take(self, seconds=0):
        """What arrived; waits for it that long."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._inbox, seconds)
            out, self._inbox = self._inbox, []
        return out

    def send(self, device, channel, body):
        async def post():
            message = aiocoap.Message(code=aiocoap.POST, payload=body, uri_path=[channel])
            message.remote = self._remote
            await self._context.request(message).response

        asyncio.run_coroutine_threadsafe(post(), self._loop.loop)
        return True

    def publish(self, group, channel, body):
        """Nobody listens."""


def _security(way):
    return aio.SecurityContext(_SECRET, _SALT, _EMD, _DEVICE) if way == "_oscore" else None


def _process(folder, pki, way, scheme, port):
    identity = pki.identity(_EUI)
    link = {"uri": f"{scheme}://127.0.0.1:{port}"}
    if scheme != "coap":
        link |= {"ca": str(pki.ca_der), "cert": str(identity.cert_der), "key": str(identity.key_der)}
    elif way:
        link["pairing"] = str(folder / "pairing.json")
        record = {"secret": _SECRET.hex(), "salt": _SALT.hex(), "id": _DEVICE.hex(), "emd": _EMD.hex(), "generation": 0}
        (folder / "pairing.json").write_text(json.dumps(record))
    else:
        link["insecure"] = True
    config = {"board": "unix", "boards": str(paths.ROOT / "boards"), "eui64": _EUI, "store": str(folder / "store"),
              "log": "print", "coap": link, "device": {"remote_close": True}}
    (folder / "config.json").write_text(json.dumps(config))
    firmware = paths.ROOT / "firmware"
    command = micropython_command(runtimes.installed("micropython"), firmware / "main.py", folder / "config.json",
                                  lockstep=False)
    return Process(_EUI, command, micropython_environment(firmware, [runtimes.umqtt_dir()]))


def _command_times(loop, folder, pki, way, scheme, commands):
    tls = aio.tls_server(pki, pki.identity("server")) if scheme != "coap" else None
    security = _security(way)
    emd = _Emd(loop, tls, aio.contexts(security) if security else None)
    process = _process(folder, pki, way, scheme, emd.port + bool(tls))
    core = EmdCore(EmdConfig(plan_prices=False), MemoryStorage(), emd, int(time.time()))

    def work(seconds=0):
        for device, channel, body in emd.take(seconds):
            core.receive(int(time.time()), device, channel, body)
        core.step(int(time.time()))

    process.start()
    try:
        deadline = time.monotonic() + 30
        while not (_EUI in core.devices and core.devices[_EUI].registered):
            if time.monotonic() > deadline:
                raise TimeoutError("the device did not register")
            work(0.2)
        times = []
        for number in range(_WARM_UP + commands):
            work()
            body = codec.encode("command", {
                "epoch": core.epoch, "id": 10_000, "revision": number, "priority": 5, "kind": _KIND[number % 2],
                "issued": int(time.time()), "delay": 0, "duration": 600,
            })
            start = time.perf_counter()
            emd.send(_EUI, "cmd", body)
            while ["pin2", number % 2] not in json.loads(process.line(5))["out"]:
                pass
            times.append(time.perf_counter() - start)
        return times[_WARM_UP:]
    finally:
        process.stop()


def _peer_times(loop, folder, pki, way, scheme):
    """aiocoap's PUT of 34 octets to coap-server, and back."""
    options, credentials = [], {}
    if way == "_oscore":
        conf = folder / "oscore.conf"
        conf.write_text(f'master_secret,hex,"{_SECRET.hex()}"\nmaster_salt,hex,"{_SALT.hex()}"\n'
                        f'sender_id,hex,"{_DEVICE.hex()}"\nrecipient_id,hex,"{_EMD.hex()}"\n')
        options = ["-E", conf]
    server = pki.identity("server") if scheme != "coap" else None
    if server:
        options = ["-n"]  # aiocoap's client shows no certificate
    with libcoap.Server(folder, *options, pki=pki if server else None, cert=server) as peer:
        uri = peer.uri("/example_data", scheme)
        base = uri.rsplit("/", 1)[0]
        if server:
            credentials = {f"{base}/*": TLSCert(str(pki.ca))}
        elif way:
            credentials = {f"{base}/*": _security(way)}
        client = loop.client(credentials)

        async def measure():
            times = []
            for number in range(_WARM_UP + _COMMANDS):
                message = aiocoap.Message(code=aiocoap.PUT, uri=uri, payload=b"%034d" % number)
                start = time.perf_counter()
                response = await client.request(message).response
                times.append(time.perf_counter() - start)
                if not response.code.is_successful():
                    raise ConnectionError(f"coap-server answers {response.code}")
            return times

        return loop.run(measure(), 60)[_WARM_UP:]
