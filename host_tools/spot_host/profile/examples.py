"""Messages as examples: docs/profile.md explains them, the golden vectors are made from them, the benchmarks size them.

EXAMPLES: (name, message type, sentence, values by field name). EDGES makes three more of every type: least
(mandatory fields only), lowest and highest (every field at an end of its range).
"""

from spot_host.profile import definition as d

EUI64 = bytes.fromhex("70b3d5fffe4a1c07")
ISSUED = 1765497600  # 2025-12-12T00:00:00Z
EVENING = ISSUED + 17 * 3600

# German-Luxembourg day-ahead prices of 2024-12-12, EUR/MWh by local hour.
PRICES = (122.24, 115.3, 109.96, 107.35, 112.51, 123.67, 176.18, 599.99, 655.6, 646.76, 543.83, 465.36, 404.99, 415.3,
          490.34, 668.49, 818.98, 936.28, 674.18, 551.01, 295.66, 169.4, 150.0, 134.75)
PRICES_START = 1733958000  # 2024-12-12T00:00:00+01:00


def bits(enum, *names):
    """The mask of these flags."""
    return sum(1 << code for code, name, _ in d.enum(enum).rows if name in names)


def code(enum, name):
    """The code of this name."""
    return next(row[0] for row in d.enum(enum).rows if row[1] == name)


def ids(*names):
    """The ids of these objects."""
    return [next(o[0] for o in d.OBJECTS if o[2] == name) for name in names]


PLUG = {
    "eui64": EUI64, "boot": 312, "reset": code("Reset", "power_on"), "profile": code("Profile", "plug"), "versions": 1,
    "firmware": "1.12.3", "power_max": 3680, "power_min": 0, "standby": 1,
    "methods": bits("Method", "off", "shift"), "saving": 3680,
    "services": bits("Service", "on_off", "limit", "limit_percent", "schedule", "interval", "read", "configure",
                     "price"),
    "limit_min": 0, "steps": [0, 3680], "min_run": 60, "min_pause": 60, "max_block": 14400, "starts_per_hour": 30,
    "reaction": 1, "ramp": 0, "relay_wear": 99688, "flash_wear": 998,
    "objects": ids("voltage", "current", "frequency", "device_temperature", "auto_off", "identify"),
    "model": "SPOT plug 16A",
}

HEAT_PUMP = {
    "eui64": bytes.fromhex("70b3d5fffe4a2b91"), "boot": 41, "reset": code("Reset", "watchdog"),
    "profile": code("Profile", "heat_pump"), "versions": 1, "firmware": "1.12.3", "power_max": 4200, "power_min": 1100,
    "standby": 12, "methods": bits("Method", "off", "reduce", "shift", "set_point"), "saving": 4188,
    "services": bits("Service", "limit", "limit_percent", "band", "offset", "sg_ready", "boost", "schedule", "interval",
                     "read", "configure", "price"),
    "limit_min": 1100, "steps": [0, 1100, 2300, 4200], "min_run": 600, "min_pause": 900, "max_block": 7200,
    "starts_per_hour": 3, "reaction": 10, "ramp": 120, "comfort_low": 1950, "comfort_high": 2250, "relay_wear": 98000,
    "flash_wear": 991,
    "objects": ids("sg_state", "setpoint_offset", "room_temperature", "outdoor_temperature", "flow_temperature",
                   "hot_water_temperature"),
    "model": "SPOT heat-pump gateway",
}

_READING = {
    "seq": 40000, "time": EVENING, "power": 2300, "clock": code("Clock", "emd"),
    "decider": code("Decider", "set_point"),
    "state": bits("Switch", "closed", "running"), "voltage": 23012, "current": 9980, "energy_import": 1234567,
    "frequency": 50012,
}

_COMMAND = {"epoch": 12, "id": 40000, "revision": 1, "priority": 5, "issued": ISSUED}
_LIMIT = {
    **_COMMAND, "kind": code("Kind", "limit"), "delay": 3600, "duration": 86400, "value": 2300,
    "value2": code("Direction", "consume"), "after": code("After", "previous"), "ramp": 60, "jitter": 300, "offer": 7,
}


def _command(kind, **values):
    return {**_COMMAND, "kind": code("Kind", kind), "delay": 0, "duration": 7200, **values}


def _status(state, reason="none", **values):
    return {"seq": 40000, "id": 40000, "revision": 1, "state": code("State", state), "reason": code("Reason", reason),
            **values}


EXAMPLES = (
    ("register_plug", "register", "A plug after a power cut.", PLUG),
    ("register_heat_pump", "register", "A heat pump after its watchdog bit.", HEAT_PUMP),
    ("update", "update", "Only the remaining relay wear has changed.",
     {"eui64": EUI64, "boot": 312, "relay_wear": 99000}),
    ("unregister", "unregister", "The household takes the plug away.",
     {"eui64": EUI64, "boot": 312, "reason": code("Reason", "override")}),
    ("registered", "registered", "Accepted, with the whole plan.", {
        "reason": 0, "boot": 312, "epoch": 12, "time": ISSUED, "association": 3, "lease": 86400, "version": 1,
        "heartbeat": 60, "heartbeat_timeout": 120, "telemetry_interval": 300, "deadband": 50, "interval_length": 15,
        "failsafe_limit": 1200, "failsafe_min": 7200, "jitter": 300, "policy": code("Policy", "avoid_dearest"),
        "policy_value": 4, "autonomous_cap": 2300, "priority_ceiling": 10, "events_upto": 39999,
        "intervals_upto": 4711, "groups": [7, 120, 3], "zone": 60, "zone_change": 1774746000, "zone_next": 120}),
    ("registered_refused", "registered", "Refused: the device belongs to another EMD.",
     {"reason": code("Reason", "other_emd"), "boot": 312, "epoch": 12, "time": ISSUED}),
    ("heartbeat_device", "heartbeat", "From a device under control.", {
        "epoch": 12, "time": EVENING, "digest": 0x1F3A77C5, "clock": code("Clock", "emd"),
        "mode": code("Mode", "controlled"), "beat": 1020}),
    ("heartbeat_emd", "heartbeat", "From the EMD: the mode is not its own to say.",
     {"epoch": 12, "time": EVENING, "digest": 0x1F3A77C5, "clock": code("Clock", "emd"), "beat": 1020}),
    ("command_limit", "command", "At most 2,300 W for 24 hours from 01:00, with every field.", _LIMIT),
    ("command_off", "command", "Off for two hours from now.", _command("off")),
    ("command_on", "command", "On for two hours from now.", _command("on")),
    ("command_limit_percent", "command", "At most half of the registered maximum.",
     _command("limit_percent", value=50)),
    ("command_unlimited", "command", "Takes the issuer's own limits back.", _command("unlimited")),
    ("command_band", "command", "Keep 19 to 21 °C.", _command("band", value=1900, value2=2100)),
    ("command_offset", "command", "Lower the set-point by 1.5 °C.", _command("offset", value=-150)),
    ("command_sg_ready", "command", "SG-Ready state 3.", _command("sg_ready", value=3)),
    ("command_shutdown", "command", "Stop in an orderly way within ten minutes.", _command("shutdown", ramp=600)),
    ("command_boost", "command", "Store heat now.", _command("boost")),
    ("command_schedule", "command",
     "Off for half an hour, then at most 1,100 W, then on.", _command("schedule", slots=[
        0, code("Kind", "off"), 0, 1800, code("Kind", "limit"), 1100, 5400, code("Kind", "on"), 0])),
    ("command_revoke", "command", "Takes the command back.",
     {**_command("revoke", delay=3600, duration=86400), "revision": 2}),
    ("status", "status", "Scheduled: effective start, power and duration.", _status(
        "scheduled", "jitter", start=ISSUED + 3600 + 137, power=2300, duration=86400)),
    ("status_received", "status", "In the ledger.", _status("received")),
    ("status_partly", "status", "An on/off device opens, since it cannot run at the limit.", _status(
        "partly", "on_off_only", start=ISSUED + 137, power=0, duration=7063)),
    ("status_completed", "status", "The end, with the measured response.", _status(
        "completed", start=ISSUED + 137, power=0, duration=7063, energy=3, energy_without=4512, response=2)),
    ("status_rejected", "status", "Refused: a plug cannot keep a band.", _status("rejected", "not_supported")),
    ("telemetry6", "telemetry", "Six quantities, and who decided.", _READING),
    ("power", "telemetry", "A power reading.", {"seq": 40000, "time": EVENING, "power": 2300}),
    ("telemetry_heat_pump", "telemetry", "A heat pump in winter; no voltage, current, frequency or export.", {
        "seq": 40001, "time": EVENING, "power": 2314, "clock": code("Clock", "emd"),
        "decider": code("Decider", "default"),
        "state": bits("Switch", "closed", "running"), "energy_import": 8123456, "device_temperature": 4125,
        "room_temperature": 2047, "outdoor_temperature": -712, "flow_temperature": 3480,
        "hot_water_temperature": 4810, "sg_state": 2}),
    ("interval", "interval", "Four quarter-hours, one of them estimated after a power cut.", {
        "seq": 4712, "start": ISSUED, "length": 15, "scale": 0, "import_series": [575, 574, 12, 0],
        "quality": bytes([0, 0, bits("Quality", "estimated", "power_cut"), 0]), "register": 1234567}),
    ("interval_gap", "interval", "A gap record: 96 intervals are lost.",
     {"seq": 4000, "start": ISSUED - 86400, "length": 15, "scale": 0, "import_series": [], "lost": 96}),
    ("read_response", "read_response", "Room temperature and remaining relay life.", {
        "seq": 40002, "id": 881, "time": EVENING, "clock": code("Clock", "emd"), "values": [14, 2047, 25, 98000]}),
    ("alarm_raised", "alarm", "Over-current: 18.2 A at a limit of 16 A.", {
        "seq": 40003, "time": EVENING, "code": code("Alarm", "over_current"), "raised": 1, "value": 18200,
        "limit": 16000}),
    ("alarm_cleared", "alarm", "And over again.",
     {"seq": 40004, "time": EVENING + 60, "code": code("Alarm", "over_current"), "raised": 0}),
    ("alarm_outage", "alarm", "The last gasp of the life that began with boot 312.", {
        "seq": 40005, "time": EVENING + 90, "code": code("Alarm", "outage"), "raised": 1, "value": 312}),
    ("alarm_restore", "alarm", "The mains is back after a bit more than half an hour.", {
        "seq": 40006, "time": EVENING + 2000, "code": code("Alarm", "restore"), "raised": 1, "value": 1910}),
    ("ack", "ack", "Both streams, cumulatively.", {"epoch": 12, "events_upto": 40004, "intervals_upto": 4715}),
    ("read", "read", "Read two objects.", {"epoch": 12, "id": 881, "issued": EVENING, "objects": [14, 25]}),
    ("configure", "configure", "A comfort band of 19.5 to 22 °C.",
     {"epoch": 12, "id": 882, "issued": EVENING, "values": [19, 1950, 20, 2200]}),
    ("time_asked", "time", "A device without time asks.", {"nonce": 0x2B7F01A9}),
    ("time_given", "time", "The EMD answers.", {"nonce": 0x2B7F01A9, "time": EVENING, "clock": code("Clock", "emd")}),
    ("firmware_offer", "firmware_offer", "Version 1.13.0.", {
        "epoch": 12, "id": 883, "sequence": 57, "version": "1.13.0", "size": 118272,
        "digest": bytes(range(32)), "resource": "fw/plug-1.13.0"}),
    ("piece_asked", "piece", "The device asks for the next octets of it.", {"id": 883, "offset": 3072, "count": 512}),
    ("piece_given", "piece", "The EMD gives them (shortened).",
     {"id": 883, "offset": 3072, "count": 32, "octets": bytes(range(32))}),
    ("price24", "price", "Twenty-four hourly prices in tenths of a euro.", {
        "revision": 1, "start": PRICES_START, "interval_min": 60, "scale": -1,
        "series": [round(p * 10) for p in PRICES]}),
    ("price96", "price", "Ninety-six quarter-hours.", {
        "revision": 1, "start": PRICES_START, "interval_min": 15, "scale": -1,
        "series": [round(p * 10) for p in PRICES for _ in range(4)]}),
    ("carbon", "carbon", "Four hours.",
     {"revision": 9, "start": ISSUED, "interval_min": 60, "scale": 0, "series": [412, 398, 371, 380]}),
    ("weather", "weather", "Three hours: temperature and irradiance.", {
        "revision": 2, "start": ISSUED, "interval_min": 60, "scale": -1, "temperature": [-12, -17, -21],
        "irradiance": [0, 0, 105]}),
    ("grid_state", "grid_state", "Tight from 17:00 to 19:00.",
     {"revision": 4, "start": EVENING, "duration": 7200, "grid": code("Grid", "tight")}),
    ("forecast", "forecast", "The next four hours of a heat pump.",
     {"revision": 1, "start": ISSUED, "interval_min": 60, "scale": 0, "series": [2300, 2250, 900, 0]}),
    ("offer", "offer", "A washing machine: two slices, done by 06:00.", {
        "id": 7, "earliest": ISSUED, "latest": ISSUED + 6 * 3600, "slices": [30, 1900, 2100, 60, 120, 400]}),
    ("answer_yes", "answer", "Yes, to the configure with id 882.",
     {"about": 14, "reason": 0, "ref": 882}),
    ("answer_refusal", "answer", "A command without a duration is refused.",
     {"about": 6, "reason": code("Reason", "missing_field"), "ref": 40000, "position": 7}),
    ("link_online", "link", "Online since this boot.", {"online": 1, "boot": 312, "time": EVENING}),
    ("link_lost", "link", "The last will.", {"online": 0, "boot": 312}),
    ("signed", "signed", "The last part of three (shortened: a real one has some hundred octets).", {
        "key": bytes.fromhex("d08fabd4a2091ff0"), "revision": 20434, "part": 2, "parts": 3,
        "octets": bytes(range(32))}),
    ("rekey", "rekey", "The secret of generation 1.",
     {"epoch": 12, "id": 884, "generation": 1, "secret": bytes(range(16))}),
    ("read_log", "read_log", "The log, from its first line on.",
     {"epoch": 12, "id": 885, "issued": EVENING, "record": 0, "first": 0}),
    ("log", "log", "Two lines of it.", {
        "id": 885, "record": 0, "boot": 312, "first": 0, "next": 2,
        "text": "0 info board.built 4 0\n1 warn alarm 3 1\n"}),
    ("calibrate", "calibrate", "A reference shows 230.1 V, 8.7 A and 2,001.5 W.", {
        "epoch": 12, "id": 886, "issued": EVENING, "seconds": 10, "voltage": 23010, "current": 8700, "power": 20015}),
    ("registers", "registers", "Midnight: 1,234 kWh, the day's peak at half past six.", {
        "seq": 4713, "time": EVENING + 25200, "energy_import": 1234567, "energy_export": 0, "peak": 2310,
        "peak_time": EVENING + 5400, "switches": 1802, "starts": 977}),
)


def _edge(f, end):
    """The least or greatest value of a field, end 0 or 1."""
    bound = d.bounds(f)[end]
    if f.kind == "bytes":
        return bytes(255 * end for _ in range(bound))
    if f.kind == "text":
        return ("~" if end else " ") * bound
    if f.kind == "ints":
        return [d.MAX_INT if end else -d.MAX_INT] * bound
    if f.kind == "ids":
        return [255 * end] * bound
    if f.kind.startswith("series"):
        return [(32767 if end else -32768) if f.kind == "series_i16" else 65535 * end] * bound
    return bound


def edges():
    """Three more examples of every type."""
    for m in d.MESSAGES:
        yield f"{m.name}_least", m.name, "Mandatory fields only, lowest.", {
            f.name: _edge(f, 0) for f in m.fields if f.need}
        for end, name in enumerate(("lowest", "highest")):
            values = {f.name: _edge(f, end) for f in m.fields}
            for owner, _, extension, _, lo, hi, _ in d.EXTENSIONS:
                if owner == m.name:
                    values[extension] = [d.MAX_INT if end else -d.MAX_INT] * (hi if end else lo)
            yield f"{m.name}_{name}", m.name, f"Every field at the {name} value.", values


def every():
    """All examples and edges: (name, message type, sentence, values)."""
    yield from EXAMPLES
    yield from edges()
