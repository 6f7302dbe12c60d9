"""The folder of one home: its authority, its broker's files, its EMD's settings, and what each device is given.

    pki/              certificates and keys (spot_host.pki)
    broker/           mosquitto.conf and its access rules (spot_host.broker)
    aws/              instead of a broker: certificates of AWS IoT Core (spot_host.aws_iot)
    release/          public.hex: of the release keys that the devices are to trust (`spot release keygen`), if any
    emd.toml          settings of the EMD
    pairings.json     the devices' pairing secrets (spot_host.pairing), for OSCORE and COSE
    devices/<EUI-64>/ config.json and the device's certificates or pairing.json (spot_host.device_files)
    home.json         host, port, utility, and the devices' boards; written last, so that a running broker sees a change

An interrupted run leaves nothing that the next one makes twice: what it finds whole, it takes.
"""

import contextlib
import json
import re
import time
from pathlib import Path

from filelock import FileLock, Timeout

from spot.config import ConfigError, load_board

from . import acl, secret_files
from .broker import Broker
from .device_files import Order, make_config, write_files
from .emd.local_time import of_this_computer
from .errors import UserError
from .pairing import Pairing, Pairings, write_secret
from .pki import Pki
from .signing_key import replace
from .toolchain import paths

_HERE = ("localhost", "127.0.0.1")
_LOOK_S = 0.5
_LOCK_S = 10

_EMD_TOML = """\
# Settings of this home's EMD; docs/emd.md has all of them.
utility = "{utility}"
time_zone = "{zone}"
group = "{group}"
database = "emd.sqlite"
base_load = 0                    # W that no device measures
# prices = "day_ahead.csv"       # CSV or JSON, for today
pairings = "pairings.json"
"""

_EMD_MQTT = """
[mqtt]
host = "127.0.0.1"
port = {port}
ca = "pki/ca.pem"
cert = "pki/emd.pem"
key = "pki/emd.key"
"""

_EMD_AWS = """
[mqtt]
host = "{host}"
port = {port}
client_id = "{name}"
ca = "aws/root.pem"
cert = "aws/{name}.pem"
key = "aws/{name}.key"
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
    """The home in `folder`, made by `create`. UserError when there is none, or when others can read its secrets.

    passphrase: secret_files.Passphrase of the authority's key. orders: what was asked for, by EUI-64.
    """

    GROUP = "1"
    SERVERS = ("broker", "emd", "coap")  # certificates of the home itself

    def __init__(self, folder, passphrase=None):
        self.folder = Path(folder).resolve()
        self._file = self.folder / "home.json"
        self._read(folder)
        secret_files.check_private(self.folder / "pairings.json", self.folder / "aws",
                                   *sorted((self.folder / "devices").glob("*")))
        self.passphrase = passphrase or secret_files.Passphrase()
        self.pki = Pki(self.folder / "pki", passphrase=self.passphrase)
        self._pairings = None  # in a batch
        self._aws = None

    def _read(self, folder):
        try:
            said = json.loads(self._file.read_text())
            self.host, self.port, self.utility = said["host"], said["port"], said["utility"]
            more = said.get("more", {})
            self.orders = {eui: Order.of(eui, board, more.get(eui, {})) for eui, board in said["devices"].items()}
            self.coap_port = said.get("coap_port", 0)
            self.aws = said.get("aws")
        except FileNotFoundError:
            raise UserError(f"{folder}: no home here; `spot provision init {folder}` makes one (so does "
                            "`spot emd init`)") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{self._file}: cannot be used: {error!r}") from error

    @property
    def boards(self) -> dict:
        """{EUI-64: name of its board}"""
        return {eui: order.board for eui, order in self.orders.items()}

    @classmethod
    def create(cls, folder, host, port, utility, coap_port=5683, new_passphrase=None, passphrase=None, aws=None):
        """Make the home; CoAP on UDP and TCP at coap_port, on TLS one above, none when 0. UserError when the folder
        has one or cannot be written. new_passphrase: octets that encrypt the authority's key. aws: the home's record
        for AWS IoT Core, whose endpoint `host` then is; the EMD's certificate there is `spot provision init`'s."""
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
            pki = Pki(folder / "pki", passphrase=passphrase, new_passphrase=new_passphrase)
            if new_passphrase and not pki.encrypted:  # an interrupted run has made it without
                pki.encrypt(new_passphrase)
            names = tuple(dict.fromkeys((*_HERE, host) if host in _HERE else (host, *_HERE)))
            settings = _EMD_TOML.format(utility=utility, zone=of_this_computer(), group=cls.GROUP)
            if aws:
                settings += _EMD_AWS.format(host=host, port=port, name=aws["emd"])
            else:
                settings += _EMD_MQTT.format(port=port)
                pki.ensure("emd")
                pki.ensure("broker", names)
            if coap_port:
                pki.ensure("coap", names)
                where = "127.0.0.1" if host in _HERE else "0.0.0.0"
                settings += _EMD_COAP.format(host=where, port=coap_port, tls_port=coap_port + 1)
            (folder / "emd.toml").write_text(settings)
            _replace(folder / "home.json", {"host": host, "port": port, "coap_port": coap_port, "utility": utility,
                                            "devices": {}, **({"aws": aws} if aws else {})})
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
        home = cls(folder, passphrase)
        home.write_broker()
        return home

    def access_of(self, order) -> acl.DeviceAccess:
        """A device as the access rules want it."""
        return acl.DeviceAccess(order.eui, board(order.board)["device"], order.groups or (self.GROUP,))

    def access(self):
        """The devices as the broker's access rules want them."""
        return [self.access_of(order) for order in self.orders.values()]

    def broker(self):
        """The home's broker, not started. It listens to this computer only if `host` is this computer."""
        if self.aws:
            raise UserError(f"{self.folder}: this home's broker is AWS IoT Core, {self.host}")
        address = "127.0.0.1" if self.host in _HERE else "0.0.0.0"
        return Broker(self.pki, self.utility, self.access(), host=address, port=self.port,
                      folder=self.folder / "broker", identity=self.pki.identity("broker"))

    def write_broker(self):
        """Write mosquitto.conf and the access rules; its path, None where the broker is elsewhere."""
        if self.aws:
            return None
        self.broker().reload()
        return self.folder / "broker" / "mosquitto.conf"

    @contextlib.contextmanager
    def _alone(self):
        """One process changes a home at a time, from what the one before has left."""
        try:
            with FileLock(self.folder / ".lock", timeout=_LOCK_S, mode=0o600):
                self._read(self.folder)
                self.pki = Pki(self.folder / "pki", passphrase=self.passphrase)
                yield
        except Timeout:
            raise UserError(f"{self.folder}: another process is changing this home; try again when it has ended"
                            ) from None

    @contextlib.contextmanager
    def batch(self):
        """Many devices: what is about all of them is written once, at the end, whatever ends it."""
        if self._pairings is not None:
            yield self
            return
        with self._alone():
            self._pairings = Pairings(self.folder / "pairings.json")
            try:
                with self.pki.batch():
                    yield self
            finally:
                pairings, self._pairings = self._pairings, None
                pairings.save()
                self._save()

    def enroll(self, eui, board, link="mqtt", protect="none", until=None):
        """`provision` for a new device; UserError when it is enrolled already."""
        if eui in self.orders:
            raise UserError(f"{eui}: enrolled already, in {self.folder / 'devices' / eui}; "
                            "`spot emd revoke` takes it out first")
        return self.provision(Order(eui, board, link, protect), until)[0]

    def check(self, order) -> None:
        """UserError for what cannot be provisioned, before anything is made."""
        board(order.board)
        order.check(bool(self.coap_port))
        known = self.orders.get(order.eui)
        if known is not None and known != order:
            now = ", ".join(f"{name} {value}" for name, value in {"board": known.board, **known.record()}.items())
            raise UserError(f"{order.eui}: provisioned already, differently: {now}; "
                            "`spot provision revoke` takes it out first")
        if self.aws and order.link == "mqtt":
            self._cloud().check(self.access_of(order))

    def provision(self, order, until=None, wifi=None):
        """Keys and config.json of a device, which broker and EMD let in from now on: (its folder, whether it is new).

        until: Unix s after which a pairing secret that was never used is refused. wifi: section of config.json. A
        device that has all that already keeps it; `wifi` and the release keys of the house replace those it has.
        """
        self.check(order)
        at = self.device_folder(order.eui)
        if order.eui in self.orders and (at / "config.json").exists():
            self._change_config(at, {**({"wifi": wifi} if wifi else {}), **self._update()})
            return at, False
        with self.batch():
            pairing = self._pairing(order, at, until) if order.paired else None
            if pairing is None:
                self._pairings.remove(order.eui)
            at.parent.mkdir(exist_ok=True, mode=0o700)
            sources = {}
            if order.certified:
                sources = self._sources(self._identity(order), order)
            extra = {**({"wifi": wifi} if wifi else {}), **self._update()}
            mqtt = {"host": self.host, "port": self.port, "utility": self.utility}
            groups = order.groups or (self.GROUP,)
            write_files(at, make_config(order, at, mqtt, self.coap_port, groups, extra), sources, pairing)
            self.orders[order.eui] = order
        return at, True

    def device_folder(self, eui) -> Path:
        """Where a device's files are."""
        return self.folder / "devices" / eui

    def _identity(self, order, fresh=False):
        if self.aws and order.link == "mqtt":
            return self._cloud().ensure(self.access_of(order), fresh)
        return self.pki.device(order.eui) if fresh else self.pki.ensure(order.eui)[0]

    def _sources(self, identity, order):
        ca = self.folder / "aws" / "root.der" if self.aws and order.link == "mqtt" else self.pki.ca_der
        return {"ca.der": ca, "cert.der": identity.cert_der, "key.der": identity.key_der}

    def _cloud(self):
        if self._aws is None:
            from .aws_iot import AwsIot

            self._aws = AwsIot.of(self.folder / "aws", self.aws, self.utility)
        return self._aws

    def _pairing(self, order, at, until):
        """The device's pairing: what it has, or an interrupted run has given it, else a new one."""
        pairings = self._pairings
        if order.eui in pairings and pairings.protect(order.eui) == order.protect:
            return pairings.generations(order.eui)[-1]
        if order.eui not in pairings.revoked:
            with contextlib.suppress(OSError, ValueError, UserError):
                found = Pairing.from_record(json.loads((at / "pairing.json").read_text()))
                if pairings.adopt(order.eui, found, order.protect):
                    return found
        return pairings.add(order.eui, until, order.protect)

    def trust(self, public: bytes) -> None:
        """Devices that are provisioned from now on take releases that this key (HSS, public) has signed."""
        file = self.folder / "release" / "public.hex"
        known = self._update().get("update", {}).get("keys", [])
        if public.hex() not in known:
            file.parent.mkdir(exist_ok=True)
            replace(file, "".join(f"{key}\n" for key in [*known, public.hex()]).encode(), 0o644)

    def _update(self):
        """`{"update": …}` where the house has release keys, a line each: the devices take what these sign."""
        file = self.folder / "release" / "public.hex"
        if not file.exists():
            return {}
        try:
            keys = [bytes.fromhex(line) for line in file.read_text().split()]
        except (OSError, ValueError) as exc:
            raise UserError(f"{file}: no public key in hexadecimal digits") from exc
        if not keys or any(len(key) != 60 or key[:4] != b"\0\0\0\1" for key in keys):
            raise UserError(f"{file}: HSS public keys of one level have 60 octets, a line each, as "
                            "`spot release keygen` writes them")
        return {"update": {"keys": [key.hex() for key in keys]}}

    def _change_config(self, at, sections):
        config = json.loads((at / "config.json").read_text())
        if "update" in sections:  # its other settings stay
            sections["update"] = {**config.get("update", {}), **sections["update"]}
        if any(config.get(name) != value for name, value in sections.items()):
            config.update(sections)
            write_secret(at / "config.json", config)

    def known(self, eui) -> Order:
        """What was asked for `eui`; UserError when it is not provisioned."""
        if eui not in self.orders:
            some = ", ".join(list(self.orders)[:4]) + (f" and {len(self.orders) - 4} more" if len(self.orders) > 4
                                                       else "")
            raise UserError(f"{eui}: not enrolled; there are {some or 'none'}")
        return self.orders[eui]

    def revoked(self) -> frozenset:
        """The EUI-64s that were revoked and not taken in again."""
        return Pairings(self.folder / "pairings.json").revoked

    def rotate(self, eui):
        """One more generation of a device's pairing secret; the running EMD hands it over. Its number."""
        with self._alone():
            self.known(eui)
            pairings = Pairings(self.folder / "pairings.json")
            pairing = pairings.rotate(eui)
            pairings.save()
            at = self.device_folder(eui)
            if at.is_dir():  # what is copied onto the device from now on
                write_secret(at / "pairing.json", pairing.record())
        return pairing.generation

    def renew(self, eui, revoke_old=False):
        """A new certificate and key for a device, into its folder; the old ones stay good unless `revoke_old`."""
        with self._alone():
            order = self.known(eui)
            if not order.certified:
                raise UserError(f"{eui}: its link has no certificate; `spot provision rotate` without --certificate")
            identity = self._identity(order, fresh=True)
            at = self.device_folder(eui)
            for name, source in self._sources(identity, order).items():
                secret_files.write(at / name, Path(source).read_bytes(), secret=True)
            if revoke_old:
                if self.aws and order.link == "mqtt":
                    self._cloud().revoke_old(eui)
                else:
                    self.pki.revoke(eui, but_latest=True)
            self._save()  # a running broker reads the list

    def renew_own(self, name) -> Path:
        """A new certificate for one of SERVERS, under the same names; the old one is good until it ends."""
        with self._alone():
            if self.aws and name == "emd":
                identity = self._cloud().ensure_client(self.aws["emd"], acl.emd_topics(self.utility), fresh=True)
            else:
                identity = self.pki.reissue(name)
            self._save()  # a running broker reads its own again
        return identity.cert

    def revoke(self, eui):
        """Revoke a device's certificate, forget its secret, take its rights away; UserError when it is not enrolled."""
        with self._alone():
            order = self.known(eui)
            if self.aws and order.link == "mqtt":
                self._cloud().revoke(eui)
            if self.pki.has(eui):
                self.pki.revoke(eui)
            pairings = Pairings(self.folder / "pairings.json")
            pairings.revoke(eui)
            pairings.save()
            for name in ("key.der", "pairing.json"):  # nothing that is good is left to be copied
                (self.device_folder(eui) / name).unlink(missing_ok=True)
            del self.orders[eui]
            self._save()

    def _save(self):
        self.write_broker()
        more = {eui: record for eui, order in self.orders.items() if (record := order.record())}
        _replace(self._file, {"host": self.host, "port": self.port, "coap_port": self.coap_port,
                              "utility": self.utility, "devices": self.boards, **({"more": more} if more else {}),
                              **({"aws": self.aws} if self.aws else {})})

    def serve(self, say, stopped=lambda: False):
        """Run the broker until Ctrl-C or `stopped()`; it follows `enroll` and `revoke`.

        mosquitto ends no live connection for a revocation: it is restarted for that, and keeps its sessions.
        """
        broker = self.broker()
        with broker:
            say(f"broker on {broker.host}:{broker.port}, {len(self.orders)} devices may connect")
            seen = self._file.stat().st_mtime_ns
            while not stopped():
                if broker.pid is None:
                    raise UserError(f"mosquitto has ended; its log: {broker.log}")
                time.sleep(_LOOK_S)
                if self._file.stat().st_mtime_ns == seen:
                    continue
                seen = self._file.stat().st_mtime_ns
                now = HomeFolder(self.folder)
                gone = set(self.orders) - set(now.orders)
                self.orders, self.pki = now.orders, now.pki
                broker.pki, broker.devices = now.pki, now.access()
                if gone:
                    broker.restart()
                else:
                    broker.reload()
                say(f"{len(self.orders)} devices may connect")


_known_boards = {}


def board(name):
    """The description of a board of this checkout; UserError when there is none, or something is wrong with it."""
    if name in _known_boards:
        return _known_boards[name]
    found = (at.parent.name for at in (paths.ROOT / "boards").glob("*/board.json"))
    known = sorted(name for name in found if not name.startswith("sim"))  # the simulator's are no devices
    if name not in known:
        raise UserError(f"--board: {name!r} is none of {', '.join(known)}")
    try:
        _known_boards[name] = load_board(name, str(paths.ROOT / "boards"))
    except ConfigError as exc:
        raise UserError(str(exc)) from exc
    return _known_boards[name]


def _replace(path, content):
    """Write JSON in one step, so that a reader never sees half of it."""
    secret_files.write(path, (json.dumps(content, indent=1) + "\n").encode(), durable=True)
