"""A home with real parts: certificates and keys made on the spot, mosquitto, an EMD's connections, and devices as
MicroPython processes, each over MQTT or CoAP."""

import json
from pathlib import Path

from spot_host.acl import DeviceAccess
from spot_host.broker import Broker
from spot_host.errors import UserError
from spot_host.pairing import Pairings, write_secret
from spot_host.pki import Pki
from spot_host.toolchain import paths, runtimes

from .coap_post import CoapPost, Posts
from .lockstep import Process, micropython_command, micropython_environment
from .mqtt_post import MqttPost

UTILITY = "home"


class Place:
    """What a device process needs to know: `eui64`, `board` (a folder of boards/), `device` and `parts` (its
    configuration), `heap`, `link` ("mqtt" over TLS, or "coap" on UDP with OSCORE)."""

    def __init__(self, eui64, board, device_class, device=None, parts=None, groups=("1",), heap="4m", link="mqtt"):
        self.eui64, self.board, self.device_class, self.link = eui64, board, device_class, link
        self.device, self.parts, self.groups, self.heap = device or {}, parts or {}, tuple(groups), heap


class Home:
    """Broker, certificates and keys for `places`, below `folder`. A context manager: what it started ends with it.

    `post` is the EMD's connection to all of them; `process(place)` makes a device process that is not started yet.
    """

    def __init__(self, folder, places):
        self.folder = Path(folder)
        self.places = list(places)
        self.micropython = runtimes.installed("micropython")
        if not self.micropython.exists():
            raise UserError("MicroPython is missing: make setup")
        self._on_mqtt = [p for p in self.places if p.link == "mqtt"]
        self._on_coap = [p for p in self.places if p.link == "coap"]
        self.pki = self.broker = self.post = self.mqtt = self.coap = None
        self._identities, self._pairings = {}, {}
        if self._on_mqtt:
            self.pki = Pki(self.folder / "pki")
            self._identities = {p.eui64: self.pki.device(p.eui64) for p in self._on_mqtt}
            access = [DeviceAccess(p.eui64, p.device_class, p.groups) for p in self._on_mqtt]
            self.broker = Broker(self.pki, UTILITY, access, folder=self.folder / "broker")
        if self._on_coap:
            self.folder.mkdir(parents=True, exist_ok=True)
            pairings = Pairings(self.folder / "pairings.json")
            self._pairings = {p.eui64: pairings.add(p.eui64) for p in self._on_coap}
        self._processes = []

    def __enter__(self):
        try:
            if self._on_mqtt:
                self._start_mqtt()
            if self._on_coap:
                self.coap = CoapPost(self._pairings)
                self.coap.start()
            self.post = Posts({p.eui64: self.mqtt if p.link == "mqtt" else self.coap for p in self.places})
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start_mqtt(self):
        emd = self.pki.emd()
        self.broker.start()
        groups = {}
        for p in self._on_mqtt:
            for group in p.groups:
                groups.setdefault(group, []).append(p.eui64)
        classes = {p.eui64: p.device_class for p in self._on_mqtt}
        self.mqtt = MqttPost("127.0.0.1", self.broker.port, self.pki.ca, emd, UTILITY, classes, groups)
        self.mqtt.start()

    def __exit__(self, *exc):
        for process in self._processes:
            process.stop()
        for post in (self.mqtt, self.coap):
            if post is not None:
                post.stop()
        if self.broker is not None:
            self.broker.remove()

    def identity(self, eui64):
        """Certificate and key of a device."""
        return self._identities[eui64]

    def config(self, place):
        """The configuration file of a device, written."""
        path = self.folder / ("%s.json" % place.eui64)
        path.write_text(
            json.dumps(
                {
                    "board": place.board,
                    "boards": str(paths.ROOT / "boards"),
                    "eui64": place.eui64,
                    "store": str(self.folder / ("store-" + place.eui64)),
                    "log": "print",
                    place.link: self._over_mqtt(place) if place.link == "mqtt" else self._over_coap(place),
                    "device": place.device,
                    "parts": place.parts,
                },
                indent=1,
            )
        )
        return path

    def _over_mqtt(self, place):
        identity = self._identities[place.eui64]
        return {
            "host": "127.0.0.1",
            "port": self.broker.port,
            "ca": str(self.pki.ca_der),
            "cert": str(identity.cert_der),
            "key": str(identity.key_der),
            "utility": UTILITY,
        }

    def _over_coap(self, place):
        pairing = self.folder / ("%s.pairing.json" % place.eui64)
        write_secret(pairing, self._pairings[place.eui64].record())
        return {"uri": "coap://127.0.0.1:%d" % self.coap.port, "pairing": str(pairing)}

    def process(self, place, lockstep=True):
        """A process for `place`, to be started."""
        firmware = paths.ROOT / "firmware"
        command = micropython_command(self.micropython, firmware / "main.py", self.config(place), place.heap, lockstep)
        process = Process(place.eui64, command, micropython_environment(firmware, [runtimes.umqtt_dir()]))
        self._processes.append(process)
        return process
