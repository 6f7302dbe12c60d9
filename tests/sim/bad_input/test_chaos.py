"""All of it at once, drawn from a seed: in the end both sides agree, nothing was lost, and the load is the
household's again."""

import random

import pytest

from spot.codes import RESET_POWER_ON, RESET_WATCHDOG
from spot.wire.profile import digest
from spot_host.profile import codec
from tests.sim.bad_input.corpus import bodies, spoiled
from tests.sim.bad_input.house import KIND, PLUG, House

_OPERATIONS = (
    "command",
    "command",
    "command",
    "revoke",
    "again",
    "old",
    "spoiled",
    "up",
    "link",
    "restart",
    "full",
    "clock",
    "other",
)


class Chaos:
    """One house and one generator; `journal` tells what was done, for a failing seed."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.flash = (
            self.draw.random() < 0.5
        )  # a flash that fills up, or restarts: both together may lose what RAM held
        self.house, self.journal, self.sent = House(), [], []
        send = self.house.core.out.send

        def keep(device, channel, body):
            if device == PLUG:
                self.sent.append(bytes(body))
            send(device, channel, body)

        self.house.core.out.send = keep

    def step(self):
        name = self.draw.choice(_OPERATIONS)
        self.journal.append((self.house.t, name))
        getattr(self, name)()
        self.house.run(self.draw.choice((0, 1, 5, 30, 70, 400)))

    def command(self):
        kind = self.draw.choice(("off", "limit", "limit", "limit_percent", "unlimited"))
        values = {
            "limit": {"value": self.draw.choice((0, 500, 1999, 2001, 3000))},
            "limit_percent": {"value": self.draw.choice((0, 30, 100))},
        }.get(kind, {})
        if self.house.row().registered:
            self.house.core.command(
                self.house.utc,
                PLUG,
                kind,
                duration=self.draw.randint(1, 2000),
                delay=self.draw.choice((0, 0, 60, 600)),
                priority=self.draw.randint(1, 12),
                **values,
            )

    def revoke(self):
        ids = list(self.house.row().ledger.commands)
        if ids:
            self.house.core.revoke(self.house.utc, PLUG, self.draw.choice(ids))

    def again(self):
        if self.sent:
            for body in self.draw.choices(self.sent[-20:], k=3):
                self.house.give(body)

    def old(self):
        if self.sent:
            self.house.give(self.draw.choice(self.sent))

    def spoiled(self):
        house = self.house
        *_, channel, body = self.draw.choice(list(bodies("down", house.core.epoch + 9, house.utc, boot=999)))
        for bad in self.draw.choices(list(spoiled(body)), k=20):
            house.give(bad, channel)

    def up(self):
        house = self.house
        for _, name, channel, body in self.draw.choices(
            list(bodies("up", house.core.epoch + 9, house.utc, eui="0200000000000009")), k=5
        ):
            if name in ("register", "update", "unregister", "forecast", "offer"):
                house.take(self.draw.choice(list(spoiled(body))[: len(body)]), channel)

    def link(self):
        plug = self.house.plug
        plug.link(not plug.linked)

    def restart(self):
        plug = self.house.plug
        if self.flash:
            return
        plug.linked = False
        plug.boot(self.draw.choice((RESET_WATCHDOG, RESET_POWER_ON)))

    def full(self):
        fs = self.house.plug.fs
        if self.flash:
            fs.capacity = None if fs.capacity is not None else fs._used()

    def clock(self):
        self.house.shift_s += self.draw.choice((-4000, -60, -5, 5, 60, 4000))

    def other(self):
        house = self.house
        house.give(
            codec.encode(
                "heartbeat", {"epoch": house.core.epoch - 3, "time": house.utc, "digest": 0, "clock": 4, "beat": 1}
            )
        )
        house.give(
            codec.encode(
                "command",
                {
                    "epoch": house.core.epoch - 3,
                    "id": 7,
                    "revision": 0,
                    "priority": 15,
                    "kind": KIND["off"],
                    "issued": house.utc,
                    "delay": 0,
                    "duration": 60000,
                },
            )
        )

    def heal(self):
        plug = self.house.plug
        plug.fs.capacity = None
        plug.link(True)
        self.house.run(4 * 3600)


@pytest.mark.parametrize("seed", range(30))
def test_in_the_end_all_is_well(seed):
    chaos = Chaos(seed)
    house = chaos.house
    for _ in range(80):
        chaos.step()
    chaos.heal()
    agent = house.plug.app.agent
    assert house.row().registered and house.row().mode == 1, chaos.journal[-20:]
    assert house.plug.load.on, (agent.control.decision.__dict__, chaos.journal[-20:])
    assert agent.control.ledger.digest == house.row().ledger.digest(digest)
    assert house.witness.load.edges == []
    house.complete()
