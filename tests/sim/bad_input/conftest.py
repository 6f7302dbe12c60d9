"""The checks of the house explain themselves as those of a test do; the firmware's links run in a house."""

import pytest

from tests.sim.bad_input import coap_house

pytest.register_assert_rewrite("tests.sim.bad_input.house")


@pytest.fixture(autouse=True)
def links():
    with coap_house.patched():
        yield
