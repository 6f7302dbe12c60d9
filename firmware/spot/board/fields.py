"""What a description may say of each part, from the FIELDS of its driver: for the check of a description, not for the
board that is built from one.
"""

# By the word in a description; each gives (role, FIELDS). Loaded on demand, so that a board's image holds its own only
# (spot_host.build).
def _gpio_relay():
    from .relay import FIELDS

    return "relay", FIELDS


def _latching_relay():
    from .latching_relay import FIELDS

    return "relay", FIELDS


def _zero_cross_relay():
    from .zero_cross import FIELDS

    return "relay", FIELDS


def _s0_meter():
    from .pulse import FIELDS

    return "meter", FIELDS


def _onewire():
    from .onewire import FIELDS

    return "buses", FIELDS


def _ds18b20():
    from .ds18b20 import FIELDS

    return "sensors", FIELDS


def _ntc():
    from .ntc import BETA_FIELDS

    return "sensors", BETA_FIELDS


def _ntc_table():
    from .ntc import TABLE_FIELDS

    return "sensors", TABLE_FIELDS


def _power_fail():
    from .power_fail import FIELDS

    return "power_fail", FIELDS


def _bl0942():
    from .bl0942 import FIELDS

    return "meter", FIELDS


def _hlw8012():
    from .hlw8012 import FIELDS

    return "meter", FIELDS


def _cse7766():
    from .cse7766 import FIELDS

    return "meter", FIELDS


def _ade7953():
    from .ade7953 import FIELDS

    return "meter", FIELDS


def _direct_meter():
    from .direct import METER_FIELDS

    return "meter", METER_FIELDS


def _no_meter():
    return "meter", {}


def _button():
    from .panel import BUTTON_FIELDS

    return "button", BUTTON_FIELDS


def _led():
    from .panel import LED_FIELDS

    return "led", LED_FIELDS


def _sg_ready():
    from .sg_ready import FIELDS

    return "sg_ready", FIELDS


def _direct_machine():
    return "machine", {}


def _direct_sensor():
    return "sensors", {}


def _modbus_rtu():
    from .modbus import FIELDS

    return "buses", FIELDS


def _modbus_meter():
    from .modbus_meter import FIELDS

    return "meter", FIELDS


def _modbus_machine():
    from .modbus_machine import FIELDS

    return "machine", FIELDS


def _modbus_sensor():
    from .modbus_sensor import FIELDS

    return "sensors", FIELDS


_FIELDS = {
    "gpio_relay": _gpio_relay,
    "latching_relay": _latching_relay,
    "zero_cross_relay": _zero_cross_relay,
    "s0_meter": _s0_meter,
    "onewire": _onewire,
    "ds18b20": _ds18b20,
    "ntc": _ntc,
    "ntc_table": _ntc_table,
    "power_fail": _power_fail,
    "bl0942": _bl0942,
    "hlw8012": _hlw8012,
    "cse7766": _cse7766,
    "ade7953": _ade7953,
    "direct_meter": _direct_meter,
    "no_meter": _no_meter,  # where a description names none
    "button": _button,
    "led": _led,
    "sg_ready": _sg_ready,
    "direct_machine": _direct_machine,
    "direct_sensor": _direct_sensor,
    "modbus_rtu": _modbus_rtu,
    "modbus_meter": _modbus_meter,
    "modbus_machine": _modbus_machine,
    "modbus_sensor": _modbus_sensor,
}


def drivers_of(role):
    """Words of the drivers that can play a role ("buses" and "sensors" too)."""
    return sorted(word for word, load in _FIELDS.items() if word != "no_meter" and load()[0] == role)


def fields_of(role, word):
    """FIELDS of the driver `word`: name → (smallest, largest, must be there), a tuple of words for a choice, "pins" for
    a pair of pins, "word" for a name; None when it cannot play this role."""
    found = _FIELDS[word]() if isinstance(word, str) and word in _FIELDS else ("",)
    return found[1] if found[0] == role else None
