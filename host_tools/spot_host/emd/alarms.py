"""Alarms in words, with what their numbers mean."""

from spot_host.profile import definition as d
from spot_host.profile.explain import duration, object_name, quantity

_UNITS = {  # alarm: unit of its value and limit
    "over_voltage": "10 mV", "under_voltage": "10 mV", "frequency": "mHz", "over_current": "mA", "over_power": "W",
    "over_temperature": "0.01 Cel", "shedding": "mHz", "frost": "0.01 Cel",
}
_NAMES = {code: name for code, name, _ in d.enum("Alarm").rows}


def in_words(fields: dict) -> str:
    """One alarm (the fields of its message) as a person reads it."""
    name = _NAMES.get(fields["code"], f"alarm {fields['code']}")
    value, limit, raised = fields.get("value"), fields.get("limit"), fields["raised"]
    text = name.replace("_", " ")
    if name == "restore":
        return "mains back" + (f" after {duration(value)}" if value is not None else "")
    if name == "outage":
        return "mains lost (last gasp)" if raised else "mains back"
    if name == "store_fault" and not raised and limit is not None:
        return f"{value} events from number {limit} on are lost"
    text += " raised" if raised else " cleared"
    if value is None:
        return text
    if name in ("sensor_fault", "wear"):
        left = f", {limit:,} left" if limit is not None and name == "wear" else ""
        return f"{text}: {object_name(value)}{left}"
    unit = _UNITS.get(name, "")
    return f"{text}: {quantity(value, unit)}" + (f", limit {quantity(limit, unit)}" if limit is not None else "")
