"""The folder of one home: its authority, its broker's files, its EMD's settings, and what each device is given.

    pki/              certificates and keys (spot_host.pki)
    broker/           mosquitto.conf and its access rules (spot_host.broker)
    emd.toml          settings of the EMD
    pairings.json     the devices' pairing secrets (spot_host.pairing), for OSCORE and COSE
    devices/<EUI-64>/ config.json and the device's certificates or pairing.json
    home.json         host, port, utility, and the devices' boards; written last, so that a running broker sees a change
"""

import json
import re
import shutil
import time
from pathlib import Path

from spot.config import ConfigError, load_board

from . import acl
from .broker import Broker
from .emd.local_time import of_this_computer
from .errors import UserError
from .pairing import PROTECT, Pairings, write_secret
from .pki import Pki
from .toolchain import paths

_HERE = ("localhost", "127.0.0.1")
_LOOK_S = 0.5
LINKS = {  # scheme of the device's URI: (word of the ports, whether OSCORE protects it)
    "coap": ("udp_port", True),
    "coap+tcp": ("tcp_port", True),
    "coaps+tcp": ("tls_port", False),
}

_EMD_TOML = """\
# Settings of this home's EMD; docs/emd.md has all of them.
utility = "{utility}"
time_zone = "{zone}"
group = "{group}"
database = "emd.sqlite"
base_load = 0                    # W that no device measures
# prices = "day_ahead.csv"       # CSV or JSON, for today
pairings = "pairings.json"

[mqtt]
host = "127.0.0.1"
port = {port}
ca = "pki/ca.pem"
cert = "pki/emd.pem"
key = "pki/emd.key"
"""

_EMD_COAP = """
[coap]
host = "{host}"
udp_port = {port}
tcp_port = {port}
tls_port = {tls_port}
ca = "pki/ca.pem"
cert = "pki/coap.pem"
key = "pki/coap.key"
crl = "pki/crl.pem"
"""


class HomeFolder:
    """The home in `folder`, made by `create`. UserError when there is none."""

    _GROUP = "1"

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self._file = self.folder / "home.json"
        try:
            said = json.loads(self._file.read_text())
            self.host, self.port, self.utility = said["host"], said["port"], said["utility"]
            self.boards = dict(said["devices"])
            self.coap_port = said.get("coap_port", 0)
        except FileNotFoundError:
            raise UserError(f"{folder}: no home here; `spot emd init {folder}` makes one") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self._file}: cannot be used: {error!r}") from error
        self.pki = Pki(self.folder / "pki")

    @classmethod
    def create(cls, folder, host, port, utility, coap_port=5683):
        """Make the home; CoAP on UDP and TCP at coap_port, on TLS one above, none when 0. UserError when the folder
        has one or cannot be written."""
        folder = Path(folder).resolve()
        if (folder / "home.json").exists():
            raise UserError(f"{folder}: there is a home already; `spot emd enroll` adds devices to it")
        if not 1 <= port <= 65535:
            raise UserError(f"--port: {port} is not within 1 … 65535; MQTT over TLS is 8883")
        if not 0 <= coap_port <= 65534:
            raise UserError(f"--coap-port: {coap_port} is not within 0 (no CoAP) … 65534; CoAP is 5683")
        if not re.fullmatch("[A-Za-z0-9.:-]{1,253}", host):
            raise UserError(f"--host: {host!r} is no name or address")
        acl.rules(utility, ())  # refuses what is no level of a topic, before anything is written
        try:
            folder.mkdir(parents=True, exist_ok=True)
            pki = Pki(folder / "pki")
            pki.emd()
            names = tuple(dict.fromkeys((*_HERE, host) if host in _HERE else (host, *_HERE)))
            pki.broker(names)
            settings = _EMD_TOML.format(utility=utility, zone=of_this_computer(), group=cls._GROUP, port=port)
            if coap_port:
                pki.broker(names, name="coap")
                where = "127.0.0.1" if host in _HERE else "0.0.0.0"
                settings += _EMD_COAP.format(host=where, port=coap_port, tls_port=coap_port + 1)
            (folder / "emd.toml").write_text(settings)
            _replace(folder / "home.json", {"host": host, "port": port, "coap_port": coap_port, "utility": utility,
                                            "devices": {}})
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
        home = cls(folder)
        home.write_broker()
        return home

    def access(self):
        """The devices as the broker's access rules want them."""
        return [acl.DeviceAccess(eui, _board(board)["device"], (self._GROUP,)) for eui, board in self.boards.items()]

    def broker(self):
        """The home's broker, not started. It listens to this computer only if `host` is this computer."""
        address = "127.0.0.1" if self.host in _HERE else "0.0.0.0"
        return Broker(self.pki, self.utility, self.access(), host=address, port=self.port,
                      folder=self.folder / "broker", identity=self.pki.identity("broker"))

    def write_broker(self):
        """Write mosquitto.conf and the access rules; its path."""
        self.broker().reload()
        return self.folder / "broker" / "mosquitto.conf"

    def enroll(self, eui, board, link="mqtt", protect="none", until=None):
        """Keys and config.json of a device, which broker and EMD let in from now on; the device's folder.

        link: "mqtt", or a scheme of LINKS. protect: which directions of its MQTT messages COSE protects (PROTECT).
        until: Unix s after which a pairing secret that was never used is refused. A device on this computer gets
        absolute paths; a chip gets the names that the files have beside its main.py.
        """
        self._is_new(eui)
        _board(board)
        self._check_link(link, protect)
        here = board.startswith("unix")
        at = self.folder / "devices" / eui
        at.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("pairing.json", "ca.der", "cert.der", "key.der"):
            (at / name).unlink(missing_ok=True)  # of an enrolment that was revoked
        prefix = f"{at}/" if here else ""
        config = {"board": board, "eui64": eui, "store": f"{prefix}store"}
        pairings = Pairings(self.folder / "pairings.json")
        paired = protect != "none" or LINKS.get(link, ("", False))[1]
        if paired:
            write_secret(at / "pairing.json", pairings.add(eui, until, protect).record())
        else:
            pairings.remove(eui)
        files = {}
        if link == "mqtt" or not LINKS[link][1]:
            identity = self.pki.device(eui)
            for name, source in {"ca": self.pki.ca_der, "cert": identity.cert_der, "key": identity.key_der}.items():
                shutil.copy(source, at / f"{name}.der")  # with its mode: keys stay 0600
                files[name] = f"{prefix}{name}.der"
        pairing = {"pairing": f"{prefix}pairing.json"} if paired else {}
        if link == "mqtt":
            config["mqtt"] = {"host": self.host, "port": self.port, **files, "utility": self.utility,
                              "groups": [self._GROUP], **pairing, **({"protect": protect} if paired else {})}
        else:
            host = f"[{self.host}]" if ":" in self.host else self.host
            port = self.coap_port + 1 if link == "coaps+tcp" else self.coap_port
            config["coap"] = {"uri": f"{link}://{host}:{port}", "groups": [self._GROUP], **pairing, **files}
            if paired:  # this EMD can: so a store that was erased, or the same files on another board, repeat no number
                config["coap"]["renew"] = True
            if files:
                config["coap"]["server_name"] = self.host
        if here:
            config.update(boards=str(paths.ROOT / "boards"), log="print")
        _replace(at / "config.json", config)
        pairings.save()
        self.boards[eui] = board
        self._save()
        return at

    def _check_link(self, link, protect):
        if link != "mqtt" and link not in LINKS:
            raise UserError(f"--link: {link!r} is none of mqtt, {', '.join(LINKS)}")
        if link != "mqtt" and not self.coap_port:
            raise UserError(f"--link: the EMD of {self.folder} serves no CoAP; `spot emd init --coap-port` says where")
        if protect not in PROTECT or protect != "none" and link != "mqtt":
            raise UserError(f"--protect: one of {', '.join(PROTECT)}, and only on MQTT; CoAP has OSCORE")

    def rotate(self, eui):
        """One more generation of a device's pairing secret; the running EMD hands it over. Its number."""
        if eui not in self.boards:
            raise UserError(f"{eui}: not enrolled; there are {', '.join(self.boards) or 'none'}")
        pairings = Pairings(self.folder / "pairings.json")
        pairing = pairings.rotate(eui)
        pairings.save()
        at = self.folder / "devices" / eui
        if at.is_dir():  # what is copied onto the device from now on
            write_secret(at / "pairing.json", pairing.record())
        return pairing.generation

    def _is_new(self, eui):
        if eui in self.boards:
            raise UserError(f"{eui}: enrolled already, in {self.folder / 'devices' / eui}; "
                            "`spot emd revoke` takes it out first")

    def revoke(self, eui):
        """Revoke a device's certificate, forget its secret, take its rights away; UserError when it is not enrolled."""
        if eui not in self.boards:
            raise UserError(f"{eui}: not enrolled; there are {', '.join(self.boards) or 'none'}")
        pairings = Pairings(self.folder / "pairings.json")
        pairings.revoke(eui)
        pairings.save()
        if self.pki.has(eui):
            self.pki.revoke(eui)
        del self.boards[eui]
        self._save()

    def _save(self):
        self.write_broker()
        _replace(self._file, {"host": self.host, "port": self.port, "coap_port": self.coap_port,
                              "utility": self.utility, "devices": self.boards})

    def serve(self, say, stopped=lambda: False):
        """Run the broker until Ctrl-C or `stopped()`; it follows `enroll` and `revoke`.

        mosquitto ends no live connection for a revocation: it is restarted for that, and keeps its sessions.
        """
        broker = self.broker()
        with broker:
            say(f"broker on {broker.host}:{broker.port}, {len(self.boards)} devices may connect")
            seen = self._file.stat().st_mtime_ns
            while not stopped():
                if broker.pid is None:
                    raise UserError(f"mosquitto has ended; its log: {broker.log}")
                time.sleep(_LOOK_S)
                if self._file.stat().st_mtime_ns == seen:
                    continue
                seen = self._file.stat().st_mtime_ns
                now = HomeFolder(self.folder)
                gone = set(self.boards) - set(now.boards)
                self.boards, self.pki = now.boards, now.pki
                broker.pki, broker.devices = now.pki, now.access()
                if gone:
                    broker.restart()
                else:
                    broker.reload()
                say(f"{len(self.boards)} devices may connect")


def _board(name):
    """The description of a board of this checkout; UserError when there is none, or something is wrong with it."""
    found = (at.parent.name for at in (paths.ROOT / "boards").glob("*/board.json"))
    known = sorted(name for name in found if not name.startswith("sim"))  # the simulator's are no devices
    if name not in known:
        raise UserError(f"--board: {name!r} is none of {', '.join(known)}")
    try:
        return load_board(name, str(paths.ROOT / "boards"))
    except ConfigError as exc:
        raise UserError(str(exc)) from exc


def _replace(path, content):
    """Write JSON in one step, so that a reader never sees half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)
