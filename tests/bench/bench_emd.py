"""How much telemetry the EMD takes over MQTT/TLS, checked and stored, beside a bare paho-mqtt subscriber.

A process of its own floods the broker with the same packets of four devices (QoS 0, as telemetry is); the broker drops
what a subscriber is too slow for. The rate is what arrived (for the EMD: what is in the database) by the time it took.
"""

import multiprocessing
import sqlite3
import ssl
import tempfile
import time
from pathlib import Path

import cbor2
import paho.mqtt.client as paho

from spot_host.acl import DeviceAccess
from spot_host.broker import Broker
from spot_host.emd.config import EmdConfig, Mqtt
from spot_host.emd.service import EmdService
from spot_host.pki import Pki
from spot_host.profile import codec
from spot_host.profile import definition as d

_DEVICES = tuple(f"02000000000000{n:02x}" for n in range(1, 5))
_SECONDS, _ROUNDS, _PACK = 1.5, 5, 2000


def _packet(topic, body):
    """A PUBLISH of QoS 0 (MQTT 3.1.1, 3.3)."""
    name = topic.encode()
    rest = len(name).to_bytes(2, "big") + name + body
    length, size = bytearray(), len(rest)
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (128 if size else 0))
        if not size:
            return b"\x30" + bytes(length) + rest


def _flood(port, ca, identities, stop):
    """Until `stop`: telemetry with six quantities, the numbers going on."""
    sockets = []
    for name, cert, key in identities:
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(cert, key)
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
        client.tls_set_context(context)
        client.connect("127.0.0.1", port)
        while not client.is_connected():
            client.loop(0.1)
        client.socket().setblocking(True)
        sockets.append((name, client))
    seq = 0
    while not stop.is_set():
        now = int(time.time())
        for name, client in sockets:
            topic = f"der/home/plug/{name}/telemetry"
            client.socket().sendall(
                b"".join(
                    _packet(
                        topic, cbor2.dumps([8, seq + n, now, 2300 + n % 50, 4, 2, 3, 23012, 9980, 1234567 + n, 50012])
                    )
                    for n in range(_PACK // len(_DEVICES))
                )
            )
        seq += _PACK // len(_DEVICES)


def _bare(broker):
    """Messages a second that paho-mqtt alone receives."""
    identity = broker.pki.identity("emd")
    context = ssl.create_default_context(cafile=broker.pki.ca)
    context.load_cert_chain(identity.cert, identity.key)
    times = [0, 0.0, 0.0]

    def on_message(client, userdata, message):
        now = time.perf_counter()
        if not times[0]:
            times[1] = now
        times[0] += 1
        times[2] = now
        if now - times[1] > _SECONDS:
            client.disconnect()

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="emd")
    client.tls_set_context(context)
    client.on_connect = lambda c, *_: c.subscribe("der/home/+/+/telemetry")
    client.on_message = on_message
    client.connect("127.0.0.1", broker.port)
    client.loop_forever()
    return times[0] / (times[2] - times[1])


def _emd(broker, folder):
    """Telemetry messages a second that the EMD checks and has in its database."""
    identity = broker.pki.identity("emd")
    mqtt = Mqtt("127.0.0.1", broker.port, str(broker.pki.ca), str(identity.cert), str(identity.key))
    service = EmdService(
        EmdConfig(database=str(folder / f"{time.monotonic_ns()}.sqlite"), mqtt=mqtt, most_per_minute=1 << 40)
    )
    for name in _DEVICES:
        service.core.receive(
            service.now(),
            name,
            "register",
            codec.encode(
                "register",
                {
                    "eui64": bytes.fromhex(name),
                    "boot": 1,
                    "reset": 1,
                    "profile": 1,
                    "versions": 1,
                    "firmware": "1.0",
                    "power_max": 2300,
                    "power_min": 0,
                    "standby": 1,
                    "methods": 1,
                    "saving": 2000,
                    "services": 0,
                },
            ),
            "plug",
        )
    service.link.connect()
    row = service.core.devices[_DEVICES[0]]
    before = row.messages_in
    while row.messages_in == before:
        service.turn()
    start = time.perf_counter()
    while time.perf_counter() - start < _SECONDS:
        service.turn()
    service.core.close(service.now())
    took = time.perf_counter() - start
    service.link.close()
    service.storage.close()
    with sqlite3.connect(service.config.database) as base:
        (stored,) = base.execute("SELECT count(*) FROM telemetry").fetchone()
    assert not any(r.hostile for r in service.core.devices.values())
    return stored / took


def run(emit):
    """emd.telemetry_rate.per_s, with peer `paho`."""
    assert d.message("telemetry").code == 8
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        pki = Pki(folder / "pki")
        pki.emd()
        for name in _DEVICES:
            pki.device(name)
        with Broker(pki, "home", [DeviceAccess(name, "plug") for name in _DEVICES], folder=folder / "broker") as broker:
            identities = [(n, str(pki.identity(n).cert), str(pki.identity(n).key)) for n in _DEVICES]
            stop = spawn.Event()
            process = spawn.Process(target=_flood, args=(broker.port, str(pki.ca), identities, stop))
            process.start()
            try:
                rounds = [(_bare(broker), _emd(broker, folder)) for _ in range(_ROUNDS)]
            finally:
                stop.set()
                process.join(10)
    # The round in the middle by its ratio: what else runs on the machine falls on both of its halves.
    bare, emd = sorted(rounds, key=lambda pair: pair[1] / pair[0])[len(rounds) // 2]
    emit("emd.telemetry_rate.per_s", round(emd), "1/s", paho=round(bare))
