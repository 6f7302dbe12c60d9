"""The SPOT profile, once: every enumeration, object, application profile and message field is defined here.

The device's tables and codes, the CDDL, the tables of docs/profile.md and the host's codec are made from this file
(`make gen`). Nothing else may state a field, a number or a range of the profile again.

Wire form of a message: a CBOR array `[head, field, field, ..., {extension}]`.
head = 32 * (version - 1) + type. Fields stand in the order of the table; an absent optional field is null, and trailing
absent fields are left out. Elements beyond the known fields are unknown optional fields and are ignored. The last
element may be a map of extensions, unsigned keys in ascending order; as with CoAP options an odd key is critical: who
does not know it refuses.
"""

VERSION = 1
EPOCH_UNIX = 1735689600  # 2025-01-01T00:00:00Z: UTC inside a device counts from here, on the wire from 1970
MAX_INT = (1 << 30) - 2  # a small int on 32-bit MicroPython; ABSENT is -(2**30 - 1)
ABSENT = -((1 << 30) - 1)
MAX_BODY = 1024  # octets; a longer body is refused before it is read
MAX_DEVICE_BODY = 256  # octets a device sends, but interval back-fill
MAX_SERIES = 192  # numbers in one typed array
SIGNED_OCTETS = 960  # of a signed object in one part: 96 prices and the signature of a tree of height 15 take three
PIECE_OCTETS = 768  # of a release in one piece: with COSE around it, it stays below MAX_BODY
SIGNED_PARTS = 4  # any body and that signature
MAX_DEPTH = 4

# From 2024 on, so that a day of known prices can be replayed: then UTC inside a device is negative.
UTC_MIN, UTC_MAX = EPOCH_UNIX - 366 * 86400, EPOCH_UNIX + MAX_INT
POWER = 1_000_000  # W: magnitude of any power
ENERGY = MAX_INT  # Wh


class Enum:
    """A closed list of codes. `rows`: (code, name, sentence)."""

    def __init__(self, name, doc, rows):
        self.name, self.doc, self.rows = name, doc, rows


class Flags(Enum):
    """Bits that may be combined. `rows`: (bit number, name, sentence)."""


class Field:
    """One field of a message.

    kind: 'int' | 'enum' | 'flags' | 'utc' | 'bytes' | 'text' | 'ints' | 'ids' (0 to 255 each) | 'series_i16' |
    'series_u16'.
    lo, hi: smallest and largest value ('int'), or length in octets ('bytes', 'text') or in numbers (the others).
    unit: a SenML name or a stated multiple of one. need: True when the field must be there.
    """

    def __init__(self, name, kind, lo=0, hi=0, unit="", need=False, of=None, doc=""):
        self.name, self.kind, self.lo, self.hi = name, kind, lo, hi
        self.unit, self.need, self.of, self.doc = unit, need, of, doc


class Message:
    """One message type. way: 'up' (device to EMD), 'down', 'both', 'group' (EMD to a group).

    hot: all fields are integers and a device holds it as an array('i'). delivery: 'guaranteed' (kept until the EMD
    acknowledges it), 'confirmed' (resent until answered), 'best effort', 'retained'. What goes down travels on the
    channel cmd whatever `channel` says for the way up.
    """

    def __init__(self, code, name, way, channel, delivery, doc, fields, hot=False):
        self.code, self.name, self.way, self.channel = code, name, way, channel
        self.delivery, self.doc, self.fields, self.hot = delivery, doc, fields, hot


def need(name, kind, lo=0, hi=0, unit="", of=None, doc=""):
    return Field(name, kind, lo, hi, unit, True, of, doc)


def may(name, kind, lo=0, hi=0, unit="", of=None, doc=""):
    return Field(name, kind, lo, hi, unit, False, of, doc)


ENUMS = (
    Enum("Kind", "What a command asks for.", (
        (0, "revoke", "withdraw the command with this id; start and duration repeat the command's own"),
        (1, "off", "hold the load off"),
        (2, "on", "allow and switch the load on (only where remote closing is enabled)"),
        (3, "limit", "use at most `value` W; value2 is the direction"),
        (4, "limit_percent", "use at most `value` percent of the registered maximum; value2 is the direction"),
        (5, "unlimited", "no limit from this issuer: withdraws its own limits"),
        (6, "band", "keep the temperature between `value` and `value2`, in 0.01 Cel"),
        (7, "offset", "shift the set-point by `value`, in 0.01 Cel"),
        (8, "sg_ready", "SG-Ready state `value`, 1 to 4"),
        (9, "shutdown", "stop in the machine's own orderly way and stay off; at latest `ramp` after the start"),
        (10, "boost", "use more than usual: store heat, run now"),
        (11, "schedule", "follow `slots`: triples of seconds after the start, kind, value"),
    )),
    Enum("State", "Where a command stands. The codes 1 to 7 are those of IEEE 2030.5.", (
        (1, "received", "in the ledger"),
        (2, "started", "in effect now"),
        (3, "completed", "ran to its end"),
        (4, "opted_out", "the household overrode it"),
        (5, "opted_in", "the household took its override back"),
        (6, "cancelled", "revoked by the issuer"),
        (7, "superseded", "displaced for good by a later or higher command or a higher revision"),
        (8, "partly", "in effect, but not to the letter: reason and effective power say how"),
        (9, "scheduled", "accepted, starts later at the effective start"),
        (10, "rejected", "not carried out: reason says why"),
        (11, "expired", "its end had passed when it arrived"),
        (12, "aborted", "ended early by a protection"),
        (13, "waiting", "live, displaced by a higher set-point for now"),
    )),
    Enum("Reason", "Why something was refused, changed or delayed.", (
        (0, "none", "nothing to say"),
        (1, "unknown_type", "the message type is not served"),
        (2, "unknown_critical", "an extension with an odd key is not known"),
        (3, "unsupported_version", "the profile version is not served"),
        (4, "malformed", "not strict CBOR or not the shape of the message"),
        (5, "missing_field", "a mandatory field is absent"),
        (6, "out_of_range", "a value is outside its range"),
        (7, "not_supported", "this device cannot do this kind"),
        (8, "below_minimum", "under the smallest useful limit: effective power says what happens instead"),
        (9, "direction", "this device cannot limit this direction"),
        (10, "min_run", "minimum run time holds"),
        (11, "min_pause", "minimum pause holds"),
        (12, "starts", "starts per hour are used up"),
        (13, "max_block", "longest block is reached"),
        (14, "comfort", "the comfort floor holds"),
        (15, "frost", "frost protection runs"),
        (16, "legionella", "a legionella run is on"),
        (17, "protection", "a safety trip holds"),
        (18, "override", "the household overrode it"),
        (19, "capped", "another live limit is lower"),
        (20, "failsafe", "the failsafe limit caps it"),
        (21, "jitter", "spread in time"),
        (22, "outranked", "a higher priority or a later issue is in effect"),
        (23, "ledger_full", "no room for another command"),
        (24, "stale_revision", "a higher revision is known"),
        (25, "ended", "its end has passed"),
        (26, "too_long", "longer than the device's longest block: effective duration is shorter"),
        (27, "not_enabled", "remote closing is not enabled at the device"),
        (28, "no_time", "the device has no time yet"),
        (29, "other_emd", "the device is associated with another EMD"),
        (30, "unknown_id", "no such command, offer or object"),
        (31, "revoked", "a revoke of this command came before"),
        (32, "store_full", "the device cannot keep it"),
        (33, "priority", "above the ceiling of this association"),
        (34, "on_off_only", "the device can only switch: it opens above the limit"),
        (35, "wrong_epoch", "the epoch is not the issuer's current one"),
        (36, "read_only", "the object cannot be written"),
        (37, "restarted", "the device restarted meanwhile"),
        (38, "unprotected", "only taken with a signature, or over a protected association"),
        (39, "writes", "the budget of writes to the machine is used up"),
        (40, "frequency", "shed for the frequency of the grid"),
        (41, "hot_water", "domestic hot water goes first"),
        (42, "defrost", "the machine defrosts and is left alone"),
        (43, "sensor", "a sensor that this needs is missing or implausible"),
        (44, "safe_mode", "the device is in safe mode"),
        (45, "busy", "the same is under way; ask again later"),
        (46, "signature", "not signed by a key that the device trusts"),
        (47, "sequence", "not newer than the firmware that runs"),
        (48, "other_board", "made for another vendor, device class or board"),
        (49, "digest", "what came is not what its manifest says"),
        (50, "size", "does not fit into a slot"),
        (51, "base", "needs a newer base image on the board"),
        (52, "no_slot", "the device has no second slot: a development copy"),
        (53, "rolled_back", "the new firmware did not prove itself, and the one before it runs again"),
    )),
    Enum("Decider", "Who decided what the load does now, highest last but one rule: see Precedence.", (
        (0, "default", "nothing asks for anything"),
        (1, "local_policy", "the local price rule"),
        (2, "set_point", "a command's set-point"),
        (3, "limit", "a live limit caps it"),
        (4, "failsafe", "the failsafe limit caps it"),
        (5, "autonomous", "the cap of the autonomous state"),
        (6, "override", "the household"),
        (7, "shedding", "under-frequency"),
        (8, "guard", "a guard of the machine"),
        (9, "trip", "a safety trip"),
    )),
    Enum("Mode", "The four states of hybrid control (after EEBUS LPC).", (
        (0, "init", "since boot, a new EMD epoch or a lapsed lease: no limit known yet"),
        (1, "controlled", "the EMD is there and has given a limit or an unlimited"),
        (2, "failsafe", "no fresh heartbeat: the failsafe limit caps"),
        (3, "autonomous", "alone: local policy under a configured cap"),
    )),
    Enum("Clock", "How far the UTC of a message can be trusted.", (
        (0, "unset", "no time"),
        (1, "floor", "not earlier than this: the persisted floor"),
        (2, "holdover", "was synchronised, runs free for more than a day"),
        (3, "network", "from SNTP"),
        (4, "emd", "from the EMD"),
    )),
    Enum("Profile", "Application profiles: what a device is, and which objects it must have.", (
        (1, "plug", "switchable, metered socket"),
        (2, "heat_pump", "heat-pump controller"),
    )),
    Enum("Reset", "Why the device started.", (
        (0, "unknown", ""), (1, "power_on", ""), (2, "soft", ""), (3, "watchdog", ""),
        (4, "brownout", ""), (5, "update", ""), (6, "button", ""),
    )),
    Enum("After", "What a command leaves behind.", (
        (0, "release", "what else is live, else local policy, else the default"),
        (1, "previous", "what stood before it"),
    )),
    Enum("Direction", "Which flow a limit is for.", (
        (0, "consume", ""), (1, "produce", ""),
    )),
    Enum("Policy", "The local rule for the time without an EMD.", (
        (0, "none", "the default of the device"),
        (1, "avoid_dearest", "save in the `policy_value` dearest hours of the known series' day"),
        (2, "threshold", "save while the price is above `policy_value`, in cents (0.01) per kWh"),
    )),
    Enum("Alarm", "What an alarm is about.", (
        (1, "outage", "mains lost (last gasp)"),
        (2, "restore", "mains back"),
        (3, "over_voltage", ""),
        (4, "under_voltage", ""),
        (5, "frequency", "line frequency outside its band"),
        (6, "over_current", ""),
        (7, "over_power", ""),
        (8, "over_temperature", ""),
        (9, "relay_stuck", "the relay does not do what it was told"),
        (10, "sensor_fault", "a sensor is silent or implausible; `value` is the object"),
        (11, "tamper", ""),
        (12, "clock_lost", "no trustworthy time"),
        (13, "store_fault", "flash is full or failing; nothing more is kept"),
        (14, "messages_refused", "hostile or broken input; `value` counts it"),
        (15, "safe_mode", "too many starts that did not last; `value` counts them"),
        (16, "crash", "started afresh after a failure; `value` counts such starts, `log` has the record"),
        (17, "wear", "near the end of its life; `value` is the object, `limit` what remains"),
        (18, "machine_fault", "the heat pump's own controller is silent or reports a fault; `value` is its code"),
        (19, "legionella", "a legionella run did not reach its temperature in time"),
        (20, "writes", "the budget of writes to the machine is used up"),
        (21, "frost", "room or flow is near freezing"),
        (22, "shedding", "shed for under-frequency; `value` in mHz"),
        (23, "rolled_back", "a new firmware did not prove itself; `value` is its sequence number"),
    )),
    Enum("Grid", "The state of the grid, informational.", (
        (0, "normal", ""), (1, "surplus", ""), (2, "tight", ""), (3, "emergency", ""),
    )),
    Enum("Online", "The retained link message and last will.", (
        (0, "lost", "the last will"), (1, "online", ""), (2, "leaving", "an orderly goodbye"),
    )),
    Enum("Record", "Which record of a device is read.", (
        (0, "log", "its log since boot"), (1, "crash", "what is known of the latest failure"),
    )),
    Flags("Method", "How a device saves.", (
        (0, "off", "switches off"), (1, "reduce", "runs at less power"),
        (2, "shift", "runs at another time"), (3, "set_point", "moves a temperature"),
    )),
    Flags("Service", "What a device understands and offers.", (
        (0, "on_off", ""), (1, "limit", "limits in W"), (2, "limit_percent", ""), (3, "band", ""),
        (4, "offset", ""), (5, "sg_ready", ""), (6, "shutdown", ""), (7, "boost", ""),
        (8, "schedule", ""), (9, "interval", "interval readings"), (10, "read", ""), (11, "configure", ""),
        (12, "price", "keeps a price series"), (13, "forecast", ""), (14, "offer", ""), (15, "firmware", ""),
        (16, "shedding", "under-frequency shedding, consent given"), (17, "remote_close", "remote closing is enabled"),
    )),
    Flags("Quality", "Quality of one interval reading.", (
        (0, "estimated", ""), (1, "gap", "part of the interval is missing"),
        (2, "clock", "the clock was corrected in it"),
        (3, "power_cut", "the device was without power in it"),
    )),
    Flags("Switch", "Switching states in a reading.", (
        (0, "closed", "the relay is closed, or the compressor is allowed"), (1, "running", "the load draws power"),
        (2, "tripped", "a protection holds it open"), (3, "override", "the household's override is on"),
    )),
)

# Objects: (id, kind, name, unit, access, sentence). kind: analog, binary, time, schedule.
OBJECTS = (
    (1, "binary", "relay", "", "rw", "relay, or release of the compressor"),
    (2, "analog", "power", "W", "r", "active power, import positive"),
    (3, "analog", "voltage", "10 mV", "r", ""),
    (4, "analog", "current", "mA", "r", ""),
    (5, "analog", "energy_import", "Wh", "r", ""),
    (6, "analog", "energy_export", "Wh", "r", ""),
    (7, "analog", "frequency", "mHz", "r", ""),
    (8, "analog", "device_temperature", "0.01 Cel", "r", ""),
    (9, "time", "clock", "s", "rw", ""),
    (10, "schedule", "ledger", "", "r", "number of live commands"),
    (11, "analog", "power_limit", "W", "r", "effective limit"),
    (12, "analog", "sg_state", "", "r", "SG-Ready state 1 to 4"),
    (13, "analog", "setpoint_offset", "0.01 Cel", "r", ""),
    (14, "analog", "room_temperature", "0.01 Cel", "r", ""),
    (15, "analog", "outdoor_temperature", "0.01 Cel", "r", ""),
    (16, "analog", "flow_temperature", "0.01 Cel", "r", ""),
    (17, "analog", "hot_water_temperature", "0.01 Cel", "r", ""),
    (18, "binary", "compressor", "", "r", "the compressor runs, as measured"),
    (19, "analog", "comfort_low", "0.01 Cel", "rw", ""),
    (20, "analog", "comfort_high", "0.01 Cel", "rw", ""),
    (21, "time", "telemetry_interval", "s", "rw", ""),
    (22, "time", "interval_length", "min", "rw", ""),
    (23, "time", "auto_off", "s", "rw", "0 is never"),
    (24, "schedule", "price_series", "", "r", "seconds of known prices ahead"),
    (25, "analog", "relay_wear", "", "r", "remaining switching cycles"),
    (26, "analog", "flash_wear", "", "r", "remaining flash life in per mille"),
    (27, "binary", "identify", "", "w", "blink"),
    (28, "analog", "failsafe_limit", "W", "rw", ""),
    (29, "analog", "starts", "", "r", "switch-ons since first start"),
    (30, "analog", "switches", "", "r", "movements of the relay contacts since first start"),
    (31, "analog", "running_hours", "h", "r", "of the compressor, as measured"),
    (32, "analog", "shed_frequency", "mHz", "rw", "sheds below it, 0 never; writable with local consent only"),
    (33, "time", "shed_delay", "s", "rw", "below it for so long"),
    (34, "analog", "hot_water_setpoint", "0.01 Cel", "rw", ""),
    (35, "time", "legionella", "s", "r", "since the latest legionella run"),
    (36, "analog", "machine_writes", "", "r", "writes to the machine's own flash that are left today"),
    (37, "analog", "boots", "", "r", "starts since first start"),
    (38, "time", "uptime", "s", "r", "since boot"),
    (39, "analog", "heap_free", "B", "r", ""),
    (40, "analog", "log_level", "", "rw", "0 debug, 1 info, 2 warning, 3 error: less is not kept"),
    (41, "analog", "flash_writes", "", "r", "writes to the device's flash today"),
    (42, "time", "auto_on", "s", "rw", "closes again by itself after so long, 0 never; needs remote closing"),
    (43, "binary", "defrost", "", "r", "the machine defrosts"),
    (44, "binary", "hot_water_active", "", "r", "the machine makes hot water"),
    (45, "binary", "restart", "", "w", "1: start afresh"),
    (46, "analog", "power_peak", "W", "r", "largest power of the day"),
    (47, "binary", "safe_mode", "", "rw", "0 leaves it"),
    (48, "analog", "firmware_sequence", "", "r", "sequence number of the firmware that runs"),
    (49, "analog", "firmware_progress", "1/1000", "r", "of the firmware that is being fetched"),
    (50, "analog", "firmware_slot", "", "r", "0 or 1: where the firmware that runs lies"),
)

PROFILES = {
    # application profile: (mandatory objects, optional objects)
    "plug": (("relay", "power", "energy_import", "clock", "ledger", "power_limit", "telemetry_interval"),
             ("voltage", "current", "frequency", "device_temperature", "auto_off", "relay_wear", "flash_wear",
              "identify", "interval_length", "price_series", "failsafe_limit", "energy_export", "starts", "switches",
              "shed_frequency", "shed_delay", "boots", "uptime", "heap_free", "log_level", "flash_writes", "auto_on",
              "restart", "power_peak", "safe_mode", "firmware_sequence", "firmware_progress", "firmware_slot")),
    "heat_pump": (("relay", "power", "energy_import", "clock", "ledger", "power_limit", "telemetry_interval",
                   "compressor", "comfort_low", "comfort_high"),
                  ("sg_state", "setpoint_offset", "room_temperature", "outdoor_temperature", "flow_temperature",
                   "hot_water_temperature", "relay_wear", "flash_wear", "identify", "interval_length", "price_series",
                   "failsafe_limit", "voltage", "current", "frequency", "starts", "device_temperature", "energy_export",
                   "switches", "running_hours", "hot_water_setpoint", "legionella", "machine_writes", "boots", "uptime",
                   "heap_free", "log_level", "flash_writes", "defrost", "hot_water_active", "restart", "power_peak",
                   "safe_mode", "firmware_sequence", "firmware_progress", "firmware_slot")),
}

TEMPERATURE = (-5000, 15000)  # 0.01 Cel


def _identity():
    return [
        need("eui64", "bytes", 8, 8, doc="the device's name"),
        need("boot", "int", 0, MAX_INT, "count", doc="boot count"),
    ]


def _description(req):
    f = need if req else may
    return [
        f("reset", "enum", of="Reset", doc="why it started"),
        f("profile", "enum", of="Profile", doc="application profile"),
        f("versions", "int", 1, 255, doc="bit n set: profile version n + 1 is served"),
        f("firmware", "text", 1, 16, doc="firmware version"),
        f("power_max", "int", 0, POWER, "W", doc="largest power"),
        f("power_min", "int", 0, POWER, "W", doc="smallest power while it runs"),
        f("standby", "int", 0, POWER, "W", doc="power while it is off"),
        f("methods", "flags", of="Method", doc="how it saves"),
        f("saving", "int", 0, POWER, "W", doc="how much it can save"),
        f("services", "flags", of="Service", doc="what it understands"),
        may("limit_min", "int", 0, POWER, "W", doc="smallest useful limit"),
        may("steps", "ints", 0, 8, "W", doc="the powers it can be set to, if not continuous"),
        may("min_run", "int", 0, 86400, "s"),
        may("min_pause", "int", 0, 86400, "s"),
        may("max_block", "int", 0, 604800, "s", doc="longest time it can be held"),
        may("starts_per_hour", "int", 0, 255, "1/h"),
        may("reaction", "int", 0, 3600, "s", doc="until it reacts"),
        may("ramp", "int", 0, 3600, "s", doc="until it has arrived"),
        may("comfort_low", "int", *TEMPERATURE, unit="0.01 Cel"),
        may("comfort_high", "int", *TEMPERATURE, unit="0.01 Cel"),
        may("relay_wear", "int", 0, MAX_INT, "count", doc="remaining switching cycles"),
        may("flash_wear", "int", 0, 1000, "1/1000", doc="remaining flash life"),
        may("objects", "ids", 0, 24, doc="object ids beyond those that the application profile demands"),
        may("model", "text", 1, 24, doc="maker's name for it"),
        may("sequence", "int", 0, MAX_INT, doc="sequence number of the firmware that runs, where it can be updated"),
    ]


_SERIES_HEAD = [
    need("revision", "int", 0, MAX_INT, "count", doc="a lower one than known is ignored"),
    need("start", "utc", unit="s"),
    need("interval_min", "int", 1, 1440, "min", doc="length of one interval"),
    need("scale", "int", -6, 6, doc="a number means n * 10^scale units"),
]

MESSAGES = (
    Message(1, "register", "up", "register", "confirmed", "A device says what it is and what it can do.",
            _identity() + _description(True)),
    Message(2, "update", "up", "register", "confirmed", "What changed since the registration; the rest is null.",
            _identity() + _description(False)),
    Message(3, "unregister", "up", "register", "confirmed", "The device takes its leave.",
            _identity() + [need("reason", "enum", of="Reason")]),
    Message(4, "registered", "down", "cmd", "confirmed", "The EMD's answer: the association, its lease and its plan.", [
        need("reason", "enum", of="Reason", doc="none: accepted; otherwise refused, and only boot and time follow"),
        need("boot", "int", 0, MAX_INT, "count", doc="the boot count it answers"),
        need("epoch", "int", 0, MAX_INT, doc="the EMD's epoch"),
        need("time", "utc", unit="s", doc="UTC at the EMD"),
        may("association", "int", 0, 65535, doc="the association's number at the EMD"),
        may("lease", "int", 60, 604800, "s", doc="the association lapses without a heartbeat for so long"),
        may("version", "int", 1, 8, doc="profile version to use"),
        may("heartbeat", "int", 5, 3600, "s", doc="period of both heartbeats"),
        may("heartbeat_timeout", "int", 10, 7200, "s", doc="failsafe after this long without a fresh one"),
        may("telemetry_interval", "int", 1, 86400, "s"),
        may("deadband", "int", 0, POWER, "W", doc="report at once when power moved by more"),
        may("interval_length", "int", 1, 60, "min", doc="1, 5, 15, 30 or 60, aligned to local time"),
        may("failsafe_limit", "int", 0, POWER, "W"),
        may("failsafe_min", "int", 60, 86400, "s", doc="minimum duration of failsafe"),
        may("jitter", "int", 0, 3600, "s", doc="window for spreading restores and failsafe"),
        may("policy", "enum", of="Policy"),
        may("policy_value", "int", -1_000_000, 1_000_000),
        may("autonomous_cap", "int", 0, POWER, "W"),
        may("priority_ceiling", "int", 0, 15, doc="highest priority this EMD may use"),
        may("events_upto", "int", 0, MAX_INT, doc="highest guaranteed event the EMD has, cumulatively"),
        may("intervals_upto", "int", 0, MAX_INT, doc="highest interval reading the EMD has, cumulatively"),
        may("groups", "ints", 0, 4, doc="groups to listen to: circuit, program, area, in this order"),
        may("zone", "int", -840, 840, "min", doc="local time less UTC: when it is midnight; UTC when absent"),
        may("zone_change", "utc", unit="s", doc="when `zone_next` takes its place"),
        may("zone_next", "int", -840, 840, "min"),
    ]),
    Message(5, "heartbeat", "both", "telemetry", "best effort",
            "I live, this is my time, and this is what I hold live.", [
        need("epoch", "int", 0, MAX_INT, doc="the EMD's epoch, as each side knows it"),
        may("time", "utc", unit="s", doc="the sender's UTC; null without one"),
        need("digest", "int", 0, MAX_INT, doc="digest of the live ledger"),
        may("clock", "enum", of="Clock"),
        may("mode", "enum", of="Mode", doc="the device's state; null from the EMD"),
        may("beat", "int", 0, MAX_INT,
            doc="device: its count of heartbeats; EMD: the latest it saw, proof of freshness"),
    ], hot=True),
    Message(6, "command", "down", "cmd", "confirmed", "A lease on the load's behaviour, with a mandatory end.", [
        need("epoch", "int", 0, MAX_INT, doc="the issuer's epoch, scope of the id"),
        need("id", "int", 0, MAX_INT),
        need("revision", "int", 0, 255),
        need("priority", "int", 0, 15, doc="higher wins among set-points"),
        need("kind", "enum", of="Kind"),
        need("issued", "utc", unit="s"),
        need("delay", "int", 0, 604800, "s", doc="start = issued + delay; 0 is now"),
        need("duration", "int", 1, 604800, "s", doc="mandatory"),
        may("value", "int", -POWER, POWER, doc="W, percent, 0.01 Cel or SG-Ready state, by kind"),
        may("value2", "int", -POWER, POWER, doc="direction of a limit, upper end of a band"),
        may("after", "enum", of="After", doc="release when absent"),
        may("ramp", "int", 0, 3600, "s"),
        may("jitter", "int", 0, 3600, "s", doc="window in which starts and ends are spread"),
        may("offer", "int", 0, MAX_INT, doc="the flex-offer that this assigns"),
    ], hot=True),
    Message(7, "status", "up", "status", "guaranteed", "What became of a command, and what it will really do.", [
        need("seq", "int", 0, MAX_INT, "count", doc="number in the stream of events"),
        need("id", "int", 0, MAX_INT),
        need("revision", "int", 0, 255),
        need("state", "enum", of="State"),
        need("reason", "enum", of="Reason"),
        may("start", "utc", unit="s", doc="effective start"),
        may("power", "int", -POWER, POWER, "W", doc="effective power after guards and clamping"),
        may("duration", "int", 0, 604800, "s", doc="effective duration from the effective start"),
        may("energy", "int", 0, ENERGY, "Wh", doc="at the end: energy used"),
        may("energy_without", "int", 0, ENERGY, "Wh",
            doc="at the end: without the command, as estimated on the device"),
        may("response", "int", 0, 86400, "s", doc="at the end: from the start until the power was there"),
        may("epoch", "int", 0, MAX_INT, doc="only when not the issuer's current epoch"),
    ], hot=True),
    Message(8, "telemetry", "up", "telemetry", "best effort",
            "Readings of now. Trailing quantities that nobody asked for are left out.", [
        need("seq", "int", 0, MAX_INT, "count"),
        need("time", "utc", unit="s"),
        need("power", "int", -POWER, POWER, "W"),
        may("clock", "enum", of="Clock"),
        may("decider", "enum", of="Decider", doc="who decided what the load does"),
        may("state", "flags", of="Switch"),
        may("voltage", "int", 0, 100000, "10 mV"),
        may("current", "int", 0, 1_000_000, "mA"),
        may("energy_import", "int", 0, ENERGY, "Wh"),
        may("frequency", "int", 0, 100000, "mHz"),
        may("energy_export", "int", 0, ENERGY, "Wh"),
        may("device_temperature", "int", *TEMPERATURE, unit="0.01 Cel"),
        may("room_temperature", "int", *TEMPERATURE, unit="0.01 Cel"),
        may("outdoor_temperature", "int", *TEMPERATURE, unit="0.01 Cel"),
        may("flow_temperature", "int", *TEMPERATURE, unit="0.01 Cel"),
        may("hot_water_temperature", "int", *TEMPERATURE, unit="0.01 Cel"),
        may("sg_state", "int", 0, 4),
        may("millis", "int", 0, 999, "ms", doc="offset to time, for fast telemetry"),
    ], hot=True),
    Message(9, "interval", "up", "interval", "guaranteed", "Energy of consecutive intervals.", [
        need("seq", "int", 0, MAX_INT, "count",
             doc="number of the first interval in the stream of intervals; each counts one"),
        need("start", "utc", unit="s"),
        need("length", "int", 1, 60, "min"),
        need("scale", "int", -6, 6, doc="a number means n * 10^scale Wh"),
        need("import_series", "series_u16", 0, MAX_SERIES, "Wh", doc="imported energy"),
        may("quality", "bytes", 0, MAX_SERIES, doc="one octet of Quality flags an interval; all good when absent"),
        may("register", "int", 0, ENERGY, "Wh", doc="import register at the end of the series"),
        may("export_series", "series_u16", 0, MAX_SERIES, "Wh"),
        may("lost", "int", 1, MAX_INT, "count", doc="gap record: so many intervals from seq on are lost for good"),
    ]),
    Message(10, "read_response", "up", "status", "guaranteed", "The answer to a read: pairs of object id and value.", [
        need("seq", "int", 0, MAX_INT, "count", doc="number in the stream of events"),
        need("id", "int", 0, MAX_INT, doc="of the read"),
        need("time", "utc", unit="s"),
        need("clock", "enum", of="Clock"),
        need("values", "ints", 0, 44, doc="object id, value, object id, value ..."),
    ]),
    Message(11, "alarm", "up", "alarm", "guaranteed", "Something is wrong, or no longer.", [
        need("seq", "int", 0, MAX_INT, "count", doc="number in the stream of events"),
        need("time", "utc", unit="s"),
        need("code", "enum", of="Alarm"),
        need("raised", "int", 0, 1, doc="1 raised, 0 cleared"),
        may("value", "int", -MAX_INT, MAX_INT),
        may("limit", "int", -MAX_INT, MAX_INT),
    ], hot=True),
    Message(12, "ack", "down", "cmd", "best effort", "Cumulative acknowledgement of both guaranteed streams.", [
        need("epoch", "int", 0, MAX_INT),
        may("events_upto", "int", 0, MAX_INT),
        may("intervals_upto", "int", 0, MAX_INT),
    ], hot=True),
    Message(13, "read", "down", "cmd", "confirmed", "Read objects now.", [
        need("epoch", "int", 0, MAX_INT), need("id", "int", 0, MAX_INT), need("issued", "utc", unit="s"),
        need("objects", "ids", 1, 22),
    ]),
    Message(14, "configure", "down", "cmd", "confirmed", "Write objects: all or none.", [
        need("epoch", "int", 0, MAX_INT), need("id", "int", 0, MAX_INT), need("issued", "utc", unit="s"),
        need("values", "ints", 2, 16, doc="object id, value, object id, value ..."),
    ]),
    Message(15, "time", "both", "register", "best effort", "Asked for by a device (time is null), given by the EMD.", [
        need("nonce", "int", 0, MAX_INT, doc="the EMD repeats the device's"),
        may("time", "utc", unit="s"),
        may("clock", "enum", of="Clock"),
    ], hot=True),
    Message(16, "firmware_offer", "down", "cmd", "confirmed", "There is a newer firmware.", [
        need("epoch", "int", 0, MAX_INT), need("id", "int", 0, MAX_INT),
        need("sequence", "int", 0, MAX_INT, doc="sequence number of the manifest"),
        need("version", "text", 1, 16), need("size", "int", 1, 4 << 20, "B", doc="of the whole release"),
        need("digest", "bytes", 32, 32, doc="SHA-256 of the manifest"),
        need("resource", "text", 1, 32, doc="name to fetch it by, below `fw/` over CoAP"),
    ]),
    Message(17, "price", "group", "price", "retained", "A price series; EUR/MWh.", _SERIES_HEAD + [
        need("series", "series_i16", 1, MAX_SERIES, "EUR/MWh"),
        may("currency", "int", 1, 999, doc="ISO 4217 number; 978 (EUR) when absent"),
        may("valid_until", "utc", unit="s", doc="the end of the series when absent"),
    ]),
    Message(18, "carbon", "group", "carbon", "retained", "Carbon intensity; g/kWh.", _SERIES_HEAD + [
        need("series", "series_i16", 1, MAX_SERIES, "g/kWh"),
        may("valid_until", "utc", unit="s"),
    ]),
    Message(19, "weather", "group", "weather", "retained", "Weather forecast.", _SERIES_HEAD + [
        need("temperature", "series_i16", 1, MAX_SERIES, "Cel"),
        may("irradiance", "series_i16", 1, MAX_SERIES, "W/m2"),
        may("valid_until", "utc", unit="s"),
    ]),
    Message(20, "grid_state", "group", "grid", "retained", "The state of the grid.", [
        need("revision", "int", 0, MAX_INT, "count"), need("start", "utc", unit="s"),
        need("duration", "int", 1, 604800, "s"), need("grid", "enum", of="Grid"),
    ]),
    Message(21, "forecast", "up", "register", "best effort", "What a device expects to use.", _SERIES_HEAD + [
        need("series", "series_i16", 1, 96, "W"),
    ]),
    Message(22, "offer", "up", "register", "confirmed", "A run that can be moved (flex-offer).", [
        need("id", "int", 0, MAX_INT),
        need("earliest", "utc", unit="s", doc="earliest start"), need("latest", "utc", unit="s", doc="latest end"),
        need("slices", "ints", 3, 36, doc="minutes, least W, most W; ..."),
        may("valid_until", "utc", unit="s"),
    ]),
    Message(23, "answer", "both", "status", "best effort",
            "A refusal or a plain yes to a message that has no answer of its own.", [
        need("about", "int", 0, 255, doc="head of the message it is about"),
        need("reason", "enum", of="Reason", doc="none is yes"),
        may("ref", "int", 0, MAX_INT, doc="id of that message"),
        may("position", "int", 0, 255, doc="which field, by its position in the table"),
    ], hot=True),
    Message(24, "link", "up", "link", "retained", "Online, or the last will.", [
        need("online", "enum", of="Online"),
        may("boot", "int", 0, MAX_INT, "count"),
        may("time", "utc", unit="s"),
    ], hot=True),
    Message(25, "signed", "group", "signed", "best effort",
            "A part of a broadcast with its signature (LMS, RFC 8554); sent again at intervals.", [
        need("key", "bytes", 8, 8, doc="the signer's key: the first octets of its identifier I"),
        need("revision", "int", 0, MAX_INT, "count",
             doc="signed too; what is not above the latest verified one is no news"),
        need("part", "int", 0, SIGNED_PARTS - 1, doc="which part, from 0"),
        need("parts", "int", 1, SIGNED_PARTS, "count", doc="how many there are"),
        need("octets", "bytes", 1, SIGNED_OCTETS,
             doc=f"of body and signature one after the other; {SIGNED_OCTETS} in all parts but the last"),
    ]),
    Message(26, "rekey", "down", "cmd", "confirmed",
            "The next pairing secret; only over a protected association, and answered.", [
        need("epoch", "int", 0, MAX_INT), need("id", "int", 0, MAX_INT),
        need("generation", "int", 0, 255, doc="the current one and one more"),
        need("secret", "bytes", 16, 16),
    ]),
    Message(27, "read_log", "down", "cmd", "confirmed", "Read a record of the device, some lines at a time.", [
        need("epoch", "int", 0, MAX_INT), need("id", "int", 0, MAX_INT), need("issued", "utc", unit="s"),
        need("record", "enum", of="Record"),
        need("first", "int", 0, MAX_INT, "count", doc="number of the first line wanted"),
    ]),
    Message(28, "log", "up", "status", "best effort", "Lines of a record; whoever wants more asks from `next` on.", [
        need("id", "int", 0, MAX_INT, doc="of the read_log"),
        need("record", "enum", of="Record"),
        need("boot", "int", 0, MAX_INT, "count", doc="in which start they were written"),
        need("first", "int", 0, MAX_INT, "count", doc="number of the first line here: what lies between is lost"),
        need("next", "int", 0, MAX_INT, "count", doc="number of the line after the last one here"),
        need("text", "text", 0, 180, doc="lines, each with its end"),
    ]),
    Message(29, "calibrate", "down", "cmd", "confirmed",
            "What a reference shows: the meter is adjusted to it. At least one quantity.", [
        need("epoch", "int", 0, MAX_INT), need("id", "int", 0, MAX_INT), need("issued", "utc", unit="s"),
        need("seconds", "int", 1, 300, "s", doc="the mean over so long is compared"),
        may("voltage", "int", 1000, 100000, "10 mV"),
        may("current", "int", 10, 1_000_000, "mA"),
        may("power", "int", 10, 10 * POWER, "100 mW"),
    ]),
    Message(30, "registers", "up", "interval", "guaranteed", "The registers at local midnight.", [
        need("seq", "int", 0, MAX_INT, "count", doc="number in the stream of events"),
        need("time", "utc", unit="s", doc="the midnight"),
        need("energy_import", "int", 0, ENERGY, "Wh"),
        may("quality", "flags", of="Quality"),
        may("energy_export", "int", 0, ENERGY, "Wh"),
        may("peak", "int", -POWER, POWER, "W", doc="largest power of the day that ends"),
        may("peak_time", "utc", unit="s"),
        may("switches", "int", 0, MAX_INT, "count", doc="movements of the relay contacts since first start"),
        may("starts", "int", 0, MAX_INT, "count", doc="switch-ons since first start"),
    ], hot=True),
    Message(31, "piece", "both", "status",
            "best effort", "Part of a release, over links without resources: asked for by a device (octets is null).", [
        need("id", "int", 0, MAX_INT, doc="of the firmware_offer"),
        need("offset", "int", 0, 4 << 20, "B", doc="in the release"),
        need("count", "int", 1, PIECE_OCTETS, "B", doc="asked for; as many as there are at the end"),
        may("octets", "bytes", 1, PIECE_OCTETS),
    ]),
)

# A schedule's slots stand in the command's extension 1: critical, so that who cannot follow a schedule refuses it.
EXTENSIONS = (
    ("command", 1, "slots", "ints", 3, 48, "triples for kind schedule: seconds after the start, kind, value"),
)

CHANNELS = (  # (code, name, way, retained, qos)
    (0, "register", "up", False, 1), (1, "status", "up", False, 1), (2, "telemetry", "up", False, 0),
    (3, "interval", "up", False, 1), (4, "alarm", "up", False, 1), (5, "link", "up", True, 1),
    (6, "cmd", "down", False, 1),
    (7, "price", "group", True, 1), (8, "carbon", "group", True, 1), (9, "weather", "group", True, 1),
    (10, "grid", "group", True, 1),
    (11, "signed", "group", False, 1),
)

# What `value` and `value2` of a command mean, by kind: (kind, value needed, lo, hi, value2 needed, lo, hi, sentence).
# A kind that is not here takes neither. A direction that is absent is "consume".
KIND_VALUES = (
    ("limit", True, 0, POWER, False, 0, 1, "W, and the direction"),
    ("limit_percent", True, 0, 100, False, 0, 1, "percent of the registered maximum, and the direction"),
    ("band", True, *TEMPERATURE, True, *TEMPERATURE, "lower and upper end in 0.01 Cel, lower first"),
    ("offset", True, -2000, 2000, False, 0, 0, "0.01 Cel"),
    ("sg_ready", True, 1, 4, False, 0, 0, "state"),
)

# Short names of the hot messages' slots in firmware/spot/wire/fields.py.
SLOT_PREFIX = {
    "heartbeat": "HB", "command": "CMD", "status": "STA", "telemetry": "TEL", "alarm": "ALM", "ack": "ACK",
    "time": "TIM", "answer": "ANS", "link": "LNK", "registers": "REG",
}


def enum(name):
    """The Enum or Flags called `name`."""
    return next(e for e in ENUMS if e.name == name)


def message(key):
    """The Message with this type code or name; None when there is none."""
    return next((m for m in MESSAGES if key in (m.code, m.name)), None)


def bounds(field):
    """(lo, hi) of a field's value or length. Flags take unknown bits, which are ignored; UTC is in Unix seconds."""
    if field.kind == "enum":
        codes = [row[0] for row in enum(field.of).rows]
        return min(codes), max(codes)
    if field.kind == "flags":
        return 0, MAX_INT
    if field.kind == "utc":
        return UTC_MIN, UTC_MAX
    return field.lo, field.hi
