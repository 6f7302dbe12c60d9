"""Fixtures of the link's tests on MicroPython: one authority and broker for each test file that asks for them."""

import pytest

from spot_host.acl import DeviceAccess
from spot_host.broker import Broker
from spot_host.pki import Pki
from tests.unix.link.harness import DEVICE, OTHER, UTILITY, Device


@pytest.fixture
def pki(tmp_path):
    """An authority with certificates for two devices and an EMD."""
    made = Pki(tmp_path / "pki")
    for name in (DEVICE, OTHER):
        made.device(name)
    made.emd()
    return made


@pytest.fixture
def broker(pki, tmp_path, mosquitto_path, micropython_path):
    """A running broker that knows both devices."""
    devices = [DeviceAccess(DEVICE, "plug", ("area1", "circuit7")), DeviceAccess(OTHER, "plug", ("area1",))]
    with Broker(pki, UTILITY, devices, folder=tmp_path / "broker", mosquitto=mosquitto_path) as running:
        yield running


@pytest.fixture
def device(tmp_path):
    """Start a device process: `device(settings)`; it ends with the test."""
    started = []

    def start(settings, **options):
        started.append(Device(settings, tmp_path, **options))
        return started[-1]

    yield start
    for process in started:
        process.__exit__()
