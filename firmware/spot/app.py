"""The composition root: builds one device from a board description and a configuration. The only file that knows
every part.

Not async: `run.py` drives one App on a chip or the unix port, the simulator drives thousands.
"""

from array import array

from .agent.agent import Agent
from .agent.association import check_plan
from .board.board import build
from .clock import Clock
from .codes import (
    ABSENT,
    MAX_BODY,
    OBJ_FLASH_WRITES,
    OBJ_HEAP_FREE,
    OBJ_SAFE_MODE,
    ONLINE_LOST,
    PROFILE_HEAT_PUMP,
    PROFILE_PLUG,
    RESET_BUTTON,
    RESET_SOFT,
    RESET_UNKNOWN,
    T_LINK,
)
from .config import ConfigError
from .guard import CRASH, Starts
from .log import Log
from .port import const, gc
from .store import WIPE, Store, StoreError
from .wire import profile
from .wire.fields import LNK_BOOT, LNK_COUNT, LNK_ONLINE

VERSION = "0.1.0"


def _plug():
    from .device.plug import Plug

    return PROFILE_PLUG, Plug


def _heat_pump():
    from .device.heat_pump import HeatPump

    return PROFILE_HEAT_PUMP, HeatPump


def _reduced(*arguments):
    from .safe import reduced

    return reduced(*arguments)


def _bare(*arguments):
    from .safe import bare

    return bare(*arguments)


def _panel(app):
    from .safe import panel

    panel(app)


# application profile and class by the word that a board description uses for its device; loaded on demand, so that a
# board's image holds its own device only (spot_host.build)
_DEVICES = {"plug": _plug, "heat_pump": _heat_pump}

_NEVER = 86400  # s: an upper bound for a sleep
_LAST_WORDS_S = const(3)


class Identity:
    """Who the device is: `eui64` (8 octets), `boot` (count), `reset` (RESET_…), `profile` (PROFILE_…), `firmware` and
    `model` (text)."""

    def __init__(self, eui64, boot, reset, profile, model):
        self.eui64 = eui64
        self.boot = boot
        self.reset = reset
        self.profile = profile
        self.firmware = VERSION
        self.model = model


_SEALED = const(64)  # octets that a protection adds at most, and more than the link's word needs


class _Way:
    """The way between an association and its link, through its protection where it has one.

    carry(channel, buf, n) -> bool: the link's; a fourth argument, True, for what is urgent. groups: those that it
    listens to.
    """

    def __init__(self, carry, log):
        self.carry = carry
        self._log = log
        self.groups = ()
        self.protect = None

    def guard(self, protect):
        """Takes a protection, whose keys may be in the App's store: seal(channel, buf, n, out) -> n and open(channel,
        buf, n, out) -> n, which raise a ValueError."""
        self.protect = protect
        self._sealed = bytearray(MAX_BODY + _SEALED)
        self.opened = bytearray(MAX_BODY)

    def send(self, channel, buf, n, guaranteed=False, urgent=False):
        """The agent's way out. True when the link took it."""
        protect = self.protect
        if protect is not None:
            try:
                n = protect.seal(channel, buf, n, self._sealed)
            except ValueError:  # no number may be used, as the store refuses: not out in the clear
                self._log.error("security.not_sealed", channel)
                return False
            buf = self._sealed
        if urgent:
            return self.carry(channel, buf, n, True)
        done = self.carry(channel, buf, n)
        if protect is not None:
            protect.reserve()  # what is urgent must find a number without a write
        return done


class App:
    """One device.

    description: the board's (config.load_board); config: the device's (config.load_config), both checked; hardware:
    provider of Pin, UART, …;
    fs: os-like object the store writes to; send(channel, buf, n) -> bool: the link. Of a device with several
    associations (config "associations") send, join_group and ways are lists in their order, and `at` is the number of
    the one that a message or a link belongs to.

    starts: guard.Starts; where that asks for safe mode, `safe.py` has the last word on what is built. counted: whether
    this start has a number of its own (Identity.boot). restart_s: when it wants to be started afresh, ABSENT: it does
    not; run.py sees to it. on_lasted(): called once when the start has lasted. links: those whose ways are used, for
    what goes past `send`; main.py gives them. firmware: what is to be done for the slots, where there are any.
    network: what changes the network, where it was asked for; main.py gives it what it reads: station (link.wifi.Wifi),
    ring (the keys of the first association, where it has a pairing) and now().
    """

    def __init__(self, description, config, hardware, fs, send, reset=RESET_UNKNOWN, log=None, safe=0):
        self.log = log or Log(64)
        self.store = Store(fs, config["store"], self.log)
        self.starts = starts = Starts(self.store, reset, self.log, safe)
        safe = starts.safe
        self.restart_s = ABSENT
        self.on_lasted = None
        self._care_s = 0
        if safe:
            description, config, self.store = _reduced(description, config, self.store, safe)
        self.config = config
        name = description["device"]
        if name not in _DEVICES:
            raise ConfigError("board.json", "device", "'plug' or 'heat_pump', not %r" % (name,))
        associations = config.get("associations") or [config]
        for association in associations:
            wrong = check_plan(association.get("agent", {}))
            if wrong:
                raise ConfigError("config", "agent." + wrong[0], wrong[1])
        profile, kind = _DEVICES[name]()
        self.clock = Clock(self.store, self.log)
        if safe > 1:
            self.board, self.device = _bare(description, profile, self.store, self.log)
        else:
            self.board = build(description, config, hardware, self.log)
            if safe:
                _panel(self)
            self.device = kind(self.board, config.get("device", {}), self.store, self.log)
            if safe:
                self.device.safe(0)
        self.counted = starts.counted
        self.identity = Identity(
            _octets(config["eui64"]), starts.boot, starts.reset, profile, config.get("model") or self.board.model
        )
        sends = send if isinstance(send, list) else [send]
        self.ways = [_Way(carry, self.log) for carry in sends[: len(associations)]]
        self.agent = Agent(self.identity, self.device, self.clock, self.store, self.ways, self.log, associations)
        self._join_agent_and_device()
        self.links = ()
        self.firmware = self.network = self.station = self.ring = None
        self._lamp()
        self._failing = 0  # stages of a power cut: 1 the last gasp is with the links, 2 all is kept
        self.device.on_factory_reset = self.factory_reset
        self.device.utc = self.clock.utc
        self.device.zone_s = self.agent.plan.zone_s
        self.received = 0
        self.join_group = [None] * len(self.ways)  # each link's subscribe_group(name), where it has groups

    def _join_agent_and_device(self):
        agent, device, store, starts, identity = self.agent, self.device, self.store, self.starts, self.identity
        device.on_alarm = agent.alarm
        device.on_override = agent.override
        device.on_factory_reset = self.factory_reset
        key = b"%d" % identity.boot + b"d"
        device.spread = lambda window_s: profile.jitter(identity.eui64, key, window_s)
        agent.outage.gasps = self.board.power_fail is not None
        agent.on_restart = lambda now_s, how: self.restart(now_s, leave=how == 2)
        own = agent.own
        own[OBJ_FLASH_WRITES] = lambda now_s: store.spent
        own[OBJ_SAFE_MODE] = lambda now_s: 1 if starts.safe else 0
        if hasattr(gc, "mem_free"):
            own[OBJ_HEAP_FREE] = lambda now_s: gc.mem_free()

        def crash(read):
            raw = store.get(CRASH)
            if raw and read and not raw[0]:  # while it counts failing starts it stays
                store.delete(CRASH)
            return raw and raw[1:]

        agent.crash = crash

    def use(self, slots):
        """The firmware can be updated: slots (spot.slots.Slots), whose store is the App's."""
        from .firmware import Firmware

        self.firmware = Firmware(self, slots)

    def restart(self, now_s, reset=RESET_SOFT, leave=False):
        """A start afresh is wanted (reset: as what the next start tells it); leave: one that is not in safe mode. What
        is to be said before has a few seconds."""
        if self.restart_s == ABSENT:
            self.restart_s = now_s + _LAST_WORDS_S
            self.starts.plan(reset, leave)

    def factory_reset(self, now_s):
        """Wants a start afresh, which erases what is the household's. False: flash does not take it."""
        try:
            self.store.put(WIPE, self.device.counters.products())
        except StoreError:
            return False
        self.log.warn("app.factory_reset")
        self.agent.factory_reset(now_s)
        self.restart(now_s, RESET_BUTTON, True)
        return True

    def receive(self, now_s, channel, buf, n, at=0):
        """A message came in on `channel`; `buf` is the link's own and valid during the call only."""
        self.received += 1
        way, seat = self.ways[at], self.agent.seats[at]
        if way.protect is not None:
            try:
                n = way.protect.open(channel, buf, n, way.opened)
            except ValueError:  # whoever sent it learns nothing
                seat.refusals.note(now_s, "security.refused", channel, at)
                return
            buf = way.opened
        self.agent.receive(now_s, channel, buf, n, at)
        if seat.plan.groups != way.groups:
            self._listen(at)

    def listen(self):
        """Listens to the groups that the EMDs have named; again after a start, since they are kept."""
        for at in range(len(self.ways)):
            self._listen(at)

    def _listen(self, at):
        self.ways[at].groups = groups = self.agent.seats[at].plan.groups
        if self.join_group[at] is not None:
            for group in groups:
                self.join_group[at](str(group))

    def step(self, now_s):
        """Does what is due. Returns the seconds until it wants to be called again, at least 1."""
        self.begin(now_s)
        return self.due(self.device.step(now_s), self.agent.step(now_s))

    def begin(self, now_s):
        """Before each step of device and agent, which run.Turns calls one by one."""
        self.log.now_s = now_s
        if now_s >= self._care_s:
            self._care_s = self.starts.care(self, now_s)
        if self.firmware is not None and now_s >= self.firmware.due_s:
            self.firmware.step(now_s)
        if self.board.power_fail is not None:
            self.power_fail(now_s)

    def power_fail(self, now_s):
        """The power-fail input, at each poll and step. When the mains has failed: first the last gasp, to the links;
        what is to be kept is written at the next call, when they have had their turn. Back within the hold-up time: a
        restore."""
        stage = self._failing
        if self.board.power_fail.failed:
            if stage == 0:
                self._failing = 1
                self.agent.last_gasp(now_s)
            elif stage == 1:
                self._failing = 2
                self.device.power_failed(now_s)
                self.agent.power_failed(now_s)
        elif stage:
            self._failing = 0
            self.agent.power_back(now_s)

    def due(self, wait, other):
        """Seconds until the next step, from what device and agent said."""
        if self.device.moved or self.restart_s != ABSENT:
            self.device.moved = False
            return 1
        if other < wait:
            wait = other
        if self.firmware is not None:
            wait = min(wait, self.firmware.due_s - self.log.now_s)
        return 1 if wait < 1 else _NEVER if wait > _NEVER else wait

    def link_up(self, now_s, session_present, at=0):
        self.agent.link_up(now_s, at)
        self._lamp()

    def link_down(self, now_s, at=0):
        self.agent.link_down(now_s, at)
        self._lamp()

    def _lamp(self):
        """Shows that no link is up; in safe mode the lamp shows that."""
        led = self.board.led
        if led is not None and not self.starts.safe:
            up = 0
            for seat in self.agent.seats:
                up |= seat.up
            led.mode(0 if up else 1)  # NORMAL, NO_LINK of board/panel.py

    def will(self):
        """The body of the link's last will."""
        slots = array("i", [ABSENT] * LNK_COUNT)
        slots[LNK_ONLINE] = ONLINE_LOST
        slots[LNK_BOOT] = self.identity.boot
        buf = bytearray(64)
        return bytes(buf[: profile.encode_hot(T_LINK, slots, buf)])

    def poll(self, now_s):
        """Between steps, every 50 ms or so where the clock is real. True when `step` is due at once."""
        due = self.device.poll(now_s)
        if self.board.power_fail is not None:
            self.power_fail(now_s)
        return due

    def goodbye(self, now_s):
        """Says that the device leaves in good order, since a broker then keeps the last will to itself."""
        self.agent.goodbye(now_s)

    def close(self):
        """An orderly end: the load in its safe state, counters kept."""
        try:
            self.device.close()
            self.agent.flush(0)
        finally:
            self.board.close()


def _octets(digits):
    return bytes(int(digits[i : i + 2], 16) for i in range(0, len(digits), 2))
