"""Configuration from files: read, checked field by field, refused with one sentence that says what would be right.

Nothing is built and nothing moves before both files have passed.
"""

import json

from .board.board import DRIVERS_OF, FIELDS, SENSORS
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
    _check_word(file, "board", name, "the name of a folder in %s: letters, digits and _" % folder)
    path = "%s/%s/board.json" % (folder, name)
    try:
        description = load_json(path, open)
    except ConfigError as error:
        if "errno 2" in error.want:
            raise ConfigError(file, "board", "a board in %s/, not %r" % (folder, name)) from None
        raise
    check_board(description, path)
    return description


def _check_word(file, field, value, want):
    good = isinstance(value, str) and 0 < len(value) <= 32
    if good:
        for c in value:
            good = good and ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c == "_")
    if not good:
        raise ConfigError(file, field, "%s, not %r" % (want, value))


def _int(file, field, value, low, high):
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(file, field, "an integer from %d to %d, not %r" % (low, high, value))


def _object(file, field, value):
    if not isinstance(value, dict):
        raise ConfigError(file, field, "an object, not %r" % (value,))
    return value


def _text(file, field, value):
    if not isinstance(value, str) or not value:
        raise ConfigError(file, field, "a text, not %r" % (value,))


# --- the device's configuration -------------------------------------------------------------------------------------

_LEVELS = "letters, digits and -_. (at most 64), "  # of a topic; link/topics.py is the same rule
_WIFI_TEXTS = {"ssid": 32, "password": 63, "hostname": 32, "country": 2}
_KNOWN = (
    "board", "eui64", "store", "model", "mqtt", "coap", "associations", "device", "agent", "parts", "boards", "log",
    "wifi",
)
_ASSOCIATION = ("name", "mqtt", "coap", "agent", "data")
_MOST = 2  # associations: each costs a connection


def check_device_config(config, file="config", device=None):
    """Raises ConfigError for the first thing that is wrong. device: "plug" or "heat_pump", when it is known."""
    _object(file, "", config)
    for field in config:
        if field not in _KNOWN:
            raise ConfigError(file, field, "left out: it is none of " + ", ".join(sorted(_KNOWN)))
    eui64 = config.get("eui64")
    good = isinstance(eui64, str) and len(eui64) == 16
    if good:
        for c in eui64:
            good = good and c in "0123456789abcdefABCDEF"
    if not good:
        raise ConfigError(file, "eui64", "16 hexadecimal digits, not %r" % (eui64,))
    _text(file, "store", config.get("store"))
    if "board" in config:
        _check_word(file, "board", config["board"], "the name of a board: letters, digits and _")
    if "model" in config:
        _text(file, "model", config["model"])
        if len(config["model"]) > 24:
            raise ConfigError(file, "model", "at most 24 characters")
    if "associations" in config:
        _check_associations(config, file)
    else:
        _check_links(config, file, "")
    if "wifi" in config:
        _check_wifi(_object(file, "wifi", config["wifi"]), file)
    if "boards" in config:
        _text(file, "boards", config["boards"])
    if config.get("log", "print") != "print":
        raise ConfigError(file, "log", "left out, or print, not %r" % (config["log"],))
    _object(file, "agent", config.get("agent", {}))
    _check_settings(_object(file, "device", config.get("device", {})), file, device)
    for role, part in _object(file, "parts", config.get("parts", {})).items():
        _object(file, "parts." + role, part)


def _check_wifi(wifi, file):
    for name in wifi:
        if name == "join_ms":
            _int(file, "wifi.join_ms", wifi[name], 1000, 600000)
        elif name not in _WIFI_TEXTS:
            raise ConfigError(file, "wifi." + name, "left out: no such setting")
        else:
            _text(file, "wifi." + name, wifi[name])
            if len(wifi[name]) > _WIFI_TEXTS[name]:
                raise ConfigError(file, "wifi." + name, "at most %d characters" % _WIFI_TEXTS[name])
    for name in ("ssid", "password"):
        if name not in wifi:
            raise ConfigError(file, "wifi." + name, "given")


def _level(file, field, value):
    good = isinstance(value, str) and 0 < len(value) <= 64
    if good:
        for c in value:
            good = good and ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in "-_.")
    if not good:
        raise ConfigError(file, field, _LEVELS + "not %r" % (value,))


def _check_associations(config, file):
    found = config["associations"]
    for name in ("mqtt", "coap", "agent"):
        if name in config:
            raise ConfigError(file, name, "left out: each of the associations has its own")
    if not isinstance(found, list) or not 0 < len(found) <= _MOST:
        raise ConfigError(file, "associations", "a list of 1 or %d objects" % _MOST)
    names = []
    for at, one in enumerate(found):
        where = "associations.%d." % at
        _object(file, where[:-1], one)
        for field in one:
            if field not in _ASSOCIATION:
                raise ConfigError(file, where + field, "left out: it is none of " + ", ".join(_ASSOCIATION))
        name = one.get("name")
        _check_word(file, where + "name", name, "lower-case letters, digits and _")
        if name != name.lower() or len(name) > 12 or name in names:
            raise ConfigError(file, where + "name", "lower-case, of 12 characters, another for each, not %r" % name)
        names.append(name)
        if not _check_links(one, file, where):
            raise ConfigError(file, where[:-1], "given a link: mqtt or coap")
        _object(file, where + "agent", one.get("agent", {}))
        data = one.get("data", [])
        if not isinstance(data, list) or any(word not in links.DATA for word in data):
            raise ConfigError(file, where + "data", "a list of " + ", ".join(links.DATA))


def _check_links(config, file, where):
    """Checks the one link that is there; returns how many there are, 0 or 1."""
    if "mqtt" in config and "coap" in config:
        raise ConfigError(file, where + "coap", "left out beside mqtt: a second link stands in \"associations\"")
    for kind in links.SECTIONS:
        if kind in config:
            field = where + kind + "."
            section = _object(file, field[:-1], config[kind])
            for name in section:
                rule = links.SECTIONS[kind].get(name) or links.BOTH.get(name)
                if rule is None:
                    raise ConfigError(file, field + name, "left out: no such setting")
                _check_rule(file, field + name, section[name], rule)
            _CHECKS[kind](section, file, field)
            return 1
    return 0


def _check_rule(file, field, value, rule):
    if rule == "text":
        _text(file, field, value)
    elif rule == "switch":
        if value is not True and value is not False:
            raise ConfigError(file, field, "true or false, not %r" % (value,))
    elif rule == "level":
        _level(file, field, value)
    elif rule == "levels":
        if not isinstance(value, list) or len(value) > 4:
            raise ConfigError(file, field, "a list of at most 4 names, not %r" % (value,))
        for one in value:
            _level(file, field, one)
    elif rule == "pair":
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ConfigError(file, field, "a list of two integers, not %r" % (value,))
        _int(file, field, value[0], 1, 3600000)
        _int(file, field, value[1], value[0], 3600000)
    elif rule == "uri":
        try:
            links.split_uri(value)
        except (ValueError, TypeError, AttributeError):
            raise ConfigError(
                file, field, "coap, coaps, coap+tcp or coaps+tcp://host:port, or slipmux:device, not %r" % (value,)
            ) from None
    elif isinstance(rule[0], str):
        if value not in rule:
            raise ConfigError(file, field, "one of %s, not %r" % (", ".join(rule), value))
    else:
        _int(file, field, value, rule[0], rule[1])


def _check_certificates(section, file, field):
    for name in links.CERTIFICATES:
        if name not in section:
            raise ConfigError(file, field + name, "given: the path of a PEM or DER file")


def _check_mqtt(mqtt, file, field):
    if "host" not in mqtt:
        raise ConfigError(file, field + "host", "given: the broker's name or address")
    _check_certificates(mqtt, file, field)
    if mqtt.get("protect", "none") != "none" and "pairing" not in mqtt:
        raise ConfigError(file, field + "pairing", "given: protect needs its keys")


def _check_coap(coap, file, field):
    if "uri" not in coap:
        raise ConfigError(file, field + "uri", "given: where the EMD is, as coap://emd.local")
    scheme = links.split_uri(coap["uri"])[0]
    if scheme[:5] == "coaps":
        _check_certificates(coap, file, field)
    else:
        for name in links.CERTIFICATES:
            if name in coap:
                raise ConfigError(file, field + name, "left out: %s has no certificates" % scheme)
        if "pairing" not in coap and coap.get("insecure") is not True:
            raise ConfigError(file, field + "pairing", "given, or insecure set to true: %s protects nothing" % scheme)
    if coap.get("multicast") and not coap.get("listen"):
        raise ConfigError(file, field + "listen", "given with multicast: 5683")


_CHECKS = {"mqtt": _check_mqtt, "coap": _check_coap}


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
        good = isinstance(value, str) and least <= len(value) <= most and not len(value) & 1
        if good:
            for c in value:
                good = good and c in "0123456789abcdefABCDEF"
        if not good:
            raise ConfigError(path, name, "%d to %d hexadecimal digits" % (least, most))
    if pairing["id"].lower() == pairing["emd"].lower():
        raise ConfigError(path, "id", "another one than emd")
    for name, (least, most) in links.PAIRING_INTS.items():
        _int(path, name, pairing.get(name, least), least, most)
    return pairing


def check_fit(description, config, file="config"):
    """Raises ConfigError for the first thing in a device's configuration that does not go with its board."""
    device = description["device"]
    found = config.get("device", {})
    _check_settings(found, file, device)
    ratings = description["ratings"]
    # what protects the board is never above what the board can take
    names = ("power_max_w",)
    if device == "plug":
        names = ("power_max_w", "over_power_w", "over_current_ma")
        if "over_voltage_10mv" in found or "under_voltage_10mv" in found:
            over = found.get("over_voltage_10mv", settings.PLUG["over_voltage_10mv"][2])
            under = found.get("under_voltage_10mv", settings.PLUG["under_voltage_10mv"][2])
            if over and under >= over:
                raise ConfigError(file, "device.under_voltage_10mv", "below over_voltage_10mv, not %d" % under)
    for name in names:
        rating = ratings["current_ma" if name == "over_current_ma" else "power_w"]
        if found.get(name, 0) > rating:
            raise ConfigError(
                file, "device." + name, "at most %d, the rating of the board, not %d" % (rating, found[name])
            )
    if device == "heat_pump":
        most_w = found.get("power_max_w", ratings["power_w"])
        if found.get("power_min_w", 0) > most_w:
            raise ConfigError(file, "device.power_min_w", "at most power_max_w, %d" % most_w)
        if "steps" in found and found["steps"][-1] > most_w:
            raise ConfigError(file, "device.steps", "at most power_max_w, %d, each" % most_w)
    check_parts(description, config, file)


def check_parts(description, config, file="config"):
    """Raises ConfigError for the first thing that is wrong with `config["parts"]`, over the parts of a board."""
    for role, changes in config.get("parts", {}).items():
        if role not in description["parts"] or role == "sensors":
            raise ConfigError(file, "parts." + role, "left out: the board has no such part")
        part = dict(description["parts"][role])
        part.update(changes)
        _check_part(file, "parts." + role, role, part, {})


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


def _check_settings(found, file, device):
    for name, value in found.items():
        field = "device." + name
        row = None
        if device != "heat_pump":
            row = settings.PLUG.get(name)
        other = settings.HEAT_PUMP.get(name) if device != "plug" else None
        if row is None:
            row = other
        elif other is not None:  # which device it is does not show yet: what one of them takes
            row = (min(row[0], other[0]), max(row[1], other[1]))
        if row is not None:
            _int(file, field, value, row[0], row[1])
        elif name in settings.WORDS:
            if value not in settings.WORDS[name]:
                raise ConfigError(file, field, "one of %s, not %r" % (", ".join(settings.WORDS[name]), value))
        elif name in settings.SWITCHES:
            if value is not True and value is not False:
                raise ConfigError(file, field, "true or false, not %r" % (value,))
        elif name in settings.LISTS:
            _check_list(found, name, file, field)
        else:
            raise ConfigError(file, field, "left out: no such setting")
    low = found.get("comfort_low", settings.HEAT_PUMP["comfort_low"][2])
    if low >= found.get("comfort_high", settings.HEAT_PUMP["comfort_high"][2]):
        raise ConfigError(file, "device.comfort_low", "below comfort_high, not %d" % low)


def _check_list(found, name, file, field):
    longest, low, high = settings.LISTS[name]
    value = found[name]
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= longest:
        raise ConfigError(file, field, "a list of 1 to %d integers, not %r" % (longest, value))
    before = 0
    for number in value:
        _int(file, field, number, max(low, before + 1), high)  # ascending
        before = number


# --- the board's description ----------------------------------------------------------------------------------------

_BOARD_KNOWN = ("name", "model", "device", "isolated", "relay_hold", "ratings", "parts", "notes", "worst_gap_ms")
_RATINGS = ("power_w", "current_ma", "relay_cycles")
_NEEDS = {"plug": ("relay", "meter"), "heat_pump": ("sg_ready",)}


def check_board(description, file="board.json"):
    """Raises ConfigError for the first thing that is wrong with a board's description."""
    _object(file, "", description)
    for field in description:
        if field not in _BOARD_KNOWN:
            raise ConfigError(file, field, "left out: it is none of " + ", ".join(sorted(_BOARD_KNOWN)))
    _check_word(file, "name", description.get("name"), "letters, digits and _")
    if len(description.get("model", "")) > 24:
        raise ConfigError(file, "model", "at most 24 characters")
    device = description.get("device")
    if device not in _NEEDS:
        raise ConfigError(file, "device", "plug or heat_pump, not %r" % (device,))
    for name in ("isolated", "relay_hold"):
        if description.get(name, False) not in (True, False):
            raise ConfigError(file, name, "true or false, not %r" % (description[name],))
    if "worst_gap_ms" in description:
        _int(file, "worst_gap_ms", description["worst_gap_ms"], 1, 60000)
    ratings = _object(file, "ratings", description.get("ratings", {}))
    for name, value in ratings.items():
        if name not in _RATINGS:
            raise ConfigError(file, "ratings." + name, "left out: it is none of " + ", ".join(_RATINGS))
        _int(file, "ratings." + name, value, 1, 100000000)
    if "power_w" not in ratings or device == "plug" and "current_ma" not in ratings:
        raise ConfigError(file, "ratings", "given, with power_w (and current_ma for a plug)")
    parts = _object(file, "parts", description.get("parts"))
    for role in _NEEDS[device]:
        if role not in parts:
            raise ConfigError(file, "parts." + role, "given: a %s has one" % device)
    used = {}
    for role, part in parts.items():
        if role not in DRIVERS_OF:
            raise ConfigError(file, "parts." + role, "left out: it is none of " + ", ".join(sorted(DRIVERS_OF)))
        _object(file, "parts." + role, part)
        if role == "sensors":
            for name, sensor in part.items():
                if name not in SENSORS:
                    raise ConfigError(file, "parts.sensors." + name, "left out: it is none of " + ", ".join(SENSORS))
                _check_part(file, "parts.sensors." + name, "sensors", _object(file, role, sensor), used)
        else:
            _check_part(file, "parts." + role, role, part, used)


def _check_part(file, field, role, part, used):
    driver = part.get("driver")
    if driver not in DRIVERS_OF[role]:
        raise ConfigError(file, field + ".driver", "one of %s, not %r" % (", ".join(DRIVERS_OF[role]), driver))
    fields = FIELDS[driver]
    for name, value in part.items():
        if name == "driver":
            continue
        if name not in fields:
            raise ConfigError(file, field + "." + name, "left out: %s has no such field" % driver)
        rule = fields[name]
        where = field + "." + name
        if rule == "pins":
            if not isinstance(value, (list, tuple)) or len(value) != 2:
                raise ConfigError(file, where, "a list of two pins, not %r" % (value,))
            for pin in value:
                _pin(file, where, pin, used)
        elif isinstance(rule[0], str):
            if value not in rule:
                raise ConfigError(file, where, "one of %s, not %r" % (", ".join(rule), value))
        else:
            _int(file, where, value, rule[0], rule[1])
            if name in ("pin", "tx", "rx", "sense") or name.endswith("_pin"):
                _pin(file, where, value, used)
    for name, rule in fields.items():
        if name not in part and (rule == "pins" or rule[-1] is True):
            raise ConfigError(file, field + "." + name, "given: %s needs it" % driver)


def _pin(file, field, pin, used):
    _int(file, field, pin, 0, 255)
    if pin in used:
        raise ConfigError(file, field, "a pin of its own, not %d, which %s has" % (pin, used[pin]))
    used[pin] = field
