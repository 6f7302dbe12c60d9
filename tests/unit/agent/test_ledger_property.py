"""The ledger against a model, over random commands, revisions, revokes, repetitions, reboots and clock jumps."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from agent_cases import applied  # noqa: E402
from agent_rig import Rig  # noqa: E402
from hypothesis import settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule  # noqa: E402

from spot.codes import ABSENT, KIND_BOOST, KIND_LIMIT, KIND_OFF, KIND_ON, KIND_REVOKE, KIND_UNLIMITED  # noqa: E402
from spot.wire import profile  # noqa: E402

KINDS = (KIND_OFF, KIND_ON, KIND_BOOST, KIND_LIMIT, KIND_LIMIT, KIND_UNLIMITED)
SET_POINTS = (KIND_OFF, KIND_ON, KIND_BOOST)
IDS = st.integers(1, 6)


class Row:
    """What the model knows of one id. end_s: on the monotonic clock once it runs, else None; until: the latest end of
    any revision, for so long it is remembered.
    """

    def __init__(self, sent, utc):
        self.__dict__.update(sent)
        self.start = self.issued + self.delay
        self.end = self.until = self.start + self.duration
        self.dead = self.kind == KIND_REVOKE
        self.end_s = None

    @property
    def rank(self):
        return (self.priority, self.issued, self.id)


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.rig = Rig(plan={"failsafe_limit": None, "lease": 604800}).join()
        self.rig.device.moves.clear()
        self.model = {}
        self.sent = []
        self.jumped = False

    # --- the model --------------------------------------------------------------------------------------------------

    @property
    def utc(self):
        return self.rig.clock.utc(self.rig.now)

    def settle(self):
        """Starts, ends and forgets what is due; an unlimited withdraws the limits that it finds."""
        now, utc = self.rig.now, self.utc
        for row in self.model.values():
            if not row.dead and row.end_s is None and utc >= row.start:
                row.end_s = now + row.end - utc
            if not row.dead and row.end_s is not None and now >= row.end_s:
                row.dead = True
        for lifting in self.model.values():
            if lifting.kind == KIND_UNLIMITED and not lifting.dead and lifting.end_s is not None:
                for row in self.model.values():
                    if (
                        row.kind == KIND_LIMIT
                        and (row.issued, row.id) < (lifting.issued, lifting.id)
                        and row.start <= lifting.start
                    ):
                        row.dead = True
        # remembered for longer: a clock may be set back a little
        for id in [id for id, row in self.model.items() if row.dead and utc >= row.until + 60]:
            del self.model[id]

    def take(self, sent):
        row = Row(sent, self.utc)
        known = self.model.get(row.id)
        if known is not None:
            if row.revision < known.revision:
                return
            if row.revision == known.revision:
                if row.kind == KIND_REVOKE:
                    known.dead = True
                return
            if row.kind == KIND_REVOKE:
                known.revision, known.dead = row.revision, True
                return
            if row.end <= self.utc:
                known.revision, known.dead = row.revision, True
                return
            row.until = max(row.until, known.until)
        elif row.end <= self.utc:
            return
        self.model[row.id] = row

    def running(self):
        return [row for row in self.model.values() if not row.dead and row.end_s is not None]

    # --- what may happen --------------------------------------------------------------------------------------------

    def give(self, sent):
        self.settle()
        if 0 < sent["issued"] - self.utc <= 60:
            return  # taken as issued now, on a clock that was set back: a rule of its own (agent_cases.late_clock)
        self.rig.command(**sent)
        self.rig.step()
        self.take(sent)
        self.settle()

    @rule(
        id=IDS, kind=st.sampled_from(KINDS), revision=st.integers(0, 3), priority=st.integers(0, 3),
        ago=st.integers(0, 200), delay=st.sampled_from((0, 0, 0, 30, 300)), duration=st.integers(1, 600),
        watts=st.integers(0, 1900),
    )
    def command(self, id, kind, revision, priority, ago, delay, duration, watts):
        sent = {
            "id": id, "kind": kind, "revision": revision, "priority": priority, "issued": self.utc - ago,
            "delay": delay, "duration": duration, "value": watts if kind == KIND_LIMIT else None,
        }
        self.sent.append(sent)
        self.give(sent)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def again(self, data):
        """Something that was sent before comes a second time; when it is what is known, nothing moves."""
        sent = data.draw(st.sampled_from(self.sent))
        self.settle()
        known = self.model.get(sent["id"])
        still = known is not None and known.revision >= sent["revision"] and (known.dead or sent["kind"] != KIND_REVOKE)
        moves = len(self.rig.device.moves)
        self.give(sent)
        if still:
            assert len(self.rig.device.moves) == moves

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), higher=st.integers(0, 1))
    def revoke(self, data, higher):
        sent = dict(data.draw(st.sampled_from(self.sent)))
        sent.update(kind=KIND_REVOKE, value=None, revision=min(sent["revision"] + higher, 255))
        self.sent.append(sent)
        self.give(sent)

    @rule(seconds=st.sampled_from((1, 7, 30, 59, 120, 400)))
    def wait(self, seconds):
        for _ in range(seconds):  # the model looks every second, as nothing tells it when
            self.rig.run(1)
            self.settle()

    @precondition(lambda self: not self.jumped)
    @rule(dark=st.integers(0, 300), blind=st.integers(0, 30))
    def reboot(self, dark, blind):
        """Power goes for `dark` seconds, then `blind` seconds pass without a time."""
        rig = self.rig
        rig.wall += dark
        rig.boot()
        rig.run(blind, beats=False)
        assert applied(rig)[0] in (ABSENT, KIND_OFF)  # nothing permissive before the time is known
        for row in self.model.values():
            row.end_s = None
        rig.join()
        rig.step()
        self.settle()

    @rule(jump=st.sampled_from((-7200, -600, 600, 7200)))
    def clock_jumps(self, jump):
        self.settle()
        self.jumped = True
        self.rig.wall += jump
        self.rig.agent.set_time(self.rig.now, self.rig.utc, 4)
        self.rig.step()
        self.settle()

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def the_least_limit_holds(self):
        limits = [row.value for row in self.running() if row.kind == KIND_LIMIT]
        assert applied(self.rig)[2] == (min(limits) if limits else ABSENT)

    @invariant()
    def the_right_set_point_holds(self):
        """And none that is over: what nobody asks for any longer is not applied."""
        rows = [row for row in self.running() if row.kind in SET_POINTS]
        assert applied(self.rig)[0] == (max(rows, key=lambda row: row.rank).kind if rows else ABSENT)

    @invariant()
    def the_digest_is_the_model_s(self):
        live = sorted((row.id, row.revision) for row in self.model.values() if not row.dead)
        assert self.rig.agent.control.ledger.digest == profile.digest(live)

    @invariant()
    def tombstones_are_the_model_s(self):
        rows = {row.id: row.revision for row in self.rig.agent.control.ledger.rows}
        assert rows == {row.id: row.revision for row in self.model.values()}


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
