"""Configuration from files: read, checked field by field, refused with one sentence that says what would be right.

Nothing is built and nothing moves before both files have passed.
"""

import json

from .board.board import ROLES, SENSORS, bring, drivers_of, fields_of
from .device import settings
from .link import settings as links
from .port import os


class ConfigError(ValueError):
    """`file`, `field` ("device.min_run_s") and `want` ("an integer from 0 to 86400, not 'ten'")."""

    def __init__(self, file, field, want):
        super().__init__("%s: %s: must be %s" % (file, field, want) if field else "%s: %s" % (file, want))
        self.file = file
        self.field = field
        self.want = want


class _Wrong(Exception):
    """(field, what would be right): the file's name is added by who was asked to check it."""


def _named(file, check, *arguments):
    try:
        return check(*arguments)
    except _Wrong as wrong:
        raise ConfigError(file, wrong.args[0], wrong.args[1]) from None


def load_json(path, open=open):
    """The JSON object in the file at `path`; ConfigError when it is not there, torn, or not an object."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        number = error.args[0] if error.args else 0
        raise ConfigError(path, "", "cannot be read (errno %s)" % number) from None
    try:
        if not _whole(raw):
            raise ValueError
        found = json.loads(raw)
    except (ValueError, UnicodeError):
        raise ConfigError(path, "", "is not JSON: torn or mistyped") from None
    if not isinstance(found, dict):
        raise ConfigError(path, "", "is not a JSON object")
    return found


def keep_good(path, open=open, rename=os.rename):
    """Keeps a copy of the configuration at `path`, which has proved good, where the same is not kept already."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
        try:
            with open(path + ".good", "rb") as file:
                if file.read() == raw:
                    return
        except OSError:
            pass  # there is none yet
        with open(path + ".new", "wb") as file:
            file.write(raw)
        rename(path + ".new", path + ".good")
    except OSError:
        pass  # full flash is told by the store


def _whole(raw):
    """Whether every bracket is closed: MicroPython's json takes a file that ends in the middle, less what is gone."""
    depth = 0
    quoted = False
    i = 0
    while i < len(raw):
        c = raw[i]
        if quoted:
            if c == 0x5C:  # backslash
                i += 1
            elif c == 0x22:
                quoted = False
        elif c == 0x22:
            quoted = True
        elif c == 0x7B or c == 0x5B:
            depth += 1
        elif c == 0x7D or c == 0x5D:
            depth -= 1
        i += 1
    return depth == 0 and not quoted


def load_config(path, open=open):
    """A device's configuration: see docs/architecture.md."""
    config = load_json(path, open)
    check_device_config(config, path)
    return config


def load_board(name, folder="boards", open=open, file="config"):
    """The description of board `name`, from `folder`/`name`/board.json. file: what names the board, for errors."""
    _named(file, _check, "board", name, "word")
    path = "%s/%s/board.json" % (folder, name)
    try:
        description = load_json(path, open)
    except ConfigError as error:
        if "errno 2" in error.want:
            raise ConfigError(file, "board", "a board in %s/, not %r" % (folder, name)) from None
        raise
    check_board(description, path)

    def load(path):
        try:
            return load_json(path, open)
        except ConfigError as error:
            if "errno 2" in error.want:
                return None  # who names it says so
            raise

    wrong = bring(description, folder, load)
    if wrong:
        raise ConfigError(wrong[0] or path, wrong[1], wrong[2])
    return description


# --- rules, and tables of them --------------------------------------------------------------------------------------
#
# A rule is one of the words of _RULES; an integer, the most characters of a text; a tuple of words; or (least, most) of
# an integer.

_RULES = {
    "text": "a text",
    "object": "an object",
    "switch": "true or false",
    "word": "a name of letters, digits and _ (at most 32)",
    "level": "letters, digits and -_. (at most 64)",  # of a topic; link/topics.py is the same rule
    "levels": "a list of at most 4 names",
    "pair": "a list of two integers",
    "uri": "coap, coaps, coap+tcp or coaps+tcp://host:port, or slipmux:device",
    "eui64": "16 hexadecimal digits",
    "keys": "a list of at most 4 HSS public keys, of one level and 120 hexadecimal digits",
    "data": "a list of " + ", ".join(links.DATA),
}


def _made_of(value, more, least, most):
    """Whether a text has so many letters and digits, or one of `more`; "0": hexadecimal digits alone."""
    if not isinstance(value, str) or not least <= len(value) <= most:
        return False
    for c in value:
        if more == "0":
            if c not in "0123456789abcdefABCDEF":
                return False
        elif not ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in more):
            return False
    return True


def _follows(value, rule):
    if rule == "any":
        return True
    if rule == "text":
        return isinstance(value, str) and value != ""
    if rule == "object":
        return isinstance(value, dict)
    if rule == "switch":
        return value is True or value is False
    if rule == "word":
        return _made_of(value, "_", 1, 32)
    if rule == "level":
        return _made_of(value, "-_.", 1, 64)
    if rule == "eui64":
        return _made_of(value, "0", 16, 16)
    if rule == "uri":
        try:
            links.split_uri(value)
        except (ValueError, TypeError, AttributeError):
            return False
        return True
    if not isinstance(value, list):
        return False
    if rule == "pair":
        return len(value) == 2
    if rule == "levels":
        return len(value) <= 4
    if rule == "keys":
        for one in value:  # of one level, of the types that wire/lms.py verifies
            if not _made_of(one, "0", 120, 120) or one[:15] != "000000010000000" or one[15] not in "5678":
                return False
            if one[16:23] != "0000000" or one[23] not in "34":
                return False
        return len(value) <= 4
    for one in value:
        if one not in links.DATA:
            return False
    return True


def _check(field, value, rule):
    if isinstance(rule, str):
        if not _follows(value, rule):
            raise _Wrong(field, "%s, not %r" % (_RULES[rule], value))
        if rule == "levels":
            for one in value:
                _check(field, one, "level")
        elif rule == "pair":
            _int(field, value[0], 1, 3600000)
            _int(field, value[1], value[0], 3600000)
    elif isinstance(rule, int):
        _check(field, value, "text")
        if len(value) > rule:
            raise _Wrong(field, "at most %d characters" % rule)
    elif isinstance(rule[0], str):
        if value not in rule:
            raise _Wrong(field, "one of %s, not %r" % (", ".join(rule), value))
    else:
        _int(field, value, rule[0], rule[1])


def _int(field, value, low, high):
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _Wrong(field, "an integer from %d to %d, not %r" % (low, high, value))


def _section(prefix, found, table, more=None, needed=()):
    """Checks the fields of the object `found` by `table`, or `more`; prefix: of their names, "mqtt."."""
    _check(prefix[:-1], found, "object")
    for name, value in found.items():
        rule = table.get(name) or (more.get(name) if more else None)
        if rule is None:
            known = "no such setting" if prefix else "it is none of " + ", ".join(sorted(table))
            raise _Wrong(prefix + name, "left out: " + known)
        _check(prefix + name, value, rule)
    for name in needed:
        if name not in found:
            raise _Wrong(prefix + name, "given")


# --- the device's configuration -------------------------------------------------------------------------------------

_WIFI = {"ssid": 32, "password": 63, "hostname": 32, "country": 2, "join_ms": (1000, 600000)}
_CONFIG = {
    "board": "word", "eui64": "eui64", "store": "text", "model": 24, "mqtt": "object", "coap": "object",
    "associations": "any", "device": "object", "agent": "object", "parts": "object", "boards": "text",
    "log": ("print",), "wifi": "object", "watchdog": "switch", "slots": "text", "update": "object",
}
_UPDATE = {"keys": "keys", "rate": (16, 65536), "auto": "switch"}
_ASSOCIATION = {"name": "word", "mqtt": "object", "coap": "object", "agent": "object", "data": "data"}
_MOST = 2  # associations: each costs a connection


def check_device_config(config, file="config", device=None):
    """Raises ConfigError for the first thing that is wrong. device: "plug" or "heat_pump", when it is known."""
    _named(file, _device_config, config, device)


def _device_config(config, device):
    _section("", config, _CONFIG)
    for name in ("eui64", "store"):
        _check(name, config.get(name), _CONFIG[name])
    if "wifi" in config:
        _section("wifi.", config["wifi"], _WIFI, None, ("ssid", "password"))
    if "update" in config:
        _section("update.", config["update"], _UPDATE)
    if "associations" in config:
        _associations(config, config["associations"])
    else:
        _links(config, "")
    _settings(config.get("device", {}), device)
    for role, part in config.get("parts", {}).items():
        _check("parts." + role, part, "object")


def _associations(config, found):
    for name in ("mqtt", "coap", "agent"):
        if name in config:
            raise _Wrong(name, "left out: each of the associations has its own")
    if not isinstance(found, list) or not 0 < len(found) <= _MOST:
        raise _Wrong("associations", "a list of 1 or %d objects" % _MOST)
    names = []
    for at, one in enumerate(found):
        where = "associations.%d." % at
        _section(where, one, _ASSOCIATION, None, ("name",))
        name = one["name"]
        if name != name.lower() or len(name) > 12 or name in names:
            raise _Wrong(where + "name", "lower-case, of 12 characters, another for each, not %r" % name)
        names.append(name)
        if not _links(one, where):
            raise _Wrong(where[:-1], "given a link: mqtt or coap")


def _links(config, where):
    """Checks the one link that is there; returns whether there is one."""
    if "mqtt" in config and "coap" in config:
        raise _Wrong(where + "coap", "left out beside mqtt: a second link stands in \"associations\"")
    for kind in links.SECTIONS:
        if kind in config:
            section = config[kind]
            field = where + kind + "."
            _section(field, section, links.SECTIONS[kind], links.BOTH, links.NEEDED[kind])
            scheme = links.split_uri(section["uri"])[0] if kind == "coap" else "coaps"
            secure = scheme[:5] == "coaps"
            for name in links.CERTIFICATES:
                if (name in section) != secure:
                    want = "given: the path of a PEM or DER file"
                    raise _Wrong(field + name, want if secure else "left out: %s has no certificates" % scheme)
            if "pairing" not in section:
                if not secure and section.get("insecure") is not True:
                    raise _Wrong(field + "pairing", "given, or insecure set to true: %s protects nothing" % scheme)
                if section.get("protect", "none") != "none":
                    raise _Wrong(field + "pairing", "given: protect needs its keys")
            if section.get("multicast") and not section.get("listen"):
                raise _Wrong(field + "listen", "given with multicast: 5683")
            return True
    return False


def associations(config):
    """The associations of a checked configuration, in order; the one of a configuration without that word is "": a list
    of objects with `name`, `mqtt` or `coap`, maybe `agent` and `data`."""
    if "associations" in config:
        return config["associations"]
    one = {"name": ""}
    for field in _ASSOCIATION:
        if field in config:
            one[field] = config[field]
    return [one]


def load_pairing(path, open=open):
    """The pairing file at `path` (docs/security.md, Keys), checked. ConfigError never shows what is in it."""
    pairing = load_json(path, open)
    for name, (least, most) in links.PAIRING_HEX.items():
        value = pairing.get(name)
        if not _made_of(value, "0", least, most) or len(value) & 1:
            raise ConfigError(path, name, "%d to %d hexadecimal digits" % (least, most))
    if pairing["id"].lower() == pairing["emd"].lower():
        raise ConfigError(path, "id", "another one than emd")
    for name, (least, most) in links.PAIRING_INTS.items():
        _named(path, _int, name, pairing.get(name, least), least, most)
    return pairing


def check_fit(description, config, file="config"):
    """Raises ConfigError for the first thing in a device's configuration that does not go with its board."""
    _named(file, _fit, description, config)


def _fit(description, config):
    _settings(config.get("device", {}), description["device"], description["ratings"])
    _parts(description, config)


def _parts(description, config):
    """Checks the board as it is with `config["parts"]` over its own."""
    found = config.get("parts")
    if found:
        parts = dict(description["parts"])
        for role, changes in found.items():
            if role == "sensors" or role == "buses":
                raise _Wrong("parts." + role, _BOARDS_OWN)
            if role not in parts:
                raise _Wrong("parts." + role, "left out: the board has no such part")
            for name in ("driver", "bus", "map"):
                if name in changes:
                    raise _Wrong("parts.%s.%s" % (role, name), _BOARDS_OWN)
            parts[role] = dict(parts[role])
            parts[role].update(changes)
        description = dict(description)
        description["parts"] = parts
        description.pop("maps", None)
        _board(description, found)


_BOARDS_OWN = "left out: that is for the board's own description to say"


def check_store(config, file="config", os=os):
    """Makes the folder of the store; ConfigError when that does not work. For computers: on a chip it is the flash."""
    path = ""
    for name in config["store"].split("/"):
        path += name
        if path:
            try:
                os.mkdir(path)
            except OSError:
                pass  # it is there, or the next line says so
        path += "/"
    try:
        os.listdir(config["store"])
    except OSError:
        raise ConfigError(file, "store", "a folder that can be made: %s is not" % config["store"]) from None


def check_files(config, file="config", open=open):
    """Raises ConfigError for a certificate, key or pairing file of `config` that cannot be read."""
    for at, one in enumerate(associations(config)):
        for kind in links.SECTIONS:
            for name in ("ca", "cert", "key", "pairing"):
                path = one.get(kind, {}).get(name)
                if path is None:
                    continue
                field = "%s.%s" % (kind, name)
                if "associations" in config:
                    field = "associations.%d.%s" % (at, field)
                try:
                    with open(path, "rb") as found:
                        if not found.read(1) and name != "pairing":
                            raise ConfigError(file, field, "a certificate or key: %s is empty" % path)
                except OSError:
                    raise ConfigError(file, field, "a file that can be read: %s is not" % path) from None
                if name == "pairing":
                    load_pairing(path, open)


# Settings by the word that a board's description uses for its device; an image holds its own (spot_host.build)
def _plug():
    return settings.PLUG


def _heat_pump():
    from .device.heat_pump_settings import HEAT_PUMP

    return HEAT_PUMP


_TABLES = {"plug": _plug, "heat_pump": _heat_pump}


def _row(name, device):
    """(smallest, largest, default) of a setting; where the device does not show yet, what one of them takes. Or None"""
    found = None
    for word in ("plug", "heat_pump"):
        if word in _TABLES and device in (None, word):
            row = _TABLES[word]().get(name)
            if found and row:
                row = (min(found[0], row[0]), max(found[1], row[1]), found[2])
            found = row or found
    return found


def _settings(found, device, ratings=None):
    for name, value in found.items():
        field = "device." + name
        row = _row(name, device) or settings.WORDS.get(name)
        if row is not None:
            _check(field, value, row)
        elif name in settings.SWITCHES:
            _check(field, value, "switch")
        elif name in settings.LISTS:
            _list(field, value, settings.LISTS[name])
        else:
            raise _Wrong(field, "left out: no such setting")
    for name, relation, other in settings.ORDER:
        if name in found or other in found:
            value = _value(found, name, device, ratings)
            most = _value(found, other, device, ratings)
            if value and most and (value > most or relation == "below" and value == most):
                if name not in found:
                    name, other, relation, value, most = other, name, _OPPOSITE[relation], most, value
                what = "%d, the rating of the board" % most if other[:6] == "rating" else "%s, %d" % (other, most)
                raise _Wrong("device." + name, "%s %s, not %d" % (relation, what, value))


_OPPOSITE = {"below": "above", "at most": "at least"}
_RATED = {"power_max_w": "power_w", "over_current_ma": "current_ma", "over_power_w": "power_w"}


def _value(found, name, device, ratings):
    """A setting as it will be, its default too; None or 0 where there is none. A rating is one of the board."""
    if name[:6] == "rating":
        return (ratings or {}).get(name[7:])
    value = found.get(name)
    if isinstance(value, list):
        return value[-1]
    if value is None:
        row = _row(name, device)
        value = row and row[2]
        if value is None and ratings and name in _RATED:
            value = ratings.get(_RATED[name])
    return value


def _list(field, value, row):
    longest, low, high = row
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= longest:
        raise _Wrong(field, "a list of 1 to %d integers, not %r" % (longest, value))
    before = 0
    for number in value:
        _int(field, number, max(low, before + 1), high)  # ascending
        before = number


# --- the board's description ----------------------------------------------------------------------------------------

_BOARD = {
    "name": "word", "model": 24, "device": ("plug", "heat_pump"), "isolated": "switch", "relay_hold": "switch",
    "ratings": "object", "parts": "object", "notes": "text", "worst_gap_ms": (1, 60000),
    "hold_up_ms": (1, 60000),
    "watchdog_ms": (1000, 8388),  # the most that an RP2 can
    # only host tools read these, and check them (spot_host.boards)
    "mcu": "any", "march": "any", "image": "any", "flash_bytes": "any", "heap_bytes": "any", "links": "any",
    "wifi": "any",
}
_RATING = (1, 100000000)
_RATINGS = {"power_w": _RATING, "current_ma": _RATING, "relay_cycles": _RATING}
_NEEDS = {"plug": ("relay", "meter"), "heat_pump": ("sg_ready",)}
_FOREIGN = {"plug": ("sg_ready", "machine"), "heat_pump": ("relay",)}


def check_board(description, file="board.json"):
    """Raises ConfigError for the first thing that is wrong with a board's description."""
    _named(file, _board, description)


def _board(description, changed=()):
    """changed: roles of which the device's configuration says something; what is wrong is told of these."""
    _section("", description, _BOARD, None, ("name", "device", "ratings", "parts"))
    device = description["device"]
    ratings = description["ratings"]
    _section("ratings.", ratings, _RATINGS)
    if "power_w" not in ratings or device == "plug" and "current_ma" not in ratings:
        raise _Wrong("ratings", "given, with power_w (and current_ma for a plug)")
    parts = description["parts"]
    watchdog_ms = description.get("watchdog_ms")
    if watchdog_ms is not None:
        gap_ms = description.get("worst_gap_ms")
        if gap_ms is None:
            raise _Wrong("worst_gap_ms", "given, below watchdog_ms")
        if watchdog_ms <= gap_ms:
            raise _Wrong("watchdog_ms", "above worst_gap_ms, %d, not %d" % (gap_ms, watchdog_ms))
    if "hold_up_ms" in description and "power_fail" not in parts:
        raise _Wrong("hold_up_ms", "left out: the board has no power_fail input to count it from")
    for role in _NEEDS[device]:
        if role not in parts and (role != "sg_ready" or "machine" not in parts):
            also = ", or machine is" if role == "sg_ready" else ""
            raise _Wrong("parts." + role, "given%s: a %s has one" % (also, device))
    used = {}
    for role in sorted(parts, key=lambda role: (role in changed, role)):  # buses come before who names them
        part = parts[role]
        field = "parts." + role
        _check(field, part, "object")
        if role in _FOREIGN[device]:
            raise _Wrong(field, "left out: a %s has none" % device)
        if role == "buses" or role == "sensors":
            names = sorted(part)
            for at, name in enumerate(names):
                one = part[name]
                _check(field + "." + name, one, "object")
                if role == "sensors" and name not in SENSORS:
                    raise _Wrong(field + "." + name, "left out: it is none of " + ", ".join(SENSORS))
                if role == "sensors" and name != "device" and device == "plug":
                    raise _Wrong(field + "." + name, "left out: a plug only uses device, its own temperature")
                _part(field + "." + name, role, one, used, parts)
                for other in names[:at] if "bus" in one else ():
                    if _same(one, part[other]):
                        raise _Wrong(field + "." + name, "another sensor than %s, which has this one" % other)
        elif role in ROLES:
            _part(field, role, part, used, parts)
        else:
            raise _Wrong(field, "left out: it is none of " + ", ".join(sorted(ROLES + ("buses", "sensors"))))


def _same(one, two):
    """Whether two sensors of a bus are one. A ROM of zeros is the bus's only sensor, whatever its own is."""
    for name in ("bus", "address", "register", "rom"):
        value = str(one.get(name)).lower()
        other = str(two.get(name)).lower()
        if value != other and (name != "rom" or not int(value, 16) * int(other, 16) == 0):
            return False
    return True


def _part(field, role, part, used, parts):
    word = part.get("driver")
    fields = fields_of(role, word)
    if fields is None:
        _check(field + ".driver", word, tuple(drivers_of(role)))
    for name in sorted(part):
        if name == "driver":
            continue
        value = part[name]
        where = field + "." + name
        if name not in fields or not name:
            raise _Wrong(where, "left out: %s has no such field" % word)
        rule = fields[name]
        if rule == "pins":
            if not isinstance(value, (list, tuple)) or len(value) != 2:
                raise _Wrong(where, "a list of two pins, not %r" % (value,))
            for pin in value:
                _pin(where, pin, used)
        elif name == "bus":
            buses = parts.get("buses", {})
            _check(where, value, tuple(sorted(buses)) or ("(this board has none)",))
            bus = buses[value].get("driver")
            if (word[:6] == "modbus") != (bus == "modbus_rtu"):
                raise _Wrong(where, "a bus that %s can speak on, not %s, which is %s" % (word, value, bus))
        else:
            _check(where, value, rule)
            if name in ("pin", "tx", "rx", "sense") or name.endswith("_pin"):
                _pin(where, value, used)
            elif name in ("uart", "i2c", "timer") and value >= 0:
                _pin(where, value, used, name)
    for name in sorted(fields):
        rule = fields[name]
        if name and name not in part and (isinstance(rule, str) or rule[-1] is True):
            raise _Wrong(field + "." + name, "given: %s needs it" % word)
    if ("tx" in part) != ("rx" in part):
        raise _Wrong(field + (".rx" if "tx" in part else ".tx"), "given: tx and rx go together")
    wrong = fields[""](part) if "" in fields else None  # what goes with what
    if wrong:
        raise _Wrong("%s.%s" % (field, wrong[0]), wrong[1])


def _pin(field, number, used, kind="pin"):
    _int(field, number, 0, 255)
    key = kind + str(number)
    if key in used:
        raise _Wrong(field, "a %s of its own, not %d, which %s has" % (kind, number, used[key]))
    used[key] = field
