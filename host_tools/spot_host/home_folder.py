"""The folder of one home: its authority, its broker's files, its EMD's settings, and what each device is given.

    pki/              certificates and keys (spot_host.pki)
    broker/           mosquitto.conf and its access rules (spot_host.broker)
    emd.toml          settings of the EMD
    devices/<EUI-64>/ config.json and the device's certificates
    home.json         host, port, utility, and the devices' boards; written last, so that a running broker sees a change
"""

import json
import re
import shutil
import time
from pathlib import Path

from . import acl
from .broker import Broker
from .errors import UserError
from .pki import Pki
from .toolchain import paths

_HERE = ("localhost", "127.0.0.1")
_LOOK_S = 0.5

_EMD_TOML = """\
# Settings of this home's EMD; docs/emd.md has all of them.
utility = "{utility}"
group = "{group}"
database = "emd.sqlite"
base_load = 0                    # W that no device measures
# prices = "day_ahead.csv"       # CSV or JSON, for today

[mqtt]
host = "127.0.0.1"
port = {port}
ca = "pki/ca.pem"
cert = "pki/emd.pem"
key = "pki/emd.key"
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
        except FileNotFoundError:
            raise UserError(f"{folder}: no home here; `spot emd init {folder}` makes one") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self._file}: cannot be used: {error!r}") from error
        self.pki = Pki(self.folder / "pki")

    @classmethod
    def create(cls, folder, host, port, utility):
        """Make the home. UserError when the folder has one or cannot be written."""
        folder = Path(folder).resolve()
        if (folder / "home.json").exists():
            raise UserError(f"{folder}: there is a home already; `spot emd enroll` adds devices to it")
        if not 1 <= port <= 65535:
            raise UserError(f"--port: {port} is not within 1 … 65535; MQTT over TLS is 8883")
        if not re.fullmatch("[A-Za-z0-9.:-]{1,253}", host):
            raise UserError(f"--host: {host!r} is no name or address")
        acl.rules(utility, ())  # refuses what is no level of a topic, before anything is written
        try:
            folder.mkdir(parents=True, exist_ok=True)
            pki = Pki(folder / "pki")
            pki.emd()
            pki.broker(tuple(dict.fromkeys((*_HERE, host) if host in _HERE else (host, *_HERE))))
            (folder / "emd.toml").write_text(_EMD_TOML.format(utility=utility, group=cls._GROUP, port=port))
            _replace(folder / "home.json", {"host": host, "port": port, "utility": utility, "devices": {}})
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

    def enroll(self, eui, board):
        """Certificates and config.json of a device, whom the broker lets in from now on; the device's folder.

        A device on this computer gets absolute paths. A chip gets the names that the files have beside its main.py.
        """
        self._is_new(eui)
        _board(board)
        here = board.startswith("unix")
        identity = self.pki.device(eui)
        at = self.folder / "devices" / eui
        at.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = {"ca": self.pki.ca_der, "cert": identity.cert_der, "key": identity.key_der}
        for name, source in names.items():
            shutil.copy(source, at / f"{name}.der")  # with its mode: keys stay 0600
        prefix = f"{at}/" if here else ""
        config = {
            "board": board,
            "eui64": eui,
            "store": f"{prefix}store",
            "mqtt": {"host": self.host, "port": self.port, **{name: f"{prefix}{name}.der" for name in names},
                     "utility": self.utility, "groups": [self._GROUP]},
        }
        if here:
            config.update(boards=str(paths.ROOT / "boards"), log="print")
        _replace(at / "config.json", config)
        self.boards[eui] = board
        self._save()
        return at

    def _is_new(self, eui):
        if eui in self.boards:
            raise UserError(f"{eui}: enrolled already, in {self.folder / 'devices' / eui}; "
                            "`spot emd revoke` takes it out first")

    def revoke(self, eui):
        """Revoke a device's certificate and take its rights away; UserError when it is not enrolled."""
        if eui not in self.boards:
            raise UserError(f"{eui}: not enrolled; there are {', '.join(self.boards) or 'none'}")
        self.pki.revoke(eui)
        del self.boards[eui]
        self._save()

    def _save(self):
        self.write_broker()
        _replace(self._file, {"host": self.host, "port": self.port, "utility": self.utility, "devices": self.boards})

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
    """The description of a board of this checkout; UserError when there is none."""
    found = (at.parent.name for at in (paths.ROOT / "boards").glob("*/board.json"))
    known = sorted(name for name in found if not name.startswith("sim"))  # the simulator's are no devices
    if name not in known:
        raise UserError(f"--board: {name!r} is none of {', '.join(known)}")
    return json.loads((paths.ROOT / "boards" / name / "board.json").read_text())


def _replace(path, content):
    """Write JSON in one step, so that a reader never sees half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)
