"""`spot emd` over a real broker with mutual TLS: what a person does, what a broker may do, and kill -9."""

import contextlib
import json
import sqlite3
import time

import pytest

from tests.unix.emd.conftest import DEVICES, eventually
from tests.unix.emd.device import KIND, PahoDevice

PLUG, PUMP = DEVICES


@pytest.fixture
def plug(broker):
    device = PahoDevice(broker, PLUG, clean=True)
    yield device
    device.close()


def ready(emd):
    """The EMD listens at the broker."""
    if not emd.db.exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(emd.db, timeout=10)) as base:
            row = base.execute("SELECT value FROM setting WHERE name = 'alive'").fetchone()
    except sqlite3.OperationalError:  # just being made
        return False
    return row is not None and json.loads(row[0])["broker"] and json.loads(row[0])["pid"] == emd.process.pid


def registered(emd, plug):
    """The EMD runs and the plug has registered; its `registered`."""
    emd.start()
    eventually(lambda: ready(emd), what="the EMD at the broker")
    plug.register()
    eventually(lambda: plug.of("registered"), what="registration")
    eventually(lambda: plug.of("command"), what="the first unlimited")
    return plug.of("registered")[-1]


def test_what_a_person_does(emd, plug):
    answer = registered(emd, plug)
    assert answer["heartbeat"] == 5
    plug.send("telemetry", seq=0, time=int(time.time()), power=1500, energy_import=10)
    (device,) = eventually(lambda: [r for r in emd.json("devices") if r["state"]["power_w"] == 1500], what="telemetry")
    assert device["eui"] == PLUG and device["registered"]
    assert PLUG in emd.cli("devices")

    result = emd.json("command", PLUG[-4:], "limit", "800", "--minutes", "10")
    assert (result["state"], result["power_w"], result["duration_s"]) == ("started", 123, 600)
    limit = [c for c in plug.of("command") if c["kind"] == KIND["limit"]][-1]
    assert (limit["value"], limit["id"]) == (800, result["id"])
    assert "123 W" in emd.cli("command", PLUG, "off", "-m", "1")
    emd.cli("command", PLUG, "revoke", str(result["id"]))

    assert emd.json("read", PLUG, "power", "relay")["values"] == {"2": 7, "1": 7}
    assert "power" in emd.cli("read", PLUG, "power")
    assert "written" in emd.cli("read", PLUG, "--write", "auto_off=60")

    emd.cli("events", "--limit", "1000", "--minutes", "5")
    eventually(
        lambda: [c for c in plug.of("command") if c.get("value") == 0], what="the split: 2300 W do not fit in 1000"
    )
    known = emd.json("events")
    assert known["limits"][0]["limit_w"] == 1000
    assert {c["state"] for c in known["commands"]} >= {"started", "cancelled"}
    emd.cli("events", "--withdraw", known["limits"][0]["id"])
    looks = emd.cli("watch", "--json", "--count", "2", "--period", "0.1").splitlines()
    assert [len(json.loads(look)["devices"]) for look in looks] == [1, 1]
    assert emd.stop() == 0


def test_errors_of_a_person(emd, plug, tmp_path):
    assert "no such database" in emd.cli("devices", code=2)
    registered(emd, plug)
    eventually(lambda: emd.json("devices"), what="the row")
    assert "no device of this name" in emd.cli("command", "ff", "off", "-m", "1", code=2)
    assert "mandatory" in emd.cli("command", PLUG, "off", code=2)
    assert "no such kind" in emd.cli("command", PLUG, "fly", "-m", "1", code=2)
    assert "not within 0" in emd.cli("command", PLUG, "limit", "-5", "--minutes", "1", code=2)
    assert "no such object" in emd.cli("read", PLUG, "colour", code=2)
    plug.answer = lambda m: [("answer", {"about": 6, "reason": 23, "ref": m["id"]})] if m.name == "command" else ()
    assert "ledger_full" in emd.cli("command", PLUG, "off", "-m", "1", code=4)
    plug.answer = lambda m: ()
    assert "did not answer" in emd.cli("read", PLUG, "power", "--wait", "1", code=5)
    emd.stop()
    assert "no EMD runs" in emd.cli("command", PLUG, "off", "-m", "1", code=3)


def test_no_broker_is_said_with_its_address(emd):
    text = emd.config.read_text().replace(f"port = {emd.broker.port}", "port = 1")
    emd.config.write_text(text)
    emd.start()
    assert emd.process.wait(30) == 3
    assert "127.0.0.1:1" in emd.process.stdout.read()


def test_a_certificate_that_is_missing_is_named(emd):
    emd.config.write_text(emd.config.read_text().replace("emd.key", "gone.key"))
    emd.start()
    assert emd.process.wait(30) == 2
    assert "gone.key" in emd.process.stdout.read()


def test_broker_gone_and_back_nothing_is_lost(emd, plug, broker):
    registered(emd, plug)
    eventually(lambda: plug.of("ack"), what="the acknowledgement of its first status: this device sends nothing twice")
    broker.kill()
    plug.up.clear()
    # While the broker is away, a person asks for a command.
    reader = sqlite3.connect(emd.db, timeout=10)
    body = {"do": "command", "device": PLUG, "kind": "off", "duration": 600, "wait_s": 60}
    with reader:
        reader.execute("INSERT INTO request (at, body) VALUES (?, ?)", (time.time(), json.dumps(body)))
    eventually(
        lambda: reader.execute("SELECT 1 FROM command WHERE kind = ?", (KIND["off"],)).fetchone(), what="the ledger"
    )
    broker.start()
    assert plug.up.wait(30)
    eventually(lambda: [c for c in plug.of("command") if c["kind"] == KIND["off"]], 60, "the command after the outage")
    plug.send("alarm", seq=plug.next(), time=int(time.time()), code=6, raised=1)
    eventually(lambda: any(a.get("events_upto") == plug.seq - 1 for a in plug.of("ack")), 30, "the acknowledgement")
    reader.close()


def test_prices_are_retained_for_who_comes_later(emd, plug, broker):
    day = time.strftime("%Y-%m-%d")
    prices = emd.folder / "prices.csv"
    prices.write_text("Datetime,Price (EUR/MWh)\n" + "".join(f"{day} {h:02}:00:00,{h * 10}\n" for h in range(24)))
    emd.config.write_text(f'prices = "{prices.name}"\n' + emd.config.read_text())
    emd.start()
    eventually(lambda: ready(emd), what="the EMD at the broker")
    registered_late = PahoDevice(broker, PUMP, "heat_pump")
    try:
        (price,) = eventually(lambda: registered_late.of("price"), what="the retained price")
        assert len(price["series"]) == 24 and price["interval_min"] == 60
    finally:
        registered_late.close()


def test_kill_9_keeps_what_was_promised(emd, plug):
    epoch = registered(emd, plug)["epoch"]
    ids = []
    for round_ in range(3):
        if round_:
            plug.got.clear()
            emd.start()
            eventually(lambda: plug.of("heartbeat"), 20, "a heartbeat of the new process")
        for n in range(40):
            plug.send("alarm", seq=plug.next(), time=int(time.time()), code=6, raised=n & 1)
        limit = emd.json("command", PLUG, "limit", str(100 + round_), "--minutes", "60")
        ids.append(limit["id"])
        eventually(lambda: plug.of("ack"), what="an acknowledgement")
        emd.kill()
        acknowledged = max(a["events_upto"] for a in plug.of("ack"))
        base = sqlite3.connect(emd.db)
        kept = {seq for table in ("alarm", "status", "reading") for (seq,) in base.execute(f"SELECT seq FROM {table}")}
        assert kept.issuperset(range(acknowledged + 1)), "what was acknowledged is there"
        known = {id_ for (id_,) in base.execute("SELECT id FROM command")}
        assert known.issuperset(c["id"] for c in plug.of("command")), "what was sent is in the ledger"
        assert json.loads(base.execute("SELECT value FROM setting WHERE name = 'epoch'").fetchone()[0]) == epoch
        base.close()
    assert ids == sorted(set(ids)), "no id was used twice"
    assert all(h["epoch"] == epoch for h in plug.of("heartbeat"))
