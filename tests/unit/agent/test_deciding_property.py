"""Random commands, silences, leaves and reboots from two EMDs against a reference that says in a few lines which limit
is effective and whose set-point wins."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from agent_cases import applied  # noqa: E402
from association_rig import House  # noqa: E402
from hypothesis import settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule  # noqa: E402

from spot.codes import (  # noqa: E402
    ABSENT,
    KIND_BOOST,
    KIND_LIMIT,
    KIND_LIMIT_PERCENT,
    KIND_OFF,
    KIND_OFFSET,
    KIND_ON,
    KIND_REVOKE,
    KIND_UNLIMITED,
    MODE_AUTONOMOUS,
    MODE_CONTROLLED,
    MODE_FAILSAFE,
)

SET_POINTS = (KIND_OFF, KIND_ON, KIND_OFFSET, KIND_BOOST)
LIMITS = (KIND_LIMIT, KIND_LIMIT_PERCENT)
POWER_MAX = 2000  # of the bench's device
WHO = st.integers(0, 1)


class TwoEmds(RuleBasedStateMachine):
    """The model keeps what was said: {(who, id): command}; who controls is asked of the leases, which have tests of
    their own."""

    @initialize(
        failsafe=st.tuples(st.integers(0, 2100), st.integers(0, 2100)),
        cap=st.tuples(*[st.one_of(st.none(), st.integers(0, 2100))] * 2),
        ceiling=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    )
    def begin(self, failsafe, cap, ceiling):
        self.ceiling = list(ceiling)
        plans = [
            {
                "failsafe_limit": failsafe[at], "autonomous_cap": cap[at], "priority_ceiling": ceiling[at],
                "lease": 400000,
            }
            for at in (0, 1)
        ]
        self.house = House(plans=plans).join()
        self.said = {}

    @property
    def utc(self):
        return self.house.home.utc

    def live(self):
        """Who and what of the commands that have not ended, been revoked or been withdrawn."""
        utc = self.utc
        return [(who, row) for (who, _), row in self.said.items() if not row["dead"] and utc < row["issued"] + 600]

    # --- what may happen --------------------------------------------------------------------------------------------

    @rule(
        who=WHO, kind=st.sampled_from(SET_POINTS + LIMITS + (KIND_UNLIMITED,)), id=st.integers(1, 4),
        priority=st.integers(0, 4), ago=st.sampled_from((0, 0, 1, 30, 200)), value=st.integers(0, 100),
    )
    def command(self, who, kind, id, priority, ago, value):
        if (who, id) in self.said and self.utc < self.said[who, id]["issued"] + 660:  # remembered a minute longer
            return  # revisions have a model of their own (test_ledger_property.py)
        issued = self.utc - ago
        watts = value * 21 if kind == KIND_LIMIT else value if kind in (KIND_LIMIT_PERCENT, KIND_OFFSET) else None
        hand = self.house.hands[who]
        hand.command(id, kind, watts, priority=priority, issued=issued, duration=600)
        if priority > self.ceiling[who]:
            return
        row = {"kind": kind, "value": watts, "priority": priority, "issued": issued, "id": id, "dead": False}
        self.said[who, id] = row
        for other, lifting in self.live():
            for same, limit in self.live():
                if (
                    other == same and lifting["kind"] == KIND_UNLIMITED and limit["kind"] in LIMITS
                    and (limit["issued"], limit["id"]) < (lifting["issued"], lifting["id"])
                ):
                    limit["dead"] = True

    @rule(who=WHO, id=st.integers(1, 4))
    def revoke(self, who, id):
        """Of its own command, or of an id that the other one used: then it is a tombstone, and nothing moves."""
        row = self.said.get((who, id))
        if row is None or self.utc >= row["issued"] + 600:
            return
        self.house.hands[who].command(id, KIND_REVOKE, issued=row["issued"], duration=600)
        row["dead"] = True

    @rule(who=WHO, beats=st.booleans())
    def silence(self, who, beats):
        self.house.hands[who].silent = not beats

    @rule(who=WHO, up=st.booleans())
    def link(self, who, up):
        hand = self.house.hands[who]
        if hand.link != up:
            (hand.up if up else hand.down)()

    @rule(who=WHO)
    def new_epoch(self, who):
        hand = self.house.hands[who]
        if not hand.link:
            return
        hand.epoch += 1
        hand.registered(priority_ceiling=self.ceiling[who])
        for (of, _), row in list(self.said.items()):
            if of == who:
                row["dead"] = True
        self.said = {key: row for key, row in self.said.items() if key[0] != who}  # its ids begin anew

    @rule(who=WHO, ceiling=st.integers(0, 4))
    def another_ceiling(self, who, ceiling):
        hand = self.house.hands[who]
        if hand.link:
            hand.plan["priority_ceiling"] = self.ceiling[who] = ceiling
            hand.registered()

    @rule(seconds=st.sampled_from((1, 29, 60, 130, 400, 7300)))
    def wait(self, seconds):
        self.house.run(seconds)

    @rule(dark=st.integers(0, 200))
    def reboot(self, dark):
        house = self.house
        house.step()
        house.wall += dark
        house.boot()
        house.join()
        for hand in house.hands:
            hand.silent = False
        house.step()

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def the_least_of_all_limits_holds(self):
        watts = [
            row["value"] if row["kind"] == KIND_LIMIT else POWER_MAX * row["value"] // 100
            for _, row in self.live() if row["kind"] in LIMITS
        ]
        for hand in self.house.hands:
            mode, plan = hand.seat.lease.mode, hand.plan
            own = {MODE_FAILSAFE: plan["failsafe_limit"], MODE_AUTONOMOUS: plan["autonomous_cap"]}.get(mode)
            watts += [] if own is None else [own]
        assert applied(self.house)[2] == min(watts, default=ABSENT)

    @invariant()
    def the_right_set_point_holds(self):
        rows = [(who, row) for who, row in self.live() if row["kind"] in SET_POINTS]
        rank = lambda one: (  # noqa: E731
            min(one[1]["priority"], self.ceiling[one[0]]), one[1]["issued"], one[0] == 0, one[1]["id"]
        )
        assert applied(self.house)[0] == (max(rows, key=rank)[1]["kind"] if rows else ABSENT)

    @invariant()
    def each_holds_its_own(self):
        for hand in self.house.hands:
            held = {entry.id for entry in hand.seat.ledger.rows if entry.phase != 2}
            assert held == {row["id"] for who, row in self.live() if who == hand.at}

    @invariant()
    def nobody_controls_for_another(self):
        """A state of one says nothing of the other's."""
        for hand in self.house.hands:
            if hand.seat.lease.mode == MODE_CONTROLLED:
                assert any(who == hand.at for who, _ in self.said), hand.at


TestDeciding = TwoEmds.TestCase
TestDeciding.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
