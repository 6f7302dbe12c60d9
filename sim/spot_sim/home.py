"""A home with real parts: certificates made on the spot, mosquitto, an EMD's connection, and devices as MicroPython
processes."""

import json
from pathlib import Path

from spot_host.acl import DeviceAccess
from spot_host.broker import Broker
from spot_host.errors import UserError
from spot_host.pki import Pki
from spot_host.toolchain import paths, runtimes

from .lockstep import Process, micropython_command, micropython_environment
from .mqtt_post import MqttPost

UTILITY = "home"


class Place:
    """What a device process needs to know: `eui64`, `board` (a folder of boards/), `device` and `parts` (its
    configuration), `heap`."""

    def __init__(self, eui64, board, device_class, device=None, parts=None, groups=("1",), heap="4m"):
        self.eui64, self.board, self.device_class = eui64, board, device_class
        self.device, self.parts, self.groups, self.heap = device or {}, parts or {}, tuple(groups), heap


class Home:
    """Broker and certificates for `places`, below `folder`. A context manager: what it started ends with it.

    `post` is the EMD's connection (MqttPost); `process(place)` makes a device process that is not started yet.
    """

    def __init__(self, folder, places):
        self.folder = Path(folder)
        self.places = list(places)
        self.micropython = runtimes.installed("micropython")
        if not self.micropython.exists():
            raise UserError("MicroPython is missing: make setup")
        self.pki = Pki(self.folder / "pki")
        self._identities = {p.eui64: self.pki.device(p.eui64) for p in self.places}
        self._emd = self.pki.emd()
        access = [DeviceAccess(p.eui64, p.device_class, p.groups) for p in self.places]
        self.broker = Broker(self.pki, UTILITY, access, folder=self.folder / "broker")
        self.post = None
        self._processes = []

    def __enter__(self):
        try:
            self.broker.start()
            groups = {}
            for p in self.places:
                for group in p.groups:
                    groups.setdefault(group, []).append(p.eui64)
            self.post = MqttPost(
                "127.0.0.1",
                self.broker.port,
                self.pki.ca,
                self._emd,
                UTILITY,
                {p.eui64: p.device_class for p in self.places},
                groups,
            )
            self.post.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exc):
        for process in self._processes:
            process.stop()
        if self.post is not None:
            self.post.stop()
        self.broker.remove()

    def identity(self, eui64):
        """Certificate and key of a device."""
        return self._identities[eui64]

    def config(self, place):
        """The configuration file of a device, written."""
        identity = self._identities[place.eui64]
        path = self.folder / ("%s.json" % place.eui64)
        path.write_text(
            json.dumps(
                {
                    "board": place.board,
                    "boards": str(paths.ROOT / "boards"),
                    "eui64": place.eui64,
                    "store": str(self.folder / ("store-" + place.eui64)),
                    "log": "print",
                    "mqtt": {
                        "host": "127.0.0.1",
                        "port": self.broker.port,
                        "ca": str(self.pki.ca_der),
                        "cert": str(identity.cert_der),
                        "key": str(identity.key_der),
                        "utility": UTILITY,
                    },
                    "device": place.device,
                    "parts": place.parts,
                },
                indent=1,
            )
        )
        return path

    def process(self, place, lockstep=True):
        """A process for `place`, to be started."""
        firmware = paths.ROOT / "firmware"
        command = micropython_command(self.micropython, firmware / "main.py", self.config(place), place.heap, lockstep)
        process = Process(place.eui64, command, micropython_environment(firmware, [runtimes.umqtt_dir()]))
        self._processes.append(process)
        return process
