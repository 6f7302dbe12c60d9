"""Plays a history: a World whose devices are Victims, whose EMD can be killed, and whose clock can be wrong.

Every event of the history is a method `do_<kind>(device, **what)`. What it finds no use for (a device that is off, a
command that is not there) it leaves alone, so that a history from which events were taken is still one.
"""

import json
import random
from collections import Counter

from spot.app import App
from spot.codes import T_HEARTBEAT
from spot_host.emd.ledger import KIND_NAMES
from spot_host.profile import codec
from spot_host.profile import definition as d
from spot_sim.adversary.invariants import Violation
from spot_sim.adversary.nonces import Nonces
from spot_sim.adversary.storage import CrashStorage, WatchedStorage
from spot_sim.adversary.truth import Eye
from spot_sim.adversary.victim import Victim
from spot_sim.faults import PERFECT, LinkFaults
from spot_sim.flash import PowerCut
from spot_sim.fleet import _CODES, _NEVER_S, BOARDS, GROUP, World
from spot_sim.scenario import HEAT_PUMP

_FORGET_S = 6 * 3600
_BEATS = 64
_BEFORE_END_S = 1770  # no interval, plan or price begins there


class Arena(World):
    """history: History. cover: Counter of what was met, by (what, which). eras: EMDs that lost all they knew."""

    def __init__(self, history):
        self.history = history
        self.cover = Counter()
        self.beats, self._recent = {}, {}
        self.eras = self.lies_s = 0
        self.jumps, self._jumped_s = 0, -_NEVER_S
        self._offset_s = self._late_until_s = 0
        self._weather = []  # link faults in force: (until_ms, LinkFaults)
        self._asked = {}
        self._killed = False
        self.eyes = {}
        self.event = None  # the one that ran latest
        scenario = history.scenario()
        self.plan = None
        kind = CrashStorage if history.storage == "crash" else WatchedStorage
        self._storage_kind = kind
        self._rows = {}  # key of the EMD's row → Eye
        self.nonces = Nonces()
        self.nonces.__enter__()  # before any key is made
        super().__init__(scenario, storage=kind(self))
        self.clock.call_at(_FORGET_S, self._tidy)
        for event in history.events:
            self.clock.call_at_ms(event[0], self._do, event)

    # Building

    def _settings(self):
        config = super()._settings()
        self.plan = config.association
        self.plan_jitter_s = self.plan.jitter_s or 0
        config.plan_prices = bool(self.history.emd.get("plan_prices", False))
        return config

    def _device(self, spec, boards):
        name = "sim_heat_pump" if spec.kind == HEAT_PUMP else "sim"
        number = len(self.devices)
        table = self.history.devices[number]
        description = json.loads((BOARDS / name / "board.json").read_text())
        if name == "sim":
            description["parts"]["button"] = {"driver": "button", "pin": 3}
        for role, fields in table.get("board", {}).items():
            description["parts"][role].update(fields)
        config = {"board": name, "eui64": spec.eui, "store": "s", "device": self.device_config(spec.eui)}
        body = self.bodies[spec.eui]
        self._descriptions = getattr(self, "_descriptions", {})
        self._descriptions[spec.eui] = description
        victim = Victim(
            self, number, body, description, config, self.clock, self.network, (GROUP,), 1 + number
        )
        body.firmware = victim
        victim.eye = self.eyes[spec.eui] = Eye(self, victim)
        return victim

    def new_app(self, victim, reset):
        return App(victim.description, victim.config, victim.hardware, victim.fs, victim.port.send, reset)

    def period_s(self, victim):
        """How often its meter is sampled."""
        return self._descriptions[victim.eui]["parts"]["meter"].get("period_s", 60)

    def most_w(self, body):
        """The most that the load can draw."""
        return body.house.power_max_w if body.house is not None else body.load.rated_w * 1.5

    # The EMD's time may be wrong

    @property
    def utc(self):
        """Unix time as the EMD has it."""
        return self.clock.start_utc + self.clock.now_ms // 1000 + self._offset_s

    def _up(self, device, channel, body):
        core = self.core
        core.receive(self.utc, device, channel, body)
        if core.next_due - self.clock.start_utc - self._offset_s < self._emd_s:
            self._wake_emd()

    def _wake_emd(self):
        due_s = max(self.core.next_due - self.clock.start_utc - self._offset_s, self.now_s)
        if due_s < self._emd_s and due_s < _NEVER_S // 2:
            self._emd_s = due_s
            self.clock.call_at_ms(due_s * 1000, self._step_emd, due_s, self.core)

    def _step_emd(self, due_s, core):
        if due_s != self._emd_s or core is not self.core or self._emd_gone:
            return
        next_s = core.step(self.utc) - self.clock.start_utc - self._offset_s
        self._emd_s = next_s
        if next_s < _NEVER_S // 2:
            self.clock.call_at_ms(next_s * 1000, self._step_emd, next_s, core)

    def jumpy(self, now_s):
        """Whether the EMD's clock has moved lately."""
        return now_s - self._jumped_s < 2 * self.plan.heartbeat_timeout_s

    def clock_error_s(self, since_s):
        """By how much a device's clock may have been late at any time since then, because what told it the time was:
        what runs keeps the end that it was given."""
        return 75 if since_s < self._late_until_s else 0

    # What passes

    def _tap(self, direction, name, channel, body):
        self._digest.update(b"%d %d " % (self.clock.now_ms, channel))
        self._digest.update(body)
        if direction == "down" and len(body) > 2 and body[1] == T_HEARTBEAT:
            beats = self.beats
            beats.setdefault(body, self.clock.now_ms // 1000)
            if len(beats) > _BEATS * len(self.bodies):
                del beats[next(iter(beats))]

    def send_down(self, device, channel, body):
        if channel == "cmd" and len(body) > 2:
            kind = body[1]
            if kind == d.message("command").code:
                self.eyes[device].command(codec.decode(body).values)
            recent = self._recent.setdefault(device, [])
            recent.append(bytes(body))
            if len(recent) > 40:
                del recent[0]
        super().send_down(device, channel, body)

    # What the EMD's storage tells

    def _eye(self, key):
        eye = self._rows.get(key)
        if eye is None:
            for row in self.core.devices.values():
                if row.eui in self.eyes:
                    self._rows[row.key] = self.eyes[row.eui]
            eye = self._rows[key]
        return eye

    @property
    def epoch(self):
        return self.core.epoch

    def interval(self, key, *row):
        self._eye(key).interval(*row)

    def event_in(self, key, *row):
        self._eye(key).event(*row)

    def note(self, key, event, detail):
        self.cover["emd", event] += 1
        if event in ("events_lost", "intervals_lost"):  # "131 from 29"
            count, _, first = detail.partition(" from ")
            self._eye(key).lost(event, int(first), int(count))

    # Driving

    def _tidy(self):
        for eye in self.eyes.values():
            eye.forget(self.now_s)
        self.clock.call_in_ms(_FORGET_S * 1000, self._tidy)

    def _do(self, event):
        at_ms, kind, number, what = event
        self.event = event
        self.cover["event", kind] += 1
        getattr(self, "do_" + kind)(None if number < 0 else list(self.devices.values())[number], **what)

    def play(self, until_s=None):
        """Run to the end, or to `until_s`, and hold everything against the invariants. Raises Violation, and whatever
        else raises is one."""
        end_s = self.seconds - _BEFORE_END_S
        until_s = end_s if until_s is None else min(until_s, end_s)
        try:
            while True:
                try:
                    self.clock.run_until_ms(until_s * 1000)
                    break
                except PowerCut:
                    self._fell()
            if until_s == end_s:
                for eui, eye in self.eyes.items():
                    eye.end(self.now_s, self.core.devices[eui])
        except Violation:
            raise
        except AssertionError as error:
            raise Violation("nonce", self.clock.now_ms, "", str(error)) from error
        except Exception as error:
            raise Violation("exception", self.clock.now_ms, "", f"{type(error).__name__}: {error}") from error
        finally:
            self.nonces.__exit__()
        self.cover["nonces", "used"] += self.nonces.count
        return self

    def _fell(self):
        """The power of a device went in the middle of a write."""
        for victim in self.devices.values():
            if victim.cut_by_flash:
                victim.cut_by_flash = False
                self.cover["tear", "in a write"] += 1
                victim.fall(victim.tear_off_s)

    # The link

    def _set_weather(self):
        now_ms = self.clock.now_ms
        self._weather = [one for one in self._weather if one[0] > now_ms]
        faults = self._weather[-1][1] if self._weather else PERFECT
        self.network.faults = faults
        for port in self.network.devices.values():
            port._perfect = not faults.per_message

    def do_link(self, _device, seconds, **rates):
        """Loss, duplicates, disorder, delays for everybody."""
        if rates.get("delay_ms", (0, 0))[1] or rates.get("reordering") or rates.get("duplication"):
            until_s = self.now_s + seconds + 3 * self.plan.heartbeat_timeout_s + 3600
            self._late_until_s = max(self._late_until_s, until_s)
        rates = {k: tuple(v) if isinstance(v, list) else v for k, v in rates.items()}
        self._weather.append((self.clock.now_ms + seconds * 1000, LinkFaults(**rates)))
        self._set_weather()
        self.clock.call_in_ms(seconds * 1000, self._set_weather)

    def do_drop(self, device, seconds, forget):
        """A device's connection is cut."""
        device.port.drop(seconds, forget)

    def do_flap(self, device, times, seconds):
        """It comes and goes."""
        for i in range(times):
            self.clock.call_in_ms(i * seconds * 2000, device.port.drop, seconds)

    def do_emd_link(self, _device, seconds, forget):
        """The EMD's connection is cut."""
        self._emd_port.drop(seconds, forget)

    def do_broker(self, _device, seconds, forget):
        """The broker is down, and may forget."""

        class Fault:
            pass

        fault = Fault()
        fault.forget = forget
        self.network._broker_down(fault)
        self.clock.call_in_ms(seconds * 1000, self.network._broker_up)

    # Power and resets

    def do_power(self, device, seconds):
        """The mains of a device go."""
        device.reboot(seconds, True)

    def do_tear(self, device, after, torn, seconds, boot=False):
        """The power goes in the middle of a write to flash; boot: of those of the next start."""
        device.tear(after, torn, seconds, boot)

    def do_reset(self, device):
        """The watchdog bites."""
        device.reboot(0, False)

    # Hardware

    def do_meter(self, device, mode, seconds, seed):
        device.lie(mode, seconds, seed)
        self.lies_s += seconds

    def do_surge(self, device, times, seconds):
        """More current than the relay bears, as long as the load runs."""
        device.meter.surge, device.meter.surge_until_s = times, self.now_s + seconds
        device.nudge()

    def do_volts(self, device, times, seconds):
        """The mains voltage at the device."""
        device.meter.volts, device.meter.volts_until_s = times, self.now_s + seconds
        device.nudge()

    def do_mhz(self, device, shift, seconds):
        """The frequency of the mains."""
        device.meter.mhz, device.meter.mhz_until_s = shift, self.now_s + seconds
        device.nudge()

    def do_relay(self, device, position, seconds):
        """The contact is stuck."""
        device.stick(position, seconds)

    def do_sensor(self, device, name, mode, seconds):
        sensor = device.hardware.sensors.get(name)
        if sensor is not None:
            sensor.mode, sensor.until_s = mode, self.now_s + seconds

    def do_machine(self, device, seconds):
        """The heat pump's controller takes nothing in."""
        if device.body.house is not None:
            device.machine.silent_until_s = self.now_s + seconds

    def do_press(self, device, ms):
        device.press(ms)

    # The EMD

    def do_emd_kill(self, _device, seconds):
        """kill -9; a storage that is not made for it ends in good order."""
        if not self.storage.durable:
            self.do_emd_stop(_device, seconds)
        if self._emd_gone:
            return
        self._emd_gone = True
        self.storage.kill()
        self._emd_port.disconnect()
        self.clock.call_in_ms(seconds * 1000, self._start_again)

    def do_emd_stop(self, _device, seconds):
        """An orderly end."""
        if not self._emd_gone:
            self._stop_emd()
            self.clock.call_in_ms(seconds * 1000, self._start_again)

    def do_emd_lost(self, _device, seconds):
        """Its database is gone, too: another epoch, which is hours since 2024, so that it takes one to pass."""
        if self._emd_gone or self.core._load is None:
            return
        if self.utc // 3600 - d.UTC_MIN // 3600 <= self.core.epoch:
            return
        self._emd_gone = True
        self._emd_port.disconnect()
        self.eras += 1
        self.storage = self._storage_kind(self)
        self._rows.clear()
        self._asked.clear()
        for eye in self.eyes.values():
            eye.new_era()
        self.clock.call_in_ms(seconds * 1000, self._start_again)

    def do_emd_clock(self, _device, by_s, seconds):
        """The EMD's clock is wrong for so long (0: from now on)."""
        self._shift(by_s)
        if seconds:
            self.clock.call_in_ms(seconds * 1000, self._shift, -by_s)

    def _shift(self, by_s):
        self._offset_s += by_s
        self.jumps += 1
        self._jumped_s = self.now_s
        for eye in self.eyes.values():
            eye.jumped(by_s)
        self._emd_s = _NEVER_S
        if not self._emd_gone:
            self.core.step(self.utc)
            self._wake_emd()

    # The operator

    def _row(self, device):
        row = None if self._emd_gone else self.core.devices.get(device.eui)
        return row if row is not None and row.registered else None

    def do_command(self, device, name, **values):
        if self._row(device) is not None:
            self.core.command(self.utc, device.eui, name, **values)
            self._wake_emd()

    def _live(self, device, pick):
        row = self._row(device)
        live = [] if row is None else [c for c in row.ledger.commands.values() if not c.revoked]
        return row, live[pick % len(live)] if live else None

    def do_revise(self, device, pick, **changes):
        row, command = self._live(device, pick)
        if command is not None and KIND_NAMES[command.kind] != "unlimited":
            row.ledger.revise(self.utc, command, **changes)
            self.core._want_resend(self.utc, row)
            self._wake_emd()

    def do_revoke(self, device, pick):
        _, command = self._live(device, pick)
        if command is not None:
            self.core.revoke(self.utc, device.eui, command.id)
            self._wake_emd()

    def do_configure(self, device, values):
        if self._row(device) is not None:
            ask = self.core.configure(self.utc, device.eui, values, 600)
            self._wake_emd()
            self.clock.call_in_ms(610_000, self._answered, device, ask, values)
            eye = self.eyes[device.eui]
            for object_id in values[::2]:  # until it is answered either may hold
                eye.configured.pop(object_id, None)
            self._asked[device.eui] = ask

    def _answered(self, device, ask, values):
        if ask is self._asked.get(device.eui) and ask.result is not None and ask.result["reason"] == 0:
            self.eyes[device.eui].answered(values)

    def do_read(self, device, objects):
        if self._row(device) is not None:
            self.core.read(self.utc, device.eui, objects, 300)
            self._wake_emd()

    def do_prices(self, _device, prices, interval_s):
        """The EMD publishes other prices."""
        if not self._emd_gone:
            from spot_host.prices import PriceSeries

            now = self.utc
            self.core.set_prices(now, PriceSeries(now - now % interval_s, interval_s, tuple(prices)))
            self._wake_emd()

    # Malformed and stale messages

    def do_mangle(self, device, seed, way):
        """Octets of a real message, changed; what would be a message again is none of this event's business."""
        rng = random.Random(seed)
        bodies = self._recent.get(device.eui)
        if not bodies:
            return
        body = bytearray(rng.choice(bodies))
        for _ in range(rng.randint(1, 4)):
            what, at = rng.random(), rng.randrange(len(body))
            if what < 0.5:
                body[at] ^= 1 << rng.randrange(8)
            elif what < 0.7 and len(body) > 2:
                del body[at:]
            elif what < 0.85:
                body.insert(at, rng.randrange(256))
            else:
                body += rng.randbytes(rng.randint(1, 8))
            if not body:
                body = bytearray(b"\0")
        try:
            codec.decode(bytes(body))
        except codec.ProfileError:
            self._strange(device, bytes(body), way)

    def do_foreign(self, device, seed, by):
        """A message of another epoch: a command that is another EMD's, a heartbeat of an earlier life."""
        rng = random.Random(seed)
        bodies = [b for b in self._recent.get(device.eui, ()) if b[1] in _EPOCHED]
        if bodies:
            message = codec.decode(rng.choice(bodies))
            values = dict(message.values)
            values["epoch"] = max(0, values["epoch"] + by)
            self._strange(device, codec.encode(message.name, values), "down")

    def do_replay(self, device, seed):
        """A message that was sent once comes again."""
        bodies = self._recent.get(device.eui)
        if bodies:
            self._strange(device, random.Random(seed).choice(bodies), "down")

    def _strange(self, device, body, way):
        self.cover["strange", way] += 1
        if way == "up":
            self._up(device.eui, _CODES["status"], body)
        elif device.app is not None:
            device._message(_CODES["cmd"], body, len(body))


_EPOCHED = frozenset(d.message(name).code for name in ("command", "heartbeat", "ack", "read", "configure"))
