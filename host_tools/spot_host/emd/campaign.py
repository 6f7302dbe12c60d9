"""A fleet's update as a state machine without I/O: who is offered what, when, and when it has to stop.

    canaries   a few devices of each release; one that fails or falls silent halts everything
    soaking    they have run it for a while, without a crash, a safe mode or a way back
    rolling    the others, so many at a time and so many an hour; more failures than are allowed halt it
    halted     nobody is offered anything, nothing is served; a person resumes or ends it
    over       everybody has it, or was found unable to; a device that comes later reopens it
    ended      by a person, for good

A device of it is waiting, offered, fetching, on trial (it runs, and may still go back), then done, failed, silent or
declined. Who is away keeps waiting, and nobody waits for it. Times are Unix seconds.
"""

import hashlib
from collections import deque
from dataclasses import asdict, dataclass

LIVE = ("canaries", "soaking", "rolling")
UNDER_WAY = ("offered", "fetching", "trial")
BAD = ("failed", "silent")
_TRIAL_S = 900  # a device gives itself 600 s; who still runs it then, and is heard, has kept it
_BUSY_S = 900  # until a device that was busy is asked again
_FIRST_S, _LONGEST_S = 30, 960  # between two offers without an answer
_HOUR_S = 3600


@dataclass(frozen=True)
class Pace:
    """How fast, and when to stop. canaries: of each release; soak_s: how long they run it before the others get it;
    at_once: devices under way; per_hour: devices begun; most_failed: more than so many failures halt it (among
    canaries: any); silent_s: a device under way that is not heard of for so long has failed."""

    canaries: int = 1
    soak_s: int = 3600
    at_once: int = 10
    per_hour: int = 60
    most_failed: int = 0
    silent_s: int = 7200

    def check(self) -> "Pace":
        """Itself. Raises ValueError."""
        for name, low, high in (("canaries", 0, 10_000), ("soak_s", 0, 30 * 86400), ("at_once", 1, 10_000),
                                ("per_hour", 1, 100_000), ("most_failed", 0, 100_000), ("silent_s", 300, 30 * 86400)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name}: {low} to {high}")
        return self


@dataclass
class Member:
    """One device. release: which of the campaign's; offer: id under which it was offered, None before; at: when it came
    into this state; heard_at: its latest sign of this update; again_at: when it is offered once more."""

    eui: str
    release: int
    state: str = "waiting"
    canary: bool = False
    offer: int | None = None
    at: int = 0
    heard_at: int = 0
    again_at: int | None = None
    tries: int = 0
    reason: str = ""
    forgiven: bool = False  # by a person who resumed in spite of it


class Campaign:
    """One. releases: dicts with at least `sequence`; see firmware.Updates for the rest.

    Events come through its methods; `step` gives the members that are to be offered their release now. `changed`:
    members that storage has to keep; `dirty`: the campaign itself has changed, too.
    """

    def __init__(self, id_: int, releases: list, pace: Pace, now: int, devices=None):
        self.id, self.releases, self.pace, self.begun_at = id_, releases, pace, now
        self.devices = None if devices is None else sorted(devices)
        self.members, self.state, self.before, self.why = {}, "canaries", None, ""
        self.at, self.soaked_at, self.changed, self.dirty = now, None, {}, True
        self.news = True  # its state is another than people were told
        self._begun = deque()  # when devices were begun with, within the latest hour

    # What storage keeps

    def record(self) -> dict:
        return {"id": self.id, "releases": self.releases, "pace": asdict(self.pace), "begun_at": self.begun_at,
                "devices": self.devices, "state": self.state, "before": self.before, "why": self.why, "at": self.at,
                "soaked_at": self.soaked_at, "begun": list(self._begun)}

    @classmethod
    def from_record(cls, record: dict, members) -> "Campaign":
        self = cls(record["id"], record["releases"], Pace(**record["pace"]), record["begun_at"], record["devices"])
        self.state, self.before, self.why = record["state"], record["before"], record["why"]
        self.at, self.soaked_at, self.dirty, self.news = record["at"], record["soaked_at"], False, False
        self.members = {m["eui"]: Member(**m) for m in members}
        self._begun = deque(record["begun"])
        return self

    # What happens

    @property
    def live(self) -> bool:
        return self.state in LIVE

    def join(self, now: int, eui: str, release: int) -> Member:
        """A device that this release is for is known; its member."""
        member = self.members.get(eui)
        if member is None:
            member = self.members[eui] = Member(eui, release, at=now, heard_at=now)
            self.changed[eui] = member
            if self.state == "over":
                self._to("rolling", now)
        return member

    def heard(self, now: int, eui: str) -> None:
        """It fetches."""
        member = self.members.get(eui)
        if member is not None and member.state in UNDER_WAY:
            member.heard_at = now  # no write for that: after a restart the silence begins anew
            if member.state == "offered":
                self._move(now, member, "fetching")

    def version(self, now: int, eui: str, sequence: int) -> None:
        """It has registered, and runs this sequence number."""
        member = self.members[eui]
        wanted = self.releases[member.release]["sequence"]
        if sequence >= wanted:
            if member.state == "waiting" or sequence > wanted:
                if member.state != "done":
                    self._move(now, member, "done", "had it" if sequence == wanted else f"runs {sequence}")
            elif member.state in ("offered", "fetching", "silent") or member.state == "failed" and not member.forgiven:
                self._move(now, member, "trial")
            member.heard_at = now
        elif member.state == "trial" or member.state == "done" and member.offer is not None:
            self._bad(now, member, "failed", "rolled_back")
        elif member.state in ("offered", "fetching"):
            member.heard_at = member.again_at = now  # it may have forgotten

    def status(self, now: int, eui: str, state: str, reason: str) -> None:
        """What it says of the offer."""
        member = self.members[eui]
        member.heard_at = now
        if state in ("received", "started"):
            if member.state in ("offered", "silent"):
                self._move(now, member, "fetching")
            member.again_at = None
        elif state == "completed":
            if member.state != "done":
                self._move(now, member, "done")
        elif member.state in ("waiting", "failed", "declined"):
            return
        elif state == "opted_out":
            self._move(now, member, "declined", reason)
        elif state == "rejected" and reason == "busy":
            self._move(now, member, "waiting", reason)
            member.again_at = now + _BUSY_S
        elif state == "rejected" and reason == "sequence":
            self._move(now, member, "done", "runs a newer one")
        elif state in ("rejected", "aborted", "expired", "superseded", "cancelled"):
            self._bad(now, member, "failed", reason if reason != "none" else state)

    def alarm(self, now: int, eui: str, alarm: str, value=None) -> None:
        """It has raised an alarm: those that a firmware can be to blame for, soon after it came, are failures."""
        member = self.members.get(eui)
        if member is None or member.offer is None:
            return
        if alarm == "rolled_back":
            if member.state in (*UNDER_WAY, "done", "silent") and value in (
                    None, self.releases[member.release]["sequence"]):
                self._bad(now, member, "failed", alarm)
        elif alarm in ("crash", "safe_mode") and (
                member.state == "trial" or member.state == "done" and now - member.at < max(self.pace.soak_s, _HOUR_S)):
            self._bad(now, member, "failed", alarm)

    def halt(self, now: int, why: str) -> None:
        """Nothing goes on until `resume`."""
        if self.live:
            self.before, self.why = self.state, why
            self._to("halted", now)

    def resume(self, now: int, retry: bool = False) -> None:
        """Go on in spite of the failures so far; retry: those who failed are asked once more. Raises ValueError."""
        if self.state != "halted":
            raise ValueError(f"campaign {self.id} is {self.state}, not halted")
        for member in self.members.values():
            if member.state in BAD:
                member.forgiven = True
                self.changed[member.eui] = member
                if retry:
                    self._move(now, member, "waiting")
            elif member.state in UNDER_WAY:
                member.heard_at = now  # nothing was served meanwhile
                member.again_at = now if member.state != "trial" else None
        # Canaries that failed are none: others take their place.
        state = self.before if self.before == "rolling" else "canaries"
        self.before, self.why, self.soaked_at = None, "", None
        self._to(state, now)

    def end(self, now: int, why: str = "by hand") -> None:
        """For good."""
        if self.state != "ended":
            self.why = why
            self._to("ended", now)

    def moved(self, by: int) -> None:
        """The host's clock was set back by so many seconds."""
        self.at -= by
        if self.soaked_at is not None:
            self.soaked_at -= by
        self._begun = deque(t - by for t in self._begun)
        for member in self.members.values():
            member.at, member.heard_at = member.at - by, member.heard_at - by
            if member.again_at is not None:
                member.again_at -= by
            self.changed[member.eui] = member
        self.dirty = True

    # What is due

    def step(self, now: int, present) -> list:
        """Members to be offered their release now. present(eui): registered, and heard lately."""
        if not self.live:
            return []
        self._judge(now, present)
        if not self.live:  # halted by that
            return []
        offers = [m for m in self.members.values()
                  if m.state in ("offered", "fetching") and m.again_at is not None and m.again_at <= now
                  and present(m.eui)]
        if self.state == "canaries":
            chosen = self._canaries(now, present)
            if chosen is None:
                self.soaked_at = now + self.pace.soak_s
                self._to("soaking" if self.pace.soak_s and self.pace.canaries else "rolling", now)
            else:
                offers += chosen
        if self.state == "soaking" and now >= self.soaked_at:
            away = [m.eui for m in self.members.values() if m.canary and m.state == "done" and not present(m.eui)]
            if not away:
                self._to("rolling", now)
            elif now >= self.soaked_at + self.pace.silent_s:
                self._bad(now, self.members[away[0]], "silent", "not heard after the soak time")
        if self.state == "rolling":
            offers += self._next(now, present, lambda member: True)
            if all(m.state not in ("waiting", *UNDER_WAY) for m in self.members.values()):
                self._to("over", now)
        for member in offers:
            member.tries += 1
            member.again_at = now + min(_LONGEST_S, _FIRST_S << min(member.tries - 1, 10))
        return offers

    def counts(self) -> dict:
        """Members by state."""
        counts = {}
        for member in self.members.values():
            counts[member.state] = counts.get(member.state, 0) + 1
        return counts

    def _judge(self, now, present):
        """Who has been silent for too long, and whose trial is over."""
        for member in list(self.members.values()):
            if member.state not in UNDER_WAY:
                continue
            if member.state == "trial" and now - member.heard_at >= _TRIAL_S and present(member.eui):
                if member.canary:  # it is there for that: who cannot confirm cannot be updated any more, maybe
                    self._bad(now, member, "failed", "not confirmed")
                    if not self.live:
                        return
                else:
                    self._move(now, member, "done", "still runs it")
            elif now - member.heard_at >= self.pace.silent_s:
                if member.state == "offered" and not present(member.eui):
                    self._move(now, member, "waiting", "away")  # it never knew
                else:
                    self._bad(now, member, "silent", f"not heard of for {now - member.heard_at} s")
                    if not self.live:
                        return

    def _canaries(self, now, present):
        """Canaries to begin now; None when all there are to be have it."""
        complete, chosen = True, []
        for index in range(len(self.releases)):
            rows = [m for m in self.members.values() if m.release == index and m.state not in (*BAD, "declined")]
            wanted = min(self.pace.canaries, len(rows))
            done = sum(m.canary and m.state == "done" for m in rows)
            # Who had it before proves as much as a canary does not: nothing. But where all have it, it is over.
            if done >= wanted or all(m.state == "done" for m in rows):
                continue
            complete = False
            want = wanted - sum(m.canary and m.state != "waiting" for m in rows)
            if want > 0:
                chosen += self._next(now, present, lambda m, i=index: m.release == i, want, canary=True)
        return None if complete and self.members else chosen

    def _next(self, now, present, fits, most=1 << 30, canary=False):
        """Begin with those who wait, are there and fit, within the pace."""
        while self._begun and self._begun[0] <= now - _HOUR_S:
            self._begun.popleft()
        under_way = sum(m.state in UNDER_WAY for m in self.members.values())
        room = min(most, self.pace.at_once - under_way, self.pace.per_hour - len(self._begun))
        if room <= 0:
            return []
        ready = [m for m in self.members.values() if m.state == "waiting" and fits(m)
                 and (m.again_at is None or m.again_at <= now) and present(m.eui)]
        ready.sort(key=lambda m: (not m.canary, hashlib.sha256(f"{self.id} {m.eui}".encode()).digest()))
        for member in ready[:room]:
            member.canary = member.canary or canary
            member.tries, member.offer, member.heard_at = 0, None, now
            self._move(now, member, "offered")
            self._begun.append(now)
            self.dirty = True
        return ready[:room]

    def _bad(self, now, member, state, reason):
        self._move(now, member, state, reason)
        member.forgiven = False
        bad = sum(m.state in BAD and not m.forgiven for m in self.members.values())
        if self.live and (self.state != "rolling" or bad > self.pace.most_failed):
            who = "canary" if member.canary else "device"
            more = f", {bad} failed, {self.pace.most_failed} are allowed" if self.state == "rolling" else ""
            self.halt(now, f"{who} {member.eui}: {state}: {reason}{more}")

    def _move(self, now, member, state, reason=""):
        member.state, member.at, member.reason = state, now, reason
        if state not in UNDER_WAY:
            member.again_at = None
        elif state == "trial":
            member.heard_at, member.again_at = now, None
        self.changed[member.eui] = member

    def _to(self, state, now):
        self.state, self.at, self.dirty, self.news = state, now, True, True
