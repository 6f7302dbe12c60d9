"""The EMD's ledger of one device: what it sends again, what it believes, and when it gives up."""

import pytest

from spot_host.emd.ledger import (
    LIVE,
    PENDING,
    REPORT_GRACE_S,
    RESEND_FIRST_S,
    RESEND_MAX_S,
    STATE,
    UNANSWERED,
    UNREPORTED,
    Command,
    Ledger,
)
from spot_host.profile import codec
from tests.unit.emd.helpers import KIND, NOON, REASON


def status(command, state, seq=0, revision=None, reason=0, **named):
    names = ("start", "power", "duration", "energy", "energy_without", "response", "epoch")
    revision = command.revision if revision is None else revision
    return [7, seq, command.id, revision, STATE[state], reason, *(named.get(n) for n in names)]


def issued(ledger, duration=3600, **values):
    return ledger.issue(NOON, **{"kind": KIND["limit"], "value": 1000, "priority": 5, "duration": duration, **values})


def test_resent_with_back_off_until_an_answer():
    ledger = Ledger()
    command = issued(ledger)
    times, now = [], NOON
    while len(times) < 8:
        if ledger.due(now):
            times.append(now - NOON)
        now += 1
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert gaps == [min(RESEND_MAX_S, RESEND_FIRST_S * 2**n) for n in range(7)]
    ledger.status(now, status(command, "received"))
    assert not ledger.due(now + 3000)


@pytest.mark.parametrize("state", [n for n, c in STATE.items() if n != "superseded"])
def test_every_status_ends_resending(state):
    ledger = Ledger()
    command = issued(ledger)
    ledger.due(NOON)
    assert ledger.status(NOON + 1, status(command, state)) is command
    assert not ledger.due(NOON + 600)
    assert (command.id in ledger.commands) == (STATE[state] in LIVE)


def test_an_answer_to_an_earlier_revision_is_no_answer():
    ledger = Ledger()
    command = issued(ledger)
    ledger.revise(NOON + 5, command, value=500)
    assert ledger.status(NOON + 6, status(command, "received", revision=0)) is None
    assert command.unanswered
    assert ledger.status(NOON + 7, status(command, "superseded", seq=1, revision=0)) is None
    assert ledger.status(NOON + 8, status(command, "started", seq=2)) is command


def test_late_statuses_do_not_turn_time_back():
    ledger = Ledger()
    command = issued(ledger)
    ledger.status(NOON, status(command, "started", seq=4))
    assert ledger.status(NOON, status(command, "received", seq=3)) is None
    assert command.state == STATE["started"]


def test_a_revision_keeps_start_and_end():
    ledger = Ledger()
    command = issued(ledger, delay=600)
    ledger.revise(NOON + 100, command, value=500)
    assert (command.revision, command.begin, command.end) == (1, NOON + 600, NOON + 4200)
    ledger.revise(NOON + 1000, command)
    assert (command.begin, command.end) == (NOON + 1000, NOON + 4200)


def test_after_revision_255_a_new_id():
    ledger = Ledger()
    command = issued(ledger, duration=86400, purpose="limit:x")
    for n in range(255):
        assert ledger.revise(NOON + n, command, value=n) is command
    ledger.status(NOON + 300, status(command, "started"))
    other = ledger.revise(NOON + 301, command, value=7)
    assert (other.id, other.revision, other.value, other.end) == (command.id + 1, 0, 7, command.end)
    assert command.revoked
    codec.encode("command", command.message(1))


def test_revoke_repeats_start_and_duration():
    ledger = Ledger()
    command = issued(ledger, delay=60)
    ledger.status(NOON, status(command, "scheduled"))
    ledger.revoke(NOON + 1, command)
    message = command.message(9)
    assert message == {
        "id": 1,
        "revision": 1,
        "priority": 5,
        "kind": 0,
        "issued": NOON,
        "delay": 60,
        "duration": 3600,
        "epoch": 9,
    }
    assert ledger.due(NOON + 1) == [command]
    assert ledger.pairs() == []
    assert ledger.status(NOON + 2, status(command, "cancelled", seq=1)) is command
    assert not ledger.commands


def test_a_command_that_ends_before_its_revoke_arrives_is_over():
    ledger = Ledger()
    command = issued(ledger)
    ledger.status(NOON, status(command, "started"))
    ledger.revoke(NOON + 1, command)
    ledger.status(NOON + 2, status(command, "completed", seq=1, revision=0))
    assert command.state == STATE["completed"]
    assert not ledger.due(NOON + 100)


def test_nothing_is_sent_after_its_end():
    ledger = Ledger()
    command = issued(ledger, duration=30)
    ledger.due(NOON)
    assert ledger.due(NOON + 30) == []
    assert command.state == UNANSWERED


def test_a_late_report_of_what_was_given_up_counts():
    ledger = Ledger()
    command = issued(ledger, duration=30)
    ledger.status(NOON, status(command, "started"))
    assert ledger.expire(NOON + 30 + REPORT_GRACE_S - 1) == []
    assert ledger.expire(NOON + 30 + REPORT_GRACE_S) == [command]
    assert command.state == UNREPORTED
    ledger.status(NOON + 9000, status(command, "completed", seq=1, energy=5))
    assert (command.state, command.energy) == (STATE["completed"], 5)
    assert not ledger.commands


def test_digest_is_over_what_the_device_confirmed():
    ledger = Ledger()
    first, second = issued(ledger), issued(ledger)
    assert ledger.pairs() == []
    ledger.status(NOON, status(second, "scheduled"))
    ledger.status(NOON, status(first, "waiting", seq=1))
    assert ledger.pairs() == [(1, 0), (2, 0)]
    calls = []
    assert ledger.digest(lambda pairs: calls.append(pairs) or 7) == ledger.digest(lambda pairs: 8) == 7
    ledger.status(NOON, status(first, "aborted", seq=2))
    assert ledger.digest(lambda pairs: 8) == 8
    assert ledger.pairs() == [(2, 0)]


def test_a_refusal_by_answer_ends_it():
    ledger = Ledger()
    command = issued(ledger)
    ledger.refused(NOON, command.id, REASON["ledger_full"])
    assert (command.state, command.reason) == (STATE["rejected"], REASON["ledger_full"])
    assert ledger.refused(NOON, 99, 1) is None


def test_not_yet_is_no_refusal_and_a_status_counts_more_than_an_answer():
    ledger = Ledger()
    command = issued(ledger)
    ledger.refused(NOON, command.id, REASON["wrong_epoch"])
    assert command.state == PENDING and command.unanswered
    ledger.refused(NOON, command.id, REASON["store_full"])
    assert not ledger.commands
    ledger.status(NOON + 1, status(command, "scheduled"))
    assert ledger.pairs() == [(command.id, 0)]


def test_the_record_brings_everything_back():
    ledger = Ledger()
    live, over = issued(ledger, purpose="operator"), issued(ledger)
    ledger.status(NOON, status(live, "started", start=NOON, power=900))
    ledger.status(NOON, status(over, "completed", seq=1))
    again = Ledger(1, [live.record(), over.record()])
    assert again.next_id == 3
    assert again.commands[1].record() == live.record()
    assert [c.id for c in again.history] == [2]
    assert Command(**live.record()).state != PENDING


@pytest.mark.parametrize("how", ["revise", "revoke"])
def test_a_shorter_revision_is_sent_until_the_longer_one_would_have_ended(how):
    """The device may hold the earlier revision, which runs on: the word that ends it matters until its own end."""
    ledger = Ledger()
    command = issued(ledger, duration=36000)
    ledger.status(NOON + 1, status(command, "started"))
    ledger.revise(NOON + 10, command, duration=60)
    if how == "revoke":
        ledger.revoke(NOON + 11, command)
    assert ledger.due(NOON + 11) and ledger.due(NOON + 7200), "its own end is long past"
    assert not ledger.expire(NOON + 35999)
    again = Ledger(records=[command.record()])
    (kept,) = again.commands.values()
    kept.next_send = NOON + 7300
    assert again.due(NOON + 7300)
    assert ledger.status(NOON + 7201, status(command, "expired", seq=1)) is command
    assert command.id not in ledger.commands


def test_a_shorter_revision_that_was_answered_ends_by_itself():
    ledger = Ledger()
    command = issued(ledger, duration=36000)
    ledger.revise(NOON + 10, command, duration=60)
    ledger.status(NOON + 11, status(command, "started"))
    assert ledger.next_due() == command.end + REPORT_GRACE_S
    assert ledger.expire(command.end + REPORT_GRACE_S) == [command] and command.state == UNREPORTED


def test_the_end_of_an_earlier_revision_is_the_end_when_the_later_one_cannot_arrive_any_more():
    """The broker was away for all of it: the device ran, and reports, what it had."""
    for given_up in (False, True):
        ledger = Ledger()
        command = issued(ledger)
        ledger.status(NOON + 1, status(command, "scheduled"))
        ledger.revise(NOON + 10, command, duration=600)
        assert ledger.status(NOON + 700, status(command, "completed", seq=1, revision=0)) is None, "it may still arrive"
        ledger.due(command.matters_until)
        if given_up:
            assert ledger.expire(NOON + 3600 + REPORT_GRACE_S) == [command] and command.state == UNREPORTED
        late = status(command, "completed", seq=2, revision=0, energy=70)
        assert ledger.status(NOON + 3600 + REPORT_GRACE_S, late) is command
        assert (command.state, command.energy) == (STATE["completed"], 70)
