"""Command latency in real time: the EMD publishes, the relay of a MicroPython process moves, over TLS and mosquitto."""

import json
import tempfile
import threading
import time

from paho.mqtt import client as paho

from spot_host.emd.config import EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from spot_sim.home import UTILITY, Home, Place
from spot_sim.mqtt_post import send_at_once

_EUI = "0200000000000001"
_COMMANDS = 200
_WARM_UP = 10


def run(emit):
    place = Place(_EUI, "unix", "plug", {"remote_close": True})
    echo = Place("0200000000000002", "unix", "plug")
    with tempfile.TemporaryDirectory() as folder, Home(folder, [place, echo]) as home:
        process = home.process(place, lockstep=False)
        process.start()
        times = _command_times(home, process)
        peer = _echo_times(home, echo)
    emit("command.latency.ms", _ms(times, 0.5), "ms", echo=_ms(peer, 0.5))
    emit("command.latency_p99.ms", _ms(times, 0.99), "ms", echo=_ms(peer, 0.99))


def _ms(times, share):
    return round(1000 * sorted(times)[int(share * (len(times) - 1))], 3)


def _command_times(home, process):
    post = home.mqtt
    core = EmdCore(EmdConfig(plan_prices=False), MemoryStorage(), post, int(time.time()))

    def work():
        for device, channel, body in post.take():
            core.receive(int(time.time()), device, channel, body)
        core.step(int(time.time()))

    deadline = time.monotonic() + 30
    while not (_EUI in core.devices and core.devices[_EUI].registered):
        if time.monotonic() > deadline:
            raise TimeoutError("the device did not register")
        post.await_arrival(_EUI, post.arrived(_EUI) + 1, 0.2)
        work()
    times = []
    for number in range(_WARM_UP + _COMMANDS):
        work()
        kind = ("off", "on")[number % 2]
        body = codec.encode("command", {
            "epoch": core.epoch, "id": 10_000, "revision": number, "priority": 5, "kind": _KIND[kind],
            "issued": int(time.time()), "delay": 0, "duration": 600,
        })
        start = time.perf_counter()
        post.send(_EUI, "cmd", body)
        while True:
            moves = json.loads(process.line(5))["out"]
            if ["pin2", number % 2] in moves:
                break
        times.append(time.perf_counter() - start)
    return times[_WARM_UP:]


_KIND = {"off": 1, "on": 2}


def _echo_times(home, place):
    """A paho client in the device's place that answers each message: the round trip through the broker."""
    identity = home.identity(place.eui64)
    base = "der/%s/plug/%s/" % (UTILITY, place.eui64)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=place.eui64)
    client.tls_set(str(home.pki.ca), str(identity.cert), str(identity.key))
    client.on_socket_open = send_at_once
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda c, _data, message: c.publish(base + "status", message.payload, qos=1)
    client.connect("127.0.0.1", home.broker.port)
    client.subscribe(base + "cmd", 1)
    client.loop_start()
    ready.wait(10)
    times = []
    for number in range(_WARM_UP + _COMMANDS):
        seen = home.mqtt.arrived(place.eui64)
        start = time.perf_counter()
        home.mqtt.send(place.eui64, "cmd", b"%034d" % number)
        home.mqtt.await_arrival(place.eui64, seen + 1, 5)
        times.append(time.perf_counter() - start)
    client.disconnect()
    client.loop_stop()
    return times[_WARM_UP:]
