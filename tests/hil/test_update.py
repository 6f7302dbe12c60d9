"""A release that is offered is fetched, tried and confirmed, where the target can be updated."""

import pytest

FETCH_S = 1800  # a whole image at its bounded rate
TRIAL_S = 600  # until it is confirmed, or goes back


@pytest.mark.hil_slow
@pytest.mark.hil("update")
def test_an_update_is_offered_installed_and_confirmed(dut, emd):
    before, boot = dut.capability.sequence or 0, dut.row.boot
    off = dut.command("off", duration=7200)
    off.wait("started", 10)
    campaign = dut.target.offer_update()
    try:
        dut.wait_for(lambda: dut.row.boot > boot, FETCH_S, "a start with the new release")
        dut.wait_for(lambda: (dut.capability.sequence or 0) > before, 120, "its registration")
        dut.wait_for("open", 30)  # the command goes on
        dut.wait_for(lambda: campaign.members[dut.eui].state == "done", TRIAL_S, "its confirmation")
        assert dut.read("firmware_sequence")["firmware_sequence"] == dut.capability.sequence
    finally:
        emd.core.updates.end(dut.now, campaign.id)
    sequence = dut.capability.sequence
    dut.restart()
    assert dut.capability.sequence == sequence, "it went back"
