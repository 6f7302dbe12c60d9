"""The world of a scenario: bodies, simulated devices, the EMD's core and the link between them on one virtual clock.

docs/simulator.md, "Scenarios and the world", says how it is driven: whole runs, or second by second beside processes
in lock-step.
"""

import hashlib
import time
from collections import Counter
from pathlib import Path

from spot.config import load_board
from spot_host.emd.config import LimitEvent
from spot_host.emd.core import EmdCore
from spot_host.emd.ledger import STATE_NAMES
from spot_host.emd.storage import MemoryStorage
from spot_host.prices import PriceSeries
from spot_host.profile import definition as d
from spot_sim import scenario as scenarios
from spot_sim.accounts import ALL, Accounts
from spot_sim.body import Body
from spot_sim.clock import VirtualClock
from spot_sim.device import SimDevice
from spot_sim.local_time import LocalCalendar
from spot_sim.network import MemoryNetwork
from spot_sim.physics.household import BaseLoad
from spot_sim.physics.mains import Mains
from spot_sim.physics.weather import Weather
from spot_sim.result import STEP_S
from spot_sim.seeds import Seeds

BOARDS = Path(__file__).resolve().parent.parent.parent / "boards"
GROUP = "1"
_GRACE_S = 60  # of a limit, before the time above it counts
_JUMP_MW = 50_000  # a change of power that a meter sees before it samples by itself
_PUBLISHED_S = 14 * 3600  # local time at which tomorrow's prices are known
_START_S = 60  # devices start within so many seconds
_NEVER_S = 1 << 40
_CODES = {name: code for code, name, *_ in d.CHANNELS}
_NAMES = {code: name for code, name, *_ in d.CHANNELS}
_FINAL_LIVE = "live at the end"
_ALARMS = {code: name for code, name, _ in d.enum("Alarm").rows}


class _Core(EmdCore):
    """The EMD's core; the world hears of every command that is over."""

    on_over = None

    def _command_over(self, now, row, command):
        self.on_over(row.eui, command.id, STATE_NAMES[command.state])
        super()._command_over(now, row, command)


class _Out:
    """The way out of the core: the link in memory, or another sender where the world has a route."""

    def __init__(self, world):
        self._world = world

    def send(self, device, channel, body):
        self._world.send_down(device, channel, body)

    def publish(self, group, channel, body):
        self._world.publish_down(group, channel, body)


class _BaseLoad:
    """A base load as the accounts and the clock's looks see it: a body without a device."""

    eui = firmware = house = None

    def __init__(self, spec, seeds, calendar):
        self.name, self.site = spec.name, spec.site
        self.load = BaseLoad(seeds.child("base", spec.name), calendar, spec.annual_kwh, spec.scatter)
        self.counted_mw, self.look_s, self.accounts, self.edges = 0, -1, (), 0


class Surroundings:
    """What devices of one scenario share: clock, calendar, seeds, weather, mains, bodies and their accounts.

    It runs by itself, without firmware and EMD: that is the baseline. `World` puts devices and an EMD on it.
    """

    def __init__(self, scenario):
        self.scenario = scenario
        self.calendar = calendar = LocalCalendar(scenario.day, scenario.zone)
        self.clock = VirtualClock(calendar.start_utc)
        self.seconds = scenario.seconds
        self.seeds = seeds = Seeds(scenario.seed)
        self.weather = Weather(calendar, scenario.weather_region, scenario.weather_offset_k)
        self.mains = Mains(seeds, calendar, events=scenario.mains_events)
        self.accounts = Accounts(scenario, calendar, self.price_at, _GRACE_S)
        self.results = self.accounts.results
        self.result = self.results[ALL]
        self.watchers = []
        self._digest = hashlib.sha256()
        self._prices = {}
        for series in scenario.prices:
            for i, price in enumerate(series.prices):
                first = series.start_utc + i * series.interval_s
                for at in range(first, first + series.interval_s, 900):
                    self._prices[at // 900] = price
        self.bodies, self._base = {}, []
        for spec in scenario.devices:
            body = self.bodies[spec.eui] = Body(spec, seeds, calendar, self.weather, self)
            band = None
            if body.house is not None:
                band = (spec.device.get("comfort_low", 1900), spec.device.get("comfort_high", 2300))
            self.accounts.enter(body, band=band)
            self.look(body)
            if band:
                self._feel(body)
        for spec in scenario.base_loads:
            base = _BaseLoad(spec, seeds, calendar)
            self._base.append(base)
            self.accounts.enter(base, base=True)
            self.look(base)
        self._wall = 0.0

    @property
    def now_s(self):
        """Simulated seconds since the start."""
        return self.clock.now_ms // 1000

    @property
    def utc(self):
        """Unix time."""
        return self.clock.start_utc + self.clock.now_ms // 1000

    def price_at(self, utc):
        """EUR/MWh at a Unix time; outside the known prices the nearest known one."""
        prices = self._prices
        found = prices.get(utc // 900)
        if found is None:
            found = prices[min(prices, key=lambda slot: abs(slot - utc // 900))]
        return found

    def base_w(self, utc=None):
        """What the base loads draw now, W: the EMD reads the house's own meter."""
        return sum(base.counted_mw for base in self._base) / 1000

    # Power

    def look(self, body):
        """Take a body's power into the accounts, now, and come again when it may change by itself."""
        now_s = self.clock.now_ms // 1000
        load = body.load
        load.power_w(now_s)
        power_mw = load.power_mw
        if power_mw != body.counted_mw:
            self.accounts.power(body, now_s, power_mw)
        next_s = load.next_change()
        if next_s != body.look_s and next_s < _NEVER_S:
            body.look_s = next_s
            self.clock.call_at_ms(next_s * 1000, self._look_due, body, next_s)

    def _look_due(self, body, at_s):
        if body.look_s != at_s:
            return  # it was looked at again meanwhile
        before_mw = body.counted_mw
        self.look(body)
        if body.firmware is not None and abs(body.counted_mw - before_mw) >= _JUMP_MW:
            body.firmware.nudge()

    def edge(self, body, now_s, name, value):
        """An actuator moved: it counts, and the power after it."""
        self._digest.update(f"{now_s} {body.name} {name} {value};".encode())
        self.look(body)
        for watcher in self.watchers:
            watcher(now_s, "edge", body.eui, (name, value))

    def _feel(self, body):
        """The room's temperature, every STEP_S."""
        now_s = self.clock.now_ms // 1000
        self.accounts.room(body, now_s, round(body.house.room_c(now_s) * 100))
        if now_s + STEP_S < self.seconds:
            self.clock.call_at(now_s + STEP_S, self._feel, body)

    # Driving

    def next_s(self):
        """The next second at which something happens; the end of the run at the latest."""
        next_ms = self.clock.next_ms()
        return self.seconds if next_ms is None else min(self.seconds, -(-next_ms // 1000))

    def run_until(self, t_s):
        """Run all events up to and including second `t_s`."""
        begun = time.perf_counter()
        self.clock.run_until_ms(t_s * 1000)
        self._wall += time.perf_counter() - begun

    def run(self, progress=None):
        """Run to the end. progress(now_s) is called every simulated hour. Returns the result of all devices."""
        for at_s in range(self.now_s + 3600, self.seconds, 3600):
            self.run_until(at_s)
            if progress is not None:
                progress(at_s)
        self.run_until(self.seconds)
        return self.finish()

    def finish(self):
        """Close the accounts. Returns the result of all devices; `results` has those of the sites."""
        self.accounts.close(self.now_s)
        for site, result in self.results.items():
            result.digest = self._digest.hexdigest()
            result.wall_s = self._wall
            for body in self.bodies.values():
                if site in (ALL, body.site):
                    result.switches[body.name] = body.switches
        return self.result


def baseline(scenario):
    """The same seed without firmware and EMD: the finished Surroundings, with `results`."""
    world = Surroundings(scenario)
    world.run()
    return world


class World(Surroundings):
    """One run of a scenario: EMD, link, devices.

    control: False leaves the EMD without prices and limits, and devices without a policy of their own. all_simulated:
    what is meant to be processes is simulated here, too. storage: of the EMD, in memory by default.
    """

    def __init__(self, scenario, control=True, all_simulated=False, storage=None):
        if all_simulated:
            scenario = scenarios.simulated(scenario)
        super().__init__(scenario)
        self.control = control
        self.network = MemoryNetwork(self.clock, self.seeds, scenario.link)
        self.network.taps.append(self._tap)
        self._emd_port = self.network.attach_emd(self._up, self._emd_connected)
        self._routes, self._group_routes, self._published = {}, [], {}
        self._up_bytes, self._down_bytes, self._messages = {}, {}, {}
        self._finals = {}
        self._emd_s = _NEVER_S  # when the core is called next
        self._emd_gone = False
        self.storage = MemoryStorage() if storage is None else storage
        self._config = self._settings()
        self.core = None
        self._start_emd()
        if control:
            self._prices_known(0)
            for spec in scenario.limits:
                self.core.add_event(self.utc, self._event(spec))
        self._wake_emd()
        self.devices, self.process_devices = {}, []
        boards = {}
        for spec in scenario.devices:
            if spec.runs == "sim":
                self.devices[spec.eui] = self._device(spec, boards)
            else:
                self.process_devices.append(spec.eui)
        self._plan_faults()

    # Building

    def _settings(self):
        config = self.scenario.emd_settings()
        config.group = GROUP
        config.base_load = self.base_w
        config.no_prices = frozenset(s.eui for s in self.scenario.devices if not s.price_control)
        if not self.control:  # it never hears of prices and limits
            config.association.policy = "none"
        return config

    def _device(self, spec, boards):
        name = spec.board
        if name not in boards:
            boards[name] = load_board(name, str(BOARDS))
        config = {"board": name, "eui64": spec.eui, "store": "s", "device": self.device_config(spec.eui)}
        delay_s = int(_START_S * self.seeds.stream("start", spec.eui).random())
        body = self.bodies[spec.eui]
        body.firmware = SimDevice(body, boards[name], config, self.clock, self.network, (GROUP,), delay_s)
        return body.firmware

    def device_config(self, eui):
        """The configuration's `device` table: what an installer would set for this load, under the scenario's own."""
        body = self.bodies[eui]
        house = body.house
        if house is not None:
            # no legionella runs, since the household without a controller, which is the baseline, has none
            known = {"power_max_w": house.power_max_w, "power_min_w": house.power_min_w, "legionella_days": 0}
        else:
            known = {"power_max_w": int(body.load.rated_w * 1.02), "standby_w": 3}
        return {**known, **body.spec.device}

    def _event(self, spec):
        start, end = self.calendar.utc(spec.start), self.calendar.utc(spec.end)
        return LimitEvent(spec.id, start, end, spec.limit_w, spec.devices, spec.base)

    def _prices_known(self, day):
        """Publish the prices of `day` (and what is left of the one before), and come back when the next are known."""
        series = self.scenario.prices[day]
        if day:
            before = self.scenario.prices[day - 1]
            if before.interval_s == series.interval_s and before.end_utc == series.start_utc:
                past = max(0, (self.utc - before.start_utc) // before.interval_s)
                start_utc = before.start_utc + past * before.interval_s
                series = PriceSeries(start_utc, series.interval_s, before.prices[past:] + series.prices)
        self.core.set_prices(self.utc, series)
        if day + 1 < len(self.scenario.prices):
            self.clock.call_at(self.calendar.day_start(day) + _PUBLISHED_S, self._prices_due, day + 1)

    def _prices_due(self, day):
        if self._emd_gone:  # told when it is back
            self._missed_day = day
            return
        self._prices_known(day)
        self._wake_emd()

    _missed_day = None

    # Faults

    def _plan_faults(self):
        clock, scenario = self.clock, self.scenario
        for reboot in scenario.reboots:
            clock.call_at(reboot.at, self._reboot, reboot.eui, reboot.off_s, reboot.power)
        for outage in scenario.emd_outages:
            clock.call_at(outage.at, self._stop_emd)
            clock.call_at(outage.at + outage.duration_s, self._start_again)
        if scenario.reboots_per_day:
            for eui in self.devices:
                self._reboot_some_day(eui, self.seeds.stream("reboots", eui))

    def _reboot_some_day(self, eui, rng, now=False):
        if now:
            power = rng.random() < 0.5
            self._reboot(eui, 1 + int(rng.random() ** 3 * 7200) if power else 0, power)
        wait_s = rng.expovariate(self.scenario.reboots_per_day / 86400)
        self.clock.call_in_ms(int(wait_s * 1000), self._reboot_some_day, eui, rng, True)

    def _reboot(self, eui, off_s, power):
        device = self.devices.get(eui)
        self._digest.update(f"{self.now_s} {eui} reboot {off_s} {power};".encode())
        for watcher in self.watchers:
            watcher(self.now_s, "reboot", eui, (off_s, power))
        if device is not None:
            device.reboot(off_s, power)

    def _stop_emd(self):
        """The EMD's process ends, in good order: what it knows is in its storage."""
        self._emd_gone = True
        self.core.close(self.utc)
        self._emd_port.disconnect()

    def _start_again(self):
        self._emd_gone = False
        self._start_emd()
        if self._missed_day is not None:
            day, self._missed_day = self._missed_day, None
            self._prices_known(day)
        self._emd_port.connect()
        self._wake_emd()

    def _start_emd(self):
        self._emd_s = _NEVER_S
        self.core = _Core(self._config, self.storage, _Out(self), self.utc)
        self.core.on_over = self._command_over

    def _command_over(self, eui, id_, state):
        self._finals.setdefault(eui, {})[id_] = state  # a late report takes the place of "unreported"

    # The EMD's core in this world's time

    def _emd_connected(self):
        if not self._emd_gone and self.core is not None:
            self.core.link_up(self.utc)
            self._wake_emd()

    def _up(self, device, channel, body):
        clock = self.clock
        core = self.core
        core.receive(clock.start_utc + clock.now_ms // 1000, device, channel, body)
        if core.next_due - clock.start_utc < self._emd_s:
            self._wake_emd()

    def _wake_emd(self):
        """Have the core called when it wants to be."""
        due_s = max(self.core.next_due - self.clock.start_utc, self.now_s)
        if due_s < self._emd_s and due_s < _NEVER_S:
            self._emd_s = due_s
            self.clock.call_at_ms(due_s * 1000, self._step_emd, due_s, self.core)

    def _step_emd(self, due_s, core):
        if due_s != self._emd_s or core is not self.core or self._emd_gone:
            return
        clock = self.clock
        now = clock.start_utc + clock.now_ms // 1000
        next_s = core.step(now) - clock.start_utc
        self._emd_s = next_s
        if next_s < _NEVER_S:
            clock.call_at_ms(next_s * 1000, self._step_emd, next_s, core)

    # The link, and what runs beside it

    def _tap(self, direction, name, channel, body):
        self._digest.update(f"{self.clock.now_ms} {direction} {name} {channel} ".encode())
        self._digest.update(body)
        for watcher in self.watchers:
            watcher(self.now_s, direction, name, (_NAMES[channel], body))

    def send_down(self, device, channel, body):
        """The core's message to one device."""
        sender = self._routes.get(device)
        if sender is None:
            self._emd_port.send(device, _CODES[channel], body)
        else:
            self._tap("down", device, _CODES[channel], body)
            self._down_bytes[device] = self._down_bytes.get(device, 0) + len(body)
            self._messages[device] = self._messages.get(device, 0) + 1
            sender.send(device, channel, body)

    def publish_down(self, group, channel, body):
        """The core's message to a group."""
        self._published[group, channel] = body
        self._emd_port.publish(group, _CODES[channel], body)
        for sender in self._group_routes:
            sender.publish(group, channel, body)

    def route(self, eui, sender):
        """What goes to this device goes to `sender.send(eui, channel, body)`."""
        self._routes[eui] = sender

    def route_groups(self, sender):
        """Group messages go to `sender.publish(group, channel, body)`, too; what was published before is repeated."""
        self._group_routes.append(sender)
        for (group, channel), body in self._published.items():
            sender.publish(group, channel, body)

    def receive(self, eui, channel, body):
        """A message of a routed device came in, now."""
        code = _CODES[channel] if isinstance(channel, str) else channel
        self._tap("up", eui, code, body)
        self._up_bytes[eui] = self._up_bytes.get(eui, 0) + len(body)
        self._messages[eui] = self._messages.get(eui, 0) + 1
        if not self._emd_gone:
            self._up(eui, code, body)

    def finish(self):
        """Close the accounts of power, commands, alarms, octets. Returns the result of all devices."""
        result = super().finish()
        live = {}
        for row in self.core.devices.values():
            count = sum(c.purpose != "unlimited" for c in row.ledger.commands.values())
            if count:
                live[row.eui] = count
        alarms = {}
        euis = {row.key: eui for eui, row in self.core.devices.items()}
        for key, _, _, fields in getattr(self.storage, "alarms", ()):
            if fields["raised"]:
                counts = alarms.setdefault(euis.get(key), {})
                word = _ALARMS[fields["code"]]
                counts[word] = counts.get(word, 0) + 1
        intervals = {}
        for (key, *_), row in getattr(self.storage, "intervals", {}).items():
            intervals.setdefault(euis.get(key), []).append(row[1])
        for site, one in self.results.items():
            for eui, body in self.bodies.items():
                if site not in (ALL, body.site):
                    continue
                one.intervals[body.name] = len(intervals.get(eui, ()))
                one.interval_min[body.name] = sum(intervals.get(eui, ()))
                one.commands.update(Counter(self._finals.get(eui, {}).values()))
                one.alarms.update(alarms.get(eui, {}))
                if eui in live:
                    one.commands[_FINAL_LIVE] += live[eui]
                device = self.devices.get(eui)
                if device is not None:
                    c = device.port.counters
                    one.up_bytes[body.name], one.down_bytes[body.name] = c.up_bytes, c.down_bytes
                    one.messages[body.name] = c.up_messages + c.down_messages
                else:
                    one.up_bytes[body.name] = self._up_bytes.get(eui, 0)
                    one.down_bytes[body.name] = self._down_bytes.get(eui, 0)
                    one.messages[body.name] = self._messages.get(eui, 0)
        return result
