"""A release that is offered is fetched, tried and confirmed, where the target can be updated."""

import pytest


@pytest.mark.hil("update")
def test_an_update_is_offered_installed_and_confirmed(dut):
    before = dut.capability.sequence
    dut.target.offer_update()
    dut.wait_for(lambda: (dut.capability.sequence or 0) > (before or 0), 3600, "a registration of the new firmware")
    dut.wait_for("controlled", 120)
