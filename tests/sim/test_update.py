"""A fleet is updated: the EMD's campaign, the link, and whole devices whose slots lie in the simulator's flash."""

import base64

import pyhsslms
import pytest

from spot_sim.firmware import DYING, GOOD, SILENT, equip, release
from tests.sim import lab

PRIVATE = pyhsslms.LmsPrivateKey(lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4)
KEY = b"\0\0\0\1" + PRIVATE.publicKey().serialize()
PACE = {"canaries": 1, "soak_s": 600, "at_once": 3, "per_hour": 100, "silent_s": 1800}


def sign(octets):
    return b"\0\0\0\0" + PRIVATE.sign(octets)


MADE = {name: release("sim", 2, "1.1.0", name, sign=sign) for name in (GOOD, SILENT, DYING)}
FIRST = release("sim", 1, "1.0.0", sign=sign)
COUNT = 5


@pytest.fixture(params=["mqtt", "coap"])
def fleet(request):
    rows = [{"kind": "fridge", "count": COUNT, "link": request.param}]
    world = lab.Lab(lab.build(rows))
    for device in world.devices.values():
        equip(device, FIRST, [KEY])
    world.run_until(300)
    return world


def begin(world, octets):
    files = [{"octets": base64.b64encode(octets).decode(), "model": None}]
    campaign = world.core.updates.start(world.utc, files, PACE, sorted(world.devices))
    world._wake_emd()
    return campaign


def versions(world):
    return [device.firmware.running["sequence"] for device in world.devices.values()]


def test_canaries_and_then_all(fleet):
    assert versions(fleet) == [1] * COUNT
    campaign = begin(fleet, MADE[GOOD])
    fleet.run_until(900)
    assert sorted(versions(fleet)) == [1] * (COUNT - 1) + [2], "one canary"
    fleet.run_until(2 * lab.HOUR)
    assert versions(fleet) == [2] * COUNT
    assert campaign.state == "over", campaign.why
    for device in fleet.devices.values():
        app = device.app
        assert (device.firmware.trial, device.firmware.active) == (True, 1), "this start was the trial"
        assert app.firmware._slots.trial is False and app.identity.firmware == "1.1.0"
        assert fleet.core.devices[device.eui].capability.sequence == 2
        assert device.boots == 2
        assert app.agent.own[48](0) == 2 and app.agent.own[50](0) == 1


@pytest.mark.parametrize("name", [SILENT, DYING])
def test_a_bad_release_stops_with_the_canary_which_goes_back(fleet, name):
    campaign = begin(fleet, MADE[name])
    fleet.run_until(int(1.5 * lab.HOUR))
    assert versions(fleet) == [1] * COUNT
    assert campaign.state == "halted", campaign.state
    assert sorted(device.boots for device in fleet.devices.values())[:-1] == [1] * (COUNT - 1)
    canary = next(m for m in campaign.members.values() if m.canary)
    assert canary.state == "failed" and canary.reason in ("rolled_back", "crash")
    bodies = fleet.bodies.values()
    told = [values for body in bodies for _, values in fleet.messages(body.name, "alarm")]
    alarms = [(lab.ALARMS[v["code"]], v["raised"], v.get("value")) for v in told]
    assert ("rolled_back", 1, 2) in alarms and ("rolled_back", 0, 2) in alarms
