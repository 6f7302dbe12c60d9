"""The rows of docs/bad-input.md on pieces that nobody offered and campaigns that do not begin, against the core."""

import pytest

from spot_host.profile import codec
from spot_host.profile import definition as d
from tests.sim.bad_input import fleet_table
from tests.unit.emd.helpers import PLUG, PUMP, Bench, of
from tests.unit.emd.test_firmware import OCTETS, answer, piece, plug, ready, release

REASON = {code: name for code, name, _ in d.enum("Reason").rows}


def rows(table):
    return pytest.mark.parametrize("row", table, ids=[row.what for row in table])


@rows(fleet_table.ASKS)
def test_what_was_not_offered_is_not_told(row):
    made, offer = ready()
    answer(made, offer, "received")
    updates = made.core.updates
    if row.state:
        (updates.halt if row.state == "halted" else updates.end)(made.now, None)
    device = PUMP if row.other else PLUG
    before = made.core.devices[device].hostile
    if row.raw:
        body = bytes.fromhex(row.raw.format(id="%02x" % offer["id"]))
        made.core.receive(made.now, device, "status", body)
        sent = made.run(0)
    else:
        values = {"id": offer["id"], "offset": 0, "count": 16, **row.ask}
        values["offset"] %= len(OCTETS) + 1 if values["offset"] < 0 else 1 << 30
        sent = [message for _ in range(row.times) for message in made.up("piece", device, **values)]
    assert len(of(sent, "piece")) == row.served and sum(updates.shelf.heard.values()) == 512 * row.served
    assert "".join(REASON[one["reason"]] for one in of(sent, "answer", device)) == row.answer
    assert made.core.devices[device].hostile == before + row.hostile
    if not row.state:
        made.run(5)
        assert len(piece(made, offer, 0)) == 1, "and who was offered it goes on"


@rows(fleet_table.BEGINS)
def test_what_does_not_begin(row):
    made = Bench()
    made.register(plug())
    updates = made.core.updates
    if row.before:
        updates.start(made.now, fleet_table.files(release()), {})
        if row.before == "ended":
            updates.end(made.now, None)
    had = {id: one.state for id, one in updates.campaigns.items()}
    values = {"files": fleet_table.files(release(6)), "pace": {}, **row.values(release)}
    with pytest.raises(Exception) as caught:
        updates.start(made.now, values["files"], values["pace"], values.get("devices"))
    assert str(caught.value) == row.line
    assert {id: one.state for id, one in updates.campaigns.items()} == had and len(made.storage.campaigns) == len(had)


def test_bodies_are_the_codecs_where_they_are_right():
    """A row's raw octets differ from a right request in what its sentence says alone."""
    assert codec.encode("piece", {"id": 2, "offset": 0, "count": 16}).hex() == fleet_table.HEAD + "020010"
