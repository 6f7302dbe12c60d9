"""Prices and limit events become commands: each device's ledger is brought in line with what is wanted of it."""

from spot_host.emd.config import LimitEvent
from spot_host.emd.control import Control
from spot_host.emd.events import RunningEvent, command_for, confirmed, shares
from spot_host.emd.kernel import PLAN, SPLIT
from spot_host.emd.planner import plan
from spot_host.emd.tariff import PriceSeries
from spot_host.profile import codec

_PLAN_S = 900  # plans are looked at again so often


class Planning(Control):
    """Holds the price series and the limit events."""

    def set_prices(self, now: int, series: PriceSeries, publish: bool = True) -> None:
        """A price series is known from now on: published to the group (retained), kept, and planned with.

        series: a PriceSeries of this package or of spot_host.prices. A new revision goes out only if it is news.
        """
        if hasattr(series, "start_utc"):
            series = PriceSeries(series.start_utc, series.interval_s, tuple(series.prices))
        known = self.series
        if publish and known is not None and known.start == series.start and known.values == tuple(series.values):
            series = known  # said again, after a restart
        elif publish:
            self.price_revision += 1
            series = PriceSeries(series.start, series.interval_s, tuple(series.values), self.price_revision)
            self.storage.put("price_revision", self.price_revision)
        self.series, self._ours = series, publish
        self.tariff.add(series)
        self.tariff.forget(now - 3 * 86400)
        others = [
            s for s in self.storage.get("prices", []) if s[0] + s[1] * len(s[2]) > now - 86400 and s[0] != series.start
        ]
        self.storage.put("prices", [*others, [series.start, series.interval_s, list(series.values), series.revision]])
        if publish:
            self._publish_prices(now)
        self._want_plan(now)
        if self._outbox and not self.storage.durable:
            self._flush(now)

    def add_event(self, now: int, event: LimitEvent) -> None:
        """Know of a limit event; one with the same id is replaced."""
        if event.id in self.limits:
            self.remove_event(now, event.id)
        running = RunningEvent(event, now)
        self.limits[event.id] = running
        self.storage.put_event(running.summary(now))
        self._want_split(max(now, event.start - self.config.split.lead_s), running)

    def remove_event(self, now: int, event_id: str) -> bool:
        """Withdraw a limit event and its commands. False when there is none."""
        running = self.limits.pop(event_id, None)
        if running is None:
            return False
        if not running.closed:
            running.finish(now)
            for row in self.devices.values():
                for command in row.ledger.live_for(running.purpose):
                    row.ledger.revoke(now, command)
                    self._want_resend(now, row)
        self.storage.put_event({**running.summary(now), "state": "withdrawn"})
        return True

    def base_w(self, now: int) -> float:
        """The power of what is no device: measured (site meter less devices) or as configured, W."""
        meter = self.devices.get(self.config.site_meter) if self.config.site_meter else None
        if meter is not None and meter.registered and now - meter.time < 900:
            return max(0, meter.power_w - sum(r.power_w for r in self.devices.values() if r is not meter))
        base = self.config.base_load
        return base(now) if callable(base) else base

    def _publish_prices(self, now):
        body = codec.encode("price", self.series.message(now))
        self._outbox = [item for item in self._outbox if item[0] is not None]
        self._outbox.append((None, self.config.group, "price", body))

    def _want_plan(self, now):
        if self._plan_due is None or self._plan_due > now:
            self._plan_due = now
            self._at(now, PLAN, None)

    def _plan_all(self, now):
        if self.config.plan_prices and self.series is not None:
            for row in self.devices.values():
                if row.registered:
                    self._plan_device(now, row)
        self._plan_due = now + _PLAN_S - now % _PLAN_S
        self._at(self._plan_due, PLAN, None)

    def _plan_device(self, now, row):
        """Bring the device's price commands in line with what the planner wants: issue, revise, revoke."""
        rules, ledger = self.config.rules, row.ledger
        if row.eui in self.config.no_prices:
            return
        day = 86400
        series = self.tariff.window(max(self.tariff.first, now - now % day - day), now + 2 * day)
        if series is None or series.end <= now:
            return
        wanted = [a for a in plan(row.capability, series, now, rules) if a.begin < now + rules.horizon_s]
        wanted = {a.purpose: a for a in wanted[: rules.max_live]}
        for command in ledger.live_for("price:"):
            action = wanted.pop(command.purpose, None)
            if action is None and command.begin <= now:  # what runs goes on; what is planned keeps its distance
                rest_s = row.capability.min_run or 0
                wanted = {
                    name: a for name, a in wanted.items() if a.begin >= command.end + rest_s or a.end <= command.begin
                }
            elif action is None:
                ledger.revoke(now, command)
            elif (command.kind, command.value, command.end) != (action.kind, action.value, action.end):
                ledger.revise(
                    now,
                    command,
                    kind=action.kind,
                    value=action.value,
                    value2=action.value2,
                    duration=max(1, action.end - command.begin if command.begin > now else action.end - now),
                )
        done = {c.purpose for c in ledger.history} | {c.purpose for c in ledger.commands.values()}
        for action in wanted.values():
            if action.purpose in done:
                continue  # ended early (refused, opted out of, withdrawn): not asked again
            begin = max(now, action.begin)
            ledger.issue(
                now,
                kind=action.kind,
                delay=begin - now,
                duration=action.end - begin,
                value=action.value,
                value2=action.value2,
                priority=action.priority,
                jitter=action.jitter,
                purpose=action.purpose,
            )
        self._want_resend(now, row)

    def _touches(self, running, row):
        devices = running.event.devices
        return row.eui != self.config.site_meter and (devices is None or row.eui in devices)

    def _want_split(self, due, running):
        if running.due is None or due < running.due:
            running.due = due
            self._at(due, SPLIT, running)

    def _event_step(self, now, running):
        event, settings = running.event, self.config.split
        if running.closed or self.limits.get(event.id) is not running:
            return
        if now >= event.end:
            running.finish(now)
            self.storage.put_event(running.summary(now))
            return
        rows = [row for row in self.devices.values() if row.registered and self._touches(running, row)]
        base = self.base_w(now) if event.include_base else 0
        if running.meter is None and now >= event.start:
            running.begin(now, rows, base)
        running.base_moved(now, base)
        self._share(now, running, rows, base)
        self.storage.put_event(running.summary(now))
        self._want_split(min(event.start if now < event.start else event.end, now + settings.period_s), running)

    def _share(self, now, running, rows, base):
        event, settings = running.event, self.config.split
        new = shares(
            running, now, rows, base, settings, self.config.priorities, self.config.association.heartbeat_timeout_s
        )
        by_name = {row.eui: row for row in rows}
        # A raise waits until whoever gives has confirmed: what is not confirmed may still be drawn.
        old, high = running.shares, running.unconfirmed
        for key in list(high):
            if key not in by_name or confirmed(by_name[key], running.purpose):
                del high[key]
        for key, watts in new.items():
            if old.get(key, 0) > watts:
                high[key] = max(high.get(key, 0), old[key])
        free = event.limit_w - base
        used = sum(max(watts, high.get(key, 0)) for key, watts in new.items()) if now >= event.start else 0
        for key in sorted(new, key=lambda k: (new[k] - old.get(k, 0), k)):
            row, watts = by_name[key], new[key]
            have = old.get(key)
            if have is not None and watts > have and used > free:
                used -= watts - have
                watts = new[key] = have
            live = row.ledger.live_for(running.purpose)
            if have == watts and live:
                continue
            kind, value = command_for(row, watts)
            if kind is None:
                for command in live:
                    row.ledger.revoke(now, command)
            elif live:
                row.ledger.revise(
                    now,
                    live[0],
                    value=value,
                    issued=now,
                    delay=max(0, event.start - now),
                    duration=event.end - max(now, event.start),
                )
            else:
                for command in row.ledger.live_for("unlimited"):
                    if command.unanswered:  # a late copy of it must not lift this limit
                        row.ledger.revoke(now, command)
                row.ledger.issue(
                    now,
                    kind=kind,
                    value=value,
                    delay=max(0, event.start - now),
                    duration=event.end - max(now, event.start),
                    priority=settings.priority,
                    purpose=running.purpose,
                )
            if have != watts:
                running.moved_at[key] = now
                running.moves += 1
            self._want_resend(now, row)
        running.shares = new
