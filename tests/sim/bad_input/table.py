"""Bad input, once: what comes in, what is answered, what is logged, what the load does. docs/bad-input.md shows
this table.

Each row is run by test_table.py against the real firmware and the real EMD; rows of a start by test_start.py and,
as processes of
MicroPython, by tests/unix/app/test_start.py.
"""

from dataclasses import dataclass

import cbor2

from spot_host.emd.config import EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_host.profile.examples import EXAMPLES
from tests.sim.bad_input.house import ALARM, KIND, NOON, PLUG, PUMP, STATE, Out


@dataclass
class Row:
    """One kind of bad input.

    what: the sentence; do(house): brings it in; answer: what the receiver says, in words (House.said,
    House.replied); log: the
    event in the receiver's log; load: what the contact does afterwards, [(seconds, "opens" or "closes")]; note:
    what else is true.
    still: the receiver's memory is the same after it; counted: the EMD counts it on the sender's row (`hostile`);
    complete: nothing that the device sends is lost.
    """

    what: str
    do: object
    answer: tuple = ()
    log: str = ""
    load: tuple = ()
    note: str = ""
    still: bool = False
    counted: bool = True
    complete: bool = True
    seconds: int = 1800
    house: dict | None = None  # settings of the plug
    pump: bool = False  # it comes to a heat pump, not to the plug


def spoil(elements):
    """The octets of a list that no encoder of ours would make."""
    return cbor2.dumps(elements)


def _limit(house, **values):
    return house.bodies(5000, "limit", **{"value": 1000, **values})


def _replace(elements, name, value, message="command"):
    at = 1 + [f.name for f in d.message(message).fields].index(name)
    return [*elements[:at], value, *elements[at + 1 :]]


# --- to the device: octets ------------------------------------------------------------------------------------------


def _give(make):
    return lambda house: house.give(make(house))


def _flood(house):
    for _ in range(100):
        house.give(b"\x81")


OCTETS = (
    Row("nothing at all", _give(lambda h: b""), ("answer 0: malformed",), "message.refused", still=True),
    Row("a command that ends in the middle", _give(lambda h: spoil(_limit(h))[:-1]), ("answer command: malformed",),
        "message.refused", still=True),
    Row("a command and one octet more", _give(lambda h: spoil(_limit(h)) + b"\0"), ("answer command: malformed",),
        "message.refused", still=True),
    Row("an integer that is not in its shortest form", _give(lambda h: spoil(_limit(h))[:1] + b"\x18" +
        spoil(_limit(h))[1:]),
        ("answer 0: malformed",), "message.refused", still=True),
    Row("an array that says it has 2^64 elements", _give(lambda h: b"\x9b" + b"\xff" * 8), ("answer 0: malformed",),
        "message.refused", still=True),
    Row("a text where a number belongs", _give(lambda h: spoil(_replace(_limit(h), "duration", "600"))),
        ("answer command: malformed",), "message.refused", still=True),
    Row("a float where a number belongs", _give(lambda h: spoil(_replace(_limit(h), "value", 1000.0))),
        ("answer command: malformed",), "message.refused", still=True),
    Row("octets nested a thousand deep", _give(lambda h: b"\x81" * 1000 + b"\0"), ("answer 0: malformed",),
        "message.refused", still=True),
    Row("a body that is longer than any message", _give(lambda h: spoil([6] + [0] * d.MAX_BODY)),
        ("answer 0: malformed",), "message.refused", still=True),
    Row("a hundred broken bodies in one second", _flood,
        ("answer 0: malformed",) * 10 + ("alarm messages_refused raised", "alarm messages_refused cleared"),
        "message.refused",
        still=True, note="Ten answers a minute and one alarm; the rest is counted only."),
)

# --- to the device: types, versions, extensions ---------------------------------------------------------------------

KINDS = (
    Row("a type that does not exist (0)", _give(lambda h: spoil([0, 1, 2])), (), "message.ignored", still=True,
        note="A later profile may have it: no answer."),
    Row("a message that is not for a device (telemetry)",
        _give(lambda h: codec.encode("telemetry", {"seq": 1, "time": NOON, "power": 5})), (), "message.ignored",
        still=True),
    Row("a command on a group's channel (price)", lambda h: h.give(spoil(h.bodies(5000, "off")), "price"),
        ("answer command: malformed",), "message.refused", still=True, note="A broadcast informs, it never commands."),
    Row("a command of profile version 2", _give(lambda h: spoil([32 + 6, *_limit(h)[1:]])),
        ("answer command of version 2: unsupported_version",),
        "message.refused", still=True),
    Row("a command with an unknown critical field (odd key)", _give(lambda h: spoil([*_limit(h), {9: 1}])),
        ("answer command: unknown_critical",), "message.refused", still=True),
    Row("a command with an unknown optional field (even key)",
        _give(lambda h: spoil([*h.bodies(5000, "off"), {10: 1}])),
        ("status received: none", "status started: none", "status completed: none"), "", ((0, "opens"), (600,
        "closes")),
        note="Ignored; the command runs."),
    Row("more elements than the message has", _give(lambda h: spoil([*h.bodies(5000, "off"), 0, 0, 0, 0, 0, 0,
        *[7] * 20])),
        ("status received: none", "status started: none", "status completed: none"), "", ((0, "opens"), (600,
        "closes")),
        note="Fields that a later profile added: ignored; the command runs."),
)

# --- to the device: commands ----------------------------------------------------------------------------------------


def _command(kind, **values):
    return lambda house: house.command(5000, kind, **values)


def _late(house):
    house.command(5000, "off", issued=house.utc - 300)


def _over(house):
    house.command(5000, "off", issued=house.utc - 3600)


def _twice(house):
    house.command(5000, "off")
    house.run(100)
    house.command(5000, "off", issued=house.utc - 100)


def _reordered(house):
    issued = house.utc
    house.command(5000, "off", revision=1, issued=issued, duration=300)
    house.command(5000, "off", revision=0, issued=issued, duration=1200)


def _revoked_first(house):
    house.command(5000, "revoke", revision=1)
    house.command(5000, "off", revision=0)


def _fill_ledger(house):
    for i in range(40):
        house.command(5000 + i, "limit", value=3000, delay=900, duration=300)


def _queued_over(house):
    """A start in the past that waited in the broker's queue while the device was away."""
    house.plug.link(False)
    body = codec.encode("command", {"epoch": house.core.epoch, "id": 5000, "revision": 0, "priority": 5,
        "kind": KIND["off"],
                                    "issued": house.utc, "delay": 0, "duration": 600})
    house.run(100)
    house.plug.link()
    house.give(body)


_RAN = ("status received: none", "status started: none", "status completed: none")

COMMANDS = (
    Row("a command without a duration", _give(lambda h: spoil(h.bodies(5000, "off", drop=("duration",)))),
        ("answer command: missing_field",), "message.refused", still=True),
    Row("a command with null for its duration", _give(lambda h: spoil(_replace(_limit(h), "duration", None))),
        ("answer command: missing_field",), "message.refused", still=True),
    Row("a duration of 0", _give(lambda h: spoil(_replace(_limit(h), "duration", 0))),
        ("answer command: out_of_range",),
        "message.refused", still=True),
    Row("a negative limit", _command("limit", value=-500), ("status rejected: out_of_range",), still=True),
    Row("a limit without a value", _command("limit"), ("status rejected: missing_field",), still=True),
    Row("a limit of more than 100 percent", _command("limit_percent", value=101), ("status rejected: out_of_range",),
        still=True),
    Row("a value beyond 30 bits", _give(lambda h: spoil(_replace(_limit(h), "value", 1 << 40))),
        ("answer command: out_of_range",), "message.refused", still=True),
    Row("a limit on what the load produces", _command("limit", value=500, value2=1), ("status rejected: direction",),
        still=True),
    Row("a limit below the smallest (a plug can only open)", _command("limit", value=700),
        ("status received: none", "status partly: on_off_only", "status completed: none"), "plug.limit_open",
        ((30, "opens"), (600, "closes")), note="Answered with what happens instead: effective power 0."),
    Row("a kind that the device cannot do (a temperature band for a plug)", _command("band", value=1900, value2=2100),
        ("status rejected: not_supported",), still=True),
    Row("a kind that does not exist", _give(lambda h: spoil(_replace(_limit(h), "kind", 99))),
        ("answer command: out_of_range",), "message.refused", still=True),
    Row("closing from afar where the household did not enable it", _command("on"), ("status rejected: not_enabled",),
        still=True),
    Row("a priority above the association's ceiling", _command("off", priority=15), ("status rejected: priority",),
        still=True),
    Row("a start in the past, the end to come", _late, _RAN, "", ((0, "opens"), (300, "closes")),
        note="Effective start now; the end stays where it was."),
    Row("a command that waited 100 s in the broker's queue", _queued_over, _RAN, "", ((100, "opens"), (600, "closes")),
        note="It ends when it should have ended: no late run."),
    Row("an end in the past", _over, ("status expired: ended",), still=True),
    Row("a start further ahead than 30 bits of seconds", _give(lambda h: spoil(_replace(_limit(h), "delay", 1 << 31))),
        ("answer command: out_of_range",), "message.refused", still=True),
    Row("the same command twice", _twice, ("status received: none", "status started: none", "status completed: none"),
        "",
        ((0, "opens"), (600, "closes")), note="Answered again with where it stands; nothing runs twice."),
    Row("revision 1, then revision 0", _reordered,
        ("status received: none", "status started: none", "status rejected: stale_revision", "status completed: none"),
        "",
        ((0, "opens"), (300, "closes"))),
    Row("a revoke, then the command that it revokes", _revoked_first, ("status cancelled: revoked",), still=False,
        note="The revoke is remembered until the command's end."),
    Row("more commands than the ledger holds", _fill_ledger, None, "",
        note="16 live ones are taken, the others `rejected: ledger_full`."),
)


def _pump(kind, **values):
    return lambda house: house.command(5000, kind, eui=PUMP, **values)


PUMP_COMMANDS = (
    Row("off for longer than the longest block (four hours)", _pump("off", duration=4 * 3600),
        ("status received: too_long", "status partly: too_long", "status completed: none"), "pump.sg_ready",
        ((0, "SG-Ready 1"), (7200, "SG-Ready 2")), note="Effective duration two hours, said in every status.",
        pump=True, seconds=9000),
    Row("a limit below the smallest (300 W, least 1,000 W)", _pump("limit", value=300),
        ("status received: none", "status partly: below_minimum", "status completed: none"), "pump.sg_ready",
        ((0, "SG-Ready 1"), (0, "1000 W"), (600, "SG-Ready 2"), (600, "no limit")),
        note="Answered with what happens instead: locked, effective power the standby's.", pump=True),
    Row("an SG-Ready state that does not exist", _pump("sg_ready", value=5), ("status rejected: out_of_range",),
        still=True, pump=True),
    Row("a set-point offset of 50 K", _pump("offset", value=-5000), ("status rejected: out_of_range",), still=True,
        pump=True),
    Row("a band whose ends are the wrong way round", _pump("band", value=2500, value2=2000),
        ("status rejected: out_of_range",),
        still=True, pump=True),
)


def check_full(house, said):
    """The row above whose answers are many."""
    assert said.count("status rejected: ledger_full") == 40 - 15, said  # one is the EMD's own "unlimited"
    assert sum(w == "status received: none" for w in said) <= 16


# --- to the device: the EMD and the time -----------------------------------------------------------------------------


def _second_emd(house):
    """Another EMD, with an older epoch, that has its own idea of this device."""
    other = EmdCore(EmdConfig(plan_prices=False), MemoryStorage(), Out(house), house.utc - 7200)
    assert other.epoch < house.core.epoch
    values = {"epoch": other.epoch, "id": 1, "revision": 0, "priority": 5, "kind": KIND["off"], "issued": house.utc,
        "delay": 0,
              "duration": 600}
    house.give(codec.encode("heartbeat", {"epoch": other.epoch, "time": house.utc, "digest": 0, "clock": 4, "beat": 2}))
    house.give(codec.encode("command", values))
    house.give(codec.encode("ack", {"epoch": other.epoch, "events_upto": 100, "intervals_upto": 100}))


def _same_number(house):
    """The other EMD's command meets ours, which has the same number, on the way."""
    ours = house.core.command(house.utc, PLUG, "off", duration=600)
    house.give(spoil(_replace(_replace(house.bodies(ours.id, "limit", value=0), "epoch", house.core.epoch - 3),
        "priority", 15)))


def _second_registers(house):
    house.give(codec.encode("registered", {
        "reason": 0, "boot": 1, "epoch": house.core.epoch + 5, "time": house.utc, "association": 900, "lease": 60,
            "version": 1,
        "failsafe_limit": 0}))


def _unknown_epoch(house):
    house.give(spoil(_replace(house.bodies(5000, "off"), "epoch", house.core.epoch + 9)))


def _queued_beats(house):
    """The EMD went; what it had sent before comes out of a queue."""
    house.plug.link(False)
    body = codec.encode("heartbeat", {"epoch": house.core.epoch, "time": house.utc, "digest": 0, "clock": 4, "beat": 1})
    house.run(100)
    for _ in range(5):
        house.give(body)
    house.plug.link()


def _shift(seconds):
    def do(house):
        house.command(5000, "off")
        house.run(100)
        house.shift_s += seconds
    return do


def _alone_shift(seconds):
    """The device's own clock is set wrong; the EMD's is right."""
    def do(house):
        house.command(5000, "off")
        house.run(100)
        plug = house.plug
        plug.app.agent.set_time(plug.now, plug.app.clock.utc(plug.now) + seconds, 4)
    return do


EMDS = (
    Row("a second EMD: heartbeat, command and acknowledgement", _second_emd,
        ("answer heartbeat: other_emd", "answer command: other_emd", "answer ack: other_emd"), "message.refused",
        still=True,
        note="An association has one EMD; a second one has an association of its own."),
    Row("a second EMD's command that has the number of one of ours", _same_number, ("answer command: other_emd",),
        "message.refused",
        ((0, "opens"), (600, "closes")), note="Ours runs; its EMD does not take the refusal for its own."),
    Row("a second EMD that claims the device (`registered`)", _second_registers, ("answer registered: other_emd",),
        "message.refused", still=True),
    Row("a command of an epoch to come", _unknown_epoch, ("answer command: wrong_epoch", "register"), "message.refused",
        note="It may be our EMD in a new life: the device registers again, at most once a minute."),
    Row("`registered` for another boot", _give(lambda h: codec.encode("registered", {
        "reason": 0, "boot": 77, "epoch": h.core.epoch, "time": NOON})), (), "registered.other_boot", still=True),
    Row("an acknowledgement beyond what was sent", _give(lambda h: codec.encode("ack", {
        "epoch": h.core.epoch, "events_upto": 9999, "intervals_upto": 9999})), (), "events.ack_beyond", still=True,
        note="Nothing is thrown away."),
    Row("a time that was not asked for", _give(lambda h: codec.encode("time", {"nonce": 5, "time": NOON + 9999,
        "clock": 4})), (),
        "time.unasked", still=True),
    Row("heartbeats that waited in a queue", _queued_beats, (), "heartbeat.stale",
        note="They do not keep the lease alive."),
    Row("the EMD's clock jumps 5 h ahead in the middle of a command", _shift(5 * 3600), _RAN, "clock.jump",
        ((0, "opens"), (600, "closes")), note="A running command ends on the monotonic clock."),
    Row("the EMD's clock jumps 5 h back in the middle of a command", _shift(-5 * 3600), _RAN, "clock.jump",
        ((0, "opens"), (600, "closes")), note="As above; readings say that the clock was corrected in them."),
    Row("the device's clock is 5 h ahead", _alone_shift(5 * 3600), _RAN, "clock.jump", ((0, "opens"), (600, "closes")),
        note="Asked for and set right within two heartbeats."),
    Row("the device's clock is 5 h behind", _alone_shift(-5 * 3600), _RAN, "clock.jump", ((0, "opens"), (600,
        "closes"))),
)

# --- to the device: requests ----------------------------------------------------------------------------------------

_EXAMPLE = {name: (kind, values) for name, kind, _, values in EXAMPLES}


def _price(house):
    house.give(codec.encode("price", {"revision": 5, "start": NOON - 3600, "interval_min": 60, "scale": 0,
        "series": [100, 200]}), "price")
    house.run(1)
    house.give(codec.encode("price", {"revision": 4, "start": NOON - 3600, "interval_min": 60, "scale": 0,
        "series": [1, 2]}), "price")


REQUESTS = (
    Row("a read of an object that does not exist", _give(lambda h: codec.encode("read", {
        "epoch": h.core.epoch, "id": 5, "issued": h.utc, "objects": [250]})), ("answer read: unknown_id",),
            "message.refused", still=True),
    Row("a configure of an object that is read-only", _give(lambda h: codec.encode("configure", {
        "epoch": h.core.epoch, "id": 5, "issued": h.utc, "values": [2, 5]})), ("answer configure: read_only",),
            "message.refused",
        still=True),
    Row("a configure with an object and no value", _give(lambda h: spoil([14, h.core.epoch, 5, h.utc, [1]])),
        ("answer configure: out_of_range",), "message.refused", still=True),
    Row("a configure that closes the relay where that is not enabled", _give(lambda h: codec.encode("configure", {
        "epoch": h.core.epoch, "id": 5, "issued": h.utc, "values": [1, 1]})), ("answer configure: not_enabled",),
            "message.refused",
        still=True),
    Row("a firmware offer", _give(lambda h: codec.encode("firmware_offer", {
        **_EXAMPLE["firmware_offer"][1], "epoch": h.core.epoch})), ("answer firmware_offer: no_slot",),
            still=True,
        note="A development copy; with slots: tests/unit/update."),
    Row("a price series with an older revision", _price, (), "price.taken", note="The newer one stays."),
    Row("a price series that ends in the middle", lambda h: h.give(codec.encode(*_EXAMPLE["price24"])[:-3], "price"),
        ("answer price: malformed",), "message.refused", still=True),
    Row("a part of a signed price where no signer is configured",
        lambda h: h.give(codec.encode(*_EXAMPLE["signed"]), "signed"), (), "message.ignored", still=True,
        note="With one: tests/unit/agent/test_signed.py."),
    Row("a new pairing secret over an association that protects nothing", _give(lambda h: codec.encode("rekey", {
        **_EXAMPLE["rekey"][1], "epoch": h.core.epoch})), ("answer rekey: not_supported",), still=True),
    Row("a new pairing secret on a group's channel", lambda h: h.give(codec.encode("rekey", {
        **_EXAMPLE["rekey"][1], "epoch": h.core.epoch}), "signed"), ("answer rekey: malformed",), "message.refused",
        still=True),
)


# --- to the device: service ------------------------------------------------------------------------------------------

_OBJECT = {name: id_ for id_, _, name, *_ in d.OBJECTS}


def _asked(name, **values):
    """A request of the EMD's, as raw as it is given."""
    def do(house):
        fields = {"epoch": house.core.epoch, "id": 5, "issued": house.utc, **values}
        elements = [d.message(name).code, *(fields.get(f.name) for f in d.message(name).fields)]
        while elements[-1] is None:
            elements.pop()
        house.give(spoil(elements))
    return do


def _set(*pairs):
    """A configure of objects by name."""
    return _asked("configure", values=[v if at % 2 else _OBJECT[v] for at, v in enumerate(pairs)])


def _then(*steps, after=0):
    def do(house):
        for step in steps:
            step(house)
            house.run(after)
    return do


def _flooded(name, **values):
    """A thousand of one request, each with an id of its own; the flash is told apart."""
    def do(house):
        store = house.plug.app.store
        before = store.writes
        for n in range(1000):
            _asked(name, **{**values, "id": 100 + n})(house)
        assert store.writes == before
    return do


def _adjusted_all_day(house):
    """A calibration after the other, each to another truth."""
    store = house.plug.app.store
    house.plug.app.board.meter.period_s = 1
    before = store.writes
    for n in range(30):
        _asked("calibrate", id=100 + n, seconds=5, voltage=23000 + 10 * (n % 2 + 1))(house)
        house.run(70)
    assert store.writes - before < 40


def _by_utility(name, **values):
    """The same from the second EMD, which has its own epoch."""
    def do(house):
        plug, epoch = house.plug, house.core.epoch + 70
        plug.app.link_up(plug.now, True, 1)
        plug.receive(codec.encode("registered", {"reason": 0, "boot": 1, "epoch": epoch, "time": house.utc,
            "association": 9, "lease": 3600, "version": 1}), at=1)
        fields = {"epoch": epoch, "id": 5, "issued": house.utc, **values}
        plug.receive(codec.encode(name, fields), at=1)
        house.run(5)
        assert not [v for _, who, n, v in house.seen if who == "utility" and n in ("log", "read_response")]
        (answer,) = [v for _, who, n, v in house.seen if who == "utility" and n == "answer"]
        house.seen.append((house.t, PLUG, "answer", answer))
    return do


_GOOD = {"seconds": 150, "voltage": 23200}
_HOUSEHOLD = ["interval", "alarm"]


def _to_nowhere(house):
    _asked("registered", reason=0, boot=1, time=house.utc, association=1, lease=3600, version=1, zone=60,
           zone_change=house.utc + 900)(house)
    plug = house.plug
    assert plug.app.agent.plan.zone_s(plug.app.clock.utc(plug.now) + 1000) == 3600

SERVICE = (
    Row("lines of a record that does not exist", _asked("read_log", record=2, first=0),
        ("answer read_log: out_of_range",), "message.refused", still=True),
    Row("lines of the log from far beyond its end", _asked("read_log", record=0, first=10**9), ("log",), still=True,
        note="None, and where it ends."),
    Row("a crash record where nothing failed", _asked("read_log", record=1, first=0), ("answer read_log: unknown_id",),
        "message.refused", still=True),
    Row("a utility that asks for the log", _by_utility("read_log", record=0, first=0),
        ("answer read_log: not_supported",), "message.refused", still=True, house={"utility": _HOUSEHOLD},
        note="Its association has `data` without `log`."),
    Row("a utility that calibrates", _by_utility("calibrate", **_GOOD), ("answer calibrate: not_supported",),
        "message.refused", still=True, house={"utility": _HOUSEHOLD}),
    Row("a utility that starts the device afresh", _by_utility("configure", values=[_OBJECT["restart"], 1]),
        ("answer configure: unknown_id",), "message.refused", still=True, house={"utility": _HOUSEHOLD}),
    Row("a utility that reads the household's power", _by_utility("read", objects=[_OBJECT["power_peak"]]),
        ("answer read: unknown_id",), "message.refused", still=True, house={"utility": _HOUSEHOLD}),
    Row("a thousand requests for the log in one second", _flooded("read_log", record=0, first=0),
        ("log",) * 1000, still=True,
        note="A thousand answers of at most 256 octets, nothing in flash."),
    Row("a calibration without a truth", _asked("calibrate", seconds=10), ("answer calibrate: missing_field",),
        still=True),
    Row("a calibration over 0 s", _asked("calibrate", seconds=0, voltage=23000), ("answer calibrate: out_of_range",),
        "message.refused", still=True),
    Row("a calibration over a day", _asked("calibrate", seconds=86400, voltage=23000),
        ("answer calibrate: out_of_range",), "message.refused", still=True),
    Row("a calibration to 0 V", _asked("calibrate", seconds=10, voltage=0), ("answer calibrate: out_of_range",),
        "message.refused", still=True),
    Row("a calibration to 330 V where the meter says 230", _asked("calibrate", seconds=200, voltage=33000),
        ("answer calibrate: out_of_range",), "calibrated", note="More than 30 % off is a fault, not a calibration."),
    Row("a calibration that waited ten minutes in a queue",
        lambda h: _asked("calibrate", issued=h.utc - 600, **_GOOD)(h), ("answer calibrate: ended",), still=True,
        note="It would meet another load."),
    Row("a calibration while one runs", _then(_asked("calibrate", **_GOOD), _asked("calibrate", **{**_GOOD, "id": 6})),
        ("answer calibrate: busy", "answer calibrate: none"), "calibrated", note="The first one goes on."),
    Row("a calibration with too few samples", _asked("calibrate", seconds=3, voltage=23200),
        ("answer calibrate: sensor",), "calibrated"),
    Row("a thousand calibrations in one second", _flooded("calibrate", **_GOOD),
        ("answer calibrate: busy",) * 999 + ("answer calibrate: none",), "calibrated",
        note="One runs; nothing in flash before it ends."),
    Row("thirty calibrations in half an hour", _adjusted_all_day,
        ("answer calibrate: none",) * 24 + ("answer calibrate: busy",) * 6, "calibrated", seconds=60,
        note="24 a day are begun: each is a write to flash."),
    Row("a configure of what is only counted", _set("boots", 0), ("answer configure: read_only",), "message.refused",
        still=True),
    Row("a configure of the writes that flash has had", _set("flash_writes", 0), ("answer configure: read_only",),
        "message.refused", still=True),
    Row("a configure of a heat pump's object", _set("hot_water_setpoint", 5000), ("answer configure: unknown_id",),
        "message.refused", still=True),
    Row("a shed threshold without local consent", _set("shed_frequency", 49500), ("answer configure: not_enabled",),
        "message.refused", still=True),
    Row("a shed threshold of 60 Hz at 50 Hz", _set("shed_frequency", 60000), ("answer configure: out_of_range",),
        "message.refused", still=True, house={"shed_consent": True}),
    Row("a shed delay of an hour", _set("shed_delay", 3600), ("answer configure: out_of_range",), "message.refused",
        still=True, house={"shed_consent": True}),
    Row("flip-back where remote closing is not enabled", _set("auto_on", 10), ("answer configure: not_enabled",),
        "message.refused", still=True),
    Row("a log level that does not exist", _set("log_level", 9), ("answer configure: out_of_range",),
        "message.refused", still=True),
    Row("a restart of a kind that does not exist", _set("restart", 9), ("answer configure: out_of_range",),
        "message.refused", still=True),
    Row("safe mode, set from afar", _set("safe_mode", 1), ("answer configure: out_of_range",), "message.refused",
        still=True, note="It can only be left."),
    Row("three objects, the last one wrong", _set("telemetry_interval", 77, "restart", 1, "log_level", 9),
        ("answer configure: out_of_range",), "message.refused", still=True, note="None is written, and no restart."),
    Row("a zone of 33 hours", _asked("registered", reason=0, boot=1, time=NOON, zone=2000),
        ("answer registered: out_of_range",), "message.refused", still=True),
    Row("a change of zone that does not say to which", _to_nowhere, (), note="The zone stays."),
    Row("a change to a zone of 33 hours", _asked("registered", reason=0, boot=1, time=NOON, zone=60,
        zone_change=NOON + 3600, zone_next=2000), ("answer registered: out_of_range",), "message.refused", still=True),
)

# --- to the device: flash --------------------------------------------------------------------------------------------


def _full(kind, **values):
    def do(house):
        house.plug.fs.capacity = house.plug.fs._used()
        house.command(5000, kind, **values)
        house.run(700)
        house.plug.fs.capacity = None
    return do


def _torn_store(house):
    """Every file of the store is cut in the middle by a power cut that no file system should allow."""
    house.run(1000)
    plug = house.plug
    house.settle()
    for name in list(plug.fs.files):
        plug.fs.files[name] = plug.fs.files[name][: len(plug.fs.files[name]) // 2]
    plug.linked = False
    plug.boot()


def _full_boot(house):
    house.plug.fs.capacity = house.plug.fs._used()
    house.plug.linked = False
    house.plug.boot()
    house.run(700)
    house.plug.fs.capacity = None


FLASH = (
    Row("a full flash, then a restart", _full_boot,
        ("register", "alarm crash raised", "alarm store_fault raised", "alarm crash cleared",
         "alarm store_fault cleared"), "",
        note="It starts, registers and does as before; that the watchdog did it is told, too."),
    Row("a full flash, and a command that saves", _full("off"),
        ("alarm store_fault raised", "status received: none", "status started: none", "status completed: none",
         "alarm store_fault cleared"),
        "ledger.not_kept", ((0, "opens"), (600, "closes")), note="Carried out without being kept; events wait in RAM."),
    Row("a full flash, and a command that uses more", _full("on"),
        ("alarm store_fault raised", "status rejected: store_full", "alarm store_fault cleared"), "ledger.not_kept",
        house={"remote_close": True}, note="Refused: after a reboot nobody would know of it."),
    Row("every file of the store torn, then a restart", _torn_store, ("register",), "store.damaged",
        note="Taken as absent; the boot count begins anew, the EMD takes it for a factory reset, and it registers."),
)

# --- to the EMD ------------------------------------------------------------------------------------------------------


def _take(channel, make):
    return lambda house: house.take(make(house), channel)


_READING = [8, 900, NOON + 130, 5]
_STATUS = [7, 0, 5000, 0, 2, 0]


def _foreign(house):
    values = {**_EXAMPLE["register_plug"][1], "eui64": bytes.fromhex("0200000000000002")}
    house.take(codec.encode("register", values), "register")


def _repeat_event(house):
    house.plug.app.agent.alarm(house.plug.now, ALARM["over_power"], True, 3000, 2300)
    house.plug.due = house.t
    house.settle()
    house.run(5)
    name, values = [(n, v) for _, who, n, v in house.seen if n == "alarm" and who == PLUG][-1]
    for _ in range(3):
        house.take(codec.encode(name, values), "alarm")


def _stranger(house):
    house.take(codec.encode("telemetry", {"seq": 1, "time": NOON, "power": 5}), "telemetry", "no-such-device!!")


EMD = (
    Row("nothing at all", _take("telemetry", lambda h: b""), ("answer 0: malformed",), still=True),
    Row("telemetry that ends in the middle", _take("telemetry", lambda h: spoil(_READING)[:-1]),
        ("answer 0: malformed",), still=True),
    Row("telemetry and one octet more", _take("telemetry", lambda h: spoil(_READING) + b"\0"),
        ("answer 0: malformed",), still=True),
    Row("a type that does not exist (0)", _take("telemetry", lambda h: spoil([0, 1])), ("answer 0: unknown_type",),
        still=True),
    Row("a command, which is not for an EMD", _take("telemetry", lambda h: spoil(_limit(h))),
        ("answer command: unknown_type",), still=True),
    Row("telemetry of profile version 2", _take("telemetry", lambda h: spoil([40, *_READING[1:]])),
        ("answer telemetry of version 2: unsupported_version",), still=True),
    Row("an unknown critical field", _take("telemetry", lambda h: spoil([*_READING, {9: 1}])),
        ("answer telemetry: unknown_critical",),
        still=True),
    Row("a message on the channel of another", _take("alarm", lambda h: spoil(_READING)),
        ("answer telemetry: malformed",), still=True),
    Row("a power beyond every range", _take("telemetry", lambda h: spoil([8, 900, NOON, 1 << 40])),
        ("answer telemetry: out_of_range",),
        still=True),
    Row("a mandatory field that is missing", _take("telemetry", lambda h: spoil([8, 900, NOON])),
        ("answer telemetry: missing_field",),
        still=True),
    Row("a status with a state that does not exist", _take("status", lambda h: spoil([7, 0, 1, 0, 77, 0])),
        ("answer status: out_of_range",),
        still=True),
    Row("a device that registers under another's id", _foreign, ("answer register: out_of_range",), "foreign_identity",
        still=True,
        note="The topic, which the broker ties to the certificate, says who it is."),
    Row("an alarm that comes four times under one number", _repeat_event, (), counted=False,
        note="Counted once; acknowledged again."),
    Row("a status of a command that nobody gave", _take("status", lambda h: codec.encode("status", {
        "seq": h.plug.app.agent.events.next - 1, "id": 4444, "revision": 0, "state": STATE["started"], "reason": 0})),
            (), counted=False),
    Row("an interval gap that says 2^30 are lost", _take("interval", lambda h: codec.encode("interval", {
        "seq": 5, "start": NOON, "length": 15, "scale": 0, "import_series": [], "lost": d.MAX_INT})), (),
            "intervals_lost",
        counted=False, complete=False, note="It may give up its own readings, nobody else's."),
    Row("lines of a log that nobody asked for", _take("status", lambda h: codec.encode("log", {
        "id": 4444, "record": 0, "boot": 1, "first": 0, "next": 1, "text": "0 w alarm 3 1\n"})), (), counted=False,
        note="Thrown away."),
    Row("lines of a log, longer than any", _take("status", lambda h: spoil([28, 1, 0, 1, 0, 1, "x" * 181])),
        ("answer log: out_of_range",), still=True),
    Row("a log of a record that does not exist", _take("status", lambda h: spoil([28, 1, 7, 1, 0, 1, ""])),
        ("answer log: out_of_range",), still=True),
    Row("midnight's registers on another channel", _take("status", lambda h: spoil([30, 0, NOON, 5])),
        ("answer registers: malformed",), still=True),
    Row("midnight's registers below zero", _take("interval", lambda h: spoil([30, 0, NOON, -5])),
        ("answer registers: out_of_range",), still=True),
    Row("midnight's registers without energy", _take("interval", lambda h: spoil([30, 0, NOON])),
        ("answer registers: missing_field",), still=True),
    Row("midnight's registers under a number that was", _take("interval", lambda h: codec.encode("registers", {
        "seq": h.row().events.upto, "time": NOON, "energy_import": 5})), (), counted=False,
        note="Known already: not stored again."),
    Row("a name that is no EUI-64", _stranger, (), counted=False, still=True,
        note="No row is made; strangers are counted."),
)

CHECKS = {"more commands than the ledger holds": check_full}

SECTIONS = (
    ("device", "To the device: octets", OCTETS),
    ("device", "To the device: types, versions, extensions", KINDS),
    ("device", "To the device: commands", COMMANDS),
    ("device", "To a heat pump: commands", PUMP_COMMANDS),
    ("device", "To the device: EMDs and time", EMDS),
    ("device", "To the device: requests and broadcasts", REQUESTS),
    ("device", "To the device: service", SERVICE),
    ("device", "To the device: flash", FLASH),
    ("emd", "To the EMD", EMD),
)
