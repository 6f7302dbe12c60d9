"""What a device's configuration may say, field by field. Loaded to check one, and not for one that has passed
(config.seal).

Nothing is built and nothing moves before it has.
"""

from .agent.association import check_plan
from .config import ConfigError, associations, load_board, load_json, named_files
from .device import settings
from .link import settings as links
from .port import os


class Wrong(Exception):
    """(field, what would be right): the file's name is added by who was asked to check it."""


def named(file, check, *arguments):
    try:
        return check(*arguments)
    except Wrong as wrong:
        raise ConfigError(file, wrong.args[0], wrong.args[1]) from None


def load_config(path, open=open):
    """A device's configuration: see docs/architecture.md."""
    config = load_json(path, open)
    check_device_config(config, path)
    return config


def check_whole(config, path, boards=None, chip=False):
    """The description of the board of `config`, which was read from `path`, when all is right that both say and name.
    boards: a folder of boards in a release, whose check was the host's."""
    check_device_config(config, path)
    if chip and "board" not in config:
        raise ConfigError(path, "board", "given: the folder in boards/ that describes this board")
    description = load_board(
        config.get("board", "unix"), boards or config.get("boards", "boards"), file=path, trusted=boards is not None
    )
    if "associations" not in config and "mqtt" not in config and "coap" not in config:
        raise ConfigError(path, "coap", "given, or mqtt: where the EMD is, and what proves who it is")
    check_files(config, path)
    check_fit(description, config, path)
    for at, one in enumerate(associations(config)):
        wrong = check_plan(one.get("agent", {}))
        if wrong:
            where = "associations.%d." % at if "associations" in config else ""
            raise ConfigError(path, "%sagent.%s" % (where, wrong[0]), wrong[1])
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


def check_field(field, value, rule):
    if isinstance(rule, str):
        if not _follows(value, rule):
            raise Wrong(field, "%s, not %r" % (_RULES[rule], value))
        if rule == "levels":
            for one in value:
                check_field(field, one, "level")
        elif rule == "pair":
            check_int(field, value[0], 1, 3600000)
            check_int(field, value[1], value[0], 3600000)
    elif isinstance(rule, int):
        check_field(field, value, "text")
        if len(value) > rule:
            raise Wrong(field, "at most %d characters" % rule)
    elif isinstance(rule[0], str):
        if value not in rule:
            raise Wrong(field, "one of %s, not %r" % (", ".join(rule), value))
    else:
        check_int(field, value, rule[0], rule[1])


def check_int(field, value, low, high):
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Wrong(field, "an integer from %d to %d, not %r" % (low, high, value))


def check_section(prefix, found, table, more=None, needed=()):
    """Checks the fields of the object `found` by `table`, or `more`; prefix: of their names, "mqtt."."""
    check_field(prefix[:-1], found, "object")
    for name, value in found.items():
        rule = table.get(name) or (more.get(name) if more else None)
        if rule is None:
            known = "no such setting" if prefix else "it is none of " + ", ".join(sorted(table))
            raise Wrong(prefix + name, "left out: " + known)
        check_field(prefix + name, value, rule)
    for name in needed:
        if name not in found:
            raise Wrong(prefix + name, "given")


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
    named(file, _device_config, config, device)


def _device_config(config, device):
    check_section("", config, _CONFIG)
    for name in ("eui64", "store"):
        check_field(name, config.get(name), _CONFIG[name])
    if "wifi" in config:
        check_section("wifi.", config["wifi"], _WIFI, None, ("ssid", "password"))
    if "update" in config:
        check_section("update.", config["update"], _UPDATE)
    if "associations" in config:
        _associations(config, config["associations"])
    else:
        _links(config, "")
    _settings(config.get("device", {}), device)
    for role, part in config.get("parts", {}).items():
        check_field("parts." + role, part, "object")


def _associations(config, found):
    for name in ("mqtt", "coap", "agent"):
        if name in config:
            raise Wrong(name, "left out: each of the associations has its own")
    if not isinstance(found, list) or not 0 < len(found) <= _MOST:
        raise Wrong("associations", "a list of 1 or %d objects" % _MOST)
    names = []
    for at, one in enumerate(found):
        where = "associations.%d." % at
        check_section(where, one, _ASSOCIATION, None, ("name",))
        name = one["name"]
        if name != name.lower() or len(name) > 12 or name in names:
            raise Wrong(where + "name", "lower-case, of 12 characters, another for each, not %r" % name)
        names.append(name)
        if not _links(one, where):
            raise Wrong(where[:-1], "given a link: mqtt or coap")


def _links(config, where):
    """Checks the one link that is there; returns whether there is one."""
    if "mqtt" in config and "coap" in config:
        raise Wrong(where + "coap", "left out beside mqtt: a second link stands in \"associations\"")
    for kind in links.SECTIONS:
        if kind in config:
            section = config[kind]
            field = where + kind + "."
            check_section(field, section, links.SECTIONS[kind], links.BOTH, links.NEEDED[kind])
            scheme = links.split_uri(section["uri"])[0] if kind == "coap" else "coaps"
            secure = scheme[:5] == "coaps"
            for name in links.CERTIFICATES:
                if (name in section) != secure:
                    want = "given: the path of a PEM or DER file"
                    raise Wrong(field + name, want if secure else "left out: %s has no certificates" % scheme)
            if "pairing" not in section:
                if not secure and section.get("insecure") is not True:
                    raise Wrong(field + "pairing", "given, or insecure set to true: %s protects nothing" % scheme)
                if section.get("protect", "none") != "none":
                    raise Wrong(field + "pairing", "given: protect needs its keys")
            if section.get("multicast") and not section.get("listen"):
                raise Wrong(field + "listen", "given with multicast: 5683")
            return True
    return False


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
        named(path, check_int, name, pairing.get(name, least), least, most)
    return pairing


def check_fit(description, config, file="config"):
    """Raises ConfigError for the first thing in a device's configuration that does not go with its board."""
    named(file, _fit, description, config)


def _fit(description, config):
    _settings(config.get("device", {}), description["device"], description["ratings"])
    if config.get("parts"):
        from .board_check import check_parts

        check_parts(description, config["parts"])


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
    for field, path in named_files(config):
        pairing = field[-7:] == "pairing"
        try:
            with open(path, "rb") as found:
                if not found.read(1) and not pairing:
                    raise ConfigError(file, field, "a certificate or key: %s is empty" % path)
        except OSError:
            raise ConfigError(file, field, "a file that can be read: %s is not" % path) from None
        if pairing:
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
            check_field(field, value, row)
        elif name in settings.SWITCHES:
            check_field(field, value, "switch")
        elif name in settings.LISTS:
            _list(field, value, settings.LISTS[name])
        else:
            raise Wrong(field, "left out: no such setting")
    for name, relation, other in settings.ORDER:
        if name in found or other in found:
            value = _value(found, name, device, ratings)
            most = _value(found, other, device, ratings)
            if value and most and (value > most or relation == "below" and value == most):
                if name not in found:
                    name, other, relation, value, most = other, name, _OPPOSITE[relation], most, value
                what = "%d, the rating of the board" % most if other[:6] == "rating" else "%s, %d" % (other, most)
                raise Wrong("device." + name, "%s %s, not %d" % (relation, what, value))


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
        raise Wrong(field, "a list of 1 to %d integers, not %r" % (longest, value))
    before = 0
    for number in value:
        check_int(field, number, max(low, before + 1), high)  # ascending
        before = number
