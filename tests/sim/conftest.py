"""What the tests of whole worlds share."""

import pytest

from tests.sim import lab


@pytest.fixture(params=["mqtt", "coap"])
def each_link(request, monkeypatch):
    """The test runs once with every device on MQTT, and once with every device on CoAP. The word for it."""
    monkeypatch.setattr(lab, "LINK", request.param)
    return request.param
