"""What goes wrong between an EMD and its devices, in virtual time: each case with the outcome that the profile asks
for.
"""

import random

import pytest

from spot.codes import ABSENT
from spot.wire.profile import jitter
from spot_host.profile import codec
from tests.sim.lab import ALARMS, ALWAYS_CHARGING, CODES, DAY, HOUR, STATES, Lab, build

CAR = {"kind": "ev", "load": ALWAYS_CHARGING}
NO_PLANS = {"plan_prices": False}
EVENING = 21 * HOUR  # the car is at home and charges


def charging(**tables):
    """A world at nine in the evening, a car charging under an EMD that plans nothing."""
    tables.setdefault("emd", NO_PLANS)
    world = Lab(build([CAR], **tables))
    world.run_until(EVENING)
    assert world.bodies[world.eui("ev-1")].power_w(EVENING) > 2000
    assert world.mode("ev-1") == "controlled" and not world.edges
    return world


def second_by_second(world, until_s, done):
    """Run on until `done()`; the second at which it became true."""
    while not done():
        assert world.now_s < until_s, "it never happened"
        world.run_until(world.now_s + 1)
    return world.now_s


def spread(world, name, key):
    """The delay of a device that everybody can predict."""
    window = world.core.config.association.jitter_s
    return jitter(bytes.fromhex(world.eui(name)), key, window)


# --- registration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "each_link, rate", [("mqtt", "loss"), ("mqtt", "loss_for_good"), ("coap", "loss")], indirect=["each_link"]
)
def test_all_register_through_thirty_percent_loss(each_link, rate):
    link = {rate: 0.3, "until_s": "02:00"}
    world = Lab(build([CAR, ("heat_pump", 3), ("fridge", 4), ("washing_machine", 4)], link=link))
    world.run_until(2 * HOUR + 300)  # nothing is lost any more: who is in failsafe at this moment comes back
    assert {row.registered for row in world.core.devices.values()} == {True} and len(world.core.devices) == 12
    assert {world.mode(b.name) for b in world.bodies.values()} == {"controlled"}
    assert world.network.totals["dropped" if rate == "loss_for_good" else "retried"] > 50
    world.run_until(5 * HOUR)
    for body in world.bodies.values():  # and nothing that was promised is missing
        events, intervals = world.exactly_once(body.name)
        assert events == list(range(len(events)))
        assert intervals == list(range(len(intervals))) and len(intervals) >= 20  # a mended clock splits one


# --- failsafe -------------------------------------------------------------------------------------------------------


def test_failsafe_comes_after_the_timeout_and_ends_by_heartbeat_and_limit_only(each_link):
    world = charging(emd={**NO_PLANS, "association": {"failsafe_limit_w": 1000, "failsafe_min_s": 14400}})
    device, lease = world.device("ev-1"), world.device("ev-1").app.agent.lease
    late_s = spread(world, "ev-1", world.core.epoch.to_bytes(4, "big") + b"f")
    world.drop = lambda eui, message: True  # the EMD hears the device, the device hears nothing
    entered_s = second_by_second(world, EVENING + 600, lambda: world.mode("ev-1") == "failsafe")
    assert entered_s == device._boot_s + lease.fresh_s + 150 + late_s
    world.run_until(entered_s + 120)
    (opened_s, closed), = world.moves("ev-1")
    assert closed == 0 and opened_s == entered_s + 1 + 30  # an on/off load above the limit for its grace time
    world.drop = lambda eui, message: message.name == "heartbeat"
    world.run_until(entered_s + 1200)
    assert world.mode("ev-1") == "failsafe" and len(world.moves("ev-1")) == 1  # commands alone free nothing
    world.drop = lambda eui, message: message.name != "heartbeat"
    world.run_until(entered_s + 2 * HOUR)
    assert world.mode("ev-1") == "failsafe" and len(world.moves("ev-1")) == 1  # nor does a heartbeat
    world.drop = None
    freed_s = second_by_second(world, entered_s + 3 * HOUR, lambda: world.mode("ev-1") == "controlled")
    assert freed_s <= entered_s + 2 * HOUR + 300 + 60 + 60  # the EMD's longest pause, the next heartbeat, the spread
    world.run_until(freed_s + 60)
    assert [value for _, value in world.moves("ev-1")] == [0, 1]


def test_without_its_emd_for_a_day_a_device_follows_the_prices_it_knows(each_link):
    plan = {"failsafe_limit_w": 4000, "failsafe_min_s": 7200, "policy_value": 4, "lease_s": 2 * DAY}
    emd = {**NO_PLANS, "association": plan}
    world = Lab(build([CAR], days=2, emd=emd, emd_outages=[{"at": "12:00", "duration_s": DAY}]))
    noon_s = 12 * HOUR
    world.run_until(noon_s)
    failsafe_s = second_by_second(world, noon_s + 300, lambda: world.mode("ev-1") == "failsafe")
    assert 90 <= failsafe_s - noon_s <= 150 + 60
    alone_s = second_by_second(world, noon_s + 3 * HOUR, lambda: world.mode("ev-1") == "autonomous")
    assert 7200 <= alone_s - failsafe_s <= 7200 + 60
    world.run_until(DAY + noon_s - 1)
    assert world.mode("ev-1") == "autonomous"
    assert world.moves("ev-1") == [(15 * HOUR, 0), (19 * HOUR, 1)]  # the four dearest hours of the day, and no others
    back_s = second_by_second(world, DAY + noon_s + 600, lambda: world.mode("ev-1") == "controlled")
    assert back_s <= DAY + noon_s + 180
    world.run()
    events, intervals = world.exactly_once("ev-1")
    assert events == list(range(len(events))) and intervals == list(range(2 * 96))


# --- delivery -------------------------------------------------------------------------------------------------------


def test_a_broker_away_for_six_hours_costs_no_reading_no_status_no_alarm(each_link):
    """On CoAP it is the network. Mains too high in the middle of it trip the plug; a command that was known before
    starts and ends in it.
    """
    world = Lab(
        build(
            [{**CAR, "count": 3}, ("heat_pump", 2)],
            emd={**NO_PLANS, "association": {"failsafe_limit_w": 10000}},
            link={"windows": [{"at": "10:00", "duration_s": 6 * HOUR}]},
            mains=[{"at": "13:00", "duration_s": 180, "voltage_factor": 1.2}],
        )
    )
    world.run_until(9 * HOUR)
    command = world.command("ev-1", "off", delay=2 * HOUR, duration=HOUR)
    world.run_until(16 * HOUR - 1)
    if each_link == "mqtt":  # on CoAP a device finds out by itself, and its EMD when nothing comes any more
        assert not any(t > 10 * HOUR for t, *_ in world.said)
    assert {len(world.exactly_once(body.name)[1]) for body in world.bodies.values()} == {39}
    world.run_until(17 * HOUR)
    begin_s, end_s = 11 * HOUR, 12 * HOUR
    for number in (1, 2, 3):
        name = f"ev-{number}"
        key = world.row(name).key
        alarms = [f for k, _, _, f in world.storage.alarms if k == key]
        assert [(ALARMS[f["code"]], f["raised"]) for f in alarms] == [("over_voltage", 1), ("over_voltage", 0)]
        raised_s, cleared_s = (f["time"] - world.clock.start_utc for f in alarms)
        assert 13 * HOUR <= raised_s <= 13 * HOUR + 60 and 13 * HOUR + 180 <= cleared_s <= 13 * HOUR + 600
    for body in world.bodies.values():
        events, intervals = world.exactly_once(body.name)
        assert events == list(range(len(events))) and intervals == list(range(68))
    assert [state for _, state in world.states("ev-1", command.id)] == ["received", "scheduled", "started", "completed"]
    assert world.moves("ev-1")[0] == (begin_s, 0)
    assert end_s <= world.moves("ev-1")[1][0] <= end_s + 60


def test_what_the_flash_could_not_take_is_told_and_the_load_does_not_notice():
    day = [{**CAR, "count": 1}, ("heat_pump", 1)]
    twin = Lab(build(day))
    world = Lab(build(day))
    for one in (twin, world):
        one.run_until(6 * HOUR)
    for device in world.devices.values():
        device.fs.capacity = sum(map(len, device.fs.files.values()))
    twin.run_until(22 * HOUR)
    world.run_until(18 * HOUR)
    for device in world.devices.values():
        device.fs.capacity = None
    world.run_until(22 * HOUR)
    assert world.edges == twin.edges  # control went on as if nothing were
    for name in ("ev-1", "heat_pump-1"):
        key = world.row(name).key
        faults = [(ALARMS[f["code"]], f["raised"]) for k, _, _, f in world.storage.alarms if k == key]
        assert faults == [("store_fault", 1), ("store_fault", 0)] * (len(faults) // 2) and faults
        events, intervals = world.exactly_once(name)
        assert events == list(range(len(events))) and intervals == list(range(88))


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [True, False], ids=["power cut", "watchdog"])
def test_a_reboot_in_a_command_neither_ends_it_nor_runs_it_twice(power, each_link):
    world = charging(days=2, reboots=[
        {"device": "ev-1", "at": "21:30", "power": power, "off_s": 40 if power else 0},
        {"device": "ev-1", "at": "21:50", "power": not power},
        {"device": "ev-1", "at": "22:59", "power": power, "off_s": 10},
    ])
    command = world.command("ev-1", "off", duration=2 * HOUR)
    late_s = spread(world, "ev-1", world.core.epoch.to_bytes(4, "big") + command.id.to_bytes(4, "big") + b"\0e")
    world.run_until(EVENING + 3 * HOUR)
    assert world.moves("ev-1") == [(EVENING, 0), (EVENING + 2 * HOUR + late_s, 1)]
    states = [state for _, state in world.states("ev-1", command.id)]
    assert states.count("completed") == 1 and states[-1] == "completed"
    assert set(states) <= {"received", "started", "partly", "waiting", "completed"}
    assert world.device("ev-1").boots == 4


def test_a_command_that_ended_while_the_device_was_off_does_not_run(each_link):
    world = charging(days=2)
    device = world.device("ev-1")
    device.reboot(HOUR)
    world.run_until(EVENING + 60)
    command = world.command("ev-1", "off", duration=600)  # waits in the session, or (CoAP) gets nowhere
    world.run_until(EVENING + 2 * HOUR)
    back_s = EVENING + HOUR + spread(world, "ev-1", (2).to_bytes(4, "big") + b"b")
    assert world.moves("ev-1") == [(EVENING, 0), (back_s, 1)]  # the cut itself, and the return of power
    assert {state for _, state in world.states("ev-1", command.id)} == ({"expired"} if each_link == "mqtt" else set())
    assert world.row("ev-1").ledger.commands.get(command.id) is None


@pytest.mark.parametrize("seed", range(4))
def test_doubled_and_overtaken_revisions_leave_the_latest(seed, each_link):
    link = {"duplication": 0.5, "reordering": 0.5, "delay_ms": [0, 2000], "from_s": "20:00"}
    world = charging(days=2, seed=seed, link=link)
    command = world.command("ev-1", "off", duration=4 * HOUR)
    rng = random.Random(seed)
    row = world.row("ev-1")
    for _ in range(20):
        world.run_until(world.now_s + 1 + int(20 * rng.random()))
        if command in row.ledger.commands.values():
            end = world.utc + 600 + int(1800 * rng.random())
            row.ledger.revise(world.utc, command, duration=end - command.begin)
            world.core._want_resend(world.utc, row)
            world._wake_emd()
    end_s = command.end - world.clock.start_utc
    world.run_until(end_s + 600)
    assert world.network.totals["duplicated"] > 20 and world.network.totals["reordered"] > 20
    off, on = world.moves("ev-1")
    assert off == (off[0], 0) and off[0] <= EVENING + 30
    late_s = 30 if each_link == "coap" else 0  # by how much a heartbeat that is held back sets a clock back
    assert on[1] == 1 and end_s <= on[0] <= end_s + 60 + late_s
    last = [state for _, state in world.states("ev-1", command.id, command.revision)]
    assert last.count("completed") == 1 and last[-1] == "completed"
    for revision in range(command.revision):  # older ones were displaced, or came too late
        assert "completed" not in [state for _, state in world.states("ev-1", command.id, revision)]
    events, _ = world.exactly_once("ev-1")
    assert events == list(range(len(events)))


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-5, -1, 1, 5])
def test_a_clock_that_jumps_by_hours_is_mended_and_moves_no_load(hours, each_link):
    world = charging(days=2)
    command = world.command("ev-1", "off", duration=2 * HOUR)
    world.run_until(EVENING + 1800)
    device = world.device("ev-1")
    clock, now_s = device.app.clock, world.now_s - device._boot_s
    right = clock.utc(now_s)
    device.app.agent.set_time(now_s, right + hours * HOUR, 4)
    device.nudge()
    world.run_until(world.now_s + 300)
    assert clock.utc(now_s) in (right - 1, right, right + 1)
    assert world.mode("ev-1") == "controlled"
    world.run_until(EVENING + 2 * HOUR + 120)
    off, on = world.moves("ev-1")
    assert off == (EVENING, 0) and on[1] == 1
    assert EVENING + 2 * HOUR <= on[0] <= EVENING + 2 * HOUR + 60  # a running command ends on the monotonic clock
    assert [s for _, s in world.states("ev-1", command.id)][-1] == "completed"


# --- strangers ------------------------------------------------------------------------------------------------------


def test_a_second_emd_is_answered_and_obeyed_in_nothing(each_link):
    world = charging(days=2)
    port, epoch = world.device("ev-1").port, world.core.epoch
    answers = []
    for other in (epoch - 100, epoch + 100):
        for name, values in (
            ("heartbeat", {"epoch": other, "time": world.utc, "digest": 0, "clock": 4}),
            ("command", {
                "epoch": other, "id": 1, "revision": 9, "priority": 15, "kind": 1, "issued": world.utc, "delay": 0,
                "duration": 3600,
            }),
            ("registered", {
                "reason": 0, "boot": 1, "epoch": other, "time": world.utc, "association": 99, "lease": 3600,
                "version": 1, "heartbeat": 10, "heartbeat_timeout": 20, "failsafe_limit": 0,
            }),
        ):
            begun = len(world.said)
            port.toward(CODES["cmd"], codec.encode(name, values), 1)
            world.run_until(world.now_s + 30)
            answers += [m["reason"] for _, m in world.messages("ev-1", "answer")[len(answers):]]
            assert len(world.said) > begun
    world.run_until(EVENING + 2 * HOUR)
    assert not world.edges and world.mode("ev-1") == "controlled"
    assert world.device("ev-1").app.agent.plan.epoch == epoch
    assert answers and ABSENT not in answers and 0 not in answers


def test_a_hostile_device_changes_nothing_but_its_own_row():
    fleet = [{**CAR, "count": 2}, ("heat_pump", 1)]
    worlds = [Lab(build(fleet)), Lab(build(fleet))]
    hostile = worlds[1]
    name, rng = "02deadbeef000001", random.Random(1)
    hostile.network.taps.remove(hostile._check)
    hostile.watchers.clear()
    port = hostile.network.attach(name, lambda *_: None)
    port.connect()
    victim = hostile.scenario.devices[0].eui
    good = [
        codec.encode("register", {
            "eui64": bytes.fromhex(victim), "boot": 99, "reset": 1, "profile": 1, "versions": 1, "firmware": "x",
            "power_max": 1, "power_min": 0, "standby": 0, "methods": 1, "saving": 1, "services": 1,
        }),
        codec.encode("telemetry", {"seq": 1, "time": hostile.utc, "power": 1_000_000, "clock": 4, "decider": 1}),
        codec.encode("status", {"seq": 5, "id": 1, "revision": 0, "state": 3, "reason": 0}),
    ]

    def attack():
        for _ in range(20):
            body = bytearray(rng.choice(good))
            for _ in range(rng.randrange(4)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            body = bytes(body[: rng.randrange(len(body) + 1)]) if rng.random() < 0.3 else bytes(body)
            port.send(rng.choice([CODES["register"], CODES["status"], CODES["telemetry"]]), body, len(body))
        hostile.clock.call_in_ms(60_000, attack)

    hostile.clock.call_at(HOUR, attack)
    for world in worlds:
        world.run_until(20 * HOUR)
    rows = [{eui: row.snapshot() for eui, row in world.core.devices.items()} for world in worlds]
    bad = rows[1].pop(name)
    assert bad["hostile"] > 1000
    assert rows[0] == rows[1]
    results = [world.finish() for world in worlds]
    assert results[0].energy_j == results[1].energy_j


# --- everything at once ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(  # seeds 5 and 19 found something
    "each_link, seed, count", [("mqtt", 1, 1), ("mqtt", 5, 3), ("mqtt", 19, 3), ("coap", 1, 1)], indirect=["each_link"]
)
def test_a_storm_leaves_order_behind_it(each_link, seed, count):
    """A day of loss, doubles, disorder, disconnects, a forgetful broker and reboots; then three hours of calm."""
    world = Lab(
        build(
            [{**CAR, "count": count}, ("heat_pump", count), ("washing_machine", count)], seed=seed, reboots_per_day=10,
            limits=[{"site": "home", "start": "17:00", "end": "19:00", "limit_w": 6000}], base_loads=[{}],
            link={
                "loss": 0.25, "loss_for_good": 0.02, "duplication": 0.15, "reordering": 0.15, "delay_ms": [10, 5000],
                "disconnects_per_day": 30, "until_s": "21:00",
                "windows": [
                    {"at": "06:00", "duration_s": 30, "forget": True}, {"at": "09:00", "duration_s": 3 * HOUR},
                    {"at": "15:00", "duration_s": 1200, "device": "emd"},
                ],
            },
        )
    )
    world.run_until(21 * HOUR)
    world._reboot = lambda *_: None  # from here on none comes any more
    world.run_until(DAY)
    assert sum(device.boots for device in world.devices.values()) > 20 * count
    for body in world.bodies.values():
        row = world.row(body.name)
        assert row.registered and world.mode(body.name) == "controlled", body.name
        events, intervals = world.exactly_once(body.name)
        missing = set(range(events[-1] + 1)) - set(events)
        assert len(set(events)) == len(events) and not missing, (body.name, sorted(missing))
        assert len(set(intervals)) == len(intervals) and intervals[-1] + 1 == len(intervals), body.name
        for command in row.ledger.commands.values():
            assert command.end > world.utc - 2 * HOUR, (body.name, command.purpose, STATES.get(command.state))


def test_a_device_that_is_off_for_hours_with_a_hole_in_its_reports_fills_it_when_it_is_back(each_link):
    world = charging(days=2)
    world.network.taps.remove(world._check)
    port, lost = world.device("ev-1").port, []
    send = port.send

    def lossy(channel, buf, n):
        message = codec.decode(bytes(buf[:n]))
        if message.name == "status" and message.values["state"] == 1 and not lost:
            lost.append(message.values["seq"])
            return True  # the broker took it, and forgot
        return send(channel, buf, n)

    world.device("ev-1").app.ways[0].carry = lossy
    world.command("ev-1", "off", duration=60)
    world.run_until(EVENING + 1)
    world.device("ev-1").reboot(5 * HOUR)
    world.run_until(EVENING + 4 * HOUR)
    assert lost[0] not in world.exactly_once("ev-1")[0] and max(world.exactly_once("ev-1")[0]) > lost[0]
    world.run_until(EVENING + 6 * HOUR)
    events, _ = world.exactly_once("ev-1")
    assert events == list(range(len(events))) and lost[0] in events


def test_an_emd_that_was_away_has_all_reports_within_two_minutes(each_link):
    windows = [{"at": "10:00", "duration_s": 3 * HOUR, "device": "emd"}]
    world = Lab(build([CAR, ("heat_pump", 1)], link={"windows": windows}))
    world.network.queue = 0  # and no broker kept anything for it
    world.run_until(13 * HOUR - 1)
    assert len(world.exactly_once("ev-1")[1]) == 39
    world.run_until(13 * HOUR + 120)
    for name in ("ev-1", "heat_pump-1"):
        events, intervals = world.exactly_once(name)
        assert events == list(range(len(events))) and intervals == list(range(52))
