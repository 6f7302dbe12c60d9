"""The EMD's settings: `EmdConfig` with defaults, read from TOML; a bad file is refused with the field at fault."""

import json
import tomllib
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path

from spot_host.emd.local_time import zone_of
from spot_host.emd.planner import Rules
from spot_host.errors import UserError
from spot_host.profile import definition as d


@dataclass
class Association:
    """What every device is told at registration (the fields of `registered`); None leaves it to the device."""

    lease_s: int = 86400
    heartbeat_s: int = 60
    heartbeat_timeout_s: int = 150
    telemetry_interval_s: int | None = 300
    deadband_w: int | None = None
    interval_length_min: int | None = 15
    failsafe_limit_w: int | None = None
    failsafe_min_s: int | None = 7200
    jitter_s: int | None = 60
    policy: str | None = "avoid_dearest"
    policy_value: int | None = 4
    autonomous_cap_w: int | None = None
    priority_ceiling: int | None = 12


_WIRE = {  # setting: field of `registered`
    "lease_s": "lease",
    "heartbeat_s": "heartbeat",
    "heartbeat_timeout_s": "heartbeat_timeout",
    "telemetry_interval_s": "telemetry_interval",
    "deadband_w": "deadband",
    "interval_length_min": "interval_length",
    "failsafe_limit_w": "failsafe_limit",
    "failsafe_min_s": "failsafe_min",
    "jitter_s": "jitter",
    "policy": "policy",
    "policy_value": "policy_value",
    "autonomous_cap_w": "autonomous_cap",
    "priority_ceiling": "priority_ceiling",
}


@dataclass
class SplitSettings:
    """How a limit is split. Powers in W, durations in s."""

    period_s: int = 60  # a new split at most so often
    reserve_w: int = 0  # kept free under the limit
    reserve_percent: float = 2.0
    step_w: int = 100  # a device's limit moves by at least so much, or 10 percent
    raise_after_s: int = 120  # a limit is raised only after so long since it last moved
    lead_s: int = 300  # limits are sent so long before the event
    priority: int = 10


@dataclass
class LimitEvent:
    """A power limit on the site. start, end: Unix s; devices: EUIs, None for all; include_base: base load counts."""

    id: str
    start: int
    end: int
    limit_w: int
    devices: tuple | None = None
    include_base: bool = True


@dataclass
class Mqtt:
    """Where the broker is and who the EMD is there."""

    host: str = ""
    port: int = 8883
    ca: str = ""
    cert: str = ""
    key: str = ""
    client_id: str = "emd"
    keepalive_s: int = 30
    tls: bool = True


@dataclass
class Coap:
    """Where the EMD serves CoAP. A port of 0 is not served; no host: none of them."""

    host: str = ""
    udp_port: int = 5683
    tcp_port: int = 5683
    tls_port: int = 5684
    ca: str = ""
    cert: str = ""
    key: str = ""
    crl: str = ""
    insecure: bool = False  # take a device's word for who it is, on coap:// and coap+tcp:// without OSCORE
    lookup: str = "lan"  # who may read the resource directory without a context: nobody ("secure"), "lan", or "open"


@dataclass
class EmdConfig:
    """All settings of one EMD. `base_load` is a number of W or a function of the Unix time."""

    utility: str = "home"
    group: str = "1"  # a number: devices are told to listen to it; a word: they have it in their configuration
    database: str = "emd.sqlite"
    time_zone: str = ""  # the home's, as "Europe/Berlin": when devices take midnight to be; UTC when empty
    association: Association = field(default_factory=Association)
    heat_pump: dict = field(default_factory=dict)  # settings of the association that differ by application profile
    plug: dict = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    split: SplitSettings = field(default_factory=SplitSettings)
    mqtt: Mqtt = field(default_factory=Mqtt)
    coap: Coap = field(default_factory=Coap)
    pairings: str = ""  # file of the devices' pairing secrets (spot_host.pairing), for OSCORE and COSE
    priorities: dict = field(default_factory=dict)  # EUI: priority in a split, default 0
    site_meter: str | None = None  # EUI of the device that measures the whole site
    base_load: object = 0
    tight_limit_w: int | None = None  # a broadcast grid state becomes a limit event
    emergency_limit_w: int | None = None
    plan_prices: bool = True
    no_prices: frozenset = frozenset()  # EUIs that prices do not steer, only limits and people
    broadcasts: bool = False  # listen to prices and grid states that others publish to the groups
    unlimited_s: int = 604800
    ack_delay_s: int = 2
    max_devices: int = 65535
    most_per_minute: int = 6000  # messages of one device that are looked at
    keep_days: int = 90  # telemetry, notes, finished commands; intervals, statuses and alarms stay
    prices: str = ""
    events: list = field(default_factory=list)

    def registered(self, profile_name: str) -> dict:
        """The association's part of a `registered` message for a device of this application profile."""
        own = {"heat_pump": self.heat_pump, "plug": self.plug}.get(profile_name, {})
        values = {}
        for name, wire in _WIRE.items():
            value = own.get(name, getattr(self.association, name))
            if value is not None:
                values[wire] = _policy(value) if name == "policy" else value
        if self.group.isdigit():
            values["groups"] = [int(self.group)]
        return values


def _policy(value):
    return next(code for code, name, _ in d.enum("Policy").rows if name == value)


INTERVAL_LENGTHS = (1, 5, 15, 30, 60)  # what devices take
_TABLES = {"association": Association, "rules": Rules, "split": SplitSettings, "mqtt": Mqtt, "coap": Coap}
_WIRE_FIELDS = {f.name: f for f in d.message("registered").fields}


def load(path) -> EmdConfig:
    """Read the TOML file at `path`. Relative names in it are relative to it. Raises UserError."""
    path = Path(path)
    try:
        text = path.read_bytes().decode()
    except OSError as exc:
        raise UserError(f"{path}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise UserError(f"{path}: not UTF-8 at byte {exc.start}") from exc
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise UserError(f"{path}: not TOML: {exc}") from exc
    return from_dict(raw, str(path), path.parent)


def from_dict(raw: dict, name: str = "config", folder: Path | None = None) -> EmdConfig:
    """The settings in `raw` over the defaults. `name` is what errors call the file. Raises UserError."""
    config = EmdConfig()
    known = {f.name: f for f in fields(EmdConfig)}
    for key, value in raw.items():
        if key not in known:
            raise UserError(f"{name}: {key}: no such setting; there are {', '.join(sorted(known))}")
        if key in _TABLES:
            setattr(config, key, _table(f"{name}: [{key}]", _TABLES[key], getattr(config, key), value))
        elif key in ("heat_pump", "plug"):
            setattr(
                config,
                key,
                {
                    k: v
                    for k, v in vars(_table(f"{name}: [{key}]", Association, Association(), value)).items()
                    if k in value
                },
            )
        elif key == "events":
            config.events = events_from(value, f"{name}: events")
        elif key == "priorities":
            if not isinstance(value, dict) or any(type(v) is not int for v in value.values()):
                raise UserError(f"{name}: priorities: give EUI = whole number")
            config.priorities = {eui(k, f"{name}: priorities"): v for k, v in value.items()}
        elif key == "no_prices":
            if not isinstance(value, list):
                raise UserError(f"{name}: no_prices: must be a list of EUI-64")
            config.no_prices = frozenset(eui(x, f"{name}: no_prices") for x in value)
        elif key == "site_meter":
            config.site_meter = eui(value, f"{name}: site_meter")
        else:
            setattr(config, key, _scalar(f"{name}: {key}", known[key].type, getattr(config, key), value))
    _check(config, name)
    if folder is not None:
        for holder, key in (
            (config, "database"),
            (config, "prices"),
            (config, "pairings"),
            (config.coap, "ca"),
            (config.coap, "cert"),
            (config.coap, "key"),
            (config.coap, "crl"),
            (config.mqtt, "ca"),
            (config.mqtt, "cert"),
            (config.mqtt, "key"),
        ):
            if getattr(holder, key):
                setattr(holder, key, str(folder / getattr(holder, key)))
    return config


def _table(where, cls, default, value):
    if not isinstance(value, dict):
        raise UserError(f"{where} must be a table")
    known = {f.name: f for f in fields(cls)}
    changes = {}
    for key, item in value.items():
        if key not in known:
            raise UserError(f"{where} {key}: no such setting; there are {', '.join(sorted(known))}")
        changes[key] = _scalar(f"{where} {key}", known[key].type, getattr(default, key), item)
    result = cls(**{**{k: getattr(default, k) for k in known}, **changes})
    if cls is Association:
        for key, wire in _WIRE.items():
            _in_range(f"{where} {key}", _WIRE_FIELDS[wire], getattr(result, key))
    elif any(type(v) in (int, float) and v < 0 and k not in ("negative_below",) for k, v in vars(result).items()):
        bad = next(k for k, v in vars(result).items() if type(v) in (int, float) and v < 0 and k != "negative_below")
        raise UserError(f"{where} {bad}: must not be negative")
    return result


def _in_range(where, wire, value):
    if value is None:
        return
    if wire.kind == "enum":
        names = [n for _, n, _ in d.enum(wire.of).rows]
        if value not in names:
            raise UserError(f"{where}: {value!r} is none of {', '.join(names)}")
        return
    lo, hi = d.bounds(wire)
    if wire.name == "interval_length" and value not in INTERVAL_LENGTHS:
        raise UserError(f"{where}: {value} is none of {', '.join(map(str, INTERVAL_LENGTHS))} minutes")
    if not lo <= value <= hi:
        raise UserError(f"{where}: {value} is not within {lo} … {hi}{' ' + wire.unit if wire.unit else ''}")


def _scalar(where, annotation, default, value):
    kind = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    if kind == "object":
        kind = "int"
    good = {
        "str": lambda v: type(v) is str,
        "bool": lambda v: type(v) is bool,
        "float": lambda v: type(v) in (int, float),
        "int": lambda v: type(v) is int,
    }
    for word, test in good.items():
        if word in kind:
            if not test(value):
                name = {"str": "text", "bool": "true or false", "float": "a number", "int": "a whole number"}[word]
                raise UserError(
                    f"{where}: {value!r} is not {name}"
                    + (f", for example {default!r}" if default not in (None, "") else "")
                )
            return value
    return value


def _check(config, name):
    a = config.association
    if a.heartbeat_timeout_s <= a.heartbeat_s:
        raise UserError(
            f"{name}: [association] heartbeat_timeout_s: {a.heartbeat_timeout_s} must be more than heartbeat_s, "
            f"{a.heartbeat_s}; twice to three times is usual"
        )
    try:
        zone_of(config.time_zone)
    except ValueError as exc:
        raise UserError(f"{name}: time_zone: {exc}") from exc
    if not 1 <= config.mqtt.port <= 65535:
        raise UserError(f"{name}: [mqtt] port: {config.mqtt.port} is not within 1 … 65535; MQTT over TLS is 8883")
    for key in ("udp_port", "tcp_port", "tls_port"):
        if not 0 <= getattr(config.coap, key) <= 65535:
            raise UserError(f"{name}: [coap] {key}: {getattr(config.coap, key)} is not within 0 (off) … 65535")
    if config.coap.lookup not in ("secure", "lan", "open"):
        raise UserError(f'{name}: [coap] lookup: {config.coap.lookup!r} is none of "secure", "lan", "open"')
    for key in ("utility", "group"):
        word = getattr(config, key)
        if not word or any(c in word for c in "/+#\0"):
            raise UserError(f"{name}: {key}: {word!r} must be one topic level, without / + #")
    if not 1 <= config.unlimited_s <= 604800:
        raise UserError(f"{name}: unlimited_s: {config.unlimited_s} is not within 1 … 604800 s")


def eui(text, where: str) -> str:
    """The 16 hex digits of an EUI-64 in small letters; separators `:` and `-` are dropped. Raises UserError."""
    word = str(text).lower().replace(":", "").replace("-", "")
    if len(word) != 16 or any(c not in "0123456789abcdef" for c in word):
        raise UserError(f"{where}: {text!r} is not an EUI-64: 16 hex digits, for example 0200000000000001")
    return word


def events_from(raw, name: str) -> list:
    """Limit events from a list of tables (TOML or JSON). Times are Unix seconds or ISO 8601 with an offset."""
    if not isinstance(raw, list):
        raise UserError(f"{name}: must be a list of events")
    events = []
    for i, item in enumerate(raw, 1):
        where = f"{name}: event {i}"
        if not isinstance(item, dict):
            raise UserError(f"{where} must be a table")
        unknown = set(item) - {"id", "start", "end", "limit_w", "devices", "include_base"}
        if unknown:
            raise UserError(
                f"{where}: {sorted(unknown)[0]}: no such field; there are id, start, end, limit_w, devices, "
                "include_base"
            )
        for key in ("start", "end", "limit_w"):
            if key not in item:
                raise UserError(f"{where}: {key} is missing")
        start, end = unix(item["start"], f"{where}: start"), unix(item["end"], f"{where}: end")
        if end <= start:
            raise UserError(f"{where}: end must be after start")
        if end - start > 604800:
            raise UserError(f"{where}: longer than a week")
        limit = item["limit_w"]
        if type(limit) is not int or not 0 <= limit <= 1000 * d.POWER:
            raise UserError(f"{where}: limit_w: {limit!r} is not a whole number of W, 0 or more")
        devices = item.get("devices")
        if devices is not None:
            if not isinstance(devices, list):
                raise UserError(f"{where}: devices must be a list of EUI-64")
            devices = tuple(eui(x, f"{where}: devices") for x in devices)
        events.append(
            LimitEvent(
                str(item.get("id", f"limit-{start}-{limit}")),
                start,
                end,
                limit,
                devices,
                bool(item.get("include_base", True)),
            )
        )
    return events


def unix(value, where: str) -> int:
    """Unix seconds from a number, an ISO 8601 text with an offset, or a TOML date-time. Raises UserError."""
    if type(value) is int:
        number = value
    else:
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError as exc:
            raise UserError(f"{where}: {value!r} is no time; write 2025-01-12T17:00:00+01:00 or Unix seconds") from exc
        if moment.tzinfo is None:
            raise UserError(f"{where}: {value} has no offset from UTC; write {moment.isoformat()}+01:00")
        number = int(moment.timestamp())
    if not d.UTC_MIN <= number <= d.UTC_MAX:
        raise UserError(f"{where}: {value} is outside the profile's time, which begins in 2025")
    return number


def events_from_file(path) -> list:
    """Limit events from a JSON list, or from the `events` of a TOML file. Raises UserError."""
    path = Path(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise UserError(f"{path}: cannot be read: {exc}") from exc
    try:
        raw = tomllib.loads(text).get("events") if path.suffix == ".toml" else json.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as exc:
        raise UserError(f"{path}: {exc}") from exc
    return events_from(raw["events"] if isinstance(raw, dict) and "events" in raw else raw, str(path))
