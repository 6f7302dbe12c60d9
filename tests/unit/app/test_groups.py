"""The groups that an EMD names at registration: listened to at once, after a reboot too, and only when they change."""

import json
from pathlib import Path

import pytest

from spot.app import App
from spot.codes import CH_CMD
from spot_host.profile import codec
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware, LoadMeter

BOARD = Path(__file__).resolve().parents[3] / "boards" / "sim" / "board.json"
NOON = 1765537200


class Nothing:
    """A load that draws nothing."""

    power_factor = 1.0

    def power_w(self, now_s):
        return 0.0

    def energy_mj(self, now_s):
        return 0


@pytest.fixture
def boot():
    fs = MemoryFs()

    def boot():
        hardware = Hardware()
        hardware.meter = LoadMeter(Nothing())
        config = {"eui64": "0200000000000001", "store": "s"}
        app = App(json.loads(BOARD.read_text()), config, hardware, fs, lambda channel, buf, n: True)
        app.joined = []
        app.join_group = [app.joined.append]
        app.listen()
        app.link_up(0, False)
        return app

    return boot


def registered(app, groups, epoch=5):
    values = {"reason": 0, "boot": app.identity.boot, "epoch": epoch, "time": NOON, "association": 1, "groups": groups}
    body = codec.encode("registered", values)
    app.receive(1, CH_CMD, body, len(body))


def test_the_link_listens_to_the_groups_that_registered_names(boot):
    app = boot()
    assert app.joined == []
    registered(app, [1, 7])
    assert app.joined == ["1", "7"]


def test_the_same_groups_again_are_not_asked_for_again(boot):
    app = boot()
    registered(app, [1, 7])
    registered(app, [1, 7])
    assert app.joined == ["1", "7"]


def test_another_group_is_listened_to_at_once(boot):
    app = boot()
    registered(app, [1])
    registered(app, [1, 9])
    assert app.joined[-1] == "9"


def test_a_reboot_listens_before_the_emd_has_said_anything(boot):
    registered(boot(), [1, 7])
    assert boot().joined == ["1", "7"]
