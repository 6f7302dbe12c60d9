"""The checks of the house explain themselves as those of a test do; the firmware's links run in a house."""

import pytest

pytest.register_assert_rewrite("tests.sim.bad_input.house")


@pytest.fixture(autouse=True)
def links():
    from tests.sim.bad_input.coap_house import patched

    with patched():
        yield
