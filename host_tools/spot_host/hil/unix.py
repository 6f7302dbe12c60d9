"""Target `unix`: the whole firmware as a MicroPython process in lock-step virtual time, over MQTT with TLS and a real
mosquitto, or with `unix_coap` over CoAP with OSCORE and the EMD's own server on aiocoap."""

import json
import shutil
import tempfile
import time
from pathlib import Path

from spot_host.errors import UserError

from .bench_load import BenchLoad
from .sim import START
from .target import Absent, Target

_METER, _RELAY, _BUTTON = "uart0", "pin2", "pin3"  # of the board unix
_KEY_HEIGHT, _RATE = 5, 4096  # 32 signatures; octets a second of a release
_SLOT = 1 << 18
_AFRESH = 3  # exit code: it wants to be started again, as a chip does itself
_DEBOUNCED_S = 0.1
_WALL_S = 30  # for what happens in real time: connecting, noticing that a connection is gone


class _World:
    """What is behind the pins of the process: a load, its BL0942, a button."""

    def __init__(self, watts, clock):
        from spot_sim.chips.bl0942 import BL0942Chip

        self.load, self.closed, self.button, self._clock = BenchLoad(watts), False, 1, clock
        self._chip = BL0942Chip(clock, self.load)

    def inputs(self, _t_s):
        return {_METER: self._chip.frame().hex(), _BUTTON: self.button}

    def output(self, t_s, name, value):
        if name == _RELAY:
            self.closed = bool(value)
            self.load.set_supply(t_s, self.closed)


class UnixTarget(Target):
    """A plug on the board `unix`."""

    virtual = True
    eui = "0200000000000001"
    link = "mqtt"

    def _begin(self):
        try:
            from spot_sim.home import Place
            from spot_sim.lockstep import Lockstep
        except ImportError as error:
            raise Absent(f"the simulator ({error.name})") from error
        from spot_host.broker import find_mosquitto
        from spot_host.toolchain import runtimes

        if not runtimes.installed("micropython").exists():
            raise Absent("the MicroPython unix port (make setup)")
        self.features = {"virtual_time", "relay_readback", "reference_meter", "power_cut", "consumes", "load", "button",
                         "console"}
        if self.link == "mqtt":
            try:
                find_mosquitto()
            except UserError as error:
                raise Absent("mosquitto 2 (make setup)") from error
            self.features |= {"link_cut", "broker"}
        self.now_s, self.process, self._said = 0, None, 0
        self._folder = Path(tempfile.mkdtemp(prefix="spot-hil-"))
        place = Place(self.eui, self.board, "plug", {"remote_close": True}, {"meter": {"period_s": 1}}, link=self.link)
        self.home = _home(self._folder, [place])
        self.home.__enter__()
        self.world = _World(self.load_w, self)
        self._make_core(self.now)
        if self.home.coap is not None:  # releases for who was offered them, as the EMD's service has it
            self.home.coap._link._front.shelf = self.core.updates.shelf
        self.lockstep = Lockstep(self.home.post, lambda _t_s: self._deliver())
        self._power_on()

    def _can_release(self):
        return True

    def _release(self):
        from spot_host import release

        return release.build(self.board, "9.9", self._folder / "key", (self.row.capability.sequence or 0) + 1,
                             image_of=_image)

    def _end(self):
        home, self.home = getattr(self, "home", None), None
        if home is not None:
            home.__exit__(None, None, None)
            self.gather()
            shutil.rmtree(self._folder, ignore_errors=True)
        self.process = None

    @property
    def now(self):
        return START + self.now_s

    def _carry(self, channel, body):
        self.home.post.send(self.eui, channel, body)

    # Time

    def _deliver(self):
        for _, channel, body in self.home.post.take():
            self.arrived(channel, body)
        if not self.silent and not self.cut:
            self.core.step(self.now)

    def _turn(self):
        self._grant()
        self._deliver()
        self._grant()

    def _grant(self):
        from spot_sim.lockstep import LockstepError

        if self.process is None:
            return
        try:
            self.lockstep.run_at(self.now_s)
        except LockstepError:
            child = self.process._child
            if child is None or child.wait(_WALL_S) != _AFRESH:
                raise
            self.gather()
            self.record.event(self.now, "the firmware starts afresh")
            self._power_on()

    def advance(self, seconds):
        end_s = self.now_s + int(seconds)
        self._turn()
        while self.now_s < end_s:
            due = [end_s] if self.silent or self.cut else [end_s, self.core.next_due - START]
            if self.process is not None:
                due.append(self.lockstep.next_wake())
            self.now_s = min(end_s, max(self.now_s + 1, min(due)))
            self._turn()

    # The process

    @property
    def _member(self):
        return self.lockstep.members.get(self.eui)

    def _power_on(self):
        before = self._member
        self.process = self.home.process(self.home.places[0])
        self._said = 0
        self.process.start()
        member = self.lockstep.add(self.eui, self.process, self.world, self.now_s)
        if before is not None:  # a new process counts from 0
            member.lost_down = before.lost_down + before.last.received
            member.lost_up = -self.home.post.arrived(self.eui)
        self._connected(True)

    def _connected(self, up):
        """Wait, in real time, until the device has its session, or has seen that it is gone."""
        deadline = time.monotonic() + _WALL_S
        member = self._member
        while member.last is None or member.last.up != up:
            if time.monotonic() > deadline:
                raise UserError(f"{self}: no connection {'yet' if up else 'lost'}: {self.process.text[-5:]}")
            member.wake_s = self.now_s
            self.lockstep.run_at(self.now_s)
            time.sleep(0.01)
        member.wake_s = self.now_s
        self.lockstep.run_at(self.now_s)

    # What the bench can do

    def _relay(self):
        return self.world.closed

    def _power(self):
        return self.world.load.power_w(self.now_s)

    def _set_load(self, watts):
        self.world.load.set_watts(self.now_s, watts)

    def _cut_power(self, seconds):
        self.gather()
        arrived = self.home.post.arrived(self.eui)
        self.process.kill()
        self.process = None
        self.world.output(self.now_s, _RELAY, 0)
        if self.link == "mqtt":  # the broker's last word about it
            self.home.post.await_arrival(self.eui, arrived + 1, _WALL_S)
        self.advance(seconds)
        self._power_on()

    def _cut_link(self, cut):
        mqtt = self.home.mqtt
        if cut:
            self.home.broker.stop()
            self._connected(False)
            return
        self.home.broker.start()
        mqtt._up.wait(_WALL_S)
        self._connected(True)
        self.core.link_up(self.now)

    def _press(self, seconds):
        for level, wall_s in ((0, seconds), (1, _DEBOUNCED_S)):  # the button's own times are the wall's
            self.world.button = level
            self.advance(1)
            time.sleep(wall_s)
            self.advance(1)
        self.advance(1)

    def gather(self):
        process = self.process
        if process is not None:
            text = list(process.text)
            for line in text[self._said:] if len(text) >= self._said else text:
                self.record.say(line)
            self._said = len(text)


class UnixCoapTarget(UnixTarget):
    """The same over CoAP on UDP with OSCORE."""

    link = "coap"


def _home(folder, places):
    """A home whose devices are back soon after their broker, and are started by the loader, with slots for releases."""
    from spot_host import release, romfs
    from spot_sim.home import Home

    key = release.generate(folder / "key", _KEY_HEIGHT).hss.hex()
    slots = folder / "slots"
    slots.mkdir()
    first = romfs.in_slot(release.build("unix", "1.0", folder / "key", 1, image_of=_image))
    (slots / "slot_a.bin").write_bytes(first.ljust(_SLOT, b"\xff"))

    class QuickHome(Home):
        def config(self, place):
            path = super().config(place)
            config = json.loads(path.read_text())
            config.update(slots=str(slots), update={"keys": [key], "rate": _RATE})
            if "mqtt" in config:
                config["mqtt"]["backoff_ms"] = [100, 400]
            path.write_text(json.dumps(config))
            return path

        def process(self, place, lockstep=True):
            process = super().process(place, lockstep)
            process.command = [word.replace("main.py", "boot.py") for word in process.command]
            return process

    return QuickHome(folder, places)


_MAIN = """
import sys

sys.path.insert(0, %r)
with open(%r) as file:
    exec(file.read(), {"__name__": "__main__"})
"""


def _image(board, version, sequence, keys):
    """A release whose code is the checkout's: what a product's release holds is for targets with chips."""
    from spot_host import romfs, suit
    from spot_host.toolchain import paths

    firmware = paths.ROOT / "firmware"
    said = {"sequence": sequence, "version": version, "board": board, "base": 1, "keys": list(keys),
            "vendor": suit.VENDOR.hex, "class": suit.class_id(board).hex}
    return romfs.pack({
        "main.py": (_MAIN % (str(firmware), str(firmware / "main.py"))).encode(),
        "release.json": json.dumps(said).encode(),
        f"boards/{board}/board.json": (paths.ROOT / "boards" / board / "board.json").read_bytes(),
        "filler": bytes(range(256)) * 30,
    })
