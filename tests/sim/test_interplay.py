"""An EMD that is killed, devices that reboot and a link that loses, doubles and turns round, under a person who issues,
revises and revokes at random: what must hold at every step of every device, and once it is calm.
"""

import json
import random

import pytest

from spot.agent.entry import OVER, RUNNING
from spot.codes import ABSENT, ALARM_STORE_FAULT, MODE_AUTONOMOUS, MODE_CONTROLLED, MODE_FAILSAFE, MODE_INIT
from spot.wire.profile import digest
from spot_host.emd.ledger import FINAL, KIND
from spot_host.emd.sqlite import SqliteStorage
from tests.sim.lab import ALWAYS_CHARGING, HOUR, Lab, build

STORM_S, END_S = 14 * HOUR, 17 * HOUR
KINDS = ("limit", "limit_percent", "unlimited", "off", "boost", "offset", "sg_ready")


class Storm(Lab):
    """Every step of every device is looked at; the EMD's process is killed, not closed; its storage is on disk."""

    def __init__(self, scenario, path, seed):
        self.rng = random.Random(seed)
        super().__init__(scenario, storage=SqliteStorage(path, full_sync=False))
        for device in self.devices.values():
            device._step = self._looked_at(device, device._step)
        self.clock.call_at(600, self.person)

    def _stop_emd(self):
        self._emd_gone = True
        self.storage.connection.close()  # kill -9: what was not committed is gone
        self._emd_port.disconnect()

    def _start_emd(self):
        if self.core is not None:
            self.storage = SqliteStorage(self.storage.path, full_sync=False)
        super()._start_emd()

    def _looked_at(self, device, step):
        def look():
            step()
            self.holds(device.app.agent, self.now_s - device._boot_s, device.body.name)

        return look

    def holds(self, agent, now_s, name):
        """Nothing runs past its end; the least of all limits holds; no state of control lasts longer than it may."""
        lease, plan, control = agent.lease, agent.plan, agent.control
        own = {MODE_FAILSAFE: plan.failsafe_limit, MODE_AUTONOMOUS: plan.autonomous_cap}.get(lease.mode, ABSENT)
        limits = [own] if own != ABSENT else []
        for entry in control.ledger.rows:
            if entry.phase == RUNNING:
                assert entry.end_s >= now_s, (name, entry.id)
                if not entry.held and entry.kind_now == KIND["limit"]:
                    limits.append(entry.value_now)
                elif not entry.held and entry.kind_now == KIND["limit_percent"]:
                    limits.append(agent.hello.describe()["power_max"] * entry.value_now // 100)
        assert control.decision.limit_w == min(limits, default=ABSENT), (name, self.now_s, lease.mode)
        late_s = plan.jitter + 2
        longest = {
            MODE_INIT: (lease.since_s, 120),
            MODE_CONTROLLED: (lease.fresh_s, plan.heartbeat_timeout),
            MODE_FAILSAFE: (lease.since_s, plan.failsafe_min),
        }
        since_s, most_s = longest.get(lease.mode, (now_s, 0))
        assert now_s - since_s <= most_s + late_s, (name, self.now_s, lease.mode)

    def person(self):
        """Issues, revises, revokes."""
        rng = self.rng
        if self.now_s < STORM_S:
            self.clock.call_in_ms(1 + int(rng.expovariate(1 / 400) * 1000), self.person)
        rows = [row for row in self.core.devices.values() if row.registered]
        if self._emd_gone or not rows:
            return
        row, what, now = rng.choice(rows), rng.random(), self.utc
        live = [command for command in row.ledger.commands.values() if not command.revoked]
        if what < 0.2 and live:
            self.core.revoke(now, row.eui, rng.choice(live).id)
        elif what < 0.35 and live:
            row.ledger.revise(now, rng.choice(live), duration=rng.randint(60, 7200))
            self.core._want_resend(now, row)
        else:
            kind = rng.choice(KINDS)
            most = {"limit": (0, 4000), "limit_percent": (0, 100), "offset": (-200, 200), "sg_ready": (1, 4)}.get(kind)
            self.core.command(
                now, row.eui, kind, value=most and rng.randint(*most), duration=rng.randint(1, 7200),
                delay=rng.choice((0, 0, rng.randint(0, 7200))), priority=rng.randint(0, 10),
                jitter=rng.choice((None, rng.randint(0, 300))), after=rng.choice((None, 0, 1)),
            )
        self._wake_emd()

    def rows(self, sql, key):
        self.core.close(self.utc)
        return self.storage.connection.execute(sql, (key,)).fetchall()


@pytest.mark.parametrize(  # without jitter every seed found something
    "each_link, seed, jitter_s", [("mqtt", 2, 0), ("mqtt", 4, 30), ("coap", 2, 0)], indirect=["each_link"]
)
def test_two_halves_agree_after_a_storm(tmp_path, each_link, seed, jitter_s):
    world = Storm(
        build(
            [{"kind": "ev", "load": ALWAYS_CHARGING}, ("heat_pump", 2), ("washing_machine", 1)], seed=seed,
            reboots_per_day=12, base_loads=[{}], emd={"association": {"failsafe_limit_w": 1500, "jitter_s": jitter_s}},
            limits=[{"site": "home", "start": "11:00", "end": "13:00", "limit_w": 5000}],
            emd_outages=[{"at": "02:10", "duration_s": 5}, {"at": "05:40", "duration_s": 900}],
            link={
                "loss": 0.3, "loss_for_good": 0.05, "duplication": 0.15, "reordering": 0.15, "delay_ms": [10, 6000],
                "disconnects_per_day": 30, "until_s": "14:00",
                "windows": [
                    {"at": "04:00", "duration_s": 30, "forget": True}, {"at": "07:00", "duration_s": 2 * HOUR},
                    {"at": "10:00", "duration_s": 1200, "device": "emd", "forget": True},
                ],
            },
        ),
        tmp_path / "emd.sqlite",
        seed,
    )
    world.run_until(STORM_S)
    world._reboot = lambda *_: None
    world.run_until(STORM_S + 900)
    there = [device for device in world.devices.values() if device.app is not None and device._boot_s < STORM_S]
    assert {world.mode(device.body.name) for device in there} == {"controlled"}
    world.run_until(STORM_S + 2 * HOUR + 900)  # the last of those that lost their mains is back
    said = {eui: device.app.log.counts.get("ledger.resynchronise", 0) for eui, device in world.devices.items()}
    world.run_until(END_S - 1)
    for eui, device in world.devices.items():
        row, agent, name = world.core.devices[eui], device.app.agent, device.body.name
        assert row.registered and agent.lease.mode == MODE_CONTROLLED, name
        assert agent.control.ledger.digest == row.ledger.digest(digest), name
        assert device.app.log.counts.get("ledger.resynchronise", 0) - said[eui] <= 1, name
        for entry in agent.control.ledger.rows:  # what is over there is over here
            known = row.ledger.commands.get(entry.id)
            assert entry.phase != OVER or known is None or known.state in FINAL, (name, entry.id)
        intervals = world.rows("SELECT seq, import_wh FROM interval WHERE device = ? ORDER BY seq", row.key)
        assert [seq for seq, _ in intervals] == list(range(len(intervals))), name
        used_wh = device.body.load.energy_mj(END_S - 1) // 3_600_000
        missing_wh = used_wh - sum(wh for _, wh in intervals)
        # at most the interval that is open and, for each boot, what was not written yet
        assert -len(intervals) <= missing_wh <= (device.boots + 1) * agent.hello.describe()["power_max"] // 4, name
        numbers = [
            seq for table in ("status", "alarm", "reading", "registers")
            for (seq,) in world.rows(f"SELECT seq FROM {table} WHERE device = ?", row.key)
        ]
        assert len(set(numbers)) == len(numbers), name
        told = set()  # over CoAP, one message at a time, a storm can outrun what a device keeps: it says which went
        for (body,) in world.rows("SELECT fields FROM alarm WHERE device = ?", row.key):
            gap = json.loads(body)
            if gap["code"] == ALARM_STORE_FAULT and not gap["raised"]:
                told |= set(range(gap["limit"], gap["limit"] + gap["value"]))
        assert each_link == "coap" or not told, name
        assert sorted(told | set(numbers)) == list(range(max(numbers) + 1)), name
