"""Target `sim`: the firmware on CPython, its board's drivers on simulated chips, a link in memory, virtual time."""

from spot.config import load_board
from spot_host.toolchain import paths

from .bench_load import BenchLoad
from .target import Absent, Target

START = 1_790_000_040  # Unix s, on a minute
_FOR_EVER_S = 1 << 30
_MOST_LINES = 64 * 1024


class _Spec:
    link = "mqtt"


class _Body:
    """What SimDevice wants to know of what it hangs on."""

    house = None
    device_class = "plug"
    spec = _Spec()
    machine_silent = False

    def __init__(self, eui, watts):
        self.eui, self.load = eui, BenchLoad(watts)
        self.relay, self.powered = True, True
        self.load.set_supply(0, True)

    def voltage_10mv(self, now_s):
        return 23000

    def frequency_mhz(self, now_s):
        return 50000

    def set_relay(self, now_s, closed):
        self.relay = bool(closed)
        self.load.set_supply(now_s, self.relay and self.powered)

    def set_mains(self, now_s, powered):
        self.powered = powered
        self.load.set_supply(now_s, powered and self.relay)


class SimTarget(Target):
    """A plug on the board `unix` (BL0942, button, lamp)."""

    virtual = True
    eui = "0200000000000001"

    def _begin(self):
        try:
            import pyhsslms

            from spot_sim import firmware
            from spot_sim.clock import VirtualClock
            from spot_sim.device import SimDevice
            from spot_sim.network import MemoryNetwork
            from spot_sim.seeds import Seeds
        except ImportError as error:
            raise Absent(f"the simulator ({error.name})") from error
        self.features = {"virtual_time", "relay_readback", "reference_meter", "power_cut", "link_cut", "consumes",
                         "load", "button", "broker", "console"}
        self.clock = VirtualClock(START)
        self.network = MemoryNetwork(self.clock, Seeds(1))
        self._port = self.network.attach_emd(lambda device, channel, body: self.arrived(_NAMES[channel], body))
        self.body = _Body(self.eui, self.load_w)
        description = load_board(self.board, str(paths.ROOT / "boards"))
        config = {"board": self.board, "eui64": self.eui, "store": "s", "device": {"remote_close": True},
                  "parts": {"meter": {"period_s": 1}}}
        self.device = SimDevice(self.body, description, config, self.clock, self.network, ())
        self._key = pyhsslms.LmsPrivateKey(
            lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4)
        first = firmware.release(self.board, 1, "1.0.0", sign=self._sign)
        firmware.equip(self.device, first, [b"\0\0\0\1" + self._key.publicKey().serialize()])
        self._button = description["parts"]["button"]["pin"]
        self._seen = 0
        self._make_core(self.now)

    def _end(self):
        self.device = None

    def _sign(self, octets):
        return b"\0\0\0\0" + self._key.sign(octets)

    def _can_release(self):
        return True

    def _release(self):
        from spot_sim.firmware import release

        running = self.row.capability.sequence or 0
        return release(self.board, running + 1, f"1.{running}.1", sign=self._sign)

    @property
    def now(self):
        return START + self.clock.now_ms // 1000

    def advance(self, seconds):
        end_s = self.clock.now_s + int(seconds)
        while True:
            due_ms = self.clock.next_ms()
            due_s = end_s if due_ms is None else min(end_s, -(-due_ms // 1000))
            if not self.silent:
                due_s = min(due_s, max(self.clock.now_s, self.core.next_due - START))
            self.clock.run_until(due_s)
            if not self.silent:
                self.core.step(self.now)
            if self.clock.now_s >= end_s:
                break
        self.clock.run_until(end_s)

    def _carry(self, channel, body):
        self._port.send(self.eui, _CODES[channel], body)

    # What the bench can do

    def _relay(self):
        return self.body.relay

    def _power(self):
        return self.body.load.power_w(self.clock.now_s)

    def _set_load(self, watts):
        self.body.load.set_watts(self.clock.now_s, watts)
        self.device.nudge()

    def _cut_power(self, seconds):
        self.gather()
        self._seen = 0
        self.device.reboot(int(seconds), power=True)
        self.advance(seconds + 1)

    def _cut_link(self, cut):
        if cut:
            self.device.port.drop(_FOR_EVER_S)
        else:
            self.device.port._unblock()  # the end of that drop, now

    def _press(self, seconds):
        hardware, line = self.device.hardware, self.device.hardware.line(self._button)
        self.advance(1)
        base_s = hardware.now_s
        for after_ms, level in ((0, 0), (60, 0), (round(seconds * 1000) + 60, 1), (round(seconds * 1000) + 160, 1)):
            at_s, ms = divmod(after_ms, 1000)
            if at_s > hardware.now_s - base_s:
                self.advance(base_s + at_s - hardware.now_s)
            hardware.advance(base_s + at_s, ms)
            line.drive(level)
            self.device.app.poll(self.clock.now_s - self.device._boot_s)
        self.advance(2)

    def gather(self):
        app = self.device.app if self.device else None
        if app is None:
            return
        _, self._seen, text = app.log.lines(self._seen, _MOST_LINES)
        for line in bytes(text).decode(errors="replace").splitlines():
            self.record.say(line)


def _channels():
    from spot_host.profile.definition import CHANNELS

    return {code: name for code, name, *_ in CHANNELS}


_NAMES = _channels()
_CODES = {name: code for code, name in _NAMES.items()}
