"""A heat pump's firmware as a process: SG-Ready contacts under commands, the longest block, comfort, and a power
cut."""

import pytest

from tests.unix.app.rig import Rig


@pytest.fixture
def rig(micropython_path, mosquitto_path, tmp_path):
    settings = {
        "power_max_w": 4000,
        "power_min_w": 1000,
        "max_block_s": 3600,
        "min_run_s": 300,
        "min_pause_s": 300,
        "sg_hold_s": 60,
    }
    with Rig(tmp_path, pump=settings) as rig:
        rig.join()
        rig.run(1200)  # guards that count from the start are over
        del rig.world.edges[:]
        yield rig


def test_off_is_a_lock_for_the_longest_block_at_most(rig):
    command = rig.command("off", duration=4 * 3600)
    start = rig.t
    rig.run(5000)
    assert [(t - start, state) for t, state in rig.world.edges] == [(0, 1), (3600, 2)]
    assert rig.statuses(command.id)[:2] == [("received", "too_long"), ("partly", "too_long")]
    assert rig.statuses(command.id)[-1][0] == "completed"
    assert {v["duration"] for _, name, v in rig.seen if name == "status" and v["id"] == command.id} == {3600}
    rig.complete()


def test_a_cold_room_ends_the_lock(rig):
    command = rig.command("off", duration=3000)
    start = rig.t
    rig.run(600)
    rig.world.room = 1700
    rig.run(600)
    assert [state for _, state in rig.world.edges] == [1, 2]
    assert 600 <= rig.world.edges[1][0] - start <= 720
    assert ("partly", "comfort") in rig.statuses(command.id)


def test_a_power_cut_in_a_lock(rig):
    """Without its controller the pump runs as usual; back, the controller locks it for what is left."""
    rig.command("off", duration=1800)
    start = rig.t
    rig.run(300)
    rig.kill()
    rig.run(60)
    rig.start()
    rig.run(2400)
    edges = [(t - start, state) for t, state in rig.world.edges]
    assert edges[:2] == [(0, 1), (300, 2)]
    locked = [(t, state) for t, state in edges[2:]]
    assert [state for _, state in locked] == [1, 2] and locked[1][0] == 1800
    rig.complete()
