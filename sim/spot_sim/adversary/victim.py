"""A simulated device that things happen to: its meter lies, its relay welds, its flash tears, its clock's ticks wrap.

What it does is watched from outside the firmware: at the relay's coil and contact, at the SG-Ready contacts, at the
compressor, and at the calls through which the agent moves the device.
"""

import random

from spot.codes import ABSENT, RESET_POWER_ON, RESET_WATCHDOG
from spot.port import TICKS_PERIOD
from spot_sim.chips.contacts import SgReadyContacts
from spot_sim.device import _RELAY_PIN, _SG_PINS, SimDevice, _Machine, _Meter, _Temperature
from spot_sim.flash import MemoryFs

_BUTTON_PIN = 3
_BEFORE_WRAP_MS = 7 * 3_600_000  # the ticks of every life wrap some hours after it began


class Flash(MemoryFs):
    """Tells whose it is when the power goes in the middle of a write."""

    owner = None

    def _operate(self):
        if super()._operate():
            self.owner.cut_by_flash = True
            return True
        return False


class FaultyMeter(_Meter):
    """The true values of the body, under what happens in the installation (`surge`: current and power times so much;
    `volts`: voltage times so much; `mhz`: shift of the frequency) and what the chip makes of it (`mode`)."""

    def __init__(self, victim):
        super().__init__(victim.body, victim.hardware)
        self._victim = victim
        self.mode, self.until_s = "", 0
        self.surge, self.surge_until_s = 1, 0
        self.volts, self.volts_until_s = 1.0, 0
        self.mhz, self.mhz_until_s = 0, 0
        self.rng = None

    @property
    def lies(self):
        """Whether what it says may be wrong."""
        return self._hardware.now_s < self.until_s and self.mode != "silent"

    def sample(self, _now_s):
        now_s = self._hardware.now_s
        mode = self.mode if now_s < self.until_s else ""
        if mode == "silent":
            return False
        if mode == "stuck":
            self._victim.sampled(self, now_s)
            return True
        super().sample(_now_s)
        if now_s < self.surge_until_s and self.power_w > 0:
            self.power_w = int(self.power_w * self.surge)
            self.current_ma = int(self.current_ma * self.surge)
        if now_s < self.volts_until_s:
            self.voltage_10mv = int(self.voltage_10mv * self.volts)
        if now_s < self.mhz_until_s:
            self.frequency_mhz += self.mhz
        if mode == "noise":
            rng = self.rng
            self.power_w = int(self.power_w * (0.8 + 0.4 * rng.random()))
            self.current_ma = int(self.current_ma * (0.8 + 0.4 * rng.random()))
        elif mode == "bits":
            name = self.rng.choice(("power_w", "current_ma", "voltage_10mv", "frequency_mhz"))
            setattr(self, name, getattr(self, name) ^ 1 << self.rng.randrange(16))
        elif mode == "implausible":
            name = self.rng.choice(("power_w", "current_ma", "voltage_10mv", "frequency_mhz"))
            setattr(self, name, self.rng.choice((-5000, 0x3FFFFFF, 900_000, ABSENT)))
        self._victim.sampled(self, now_s)
        return True


class FaultySensor(_Temperature):
    """`mode`: missing, stuck or implausible until `until_s`."""

    __slots__ = ("mode", "until_s", "_held")

    def __init__(self, read, hardware):
        super().__init__(read, hardware)
        self.mode, self.until_s, self._held = "", 0, ABSENT

    @property
    def value(self):
        if self._hardware.now_s < self.until_s:
            return {"missing": ABSENT, "implausible": 8500}.get(self.mode, self._held)
        self._held = _Temperature.value.fget(self)
        return self._held


class FaultyMachine(_Machine):
    """`silent_until_s`: it takes nothing in till then."""

    silent_until_s = 0

    def set_power_limit(self, limit_w):
        if self._hardware.now_s >= self.silent_until_s:
            super().set_power_limit(limit_w)

    def set_offset(self, k100):
        if self._hardware.now_s >= self.silent_until_s:
            super().set_offset(k100)


class Victim(SimDevice):
    """A SimDevice under an Arena. `eye`: what judges it (truth.Eye), set before the first boot.

    boot_s, off: its life; coil: level of the relay's pin; contact: where current flows; stuck: None, 0 or 1.
    """

    def __init__(self, arena, number, body, description, config, clock, network, groups, delay_s):
        self.arena, self.number = arena, number
        self.eye = None
        self.stuck, self.stuck_until_s = None, 0
        self.cut_by_flash = False
        self.off = True
        self._falling = False  # the pins fall because the power went
        self._tear_boot, self.tear_off_s = None, 1
        self.boot_s = 0
        super().__init__(body, description, config, clock, network, groups, delay_s)
        self.fs = Flash()
        self.fs.owner = self

    def _fit(self):
        body, hardware = self.body, self.hardware
        self.meter = hardware.meter = FaultyMeter(self)
        house = body.house
        if house is None:
            self.coil = line = hardware.line(_RELAY_PIN)
            line.level = 1
            line.watch(self._coil_moved)
            hardware.line(_BUTTON_PIN).level = 1
            hardware.restart()
            return
        self.machine = hardware.machine = FaultyMachine(body, hardware)
        reads = {"room": house.room_c, "outdoor": house.outdoor_c, "flow": lambda _now_s: house.flow_c}
        if house.hot_water is not None:
            reads["hot_water"] = house.hot_water_c
        for name, read in reads.items():
            hardware.sensors[name] = FaultySensor(read, hardware)
        SgReadyContacts(*(hardware.line(pin) for pin in _SG_PINS), self._sg_moved)
        hardware.restart()

    # What moves

    def _coil_moved(self, now_s, level):
        if self.stuck is None:
            self.body.set_relay(now_s, level)
        if self.eye is not None:
            self.eye.coil(now_s, level, self._falling)

    def _sg_moved(self, now_s, state):
        self.body.set_sg_state(now_s, state)
        if self.eye is not None:
            self.eye.sg(now_s, state, self._falling)

    def sampled(self, meter, now_s):
        self.eye.sample(now_s, meter)

    # Life

    def boot(self, reset=RESET_POWER_ON):
        self.off = False
        self.fs.cut_after, self.fs.torn = self._tear_boot or (None, 0)  # a cut is of one life
        self._tear_boot = None
        now_s = self._clock.now_ms // 1000
        self.hardware.advance(now_s)
        self._boot_s = self.boot_s = now_s
        self._life += 1
        self.boots += 1
        self._ticks0 = TICKS_PERIOD - _BEFORE_WRAP_MS - now_s * 1000 % 5000
        self.app = app = self.arena.new_app(self, reset)
        app.clock.tick(self._ticks0 % TICKS_PERIOD)
        self.eye.booted(now_s, app, reset)
        self.port.boot(app)
        self._step()
        self.port.connect()

    def reboot(self, off_s=0, power=True):
        if self.app is not None:
            self.fall(off_s, power)

    def fall(self, off_s, power=True):
        """It ends here, in whatever it was doing."""
        now_s = self._clock.now_ms // 1000
        self.hardware.advance(now_s)
        self.app = None
        self.off = True
        self._life += 1
        self._due_s = self._planned_s = -1
        self.port.reset()
        self.eye.went_down(now_s, power)
        self._falling = True
        if power:
            self.hardware.power_cut()
            self.body.set_mains(now_s, False)
        else:
            self.hardware.restart()
        self._falling = False
        self._clock.call_at(now_s + off_s, self._back, RESET_POWER_ON if power else RESET_WATCHDOG)

    # Calls into the firmware: time is what its own ticks say

    def now(self):
        """The device's own seconds."""
        now_ms = self._clock.now_ms
        self.hardware.advance(now_ms // 1000, now_ms % 1000)
        return self.app.clock.tick((self._ticks0 + now_ms - self.boot_s * 1000) % TICKS_PERIOD)

    def _step(self):
        now_s = self._clock.now_ms // 1000
        self.steps += 1
        wait_s = self.app.step(self.now())
        self._plan(now_s + wait_s)
        self.eye.look(now_s)

    def _message(self, channel, body, n):
        if self.app is None:
            return
        self.eye.delivered(self._clock.now_ms // 1000, channel, bytes(body[:n]))
        self.app.receive(self.now(), channel, body, n)
        self._step()

    def _link_up(self, session_present):
        self.app.link_up(self.now(), session_present)
        self._step()

    def _link_down(self):
        if self.app is not None:
            self.app.link_down(self.now())
            self._step()

    # What is done to it

    def press(self, ms):
        """The household holds the button down for so long."""
        if self.app is None or self.body.house is not None:
            return
        self.hardware.advance(self._clock.now_ms // 1000, self._clock.now_ms % 1000)
        self.hardware.line(_BUTTON_PIN).drive(0)
        self.app.poll(self.now())
        self._clock.call_in_ms(ms, self._let_go, self._life)

    def _let_go(self, life):
        self.hardware.advance(self._clock.now_ms // 1000, self._clock.now_ms % 1000)
        self.hardware.line(_BUTTON_PIN).drive(1)
        if life != self._life or self.app is None:
            return
        self.eye.pressed(self._clock.now_ms // 1000)
        if self.app.poll(self.now()):
            self._step()

    def stick(self, position, seconds):
        """The relay's contact welds (1) or no longer closes (0)."""
        if self.body.house is not None:
            return
        now_s = self._clock.now_ms // 1000
        self.hardware.advance(now_s)
        self.stuck, self.stuck_until_s = position, now_s + seconds
        self.body.set_relay(now_s, position)
        self._clock.call_in_ms(seconds * 1000, self._unstick, self.stuck_until_s)
        self.nudge()

    def _unstick(self, until_s):
        if until_s == self.stuck_until_s and self.stuck is not None:
            now_s = self._clock.now_ms // 1000
            self.hardware.advance(now_s)
            self.stuck = None
            self.body.set_relay(now_s, self.coil.level)
            self.nudge()

    def lie(self, mode, seconds, seed):
        """The meter's chip: silent, stuck, noise, bits or implausible."""
        self.meter.mode, self.meter.until_s = mode, self._clock.now_ms // 1000 + seconds
        self.meter.rng = random.Random(seed)

    def tear(self, after, torn, seconds, boot):
        """The power goes for `seconds` in the (after + 1)-th write to flash from now, or (boot) of the next start."""
        self.tear_off_s = seconds
        if boot:
            self._tear_boot = after, torn
            self.reboot(1, True)
        elif self.app is not None:
            self.fs.cut_after, self.fs.torn = after, torn
