"""What a device does alone, whatever it runs on: a silent EMD, a link that is gone, a broker that restarts."""

import pytest

from spot_host.hil.target import FAILSAFE_W, TIMEOUT_S


def test_a_silent_emd_means_failsafe_and_a_limit_ends_it(dut, emd):
    dut.wait_for(lambda: dut.row.power_w > FAILSAFE_W, 30, "a load above the failsafe limit")
    emd.silent = True
    dut.wait_for("open", TIMEOUT_S + 60)
    emd.silent = False
    dut.wait_for("controlled", 120)
    dut.wait_for("closed", 60)


@pytest.mark.hil("virtual_time")
def test_failsafe_comes_neither_early_nor_late(dut, emd):
    dut.wait_for(lambda: dut.row.power_w > FAILSAFE_W, 30, "a load above the failsafe limit")
    emd.silent = True
    dut.run(TIMEOUT_S - 6)
    assert dut.closed, "early"
    dut.wait_for("open", 30)


@pytest.mark.hil("link_cut")
def test_intervals_have_no_gap_over_an_outage(dut, emd, faults):
    dut.run(65)
    faults.cut_link()
    dut.run(130)
    faults.restore_link()
    dut.wait_for("controlled", 120)
    begun = dut.now - 195
    dut.wait_for(lambda: any(start >= begun + 120 for _, start, _, _ in emd.intervals), 150, "later intervals")
    rows = [row for row in emd.intervals if row[1] >= begun - 60]
    starts = [start + 60 * i for _, start, minutes, count in rows for i in range(count) if minutes == 1]
    numbers = [number + i for number, _, minutes, count in rows for i in range(count) if minutes == 1]
    assert len(starts) >= 3
    assert starts == list(range(starts[0], starts[0] + 60 * len(starts), 60))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


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
    dut.run(20)
    broker.start()
    issued = dut.command("off", duration=600)
    issued.wait("started", 60)
    dut.wait_for("open", 10)
