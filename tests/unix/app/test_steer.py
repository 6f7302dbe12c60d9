"""The whole firmware on MicroPython over TLS: registration, commands at the contact, statuses, failsafe; in
virtual time."""

from spot_host.profile import codec
from tests.unix.app.rig import EUI, KIND, MODE


def test_off_moves_the_relay_and_the_statuses_arrive(rig):
    command = rig.command("off", duration=600)
    start = rig.t
    rig.run(900)
    assert [(t - start, what) for t, what in rig.world.edges] == [(0, "opens"), (600, "closes")]
    assert rig.statuses(command.id) == [("received", "none"), ("started", "none"), ("completed", "none")]
    done = [v for _, name, v in rig.seen if name == "status" and v["id"] == command.id][-1]
    assert done["duration"] == 600 and 320 <= done["energy_without"] <= 340 and done["energy"] <= 35
    rig.run(1000)
    rig.complete()


def test_a_limit_opens_an_on_off_device_for_its_lease(rig):
    command = rig.command("limit", value=700, duration=1200)
    start = rig.t
    rig.run(1500)
    edges = [(t - start, what) for t, what in rig.world.edges]
    assert [what for _, what in edges] == ["opens", "closes"]
    assert 30 <= edges[0][0] <= 91 and edges[1][0] == 1200  # grace, then the next sample of a minute
    assert rig.statuses(command.id)[:2] == [("received", "none"), ("partly", "on_off_only")]
    assert rig.statuses(command.id)[-1] == ("completed", "none")


def test_failsafe_and_the_way_out(rig):
    """No heartbeat for the timeout: failsafe caps. A heartbeat alone does not end it, a limit after it does."""
    rig.emd_away = True
    gone = rig.t
    rig.run(400)
    ((opened, what),) = rig.world.edges
    assert what == "opens" and 120 <= opened - gone <= rig.association.heartbeat_timeout_s + 120
    beats = [v for t, name, v in rig.seen if name == "heartbeat" and t > opened]
    assert beats and {v["mode"] for v in beats} == {MODE["failsafe"]}

    def beat():
        latest = [v["beat"] for _, name, v in rig.seen if name == "heartbeat"][-1]
        rig.post.send(
            EUI,
            "cmd",
            codec.encode(
                "heartbeat", {"epoch": rig.core.epoch, "time": rig.utc, "digest": 0, "clock": 4, "beat": latest}
            ),
        )

    for _ in range(5):
        beat()
        rig.run(60)
    assert rig.world.edges == [(opened, "opens")]
    beat()
    rig.post.send(
        EUI,
        "cmd",
        codec.encode(
            "command",
            {
                "epoch": rig.core.epoch,
                "id": 900,
                "revision": 0,
                "priority": 1,
                "kind": KIND["unlimited"],
                "issued": rig.utc,
                "delay": 0,
                "duration": 7200,
            },
        ),
    )
    rig.run(5)
    assert [w for _, w in rig.world.edges] == ["opens", "closes"]
    rig.emd_away = False
    rig.run(300)
    assert rig.row.mode == MODE["controlled"]
