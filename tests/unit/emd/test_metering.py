"""What the EMD makes of meters: local days, registers, alarms, reads with proof, forecasts, log, calibration."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import cbor2
import pytest

from spot_host.emd.alarms import in_words
from spot_host.emd.days import day_summary
from spot_host.emd.local_time import day_bounds, next_change, told, zone_of
from spot_host.emd.sqlite import SqliteStorage
from spot_host.profile import definition as d
from tests.unit.emd.helpers import NOON, PLUG, Bench, of, plug_values, pump_values
from tests.unit.emd.test_with_agent import Home

BERLIN = ZoneInfo("Europe/Berlin")
SUMMER, WINTER = 1774746000, 1792890000  # when the clocks of Berlin are changed in 2026, at 01:00 UTC
ALARM = {name: code for code, name, _ in d.enum("Alarm").rows}


def berlin(*when):
    return int(datetime(*when, tzinfo=BERLIN).timestamp())


# --- the home's time zone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone, now, values",
    [
        ("Europe/Berlin", (2026, 1, 10), {"zone": 60, "zone_change": SUMMER, "zone_next": 120}),
        ("Europe/Berlin", (2026, 7, 1), {"zone": 120, "zone_change": WINTER, "zone_next": 60}),
        ("Asia/Kolkata", (2026, 1, 10), {"zone": 330}),
        ("America/St_Johns", (2026, 1, 10), {"zone": -210, "zone_change": None, "zone_next": -150}),
        ("UTC", (2026, 1, 10), {"zone": 0}),
        ("", (2026, 1, 10), {}),
    ],
)
def test_what_a_device_is_told_of_the_zone(zone, now, values):
    got = told(zone_of(zone), berlin(*now))
    change = values.get("zone_change")
    if change:
        assert got["zone_change"] == change
    elif "zone_change" in values:
        values = {**values, "zone_change": got["zone_change"]}
    assert got == values


def test_a_zone_that_is_none_is_named():
    with pytest.raises(ValueError, match="Berln"):
        zone_of("Europe/Berln")


def test_a_change_is_found_to_the_second():
    assert next_change(BERLIN, SUMMER - 1) == SUMMER
    assert next_change(BERLIN, SUMMER) == WINTER


def test_registered_carries_the_zone_and_again_when_the_clocks_are_changed():
    bench = Bench(time_zone="Europe/Berlin")
    bench.now = berlin(2026, 3, 29, 1, 59)
    sent = bench.register(plug_values())
    (first,) = of(sent, "registered")
    assert (first["zone"], first["zone_change"], first["zone_next"]) == (60, SUMMER, 120)
    assert not of(bench.beat(), "registered")
    bench.now += 120
    (again,) = of(bench.beat(), "registered")
    assert (again["zone"], again["zone_change"], again["zone_next"]) == (120, WINTER, 60)
    assert again["boot"] == 1
    bench.now += 60
    assert not of(bench.beat(), "registered")


def test_without_a_zone_nothing_is_said_of_it():
    (values,) = of(Bench().register(plug_values()), "registered")
    assert "zone" not in values


# --- local days -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day, quarters", [
    (date(2026, 3, 28), 96), (date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 12, 24), 96)])
def test_a_day_has_92_96_or_100_quarter_hours(day, quarters):
    begin, end = day_bounds(BERLIN, day)
    rows = [(at, 15, 10, None, 0) for at in range(begin, end, 900)]
    summary = day_summary(BERLIN, day, rows)
    assert (summary["expected"], summary["intervals"], summary["missing"]) == (quarters, quarters, [])
    assert summary["import_wh"] == 10 * quarters
    del rows[7]
    rows[3] = (rows[3][0], 15, 10, 5, 0b11)
    summary = day_summary(BERLIN, day, rows)
    assert summary["missing"] == [(begin + 7 * 900, begin + 8 * 900)]
    assert summary["flagged"] == {"estimated": 1, "gap": 1} and summary["export_wh"] == 5


def test_time_that_two_readings_cover_is_counted():
    begin, end = day_bounds(BERLIN, date(2026, 1, 10))
    rows = [(at, 15, 10, None, 0) for at in range(begin, end, 900)] + [(begin, 15, 3, None, 4)]
    summary = day_summary(BERLIN, date(2026, 1, 10), rows)
    assert (summary["twice_s"], summary["covered_s"], summary["missing"]) == (900, 86400, [])


class Daylight(Home):
    """A home whose device counts energy, around a change of the clocks."""

    def __init__(self, begin, **config):
        self.begin = begin
        super().__init__(time_zone="Europe/Berlin", **config)

    def boot(self, number, boot, fs=None):
        if boot == 1:
            self.now = self.begin
            self.core.step(self.now)
        return super().boot(number, boot, fs)


@pytest.mark.parametrize("day, quarters", [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_a_device_on_the_day_of_the_change_and_the_one_after(day, quarters):
    begin, end = day_bounds(BERLIN, day)
    home = Daylight(begin - 1800)
    home.run(end + 86400 + 1800 - home.now)
    rows = [row for row in home.storage.intervals.values() if begin <= row[0] < end]
    summary = day_summary(BERLIN, day, rows)
    assert (summary["expected"], summary["intervals"], summary["missing"]) == (quarters, quarters, [])
    assert [f["time"] for _, _, _, f in home.storage.registers] == [begin, end, end + 86400]
    assert home.row().zone_until and home.row().zone_until > end


# --- registers, alarms, reads -----------------------------------------------------------------------------------------


def test_registers_are_kept_once_by_number():
    bench = Bench()
    bench.register(plug_values())
    fields = {"time": NOON, "energy_import": 1234, "peak": 2300, "peak_time": NOON - 60, "switches": 9, "starts": 4}
    bench.event("registers", **fields)
    bench.up("registers", seq=0, **fields)  # again: the acknowledgement was lost
    assert [f for *_, f in bench.storage.registers] == [{"seq": 0, **fields}]
    assert of(bench.run(5), "ack")[-1]["events_upto"] == 0


def test_registers_of_a_device_that_is_not_known_are_not_taken():
    bench = Bench()
    bench.core.receive(NOON, PLUG, "interval", cbor2.dumps([30, 0, NOON, 5]))
    assert bench.storage.registers == []


def test_what_is_kept_survives(tmp_path):
    storage = SqliteStorage(tmp_path / "emd.sqlite")
    bench = Bench(storage)
    bench.register(plug_values())
    bench.event("registers", time=NOON, energy_import=1234)
    bench.event("alarm", time=NOON, code=ALARM["outage"], raised=1, value=1)
    bench.core.close(bench.now)
    storage.close()
    again = SqliteStorage(tmp_path / "emd.sqlite")
    assert again.connection.execute("SELECT count(*) FROM registers").fetchone() == (1,)
    row = Bench(again).core.devices[PLUG]
    assert row.events.upto == 1 and list(row.alarms) == [ALARM["outage"]]


def test_outage_is_raised_until_the_restore():
    bench = Bench()
    bench.register(plug_values())
    row = bench.core.devices[PLUG]
    bench.event("alarm", time=NOON, code=ALARM["outage"], raised=1, value=1)
    assert list(row.alarms) == [ALARM["outage"]]
    bench.event("alarm", time=NOON + 60, code=ALARM["restore"], raised=1, value=60)
    assert not row.alarms


def test_a_start_ends_alarms_but_not_an_outage():
    """What was wrong before it and is no more, nobody would ever clear; what still is, is raised anew."""
    bench = Bench()
    bench.register(plug_values())
    row = bench.core.devices[PLUG]
    bench.event("alarm", time=NOON, code=ALARM["sensor_fault"], raised=1, value=2)
    bench.event("alarm", time=NOON, code=ALARM["outage"], raised=1, value=1)
    bench.register(plug_values())  # the same start again
    assert sorted(row.alarms) == [ALARM["outage"], ALARM["sensor_fault"]]
    bench.register({**plug_values(), "boot": plug_values()["boot"] + 1})
    assert list(row.alarms) == [ALARM["outage"]]
    bench.event("alarm", time=NOON + 60, code=ALARM["sensor_fault"], raised=1, value=2)
    assert sorted(row.alarms) == [ALARM["outage"], ALARM["sensor_fault"]]


def test_a_late_gasp_raises_nothing_again():
    bench = Bench()
    bench.register(plug_values())
    bench.up("alarm", seq=1, time=NOON + 60, code=ALARM["restore"], raised=1, value=60)
    bench.up("alarm", seq=0, time=NOON, code=ALARM["outage"], raised=1, value=1)
    assert not bench.core.devices[PLUG].alarms
    assert len(bench.storage.alarms) == 2


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"code": "restore", "raised": 1, "value": 3725}, "mains back after 3,725 s (1 h 2 min 5 s)"),
        ({"code": "restore", "raised": 1}, "mains back"),
        ({"code": "outage", "raised": 1, "value": 7}, "mains lost (last gasp)"),
        ({"code": "over_current", "raised": 1, "value": 18200, "limit": 16000},
         "over current raised: 18.200 A, limit 16.000 A"),
        ({"code": "over_voltage", "raised": 0, "value": 24000}, "over voltage cleared: 240.00 V"),
        ({"code": "sensor_fault", "raised": 1, "value": 2}, "sensor fault raised: power (2)"),
        ({"code": "wear", "raised": 1, "value": 25, "limit": 900}, "wear raised: relay_wear (25), 900 left"),
        ({"code": "store_fault", "raised": 0, "value": 4, "limit": 17}, "4 events from number 17 on are lost"),
        ({"code": "safe_mode", "raised": 1, "value": 3}, "safe mode raised: 3"),
        ({"code": "shedding", "raised": 1, "value": 49790}, "shedding raised: 49.790 Hz"),
    ],
)
def test_an_alarm_in_words(fields, words):
    assert in_words({**fields, "code": ALARM[fields["code"]]}) == words


def test_every_alarm_has_words():
    for code in ALARM.values():
        assert in_words({"code": code, "raised": 1, "value": 5})


def test_a_read_says_that_it_was_delivered():
    bench = Bench()
    bench.register(plug_values())
    ask = bench.core.read(bench.now, PLUG, [2, 5, 200])
    (question,) = of(bench.run(0), "read")
    assert ask.result is None
    bench.event("read_response", id=question["id"], time=NOON, clock=4, values=[2, 2300, 5, 1234])
    assert ask.result == {"reason": 0, "time": NOON, "values": {2: 2300, 5: 1234}, "event": 0, "clock": 4}
    assert [f["seq"] for *_, f in bench.storage.reads] == [0]


def test_a_forecast_is_kept(tmp_path):
    storage = SqliteStorage(tmp_path / "emd.sqlite")
    bench = Bench(storage)
    bench.register(pump_values())
    eui = pump_values()["eui64"].hex()
    bench.up("forecast", eui, revision=1, start=NOON, interval_min=60, scale=1, series=[100, 0, 50])
    expected = {"revision": 1, "start": NOON, "interval_min": 60, "at": NOON, "power_w": [1000, 0, 500]}
    assert bench.core.devices[eui].forecast == expected
    bench.core.close(bench.now)
    storage.close()
    assert Bench(SqliteStorage(tmp_path / "emd.sqlite")).core.devices[eui].forecast == expected


def test_log_lines_answer_the_question_that_was_asked():
    bench = Bench()
    bench.register(plug_values())
    ask = bench.core.read_log(bench.now, PLUG, 0, 5)
    (question,) = of(bench.run(0), "read_log")
    assert (question["record"], question["first"], question["issued"]) == (0, 5, NOON)
    lines = {"boot": 1, "first": 5, "next": 6, "text": "7 w alarm 3 1\n"}
    bench.up("log", id=question["id"], record=1, **lines)  # of the other record: no answer to this
    bench.up("log", id=question["id"] + 9, record=0, **lines)
    assert ask.result is None
    bench.up("log", id=question["id"], record=0, **lines)
    assert ask.result == {"reason": 0, **lines}


def test_a_calibration_is_asked_again_until_it_is_answered():
    bench = Bench()
    bench.register(plug_values())
    ask = bench.core.calibrate(bench.now, PLUG, 30, {"voltage": 23010, "power": 20015})
    sent = of(bench.run(60), "calibrate")
    assert len(sent) > 2 and sent[0] == sent[-1]
    assert (sent[0]["seconds"], sent[0]["voltage"], sent[0]["power"]) == (30, 23010, 20015)
    bench.up("answer", about=29, reason=0, ref=sent[0]["id"])
    assert ask.result == {"reason": 0}


def test_two_halves_read_log_and_calibrate():
    home = Home()
    home.run(60)
    eui = f"{1:016x}"
    agent = home.agent()
    agent.log.warn("bench.line", 7)  # noqa: PLE1205
    ask = home.core.read_log(home.now, eui, 0, 0)
    home.run(10)
    assert ask.result["boot"] == 1 and ask.result["next"] > 0 and ask.result["text"].endswith("\n")
    ask = home.core.calibrate(home.now, eui, 10, {"voltage": 23010})
    home.run(20)
    device = agent.bench[1]
    assert ask.result is None and len(device.calibrations) == 1
    device.on_calibrated(home.now - agent.bench[2], ask.id, 0)
    home.run(5)
    assert ask.result == {"reason": 0} and len(device.calibrations) == 1
