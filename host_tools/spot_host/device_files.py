"""What one device is given: `config.json`, its certificates or `pairing.json`, in its own folder (0700, files 0600).

Names in config.json are those that the files have beside a chip's main.py; a device on this computer gets whole paths.
"""

import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from spot.config import ConfigError
from spot.config_check import check_device_config

from . import secret_files
from .errors import UserError
from .pairing import PROTECT, Pairing
from .toolchain import paths

LINKS = {  # scheme of the device's URI: (word of the ports, whether OSCORE protects it)
    "coap": ("udp_port", True),
    "coap+tcp": ("tcp_port", True),
    "coaps+tcp": ("tls_port", False),
}
NAMES = ("config.json", "ca.der", "cert.der", "key.der", "pairing.json")
_MOST_NOTE = 64
_MOST_GROUPS = 4  # spot.config_check, `levels`


@dataclass(frozen=True)
class Order:
    """What is asked for one device. groups: none is the home's own. note: on its label, as a serial number."""

    eui: str
    board: str
    link: str = "mqtt"
    protect: str = "none"
    groups: tuple[str, ...] = field(default=())
    note: str = ""

    @property
    def paired(self) -> bool:
        """Whether the device has a pairing secret."""
        return self.protect != "none" or LINKS.get(self.link, ("", False))[1]

    @property
    def certified(self) -> bool:
        """Whether the device has a certificate."""
        return self.link == "mqtt" or not LINKS[self.link][1]

    def check(self, coap: bool) -> None:
        """UserError for what cannot be; coap: whether the home's EMD serves it. Boards are the home's to check."""
        if self.link != "mqtt" and self.link not in LINKS:
            raise UserError(f"--link: {self.link!r} is none of mqtt, {', '.join(LINKS)}")
        if self.link != "mqtt" and not coap:
            raise UserError("--link: the EMD of this home serves no CoAP; `spot emd init --coap-port` says where")
        if self.protect not in PROTECT or self.protect != "none" and self.link != "mqtt":
            raise UserError(f"--protect: one of {', '.join(PROTECT)}, and only on MQTT; CoAP has OSCORE")
        if len(self.groups) > _MOST_GROUPS:
            raise UserError(f"--group: at most {_MOST_GROUPS} groups")
        for group in self.groups:
            if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", group):
                raise UserError(f"--group: {group!r}: 1 to 64 letters, digits, '-', '_' or '.'")
        if len(self.note) > _MOST_NOTE or not self.note.isprintable():
            raise UserError(f"--note: at most {_MOST_NOTE} printable characters")

    def record(self) -> dict:
        """For home.json: what is not the default; `eui` and `board` are beside it."""
        said = asdict(self)
        return {one.name: said[one.name] for one in fields(self)
                if one.name not in ("eui", "board") and said[one.name] not in (one.default, ())}

    @classmethod
    def of(cls, eui, board, record) -> "Order":
        """From home.json."""
        return cls(eui, board, **{**record, "groups": tuple(record.get("groups", ()))})


def load_wifi(file) -> dict:
    """Wi-Fi credentials from a JSON object or lines `ssid = …`, `password = …`; checked as the firmware will.

    UserError names file and field, and never shows a password."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as exc:
        raise UserError(f"{file}: cannot be read: {getattr(exc, 'strerror', None) or 'no UTF-8'}") from exc
    try:
        if text.lstrip().startswith("{"):
            found = json.loads(text)
        else:
            lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
            found = {name.strip(): value.strip() for name, value in (line.split("=", 1) for line in lines)}
    except ValueError as exc:
        raise UserError(f'{file}: neither {{"ssid": …, "password": …}} nor lines ssid = … and password = …') from exc
    return check_wifi(found, str(file))


def check_wifi(found: dict, where: str) -> dict:
    """`found`, or UserError."""
    try:
        check_device_config({"eui64": "0" * 16, "store": "store", "wifi": found}, where)
    except ConfigError as exc:
        want = exc.want.split(", not ")[0]  # it may show what is there
        raise UserError(f"{exc.file}: {exc.field}: must be {want}") from exc
    return found


def write_files(at: Path, config: dict, sources: dict, pairing: Pairing | None) -> None:
    """Write a device's files into its folder `at`; config.json last, so that a folder with one is whole.

    sources: {"ca.der": path or octets, …}. What an earlier enrolment left and this one has not is removed.
    """
    at.mkdir(parents=True, exist_ok=True, mode=0o700)
    (at / "config.json").unlink(missing_ok=True)
    for name, source in sources.items():
        secret_files.write(at / name, source if isinstance(source, bytes) else Path(source).read_bytes(), secret=True)
    if pairing is not None:
        secret_files.write(at / "pairing.json", (json.dumps(pairing.record(), indent=1) + "\n").encode(), secret=True)
    for name in NAMES[1:]:
        if name not in sources and (name != "pairing.json" or pairing is None):
            (at / name).unlink(missing_ok=True)
    secret_files.write(at / "config.json", (json.dumps(config, indent=1) + "\n").encode(), secret=True)


def make_config(order: Order, at: Path, mqtt: dict, coap_port: int, groups, extra: dict) -> dict:
    """config.json of a device. mqtt: `host`, `port`, `utility` of broker or EMD. extra: sections to add."""
    here = order.board.startswith("unix")
    prefix = f"{at}/" if here else ""
    config = {"board": order.board, "eui64": order.eui, "store": f"{prefix}store"}
    files = {name: f"{prefix}{name}.der" for name in ("ca", "cert", "key")} if order.certified else {}
    pairing = {"pairing": f"{prefix}pairing.json"} if order.paired else {}
    if order.link == "mqtt":
        config["mqtt"] = {"host": mqtt["host"], "port": mqtt["port"], **files, "utility": mqtt["utility"],
                          "groups": list(groups), **pairing, **({"protect": order.protect} if order.paired else {})}
    else:
        host = f"[{mqtt['host']}]" if ":" in mqtt["host"] else mqtt["host"]
        port = coap_port + 1 if order.link == "coaps+tcp" else coap_port
        config["coap"] = {"uri": f"{order.link}://{host}:{port}", "groups": list(groups), **pairing, **files}
        if order.paired:  # this EMD can: a store that was erased, or the same files on another board, repeat no number
            config["coap"]["renew"] = True
        if files:
            config["coap"]["server_name"] = mqtt["host"]
    if here:
        config.update(boards=str(paths.ROOT / "boards"), log="print")
    config.update(extra)
    return config
