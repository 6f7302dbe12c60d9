"""Every row of the table, with the real firmware and the real EMD: the answer, the log, the contact, and that
nothing was lost."""

import pytest

from tests.sim.bad_input import table
from tests.sim.bad_input.house import PLUG, PUMP, WITNESS, House

ROWS = [
    pytest.param(side, row, id=f"{side}: {row.what}".replace("::", ":"))
    for side, _, rows in table.SECTIONS
    for row in rows
]


def _short(words):
    """Without repetitions: a status that is said again says the same."""
    out = []
    for word in words:
        if word not in out or not word.startswith("status"):
            out.append(word)
    return tuple(out)


def _ours(house, since):
    """What was seen since, without the statuses of the EMD's own commands."""
    return [s for s in house.seen[since:] if s[2] != "status" or s[3]["id"] >= 5000]


@pytest.mark.parametrize("side, row", ROWS)
def test_row(side, row):
    house = House(settings=row.house)
    plug, eui = house.plug, PLUG
    if row.pump:
        plug, eui = house.fit_pump(power_min_w=1000, power_max_w=4000, steps=[1000, 2000, 4000]), PUMP
    start, seen, answers = house.t, len(house.seen), len(house.answers)
    logged = plug.logged(row.log)
    hostile, logs = house.row().hostile, len(house.storage.log)
    memory, state, witness = house.memory(eui), house.state(), house.state(WITNESS)
    row.do(house)
    if row.still and side == "device":
        assert house.memory(eui) == memory
    elif row.still:
        assert house.state() == state
    if side == "emd":
        assert house.state(WITNESS) == witness
        assert house.row().hostile == hostile + row.counted
    house.run(row.seconds)

    house.seen[seen:] = _ours(house, seen)
    said = house.said(seen, eui) if side == "device" else house.replied(answers)
    if row.answer is None:
        check = table.CHECKS.get(row.what)
        if check:
            check(house, said)
    else:
        assert _short(said) == row.answer
    if row.log and side == "device":
        assert plug.logged(row.log) > logged, plug.app.log.counts
    elif row.log:
        assert row.log in [event for _, _, event, _ in house.storage.log[logs:]]
    edges = [(at - start, what) for at, what in plug.load.edges]
    if row.pump:  # contacts and limit of one second
        assert sorted(edges) == sorted(row.load)
    else:
        assert edges == list(row.load)
    assert house.witness.load.edges == []
    assert house.row().registered and house.row(WITNESS).registered
    house.run(1800)
    assert house.row(eui).mode == 1  # controlled
    if row.complete:
        house.complete(eui)
    house.complete(WITNESS)
