"""kill -9 of the process, as a power cut: what ran resumes with what is left of it, ends on time, and is not run
twice."""

import pytest

from tests.unix.app.rig import EUI


@pytest.mark.parametrize("away", [20, 200], ids=["20 s", "200 s"])
def test_a_command_goes_on_and_ends_on_time(rig, away):
    command = rig.command("off", duration=1200)
    start = rig.t
    rig.run(400)
    rig.kill()
    cut = rig.t
    rig.run(away)
    rig.start()
    rig.run(1200)
    edges = [(t - start, what) for t, what in rig.world.edges]
    assert edges == [(0, "opens"), (1200, "closes")]  # open through the cut, the boot and the registration
    assert cut - start == 400
    said = rig.statuses(command.id)
    assert said[:2] == [("received", "none"), ("started", "none")] and said[-1][0] == "completed"
    assert [state for state, _ in said].count("completed") == 1
    assert EUI in rig.core.devices and rig.row.boot == 2
    rig.run(600)
    rig.complete()


def test_a_command_that_ended_in_the_cut_is_not_run_again(rig):
    command = rig.command("off", duration=300)
    rig.run(100)
    rig.kill()
    rig.run(900)
    back = rig.t
    rig.start()
    rig.run(600)
    assert [(t - back, what) for t, what in rig.world.edges if t >= back] == [(0, "closes")]
    final = [v for _, name, v in rig.seen if name == "status" and v["id"] == command.id and v["state"] in (3, 11)]
    assert len({v["seq"] for v in final}) == 1
    rig.complete()


def test_without_a_clock_it_runs_what_was_left_at_the_latest_checkpoint(rig):
    """After the cut nobody tells the time: a command that saves goes on by the monotonic clock, and ends."""
    rig.command("off", duration=1200)
    rig.run(1000)  # a checkpoint at 900 s: 300 s left
    rig.kill()
    rig.emd_away = True
    rig.run(60)
    back = rig.t
    rig.start()
    rig.run(1500)
    (_, _), (ends, what) = rig.world.edges[:2]
    assert what == "closes" and 240 <= ends - back <= 300


def test_cut_while_it_writes(rig):
    """Killed again and again right after a grant that makes it write (commands, events): whatever the file was, it
    starts,
    says nothing twice and nothing of another number."""
    commands = []
    for n in range(12):
        commands.append(rig.core.command(rig.utc, EUI, "limit", value=2500 + n, duration=7200).id)
        rig._deliver(rig.t)
        rig.member.granted = rig.post.sent(EUI) - rig.member.lost_down
        rig.process.grant(rig.t, rig.member.granted, rig.world.inputs(rig.t))
        _busy_for(n * 0.0007)
        rig.member.last.received = rig.member.granted
        rig.kill()
        rig.t += 1
        rig.start()
    rig.run(1800)
    assert rig.row.boot == 13 and not [line for line in rig.process.text if "store.damaged" in line]
    for id_ in commands:
        assert ("received", "none") in rig.statuses(id_) or rig.row.ledger.commands[id_].state > 0
    waiting = [
        (c.id, c.revision, c.state, c.tries, c.next_send - rig.utc)
        for c in rig.row.ledger.commands.values()
        if c.unanswered
    ]
    assert waiting == [], (rig.storage.log[-5:], rig.process.text[-8:])
    assert {c.id for c in rig.row.ledger.commands.values()} >= set(commands)
    rig.complete()


def _busy_for(seconds):
    """Not a wait for anything: the moment of the cut is what differs from round to round."""
    import time

    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
