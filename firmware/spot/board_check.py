"""What the description of a board may say, field by field. Loaded to check one: a development copy's, or one that a
configuration changes ("parts"). That of a release was checked when that was built.
"""

from .board.board import ROLES, SENSORS
from .board.fields import drivers_of, fields_of
from .config_check import Wrong, check_field, check_int, check_section, named

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
    named(file, _board, description)


def check_name(name, file):
    """Raises ConfigError for what is no name of a board."""
    named(file, check_field, "board", name, "word")


_BOARDS_OWN = "left out: that is for the board's own description to say"


def check_parts(description, found):
    """Checks the board as it is with `found`, config["parts"], over its own: raises config_check.Wrong."""
    parts = dict(description["parts"])
    for role, changes in found.items():
        if role == "sensors" or role == "buses":
            raise Wrong("parts." + role, _BOARDS_OWN)
        if role not in parts:
            raise Wrong("parts." + role, "left out: the board has no such part")
        for name in ("driver", "bus", "map"):
            if name in changes:
                raise Wrong("parts.%s.%s" % (role, name), _BOARDS_OWN)
        parts[role] = dict(parts[role])
        parts[role].update(changes)
    description = dict(description)
    description["parts"] = parts
    description.pop("maps", None)
    _board(description, found)


def _board(description, changed=()):
    """changed: roles of which the device's configuration says something; what is wrong is told of these."""
    check_section("", description, _BOARD, None, ("name", "device", "ratings", "parts"))
    device = description["device"]
    ratings = description["ratings"]
    check_section("ratings.", ratings, _RATINGS)
    if "power_w" not in ratings or device == "plug" and "current_ma" not in ratings:
        raise Wrong("ratings", "given, with power_w (and current_ma for a plug)")
    parts = description["parts"]
    watchdog_ms = description.get("watchdog_ms")
    if watchdog_ms is not None:
        gap_ms = description.get("worst_gap_ms")
        if gap_ms is None:
            raise Wrong("worst_gap_ms", "given, below watchdog_ms")
        if watchdog_ms <= gap_ms:
            raise Wrong("watchdog_ms", "above worst_gap_ms, %d, not %d" % (gap_ms, watchdog_ms))
    if "hold_up_ms" in description and "power_fail" not in parts:
        raise Wrong("hold_up_ms", "left out: the board has no power_fail input to count it from")
    for role in _NEEDS[device]:
        if role not in parts and (role != "sg_ready" or "machine" not in parts):
            also = ", or machine is" if role == "sg_ready" else ""
            raise Wrong("parts." + role, "given%s: a %s has one" % (also, device))
    used = {}
    for role in sorted(parts, key=lambda role: (role in changed, role)):  # buses come before who names them
        part = parts[role]
        field = "parts." + role
        check_field(field, part, "object")
        if role in _FOREIGN[device]:
            raise Wrong(field, "left out: a %s has none" % device)
        if role == "buses" or role == "sensors":
            names = sorted(part)
            for at, name in enumerate(names):
                one = part[name]
                check_field(field + "." + name, one, "object")
                if role == "sensors" and name not in SENSORS:
                    raise Wrong(field + "." + name, "left out: it is none of " + ", ".join(SENSORS))
                if role == "sensors" and name != "device" and device == "plug":
                    raise Wrong(field + "." + name, "left out: a plug only uses device, its own temperature")
                _part(field + "." + name, role, one, used, parts)
                for other in names[:at] if "bus" in one else ():
                    if _same(one, part[other]):
                        raise Wrong(field + "." + name, "another sensor than %s, which has this one" % other)
        elif role in ROLES:
            _part(field, role, part, used, parts)
        else:
            raise Wrong(field, "left out: it is none of " + ", ".join(sorted(ROLES + ("buses", "sensors"))))


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
        check_field(field + ".driver", word, tuple(drivers_of(role)))
    for name in sorted(part):
        if name == "driver":
            continue
        value = part[name]
        where = field + "." + name
        if name not in fields or not name:
            raise Wrong(where, "left out: %s has no such field" % word)
        rule = fields[name]
        if rule == "pins":
            if not isinstance(value, (list, tuple)) or len(value) != 2:
                raise Wrong(where, "a list of two pins, not %r" % (value,))
            for pin in value:
                _pin(where, pin, used)
        elif name == "bus":
            buses = parts.get("buses", {})
            check_field(where, value, tuple(sorted(buses)) or ("(this board has none)",))
            bus = buses[value].get("driver")
            if (word[:6] == "modbus") != (bus == "modbus_rtu"):
                raise Wrong(where, "a bus that %s can speak on, not %s, which is %s" % (word, value, bus))
        else:
            check_field(where, value, rule)
            if name in ("pin", "tx", "rx", "sense") or name.endswith("_pin"):
                _pin(where, value, used)
            elif name in ("uart", "i2c", "timer") and value >= 0:
                _pin(where, value, used, name)
    for name in sorted(fields):
        rule = fields[name]
        if name and name not in part and (isinstance(rule, str) or rule[-1] is True):
            raise Wrong(field + "." + name, "given: %s needs it" % word)
    if ("tx" in part) != ("rx" in part):
        raise Wrong(field + (".rx" if "tx" in part else ".tx"), "given: tx and rx go together")
    wrong = fields[""](part) if "" in fields else None  # what goes with what
    if wrong:
        raise Wrong("%s.%s" % (field, wrong[0]), wrong[1])


def _pin(field, number, used, kind="pin"):
    check_int(field, number, 0, 255)
    key = kind + str(number)
    if key in used:
        raise Wrong(field, "a %s of its own, not %d, which %s has" % (kind, number, used[key]))
    used[key] = field
