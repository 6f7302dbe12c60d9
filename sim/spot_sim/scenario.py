"""Scenario files: TOML in, checked and complete in plain objects out; a bad file is refused with file, field and what
is right.

docs/simulator.md has the format. Times are local times of the first day, "17:00", or of a later one, "+1 17:00".
"""

import inspect
import tomllib
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from spot.config import ConfigError
from spot.config_check import check_device_config
from spot_host import prices
from spot_host.emd import config as emd_config
from spot_host.errors import UserError
from spot_sim import faults
from spot_sim.local_time import BERLIN, LocalCalendar
from spot_sim.physics.appliances import APPLIANCES
from spot_sim.physics.house import House
from spot_sim.physics.mains import MainsEvent

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"
HEAT_PUMP = "heat_pump"
KINDS = (*sorted(APPLIANCES), HEAT_PUMP)
RUNS = ("sim", "micropython")
LINKS = ("mqtt", "coap")  # CoAP on UDP, with OSCORE
# by device class: the first, whose parts are direct, where none is named; others have drivers and simulated chips
BOARDS = {"plug": ("sim", "unix"), HEAT_PUMP: ("sim_heat_pump", "unix_heat_pump", "sim_modbus")}
_NO_PRICES = ("kettle", "fridge")  # nobody lets a price decide about tea and milk
_NOT_PARAMETERS = ("self", "seeds", "calendar", "weather")
_EUI_BASE = 0x0200_0000_0000_0000
_MOST_DEVICES = 100_000
_MOST_DAYS = 3660


@dataclass(frozen=True)
class DeviceSpec:
    """One device: `name` ("ev-1"), `eui` (16 hex digits), `kind` of KINDS, `site`, `runs` of RUNS; `load`: parameters
    of its physics; `device`: its configuration's table; `price_control`: whether the EMD plans it by price; `link` of
    LINKS; `board` of BOARDS.
    """

    name: str
    eui: str
    kind: str
    site: str
    runs: str = "sim"
    load: dict = field(default_factory=dict)
    device: dict = field(default_factory=dict)
    price_control: bool = True
    link: str = "mqtt"
    board: str = ""

    @property
    def device_class(self):
        return HEAT_PUMP if self.kind == HEAT_PUMP else "plug"


@dataclass(frozen=True)
class BaseLoadSpec:
    """What a household uses beside its devices."""

    name: str
    site: str
    annual_kwh: float = 3500.0
    scatter: float = 0.35


@dataclass(frozen=True)
class LimitSpec:
    """A power limit. start, end: simulated seconds; devices: EUIs, or None for all; base: it counts the site's base
    load."""

    id: str
    start: int
    end: int
    limit_w: int
    devices: tuple | None = None
    site: str | None = None
    base: bool = True


@dataclass(frozen=True)
class Reboot:
    """A device restarts. at: simulated second; power: the mains of the board go for `off_s`, else a warm restart."""

    eui: str
    at: int
    power: bool = True
    off_s: int = 5


@dataclass(frozen=True)
class EmdOutage:
    """The EMD's process is gone from second `at` on for `duration_s`."""

    at: int
    duration_s: int


@dataclass(frozen=True)
class Scenario:
    """Everything that a run needs, checked. Times are simulated seconds since local midnight of `day`."""

    name: str
    title: str
    seed: int
    day: date
    days: int
    zone: str
    prices: tuple  # of PriceSeries, one a day
    devices: tuple
    base_loads: tuple
    limits: tuple
    link: faults.LinkFaults
    reboots: tuple
    reboots_per_day: float
    emd_outages: tuple
    mains_events: tuple
    weather_region: int
    weather_offset_k: float
    emd: dict  # settings of the EMD (spot_host.emd.config), as in the file

    @property
    def seconds(self):
        """The length of the run; days have 23, 24 or 25 hours."""
        return LocalCalendar(self.day, self.zone).day_start(self.days)

    def emd_settings(self):
        """A fresh EmdConfig of the scenario's settings."""
        return emd_config.from_dict(self.emd, f"{self.name}: emd")


def names():
    """The scenarios that SPOT ships."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(name):
    """The path of a scenario by its name or path. Raises UserError."""
    path = Path(name)
    if path.suffix != ".toml" and "/" not in str(name):
        path = FOLDER / f"{name}.toml"
        if not path.is_file():
            raise UserError(f"no scenario {name!r}; there are {', '.join(names())}, or give the path of a .toml file")
    return path


def load(name, **changes):
    """Read a scenario by its name or path. changes: `day`, `days`, `seed`, `prices` over what the file says, None for
    no change. Raises UserError.
    """
    path = find(name)
    try:
        raw = tomllib.loads(path.read_bytes().decode())
    except OSError as exc:
        raise UserError(f"{path}: cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError as exc:
        raise UserError(f"{path}: not UTF-8 at byte {exc.start}") from None
    except tomllib.TOMLDecodeError as exc:
        raise UserError(f"{path}: not TOML: {exc}") from None
    raw.update((key, value) for key, value in changes.items() if value is not None)
    folder = Path() if changes.get("prices") is not None else path.parent
    return from_dict(raw, path.name, folder, path.stem)


def from_dict(raw, file="scenario", folder=None, name="scenario"):
    """A Scenario from the content of a file. Raises UserError."""
    return _Reader(raw, file, folder or Path(), name).scenario()


class _Reader:
    """One file on its way to a Scenario."""

    def __init__(self, raw, file, folder, name):
        self.raw, self.file, self.folder, self.name = raw, file, folder, name
        self.devices, self.base_loads = [], []

    def error(self, where, text):
        return UserError(f"{self.file}: {where}: {text}")

    # One value each

    def number(self, where, value, low, high, whole=True):
        kinds = (int,) if whole else (int, float)
        if type(value) not in kinds or not low <= value <= high:
            raise self.error(where, f"{'a whole number' if whole else 'a number'} from {low} to {high}, not {value!r}")
        return value

    def text(self, where, value):
        if type(value) is not str or not value:
            raise self.error(where, f"a text, not {value!r}")
        return value

    def choice(self, where, value, words):
        if value not in words:
            raise self.error(where, f"one of {', '.join(map(str, words))}, not {value!r}")
        return value

    def flag(self, where, value):
        if type(value) is not bool:
            raise self.error(where, f"true or false, not {value!r}")
        return value

    def table(self, where, value, known):
        if type(value) is not dict:
            raise self.error(where, f"a table, not {value!r}")
        for key in value:
            if key not in known:
                raise self.error(f"{where}.{key}" if where else key, f"no such field; there are {', '.join(known)}")
        return value

    def tables(self, where, known):
        rows = self.raw.get(where, [])
        if type(rows) is not list:
            raise self.error(where, f"a list of tables, [[{where}]], not {rows!r}")
        for i, row in enumerate(rows, 1):
            yield f"{where} {i}", self.table(f"{where} {i}", row, known)

    def need(self, where, row, *names):
        for one in names:
            if one not in row:
                raise self.error(f"{where}.{one}", "is missing")

    def time(self, where, value):
        """Simulated seconds of "17:00", "17:00:30", "+1 17:00"."""
        days, at = 0, value
        if isinstance(at, str) and at.startswith("+"):
            count, _, at = at[1:].partition(" ")
            days = int(count) if count.isdigit() and len(count) <= 4 else -1
        parts = at.split(":") if isinstance(at, str) else ()
        good = len(parts) in (2, 3) and all(p.isdigit() and len(p) == 2 for p in parts) and days >= 0
        clock = [int(p) for p in parts] if good else []
        good = good and clock[0] <= 24 and all(p < 60 for p in clock[1:]) and (clock[0] < 24 or not any(clock[1:]))
        if not good:
            raise self.error(where, f'a local time such as "17:00", or "+1 17:00" of the next day, not {value!r}')
        # by the hands of the clock: a day of 23 or 25 hours has its jump in the night
        calendar = self.calendar
        of_day = clock[0] * 3600 + clock[1] * 60 + (clock[2] if len(clock) == 3 else 0)
        begin, end = calendar.day_start(days), calendar.day_start(days + 1)
        second = begin + of_day + (end - begin - 86400 if of_day >= 3 * 3600 else 0)
        if second > calendar.day_start(self.days):
            raise self.error(where, f"{value} is after the end of the run of {self.days} days")
        return second

    def whose(self, where, value):
        """EUIs of a device's name, a kind with all of its devices, or "all"."""
        if value == "all":
            return [d.eui for d in self.devices]
        found = [d.eui for d in self.devices if value in (d.name, d.eui, d.kind)]
        if not found:
            known = ", ".join([d.name for d in self.devices[:6]] + (["…"] if len(self.devices) > 6 else []))
            raise self.error(where, f"no device {value!r}; there are {known}")
        return found

    # The file

    def scenario(self):
        raw = self.raw
        self.table("", raw, _FIELDS)
        zone = self.text("zone", raw.get("zone", BERLIN))
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self.error("zone", f"a time zone such as {BERLIN}, not {zone!r}") from None
        self.need("", raw, "day")
        day = self.day(raw["day"])
        self.days = self.number("days", raw.get("days", 1), 1, _MOST_DAYS)
        self.calendar = LocalCalendar(day, zone)
        self.read_devices()
        self.read_base_loads()
        if not self.devices and not self.base_loads:
            raise self.error("devices", "at least one, as [[devices]]")
        emd = raw.get("emd", {})
        emd_config.from_dict(emd, f"{self.file}: emd")
        for bad in ("events", "prices", "database", "mqtt"):
            if bad in emd:
                raise self.error(f"emd.{bad}", "left out: the scenario itself says it")
        return Scenario(
            name=self.name,
            title=self.text("title", raw.get("title", self.name)),
            seed=self.number("seed", raw.get("seed", 1), 0, 2**63),
            day=day,
            days=self.days,
            zone=zone,
            prices=self.prices(day, zone),
            devices=tuple(self.devices),
            base_loads=tuple(self.base_loads),
            limits=tuple(self.limits()),
            link=self.link(),
            reboots=tuple(self.reboots()),
            reboots_per_day=self.number("reboots_per_day", raw.get("reboots_per_day", 0), 0, 1000, False),
            emd_outages=tuple(self.outages()),
            mains_events=tuple(self.mains()),
            weather_region=self.number("weather_region", raw.get("weather_region", 4), 1, 15),
            weather_offset_k=self.number("weather_offset_k", raw.get("weather_offset_k", 0), -30, 30, False),
            emd=emd,
        )

    def day(self, value):
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            raise self.error("day", f"a date such as 2024-12-12, not {value!r}") from None

    def prices(self, day, zone):
        path = self.raw.get("prices")
        if path is not None:
            path = self.folder / self.text("prices", path)
        book = prices.built_in() if path is None else prices.read(path, zone)
        series = []
        for i in range(self.days):
            one = self.calendar.date(i)
            if path is None and self.days > 1 and one not in book.days:  # a typical day goes on
                known = series[-1]
                start = self.calendar.start_utc + self.calendar.day_start(i)
                length = (self.calendar.day_start(i + 1) - self.calendar.day_start(i)) // known.interval_s
                values = (known.prices * 2)[:length]
                series.append(prices.PriceSeries(start, known.interval_s, values))
            else:
                series.append(book.day(one))
        return tuple(series)

    def read_devices(self):
        for where, row in self.tables("devices", _DEVICE_FIELDS):
            self.need(where, row, "kind")
            kind = self.choice(f"{where}.kind", row["kind"], KINDS)
            count = self.number(f"{where}.count", row.get("count", 1), 0, _MOST_DEVICES)
            stem = self.text(f"{where}.name", row.get("name", kind))
            site = self.text(f"{where}.site", row.get("site", "home"))
            runs = self.choice(f"{where}.runs", row.get("runs", "sim"), RUNS)
            parameters = self.parameters(f"{where}.load", kind, row.get("load", {}))
            device = self.device(where, kind, row.get("device", {}))
            by_price = self.flag(f"{where}.price_control", row.get("price_control", kind not in _NO_PRICES))
            link = self.choice(f"{where}.link", row.get("link", "mqtt"), LINKS)
            boards = BOARDS[HEAT_PUMP if kind == HEAT_PUMP else "plug"]
            board = self.choice(f"{where}.board", row.get("board", boards[0]), boards)
            if runs != "sim" and "board" in row:
                raise self.error(f"{where}.board", "left out: a process has the board that it runs on")
            taken = {d.name for d in self.devices}
            number = 1
            for _ in range(count):
                while f"{stem}-{number}" in taken:
                    number += 1
                eui = f"{_EUI_BASE + len(self.devices) + 1:016x}"
                spec = DeviceSpec(f"{stem}-{number}", eui, kind, site, runs, parameters, device, by_price, link, board)
                self.devices.append(spec)
                number += 1
            if len(self.devices) > _MOST_DEVICES:
                raise self.error(where, f"at most {_MOST_DEVICES} devices in all")

    def parameters(self, where, kind, table):
        cls = House if kind == HEAT_PUMP else APPLIANCES[kind]
        known = {n: p.default for n, p in inspect.signature(cls).parameters.items() if n not in _NOT_PARAMETERS}
        self.table(where, table, tuple(known))
        for name, value in table.items():
            default = known[name]
            if isinstance(default, bool):
                self.flag(f"{where}.{name}", value)
            elif isinstance(default, str):
                self.text(f"{where}.{name}", value)
            elif isinstance(default, tuple):
                if type(value) is not list or any(type(v) not in (int, float) for v in value):
                    raise self.error(f"{where}.{name}", f"a list of numbers such as {list(default)}, not {value!r}")
            else:
                self.number(f"{where}.{name}", value, 0, 1e9, whole=False)
        if "model" in table:
            from spot_sim.physics import heat_pump

            try:
                heat_pump.load(table["model"])
            except ValueError as exc:
                raise self.error(f"{where}.model", str(exc)) from None
        return {n: tuple(v) if type(v) is list else v for n, v in table.items()}

    def device(self, where, kind, table):
        if type(table) is not dict:
            raise self.error(f"{where}.device", f"a table, not {table!r}")
        config = {"board": "sim", "eui64": f"{_EUI_BASE:016x}", "store": "s", "device": table}
        try:
            check_device_config(config, f"{self.file}: {where}", HEAT_PUMP if kind == HEAT_PUMP else "plug")
        except ConfigError as exc:
            raise UserError(str(exc)) from None
        return dict(table)

    def read_base_loads(self):
        for where, row in self.tables("base_loads", _names(BaseLoadSpec)):
            annual = self.number(f"{where}.annual_kwh", row.get("annual_kwh", 3500), 0, 1_000_000, False)
            scatter = self.number(f"{where}.scatter", row.get("scatter", 0.35), 0, 2, False)
            name = self.text(f"{where}.name", row.get("name", f"base-{len(self.base_loads) + 1}"))
            site = self.text(f"{where}.site", row.get("site", "home"))
            self.base_loads.append(BaseLoadSpec(name, site, annual, scatter))

    def limits(self):
        for i, (where, row) in enumerate(self.tables("limits", _LIMIT_FIELDS), 1):
            self.need(where, row, "start", "end", "limit_w")
            start, end = self.time(f"{where}.start", row["start"]), self.time(f"{where}.end", row["end"])
            if not start < end <= start + 604800:
                raise self.error(f"{where}.end", "after start, by a week at most")
            limit_w = self.number(f"{where}.limit_w", row["limit_w"], 0, 10_000_000)
            site, devices = row.get("site"), row.get("devices")
            if devices is not None and site is not None:
                raise self.error(f"{where}.devices", "either a site or devices, not both")
            if site is not None:
                sites = sorted({d.site for d in (*self.devices, *self.base_loads)})
                self.choice(f"{where}.site", site, sites)
                devices = tuple(d.eui for d in self.devices if d.site == site)
            elif devices is not None:
                if type(devices) is not list or not devices:
                    raise self.error(f"{where}.devices", 'a list of names, such as ["ev-1"]')
                found = [eui for word in devices for eui in self.whose(f"{where}.devices", word)]
                devices = tuple(dict.fromkeys(found))
            base = self.flag(f"{where}.base", row.get("base", "devices" not in row))
            name = self.text(f"{where}.id", row.get("id", f"limit-{i}"))
            yield LimitSpec(name, start, end, limit_w, devices, site, base)

    def link(self):
        row = dict(self.table("link", self.raw.get("link", {}), _names(faults.LinkFaults)))
        windows = []
        rows = row.pop("windows", [])
        if type(rows) is not list:
            raise self.error("link.windows", "a list of tables, [[link.windows]]")
        for i, window in enumerate(rows, 1):
            where = f"link.windows {i}"
            self.table(where, window, ("at", "duration_s", "device", "forget"))
            self.need(where, window, "at", "duration_s")
            at, length = self.time(f"{where}.at", window["at"]), window["duration_s"]
            self.number(f"{where}.duration_s", length, 1, 31_536_000)
            forget = self.flag(f"{where}.forget", window.get("forget", False))
            who = window.get("device", "broker")
            if who == "broker":
                euis = [faults.EVERYBODY]
            elif who == faults.EMD:
                euis = [faults.EMD]
            else:
                euis = self.whose(f"{where}.device", who)
            windows += [faults.Window(at, length, eui, forget) for eui in euis]
        for name, value in row.items():
            default = getattr(faults.PERFECT, name)
            where = f"link.{name}"
            if name in ("from_s", "until_s"):
                row[name] = self.time(where, value)
            elif isinstance(default, tuple):
                if type(value) is not list or len(value) != 2:
                    raise self.error(where, f"[least, most], not {value!r}")
                row[name] = tuple(self.number(where, v, 0, 86_400_000) for v in value)
            else:
                self.number(where, value, 0, 86400, whole=isinstance(default, int))
        try:
            return faults.LinkFaults(**row, windows=tuple(windows))
        except ValueError as exc:
            raise self.error("link", str(exc)) from None

    def reboots(self):
        for where, row in self.tables("reboots", ("at", "device", "power", "off_s")):
            self.need(where, row, "at", "device")
            at = self.time(f"{where}.at", row["at"])
            power = self.flag(f"{where}.power", row.get("power", True))
            off_s = self.number(f"{where}.off_s", row.get("off_s", 5 if power else 0), 0, 31_536_000)
            for eui in self.whose(f"{where}.device", row["device"]):
                yield Reboot(eui, at, power, off_s)

    def outages(self):
        end = -1
        for where, row in self.tables("emd_outages", ("at", "duration_s")):
            self.need(where, row, "at", "duration_s")
            at = self.time(f"{where}.at", row["at"])
            duration_s = self.number(f"{where}.duration_s", row["duration_s"], 1, 31_536_000)
            if at <= end:
                raise self.error(f"{where}.at", "after the end of the outage before it")
            end = at + duration_s
            yield EmdOutage(at, duration_s)

    def mains(self):
        known = ("at", "duration_s", "voltage_factor", "frequency_shift_mhz", "outage")
        for where, row in self.tables("mains", known):
            self.need(where, row, "at", "duration_s")
            yield MainsEvent(
                self.time(f"{where}.at", row["at"]),
                self.number(f"{where}.duration_s", row["duration_s"], 1, 31_536_000),
                self.number(f"{where}.voltage_factor", row.get("voltage_factor", 1.0), 0, 3, False),
                self.number(f"{where}.frequency_shift_mhz", row.get("frequency_shift_mhz", 0), -5000, 5000),
                self.flag(f"{where}.outage", row.get("outage", False)),
            )


def _names(cls):
    return tuple(f.name for f in fields(cls))


_FIELDS = (
    "title", "seed", "day", "days", "zone", "prices", "weather_region", "weather_offset_k", "devices", "base_loads",
    "limits", "link", "reboots", "reboots_per_day", "emd_outages", "mains", "emd",
)
_DEVICE_FIELDS = ("kind", "count", "name", "site", "runs", "load", "device", "price_control", "link", "board")
_LIMIT_FIELDS = ("id", "start", "end", "limit_w", "site", "devices", "base")


def simulated(scenario):
    """The same scenario with every device in the simulator."""
    return replace(scenario, devices=tuple(replace(d, runs="sim") for d in scenario.devices))


def linked(scenario, link, every=False):
    """The same scenario with every process (every: device) on `link`, one of LINKS."""
    devices = tuple(replace(d, link=link) if every or d.runs != "sim" else d for d in scenario.devices)
    return replace(scenario, devices=devices)
