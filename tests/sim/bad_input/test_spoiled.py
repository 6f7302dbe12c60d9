"""Every message cut at every octet and with every bit turned over: nothing crashes, what is refused changes nothing."""

import pytest

from spot_host.profile import definition as d
from tests.sim.bad_input.corpus import bodies, refused, spoiled
from tests.sim.bad_input.house import NOON, WITNESS, House

EPOCH = House().core.epoch
DOWN = list(bodies("down", EPOCH, NOON + 130))
UP = list(bodies("up", EPOCH, NOON + 130))


def test_the_examples_have_every_type_both_ways():
    assert {kind for _, kind, _, _ in DOWN} | {kind for _, kind, _, _ in UP} == {m.name for m in d.MESSAGES}


@pytest.mark.parametrize("name, kind, channel, body", DOWN, ids=[row[0] for row in DOWN])
def test_to_a_device(name, kind, channel, body):
    """The device refuses what the host's codec refuses, remembers nothing of it, and the contact does not move.

    What is a message in spite of the change (another number) goes to another house, where it may do what it says.
    """
    house, other = House(), House()
    agent, before = house.plug.app.agent, house.memory()
    counted = agent.refusals.count + agent.ignored
    given = 0
    for bad in spoiled(body):
        if refused(bad):
            house.give(bad, channel)
            given += 1
            assert agent.refusals.count + agent.ignored == counted + given, bad.hex()
            assert house.memory() == before, bad.hex()
        else:
            other.give(bad, channel)
    assert given > len(body)
    house.run(900)
    other.run(300)
    assert house.plug.load.edges == []
    house.complete()


@pytest.mark.parametrize("name, kind, channel, body", UP, ids=[row[0] for row in UP])
def test_to_the_emd(name, kind, channel, body):
    """The EMD counts what its codec refuses on the sender's row and knows nothing else of it; no other row ever
    changes."""
    house, other = House(), House()
    before, witness, hostile = house.state(), house.state(WITNESS), house.row().hostile
    theirs = other.state(WITNESS)
    given = 0
    for bad in spoiled(body):
        if refused(bad):
            house.take(bad, channel)
            given += 1
        else:
            other.take(bad, channel)
            other.down.clear()
    assert given > len(body)
    assert house.row().hostile == hostile + given
    assert house.state() == before and house.state(WITNESS) == witness
    assert other.state(WITNESS) == theirs and set(other.core.devices) == set(other.plugs)
    house.run(900)
    assert house.plug.load.edges == [] and house.witness.load.edges == []
    house.complete()
    house.complete(WITNESS)
