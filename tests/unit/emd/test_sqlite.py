"""The registry on disk: a restart knows everything, and what was promised before a kill -9 is there."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from spot_host.emd import sqlite
from spot_host.emd.config import LimitEvent
from spot_host.emd.sqlite import SqliteStorage
from spot_host.emd.tariff import PriceSeries
from spot_host.errors import UserError
from spot_host.profile import codec
from tests.unit.emd.helpers import KIND, NOON, PLUG, STATE, WINTER, Bench, of, plug_values, pump_values

ROOT = Path(__file__).resolve().parents[3]


def lived(path):
    """A bench with some history on disk."""
    bench = Bench(SqliteStorage(path, full_sync=False))
    (command,) = of(bench.register(plug_values()), "command")
    bench.status(command, "started")
    bench.register(pump_values())
    bench.telemetry(1500, energy_import=100)
    bench.up("interval", seq=0, start=NOON, length=15, scale=0, import_series=[1, 2, 3])
    bench.event("alarm", time=NOON, code=6, raised=1)
    bench.core.set_prices(NOON, PriceSeries(NOON - 12 * 3600, 3600, WINTER))
    bench.core.add_event(NOON, LimitEvent("evening", NOON + 3600, NOON + 7200, 4200))
    bench.core.command(bench.now, PLUG, "limit", value=700, duration=7200)
    bench.run(30)
    return bench


def test_a_restart_knows_everything(tmp_path):
    path = tmp_path / "emd.sqlite"
    bench = lived(path)
    before = {eui: row.record() for eui, row in bench.core.devices.items()}
    live = {c.id: c.record() for c in bench.core.devices[PLUG].ledger.commands.values()}
    bench.storage.close()
    again = Bench(SqliteStorage(path, full_sync=False))
    core = again.core
    assert core.epoch == bench.core.epoch
    after = {eui: row.record() for eui, row in core.devices.items()}
    for record in (*before.values(), *after.values()):
        record["state"].pop("mode")  # the device says it with its next heartbeat
        record["state"].pop("decider"), record["state"].pop("switch")
    assert after == before
    for id_, record in live.items():
        assert core.devices[PLUG].ledger.commands[id_].record() | {"next_send": 0, "tries": 0} == record | {
            "next_send": 0,
            "tries": 0,
        }
    assert core.tariff.price(NOON) == WINTER[12]
    assert list(core.limits) == ["evening"]
    sent = again.run(0)
    assert [c["value"] for c in of(sent, "command", PLUG) if c["kind"] == KIND["limit"]] == [700], "pending ones go on"
    again.now += 60
    fresh = core.command(again.now, PLUG, "off", duration=60)
    assert fresh.id > max(live)


def test_what_it_all_came_to_goes_on_after_a_restart(tmp_path):
    path = tmp_path / "emd.sqlite"
    bench = lived(path)
    (limit,) = bench.core.devices[PLUG].ledger.live_for("operator")
    bench.status({"id": limit.id, "revision": 0}, "completed", energy=3, energy_without=9)
    bench.telemetry(2100)
    bench.run(1000)
    bench.telemetry(0)
    bench.run(2)  # the commit, and then kill -9
    before = bench.core.report(bench.now)
    assert before["commands"] == {"completed": 1} and before["peak_w"] == 2100 and before["peak_15min_w"] > 1000
    again = Bench(SqliteStorage(path, full_sync=False))
    again.now = bench.now
    again.core.step(again.now)
    after = again.core.report(again.now)
    for name in ("commands", "peak_w", "peak_at", "peak_15min_w"):
        assert after[name] == before[name], name
    again.telemetry(1700)
    assert again.core.report(again.now)["peak_w"] == 2100, "a lower peak is none"
    assert again.core.devices[PLUG].alarms


def test_rows_are_there_once_each(tmp_path):
    path = tmp_path / "emd.sqlite"
    bench = lived(path)
    bench.storage.close()
    again = Bench(SqliteStorage(path, full_sync=False))
    again.up("interval", seq=0, start=NOON, length=15, scale=0, import_series=[1, 2, 3, 4])
    again.up("alarm", seq=1, time=NOON, code=6, raised=1)
    again.run(5)
    again.storage.close()
    base = sqlite3.connect(path)
    assert base.execute("SELECT seq, import_wh FROM interval ORDER BY seq").fetchall() == [
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
    ]
    assert base.execute("SELECT count(*) FROM alarm").fetchone() == (1,)
    assert base.execute("SELECT power, energy_import FROM telemetry").fetchall() == [(1500, 100)]
    assert base.execute("SELECT count(*) FROM status").fetchone() == (1,)


def test_nothing_is_sent_before_it_is_committed(tmp_path):
    """A second connection sees what a message promises at the moment it goes out."""
    path = tmp_path / "emd.sqlite"
    storage = SqliteStorage(path, full_sync=False)
    bench = Bench(storage)
    other = sqlite3.connect(path)
    seen = []

    def send(device, channel, body):
        kind = body[1]
        if kind == 6:
            seen.append(("command", other.execute("SELECT count(*) FROM command").fetchone()[0]))
        elif kind == 12:
            seen.append(("ack", other.execute("SELECT count(*) FROM alarm").fetchone()[0]))
        elif kind == 4:
            seen.append(("registered", other.execute("SELECT count(*) FROM device").fetchone()[0]))

    bench.out.send = send
    bench.register(plug_values())
    bench.event("alarm", time=NOON, code=6, raised=1)
    bench.run(5)
    assert dict(seen) == {"registered": 1, "command": 1, "ack": 1}


def test_a_commit_that_fails_loses_nothing(tmp_path):
    storage = SqliteStorage(tmp_path / "emd.sqlite", full_sync=False)
    storage.add_log(1, None, "a", "b")
    storage.add_interval(1, 0, 0, NOON, 15, 1.0, None, object())  # cannot be stored
    with pytest.raises(sqlite3.Error):
        storage.commit()
    storage._intervals.clear()
    storage.commit()
    assert storage.connection.execute("SELECT event FROM log").fetchall() == [("a",)]


def test_what_is_no_database_is_said(tmp_path):
    path = tmp_path / "emd.sqlite"
    path.write_bytes(b"this is a text and no database at all, long enough to be looked at" * 20)
    with pytest.raises(UserError, match="not a usable EMD database"):
        SqliteStorage(path)
    other = tmp_path / "other.sqlite"
    sqlite3.connect(other).execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="version"):
        SqliteStorage(other)
    with pytest.raises(UserError, match="not a usable|version"):
        sqlite.connect(tmp_path / "absent", read_only=True)


CHILD = """
import sys
from spot_host.emd.sqlite import SqliteStorage
from spot_host.profile import codec
from tests.unit.emd.helpers import Bench, plug_values, PLUG, NOON

bench = Bench(SqliteStorage(sys.argv[1]))
bench.now = bench.core.devices[PLUG].heard_at + 10 if PLUG in bench.core.devices else NOON


def send(device, channel, body):
    m = codec.decode(body)
    if m.name == "command":
        print("command", m["id"], m["revision"], flush=True)
    elif m.name == "ack":
        print("ack", m.get("events_upto", -1), m.get("intervals_upto", -1), flush=True)
    elif m.name == "registered":
        print("epoch", m["epoch"], 0, flush=True)


bench.out.send = send
bench.up("register", **plug_values())
row = bench.core.devices[PLUG]
events = row.events.upto + 1 if row.events.upto is not None else 0
intervals = row.intervals.upto + 1 if row.intervals.upto is not None else 0
while True:
    bench.up("alarm", seq=events, time=bench.now, code=6, raised=events & 1)
    bench.up("interval", seq=intervals, start=bench.now, length=15, scale=0, import_series=[intervals & 255])
    events, intervals = events + 1, intervals + 1
    if events % 7 == 0:
        bench.core.command(bench.now, PLUG, "limit", value=events % 1000, duration=60)
    bench.run(1)
"""


def test_kill_9_at_any_moment(tmp_path):
    path, folders = tmp_path / "emd.sqlite", [ROOT, ROOT / "firmware", ROOT / "host_tools"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    epochs, commands = set(), {}
    for round_ in range(4):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, env=env)
        lines = [child.stdout.readline() for _ in range(30 + 23 * round_)]  # promises made; then it dies in mid-work
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines()
        child.wait()
        said = [line.split() for line in lines if len(line.split()) == 3]
        epochs.update(int(word[1]) for word in said if word[0] == "epoch")
        acks = [(int(word[1]), int(word[2])) for word in said if word[0] == "ack"]
        base = sqlite3.connect(path)
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        alarms = {seq for (seq,) in base.execute("SELECT seq FROM alarm")}
        intervals = {seq for (seq,) in base.execute("SELECT seq FROM interval")}
        assert acks
        assert alarms.issuperset(range(max(a for a, _ in acks) + 1))
        assert intervals.issuperset(range(max(i for _, i in acks) + 1))
        ledger = {
            id_: (revision, json.loads(record))
            for id_, revision, record in base.execute("SELECT id, revision, record FROM command")
        }
        for word in said:
            if word[0] == "command":
                id_, revision = int(word[1]), int(word[2])
                assert ledger[id_][0] >= revision
                value = ledger[id_][1]["value"]
                assert commands.setdefault(id_, value) == value, "an id means one thing for ever"
        base.close()
    assert len(epochs) == 1
    assert STATE["received"] == 1


def test_a_limit_goes_on_after_a_restart_without_a_new_command(tmp_path):
    path = tmp_path / "emd.sqlite"
    bench = Bench(SqliteStorage(path, full_sync=False))
    bench.register(pump_values())
    bench.telemetry(1500, "0200000000000002")
    bench.core.add_event(NOON, LimitEvent("e", NOON, NOON + 7200, 1000))
    first = [c for c in of(bench.run(0), "command") if c["kind"] == KIND["limit"]]
    bench.storage.commit()
    bench.core.close(bench.now)
    bench.storage.close()
    again = Bench(SqliteStorage(path, full_sync=False))
    sent = [c for c in of(again.run(5), "command") if c["kind"] == KIND["limit"]]
    assert {c["id"] for c in sent} == {first[0]["id"]}
    assert len(again.core.devices["0200000000000002"].ledger.live_for("limit:")) == 1


def test_a_full_disk_promises_nothing_and_keeps_what_counts(tmp_path):
    path = tmp_path / "emd.sqlite"
    storage = SqliteStorage(path, full_sync=False)
    bench = Bench(storage)
    bench.register(plug_values())
    storage.connection.execute(
        f"PRAGMA max_page_count = {storage.connection.execute('PRAGMA page_count').fetchone()[0]}"
    )
    bench.now += 10
    for n in range(400):
        bench.core.receive(bench.now, PLUG, "alarm", alarm(n))
    with pytest.raises(sqlite3.Error, match="full"):
        bench.run(60)
    assert not of([(d, codec.decode(b)) for d, _, b in bench.out.take()], "ack")
    storage.connection.execute("PRAGMA max_page_count = 100000")
    assert of(bench.run(60), "ack")[-1]["events_upto"] == 399
    assert storage.connection.execute("SELECT count(*) FROM alarm").fetchone() == (400,)


def alarm(seq):
    return codec.encode("alarm", {"seq": seq, "time": NOON, "code": 6, "raised": 1})


def test_old_telemetry_goes_and_what_is_guaranteed_stays(tmp_path):
    bench = lived(tmp_path / "emd.sqlite")
    bench.storage.prune(NOON + 86400)
    count = bench.storage.connection.execute
    assert count("SELECT count(*) FROM telemetry").fetchone() == (0,)
    assert count("SELECT count(*) FROM interval").fetchone() == (3,)
    assert count("SELECT count(*) FROM alarm").fetchone() == (1,)
    assert count("SELECT count(*) FROM command").fetchone()[0] >= 2
