"""The broker is killed and comes back, with and without its sessions: what fell due meanwhile arrives, exactly once."""

import pytest

from spot_host.profile import definition as d

ALARM = {name: code for code, name, _ in d.enum("Alarm").rows}


@pytest.mark.parametrize("forget", [False, True], ids=["with its sessions", "without its sessions"])
def test_readings_statuses_and_alarms_arrive_once(rig, forget):
    rig.run(1000)
    command = rig.command("off", duration=3600)
    start = rig.t
    rig.run(60)
    rig.broker_dies()
    rig.run(300)
    rig.world.silent = True  # a sensor fault while nobody listens
    rig.run(1200)
    rig.world.silent = False
    rig.run(2 * 3600 - 1500)
    heard = len(rig.seen)
    rig.broker_returns(forget)
    rig.run(1800)
    assert len(rig.seen) > heard and all(t >= start + 7000 for t, _, _ in rig.seen[heard:])
    edges = [(t - start, what) for t, what in rig.world.edges]
    assert edges[0] == (0, "opens") and all(t >= 3600 for t, what in edges[1:])  # failsafe keeps an off load off
    assert rig.statuses(command.id)[:2] == [("received", "none"), ("started", "none")]
    assert [s for s, _ in rig.statuses(command.id)].count("completed") == 1
    assert [(r[3]["code"], r[3]["raised"]) for r in rig.storage.alarms] == [
        (ALARM["sensor_fault"], 1),
        (ALARM["sensor_fault"], 0),
    ]
    intervals = rig.complete()
    assert len(intervals) == 11
    read_wh = sum(v[2] for v in intervals.values())
    end = max(v[0] + 900 for v in intervals.values())
    assert read_wh == pytest.approx(rig.world.used_wh(end - rig.utc + rig.t), abs=34)  # one sample
    (register,) = {
        v["register"] for _, name, v in rig.seen if name == "interval" and v["seq"] + len(v["import_series"]) == 11
    }
    assert read_wh == register  # to the last Wh


def test_over_and_over(rig):
    """Five times in a day, the sessions lost every other time: no reading is missing, none comes twice."""
    for n in range(5):
        rig.run(3000)
        rig.broker_dies()
        rig.run(2400)
        rig.broker_returns(forget=n % 2 == 1)
    rig.run(1800)
    assert len(rig.complete()) >= 5 * 6
    assert rig.row.mode == 1
