"""Every row of the tables of CoAP, OSCORE, COSE, streams and signatures: the answer on the wire, the log, what it
cost, the contact, and that nothing was lost."""

import pytest

from tests.sim.bad_input import wire_sections
from tests.sim.bad_input.house import PLUG, WITNESS
from tests.sim.bad_input.test_table import _ours, _short

ROWS = [
    pytest.param(section.house, row, id=f"{section.name}: {row.what}".replace("::", ":"))
    for section in wire_sections.SECTIONS
    for row in section.rows
]


@pytest.mark.parametrize("make, row", ROWS)
def test_row(make, row):
    house = make(**row.house)
    try:
        check(house, row)
    finally:
        house.close()


def check(house, row):
    start, seen = house.t, len(house.seen)
    row.do(house)
    assert tuple(house.answered) == row.answer
    assert house.news() == row.log
    assert house.cost() == row.cost
    if row.still:
        assert house.memory() == house.before
    if row.after is not None:
        row.after(house)
    start = house.start_s if house.start_s is not None else start
    house.run(1800 - (house.t - start))
    house.seen[seen:] = _ours(house, seen)
    said = tuple(word for word in _short(house.said(seen)) if word.startswith(("answer", "alarm messages_refused")))
    assert said == row.said
    assert [(at - start, what) for at, what in house.plug.load.edges] == list(row.load)
    assert house.witness.load.edges == []
    house.run(1800)
    assert all(house.row(eui).registered and house.row(eui).mode == 1 for eui in (PLUG, WITNESS))
    assert house.plug.app.log.trace == ""  # nothing was raised that nobody expected
    if row.complete:
        house.complete()
    house.complete(WITNESS)


def test_no_row_stands_twice():
    names = [param.id for param in ROWS]
    assert len(set(names)) == len(names)
