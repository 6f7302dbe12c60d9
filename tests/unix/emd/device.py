"""A device in a few lines on paho-mqtt: registers, answers commands and reads, sends what a test wants."""

import ssl
import threading

import paho.mqtt.client as paho

from spot_host.profile import codec
from spot_host.profile import definition as d

SERVICE = {name: 1 << bit for bit, name, _ in d.enum("Service").rows}
METHOD = {name: 1 << bit for bit, name, _ in d.enum("Method").rows}
STATE = {name: code for code, name, _ in d.enum("State").rows}
KIND = {name: code for code, name, _ in d.enum("Kind").rows}


class PahoDevice:
    """`got`: decoded messages, in order. `answer`: function (message) → list of (name, values) to send back."""

    def __init__(self, broker, eui, device_class="plug", answer=None, clean=False):
        self.eui, self.base = eui, f"der/{broker.utility}/{device_class}/{eui}"
        self.got, self.answer, self.seq, self.lock = [], answer or self.obey, 0, threading.Lock()
        self.up = threading.Event()
        self.groups = f"der/{broker.utility}/group/1/+"
        identity = broker.pki.identity(eui)
        client = self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=eui, clean_session=clean, protocol=paho.MQTTv311
        )
        context = ssl.create_default_context(cafile=broker.pki.ca)
        context.load_cert_chain(identity.cert, identity.key)
        client.tls_set_context(context)
        client.on_connect, client.on_message = self._on_connect, self._on_message
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", broker.port, 30)
        client.loop_start()

    def _on_connect(self, client, userdata, flags, reason, properties):
        client.subscribe([(self.base + "/cmd", 1), (self.groups, 1)])
        self.up.set()

    def _on_message(self, client, userdata, message):
        decoded = codec.decode(message.payload)
        self.got.append(decoded)
        for name, values in self.answer(decoded) or ():
            self.send(name, **values)

    def obey(self, message):
        """Start every command, answer every read with 7."""
        if message.name == "command":
            what = "cancelled" if message["kind"] == KIND["revoke"] else "started"
            return [
                (
                    "status",
                    {
                        "seq": self.next(),
                        "id": message["id"],
                        "revision": message["revision"],
                        "state": STATE[what],
                        "reason": 0,
                        "start": message["issued"] + message["delay"],
                        "power": 123,
                        "duration": message["duration"],
                    },
                )
            ]
        if message.name == "read":
            return [
                (
                    "read_response",
                    {
                        "seq": self.next(),
                        "id": message["id"],
                        "time": message["issued"],
                        "clock": 4,
                        "values": [x for o in message["objects"] for x in (o, 7)],
                    },
                )
            ]
        if message.name == "configure":
            return [("answer", {"about": 14, "reason": 0, "ref": message["id"]})]
        return ()

    def next(self):
        with self.lock:
            self.seq += 1
            return self.seq - 1

    def send(self, name, **values):
        channel = d.message(name).channel
        return self.client.publish(
            f"{self.base}/{channel}", codec.encode(name, values), 0 if channel == "telemetry" else 1
        )

    def register(self, boot=1, **values):
        fields = {
            "eui64": bytes.fromhex(self.eui),
            "boot": boot,
            "reset": 1,
            "profile": 1,
            "versions": 1,
            "firmware": "1.0",
            "power_max": 2300,
            "power_min": 0,
            "standby": 1,
            "methods": METHOD["off"] | METHOD["shift"],
            "saving": 2000,
            "services": SERVICE["on_off"] | SERVICE["limit"] | SERVICE["read"],
            "max_block": 7200,
        }
        fields.update(values)
        assert self.up.wait(10), "no connection to the broker"
        self.send("register", **fields)

    def of(self, name):
        return [m.values for m in self.got if m.name == name]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()
