"""What a device does alone, whatever it runs on: a silent EMD, a link that is gone, a broker that restarts."""

import pytest

from spot_host.emd.registry import MODE
from spot_host.hil.target import FAILSAFE_W, TIMEOUT_S

CLOCK = 1 << 2  # Quality: the clock was corrected in it
GRACE_S = 30  # a limit, failsafe's too, may be exceeded for so long (limit_grace_s)
QUARTER_S = 900  # intervals of a minute are kept, and leave, with each quarter-hour


def test_a_silent_emd_means_failsafe_and_a_limit_ends_it(dut, emd):
    since = dut.position
    emd.silent = True
    heard = lambda: [p.values["mode"] for p in dut.messages("heartbeat", since=since)][-1:]  # noqa: E731
    dut.wait_for(lambda: heard() == [MODE["failsafe"]], TIMEOUT_S + 30, "a heartbeat that says failsafe")
    emd.silent = False
    dut.wait_for("controlled", 60)
    dut.wait_for("closed", 60)


@pytest.mark.hil("consumes")
def test_failsafe_caps_the_load(dut, emd):
    dut.wait_for(lambda: dut.row.power_w > FAILSAFE_W, 30, "a load above the failsafe limit")
    emd.silent = True
    dut.wait_for("open", TIMEOUT_S + 60)
    emd.silent = False
    dut.wait_for("controlled", 120)
    dut.wait_for("closed", 60)


@pytest.mark.hil("virtual_time", "consumes")
def test_failsafe_comes_neither_early_nor_late(dut, emd):
    dut.wait_for(lambda: dut.row.power_w > FAILSAFE_W, 30, "a load above the failsafe limit")
    emd.silent = True
    dut.run(TIMEOUT_S + GRACE_S - 6)  # the latest heartbeat is some seconds old
    assert dut.closed, "early"
    dut.wait_for("open", 12)


@pytest.mark.hil_slow
@pytest.mark.hil("link_cut")
def test_intervals_have_no_gap_over_an_outage(dut, emd, faults):
    begun = dut.now
    dut.run(65)
    faults.cut_link()
    dut.run(130)
    faults.restore_link()
    restored = dut.now
    dut.wait_for("controlled", 120)
    dut.wait_for(lambda: any(r.start >= restored for r in emd.intervals), QUARTER_S + 120, "intervals of afterwards")
    rows = [row for row in emd.intervals if row.start >= begun]
    assert len(rows) >= 5
    assert [row.number for row in rows] == list(range(rows[0].number, rows[-1].number + 1))
    for before, row in zip(rows, rows[1:], strict=False):
        # a clock that was set back cuts an interval in two, and the second half says so
        assert row.start == before.start + 60 or row.start == before.start and row.quality & CLOCK, (before, row)


@pytest.mark.hil("link_cut")
def test_statuses_of_an_outage_come_afterwards(dut, faults):
    issued = dut.command("off", duration=40)
    issued.wait("started", 10)
    faults.cut_link()
    dut.run(60)
    assert issued.states[-1] == "started"
    faults.restore_link()
    assert issued.end(120)["state"] == "completed"


@pytest.mark.hil("broker")
def test_commands_of_a_broker_that_was_gone_arrive(dut, broker):
    broker.stop()
    dut.run(5)
    broker.start()
    issued = dut.command("off", duration=600)
    issued.wait("started", 60)
    dut.wait_for("open", 10)
