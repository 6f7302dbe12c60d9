"""Safe mode: as little as can still report, be configured, be read out and be started afresh. Loaded only then.

Stage 1: the device with its default settings and the board's own calibration. The first association alone. What was
kept of EMD, commands, prices and the household's choice is set aside, not erased: records of safe mode go into a folder
of their own. Stage 2, where that did not last either: no driver, no pin is touched (a relay opens, a heat pump runs as
it likes), and counters and journals are set aside, too.
"""

from .codes import ABSENT, REASON_NONE, REASON_SAFE_MODE
from .config import ConfigError, load_json
from .device.device import Device
from .store import Store

# used as they are, and so are the numbers of keys and of signed broadcasts
_SOUND = ("boot", "wear", "wipe", "crash", "calib", "clock", "day", "latch", "net", "slots", "update")
_PROTECT = ("under_voltage_10mv", "auto_off_s", "min_off_s", "stuck_w")  # and over_…: kept of the settings
_FOLDER = "/safe"
_NUMBERS, _BASES = "association", 17  # of the first one; octets that agent/association.py needs of it
_LONG = 2  # board/panel.py: what the button says, and the lamp's mode
_LED_SAFE = 4


class _Aside(Store):
    """The store with its suspect records set aside. What an earlier safe mode put into the folder goes."""

    def __init__(self, store, stage):
        self._bare = stage > 1
        Store.__init__(self, store._fs, store._root, store._log)
        folder = store._root + _FOLDER
        self._side = Store(store._fs, folder, store._log)
        for file in list(store._fs.listdir(folder)):
            self._remove(folder + "/" + file)
        raw = store.get(_NUMBERS)
        if raw and not self._bare:  # the journals go on, and so do their numbers at the EMD
            self.put(_NUMBERS, raw[:_BASES])

    def _path(self, file):
        name = file.split(".")[0]
        journal = file != name and file[-4:] != ".new"
        if name in _SOUND or name[:4] in ("keys", "sign") or not self._bare and (journal or name == "meter"):
            return self._root + "/" + file
        return self._root + _FOLDER + "/" + file

    def journal(self, name, record_bytes, capacity):
        return Store.journal(self._side if self._bare else self, name, record_bytes, capacity)


def reduced(description, config, store, stage):
    """(description, config, store) as safe mode takes them. What protects is no weaker than it was set."""
    config = dict(config)
    config.pop("parts", None)
    device = {}
    for name, value in config.pop("device", device).items():
        if name[:5] == "over_" or name in _PROTECT:
            device[name] = value
    if device:
        config["device"] = device
    if "associations" in config:
        config["associations"] = config["associations"][:1]
    return description, config, _Aside(store, stage)


def mended(path, checked):
    """For a configuration at `path` that is refused: (config, description, stage) of the copy that the latest start
    which lasted has left; else of what remains without what is set for the device, in safe mode. checked(path[,
    config]) -> (config, description). ConfigError where there is nothing that could reach an EMD.
    """
    try:
        return checked(path + ".good") + (0,)
    except ConfigError:
        config = load_json(path)
        for section in ("device", "parts", "agent"):
            config.pop(section, None)
        return checked(path, config) + (1,)


def panel(app):
    """The lamp shows safe mode, and a long press leaves it, whatever else it means."""
    button = app.board.button
    if app.board.led is not None:
        app.board.led.mode(_LED_SAFE)
    if button is None:
        return
    take = button.take

    def leaving():
        event = take()
        if event == _LONG:
            app.restart(app.log.now_s, leave=True)
            return 0
        return event

    button.take = leaving


class _NoMeter:
    power_w = voltage_10mv = current_ma = frequency_mhz = ABSENT
    energy_wh = 0
    energy_export_wh = ABSENT
    period_s = 3600
    fault = False

    def sample(self, now_s):
        return False

    def poll(self):
        return False


class _NoSensors:
    room = outdoor = flow = hot_water = device = None


class _NoBoard:
    """A board of which nothing is built."""

    relay = trip = button = led = sg_ready = machine = power_fail = None
    relay_cycles = ABSENT
    warm = False

    def __init__(self, description):
        self.model = description.get("model", description["name"])
        self.meter = _NoMeter()
        self.sensors = _NoSensors()
        self.buses = {}

    def poll(self):
        return False

    def close(self):
        pass


class _Bare(Device):
    """A device that can do nothing and says so."""

    def __init__(self, board, profile, store, log):
        Device.__init__(self, board, {}, store, log)
        self._profile = profile

    def description(self):
        return {"profile": self._profile, "power_max": 0, "methods": 0, "services": 0, "flash_wear": self._store.wear()}

    def check(self, kind, value, value2):
        return REASON_SAFE_MODE

    def apply(self, now_s, kind, value, value2, limit_w, decider):
        self._limit_w = limit_w
        self.decider = decider
        self.reason = REASON_SAFE_MODE

    def estimate_w(self):
        return 0

    def step(self, now_s):
        return 3600

    def poll(self, now_s):
        return False

    def safe(self, now_s):
        return REASON_NONE

    def close(self):
        pass


def bare(description, profile, store, log):
    """(board, device) of stage 2."""
    board = _NoBoard(description)
    return board, _Bare(board, profile, store, log)
