"""One simulated device: the firmware's App on simulated hardware around a body, at its end of the link in memory."""

from spot.app import App
from spot.codes import ABSENT, RESET_POWER_ON, RESET_WATCHDOG
from spot_sim.chips.contacts import SgReadyContacts
from spot_sim.flash import MemoryFs
from spot_sim.hardware import Hardware
from spot_sim.wiring import wire

_RELAY_PIN, _SG_PINS = 2, (2, 3)  # of the boards sim and sim_heat_pump


class _Meter:
    """Source of the direct meter: what the body draws now."""

    def __init__(self, body, hardware):
        self._load, self._body, self._hardware = body.load, body, hardware
        self.silent = False
        self.power_w = self.energy_wh = self.current_ma = 0
        self.voltage_10mv, self.frequency_mhz = 23000, 50000

    def sample(self, _now_s):
        if self.silent:
            return False
        now_s = self._hardware.now_s  # the world's seconds; the device counts from its boot
        load, body = self._load, self._body
        energy_mj = load.energy_mj(now_s)
        power_mw = load.power_mw
        self.energy_wh = energy_mj // 3_600_000
        self.power_w = (power_mw + 500) // 1000
        self.voltage_10mv = voltage = body.voltage_10mv(now_s)
        self.frequency_mhz = body.frequency_mhz(now_s)
        self.current_ma = int(power_mw * 100 / (voltage * load.power_factor)) if voltage and power_mw else 0
        return True


class _Temperature:
    """A sensor of the house, read when it is asked."""

    __slots__ = ("_read", "_hardware")

    def __init__(self, read, hardware):
        self._read, self._hardware = read, hardware

    @property
    def value(self):
        celsius = self._read(self._hardware.now_s)
        return ABSENT if celsius is None else round(celsius * 100)


class _Machine:
    """The heat pump's own controller, as the direct driver talks to it: what it is told, and what it says."""

    def __init__(self, body, hardware):
        self._body, self._hardware, self._house = body, hardware, body.house
        self.compressor = self.defrost = self.hot_water_active = self.error = 0
        if body.house.hot_water is not None:
            self.hot_water = ABSENT

    def sample(self, _now_s):
        if self._body.machine_silent:
            return False
        house, now_s = self._house, self._hardware.now_s
        water_c = house.hot_water_c(now_s)
        house.refresh(now_s)
        self.compressor = 1 if house.compressor else 0
        self.defrost = 1 if house.defrosting else 0
        self.hot_water_active = 1 if house.heating_water else 0
        if water_c is not None:
            self.hot_water = round(water_c * 100)
        return True

    def _put(self, call, value):
        if not self._body.machine_silent:
            call(self._hardware.now_s, None if value == ABSENT else value)

    def set_power_limit(self, limit_w):
        self._put(self._body.set_power_limit, limit_w)

    def set_offset(self, k100):
        self._put(self._body.set_offset, k100)

    def set_hot_water(self, c100):
        self._put(self._body.set_hot_water, c100)

    def release(self):
        self.set_power_limit(ABSENT)
        self.set_offset(ABSENT)
        self.set_hot_water(ABSENT)


class SimDevice:
    """A device of the fleet. `app` is None while it is off; `fs` and `hardware` outlive its reboots.

    description: of its board; config: of the device; delay_s: it starts so long after the run. firmware: its slots
    (spot_sim.firmware.equip), where it has any.
    """

    def __init__(self, body, description, config, clock, network, groups, delay_s=0):
        self.body, self.eui = body, body.eui
        self.description, self.config = description, config
        self.fs, self.hardware = MemoryFs(), Hardware()
        self.app = self.firmware = None
        self.boots = self.steps = 0
        self._clock = clock
        self._boot_s = 0
        self._due_s = self._planned_s = -1  # when it wants to run; when an event of the clock is set
        self._life = 0
        self._fit()
        self.port = network.attach(
            body.eui, self._message, self._link_up, self._link_down, groups, body.device_class, link=body.spec.link
        )
        clock.call_at(delay_s, self.boot, RESET_WATCHDOG)

    def _fit(self):
        """The chips and contacts, in the state of a house where everything runs."""
        body, hardware = self.body, self.hardware
        hardware.meter = _Meter(body, hardware)
        self.wiring = wire(hardware, self.description, body)
        if body.house is None:
            line = hardware.line(_RELAY_PIN)
            line.level = 1
            line.watch(body.set_relay)
            hardware.restart()  # the relay was closed before, and holds
            return
        house = body.house
        hardware.machine = _Machine(body, hardware)
        reads = {"room": house.room_c, "outdoor": house.outdoor_c, "flow": lambda _now_s: house.flow_c}
        if house.hot_water is not None:
            reads["hot_water"] = house.hot_water_c
        for name, read in reads.items():
            hardware.sensors[name] = _Temperature(read, hardware)
        if "sg_ready" in self.description["parts"]:
            SgReadyContacts(*(hardware.line(pin) for pin in _SG_PINS), body.set_sg_state)
        hardware.restart()

    # Life

    def boot(self, reset=RESET_POWER_ON):
        """Start the firmware, with what flash and hardware have kept."""
        now_s = self._clock.now_ms // 1000
        self.hardware.advance(now_s)
        self._boot_s = now_s
        self._life += 1
        self.boots += 1
        firmware = self.firmware
        if firmware is not None:
            firmware.start(self.config["store"])
        self.app = App(self.description, self.config, self.hardware, self.fs, self.port.send, reset)
        if firmware is not None:
            self.app.use(firmware.slots(self.app.store))
        self.port.boot(self.app)
        self._step()
        if firmware is not None and firmware.lives_s is not None:
            self._clock.call_at(now_s + firmware.lives_s, self._die, self._life)
        if firmware is None or firmware.connects:
            self.port.connect()

    def _die(self, life):
        """A release that does not live for long, as a watchdog ends it."""
        if life == self._life:
            self.reboot(power=False)

    def reboot(self, off_s=0, power=True):
        """Restart now: by a cut of the board's mains for `off_s`, or warm. Nothing is written, nothing said."""
        if self.app is None:
            return
        now_s = self._clock.now_ms // 1000
        self.hardware.advance(now_s)
        self.app = None
        self._life += 1
        self._due_s = self._planned_s = -1
        self.port.reset()
        if power:
            self.hardware.power_cut()
            self.body.set_mains(now_s, False)
            if self.wiring is not None:
                self.wiring.power_on()
        else:
            self.hardware.restart()
        reset = RESET_POWER_ON if power else RESET_WATCHDOG
        self._clock.call_at(now_s + off_s, self._back, reset)

    def _back(self, reset):
        if not self.body.powered:
            self.body.set_mains(self._clock.now_ms // 1000, True)
        self.boot(reset)

    # Calls into the firmware

    def _advance(self, now_s):
        if self.wiring is None:
            self.hardware.now_s = now_s  # nothing on it goes by milliseconds
        else:
            self.wiring.advance(now_s)

    def _step(self):
        now_s = self._clock.now_ms // 1000
        self._advance(now_s)
        self.steps += 1
        wait_s = self.app.step(now_s - self._boot_s)
        if self.wiring is not None and self.wiring.step(self.app, now_s - self._boot_s):
            wait_s = 1
        if self.app.restart_s != ABSENT and now_s - self._boot_s >= self.app.restart_s:  # as run.Turns does it
            self.app.goodbye(now_s - self._boot_s)
            self.app.close()
            self.reboot(power=False)
            return
        self._plan(now_s + wait_s)

    def _plan(self, due_s):
        """Run again at `due_s`. An event that is set for later stays and finds nothing to do."""
        self._due_s = due_s
        planned_s = self._planned_s
        if planned_s < 0 or due_s < planned_s:
            self._planned_s = due_s
            self._clock.call_at_ms(due_s * 1000, self._wake, self._life)

    def _wake(self, life):
        if life != self._life:
            return
        now_s = self._clock.now_ms // 1000
        if now_s == self._planned_s:
            self._planned_s = -1
        due_s = self._due_s
        if due_s <= now_s:
            self._step()
        elif self._planned_s < 0:
            self._plan(due_s)

    def nudge(self):
        """Something physical happened that its meter sees: step now."""
        if self.app is not None:
            self._step()

    def _message(self, channel, body, n):
        if self.app is None:
            return
        now_s = self._clock.now_ms // 1000
        self._advance(now_s)
        self.app.receive(now_s - self._boot_s, channel, body, n)
        self._step()

    def _link_up(self, session_present):
        now_s = self._clock.now_ms // 1000
        self._advance(now_s)
        self.app.link_up(now_s - self._boot_s, session_present)
        self._step()

    def _link_down(self):
        if self.app is None:
            return
        now_s = self._clock.now_ms // 1000
        self._advance(now_s)
        self.app.link_down(now_s - self._boot_s)
        self._step()
