"""Commands on a device, whatever it runs on: they move the relay, end by themselves, are taken back, survive."""

import pytest

from spot_host.emd.ledger import KIND
from spot_host.profile import codec
from spot_host.profile import definition as d

REACTS_S = 2  # from a command to the contact, seconds of the target; the clocks on both sides count whole ones
GRACE_S = 30  # a limit may be exceeded for so long before the contact opens (limit_grace_s)
SAID_S = 10  # from what happened to its status at the EMD


def test_off_and_on_move_the_contact_in_time(dut):
    off = dut.command("off", duration=600)
    dut.wait_for("open", REACTS_S)
    assert off.wait("started", SAID_S)["reason"] == "none"
    dut.command("on", duration=600, priority=9)
    dut.wait_for("closed", REACTS_S)


def test_a_status_says_start_power_and_end_as_they_are(dut):
    issued = dut.command("off", duration=30)
    status = issued.wait("started", SAID_S)
    assert abs(status["start"] - issued.at) <= REACTS_S and status.get("power", 0) <= dut.capability.standby
    end = issued.end(60)
    assert end["state"] == "completed" and 28 <= end["at"] - issued.at <= 30 + SAID_S


def test_a_command_ends_by_itself_and_releases(dut):
    issued = dut.command("off", duration=20)
    dut.wait_for("open", REACTS_S)
    dut.run(15)
    assert not dut.closed, "it ended before its time"
    dut.wait_for("closed", 10)
    assert issued.end(SAID_S)["state"] == "completed"


def test_a_revoke_takes_it_back(dut):
    issued = dut.command("off", duration=600)
    dut.wait_for("open", REACTS_S)
    issued.revoke()
    dut.wait_for("closed", REACTS_S)
    assert issued.end(SAID_S)["state"] == "cancelled"


@pytest.mark.hil("consumes")
def test_a_limit_below_its_power_opens_an_on_off_device_and_it_says_partly(dut):
    dut.wait_for(lambda: dut.row.power_w > 20, 30, "a load")
    issued = dut.command("limit", duration=600, value=dut.row.power_w // 2)
    status = issued.wait("partly", 10)
    dut.wait_for("open", GRACE_S + 10)
    assert status["reason"] != "none"
    since = dut.position
    dut.run(20)
    assert not dut.closed and not dut.messages("alarm", since=since), "it flaps"


def test_a_limit_above_its_power_changes_nothing(dut):
    issued = dut.command("limit", duration=60, value=20_000)
    issued.wait("started", SAID_S)
    dut.run(10)
    assert dut.closed and dut.read("power_limit")["power_limit"] == 20_000


def test_the_same_command_twice_does_nothing_twice(dut, emd):
    issued = dut.command("off", duration=600)
    issued.wait("started", SAID_S)
    before = len(issued.statuses)
    sent = next(p.body for p in reversed(dut.messages("command", way="down")) if p.values["id"] == issued.id)
    for _ in range(3):
        emd.raw(sent)
    dut.run(10)
    assert not dut.closed and issued.states[before:] in ([], ["started"] * len(issued.states[before:]))
    assert dut.read("ledger")["ledger"] == len(dut.row.ledger.commands)


def test_a_command_that_has_ended_is_not_run(dut, emd):
    values = {"epoch": emd.core.epoch, "id": d.MAX_INT - dut.now % 100_000, "revision": 0, "priority": 8,
              "kind": KIND["off"], "issued": dut.now - 120, "delay": 0, "duration": 60}
    since = dut.position
    emd.raw(codec.encode("command", values))
    dut.wait_for(lambda: any(p.values["id"] == values["id"] for p in dut.messages("status", since=since)), SAID_S)
    assert dut.closed
    status = next(p.values for p in dut.messages("status", since=since) if p.values["id"] == values["id"])
    assert status["state"] == next(code for code, name, _ in d.enum("State").rows if name == "expired")


def test_a_command_survives_a_restart(dut):
    issued = dut.command("off", duration=3600)
    issued.wait("started", SAID_S)
    dut.restart()
    dut.wait_for("open", 10)
    assert dut.read("ledger")["ledger"] == len(dut.row.ledger.commands)
    issued.revoke()
    dut.wait_for("closed", 30)


@pytest.mark.hil("power_cut")
def test_a_command_survives_a_power_cut(dut, faults):
    issued = dut.command("off", duration=3600)
    issued.wait("started", SAID_S)
    boot = dut.row.boot
    faults.cut_power(2)
    dut.back(boot)
    dut.wait_for("open", 10)
    issued.revoke()
    assert issued.end(30)["state"] == "cancelled"
    dut.wait_for("closed", 60)
