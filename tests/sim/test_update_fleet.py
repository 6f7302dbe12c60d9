"""Sixty devices, whole ones, under an EMD that keeps to its pace: bad links, restarts, and a bad release. `make soak`
has two hundred of them."""

import base64
import os

import pyhsslms

from spot_host.emd.campaign import UNDER_WAY
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_sim.firmware import DYING, GOOD, equip, release
from spot_sim.fleet import World
from tests.sim.lab import HOUR, build

PRIVATE = pyhsslms.LmsPrivateKey(lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4)
KEY = b"\0\0\0\1" + PRIVATE.publicKey().serialize()
COUNT = int(os.environ.get("SPOT_UPDATE_FLEET", "60"))
OFFER = d.message("firmware_offer").code
PACE = {"canaries": 3, "soak_s": 300, "at_once": COUNT // 8, "per_hour": COUNT * 3 // 4, "most_failed": 2,
        "silent_s": 3600}
FAULTS = {"loss": 0.05, "duplication": 0.05, "reordering": 0.05, "delay_ms": [10, 2000], "disconnects_per_day": 6}


def sign(octets):
    return b"\0\0\0\0" + PRIVATE.sign(octets)


FIRST = release("sim", 1, "1.0.0", sign=sign)


class Fleet(World):
    """A fleet with slots. begun: {EUI: [seconds at which each offer was first sent]}; most: ever under way."""

    def __init__(self, **tables):
        rows = [{"kind": "fridge", "count": COUNT // 2, "link": link} for link in ("mqtt", "coap")]
        self.begun, self.most, self.campaign_id = {}, 0, None
        super().__init__(build(rows, **tables))
        self.watchers.append(self._seen)
        for device in self.devices.values():
            equip(device, FIRST, [KEY])

    def _seen(self, now_s, what, eui, detail):
        if what == "down" and detail[1][1] == OFFER:
            id_ = codec.decode(detail[1]).values["id"]
            self.begun.setdefault((eui, id_), now_s)

    @property
    def campaign(self):
        return self.core.updates.campaigns[self.campaign_id]

    def begin(self, octets):
        files = [{"octets": base64.b64encode(octets).decode(), "model": None}]
        self.campaign_id = self.core.updates.start(self.utc, files, PACE, sorted(self.devices)).id
        self._wake_emd()

    def watch(self, until_s, step_s=20):
        """Run, and look at the pace in between."""
        while self.now_s < until_s:
            self.run_until(min(until_s, self.now_s + step_s))
            under_way = [m for m in self.campaign.members.values() if m.state in UNDER_WAY]
            self.most = max(self.most, len(under_way))

    def running(self):
        return [device.firmware.running["sequence"] for device in self.devices.values()]

    def in_an_hour(self):
        """The most that were begun within any hour."""
        times = sorted(self.begun.values())
        return max(sum(t <= other < t + 3600 for other in times) for t in times)


def test_canaries_that_fail_leave_the_rest_untouched():
    fleet = Fleet()
    fleet.run_until(400)
    fleet.begin(release("sim", 2, "1.1.0", DYING, sign=sign))
    fleet.watch(2700, 60)
    assert fleet.campaign.state == "halted"
    assert len({eui for eui, _ in fleet.begun}) == 3 == sum(m.canary for m in fleet.campaign.members.values())
    assert fleet.running() == [1] * COUNT
    boots = sorted(device.boots for device in fleet.devices.values())
    assert boots[:-3] == [1] * (COUNT - 3)


def test_a_good_release_reaches_all_at_its_pace_whatever_the_link_and_the_emd_do():
    fleet = Fleet(link=FAULTS, seed=3)
    fleet.run_until(400)
    away = sorted(fleet.devices)[:10]
    for eui in away:  # off, and back hours later
        fleet._reboot(eui, 6000 - fleet.now_s, True)
    fleet.begin(release("sim", 2, "1.1.0", GOOD, sign=sign))
    for at in (500, 1500, 3000, 4500):  # the EMD's process ends at any moment, and is back after a while
        fleet.clock.call_at(at, fleet._stop_emd)
        fleet.clock.call_at(at + 90, fleet._start_again)
    for number, eui in enumerate(sorted(fleet.devices)[20:60:4]):  # mains that fail while they fetch
        fleet.clock.call_at(1200 + 60 * number, fleet._reboot, eui, 30, True)
    fleet.watch(5900)
    assert fleet.running() == [1 if eui in away else 2 for eui in fleet.devices]
    assert fleet.campaign.state == "rolling", fleet.campaign.why
    fleet.watch(2 * HOUR)
    assert fleet.running() == [2] * COUNT
    assert fleet.campaign.state == "over", (fleet.campaign.state, fleet.campaign.why)
    assert {m.state for m in fleet.campaign.members.values()} == {"done"}
    assert fleet.most == PACE["at_once"] and fleet.in_an_hour() <= PACE["per_hour"]
    assert len(fleet.begun) == COUNT, "one offer each, whatever was lost"
