"""What is wired to a board on a bench, one small interface for each, several drivers behind it.

    relay_readback   closed() -> bool                 the contact as something else sees it
    reference_meter  power_w() -> float               the power as something else measures it
    power_switch     set(on)                          the supply of the board
    button           press(seconds)                   a finger on its button
    load             set(watts)                       a load that can be set
    wifi             set(on)                          the board's access point

All have close(). What an instrument cannot do raises InstrumentError, with what it said. Programs are given as a list
of words, without a shell between.
"""

import re
import subprocess

from spot_host.errors import UserError

from .modbus import TYPES, Modbus

_TIMEOUT_S = 10.0


class InstrumentError(UserError):
    """An instrument is not there or does not answer; the sentence says which and what it said."""


# --- programs ---------------------------------------------------------------------------------------------------------


def _run(what, command, timeout_s, **words):
    command = [word.format(**words) if words else word for word in command]
    try:
        got = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstrumentError(f"{what}: {' '.join(command)}: {error}") from error
    if got.returncode:
        said = (got.stderr or got.stdout).strip()[-300:]
        raise InstrumentError(f"{what}: {' '.join(command)} ended with {got.returncode}: {said}")
    return got.stdout


class _Program:
    """Base of all that a program on this computer does. settings: as DRIVERS has checked them."""

    def __init__(self, settings):
        self._settings = settings
        self._timeout_s = settings.get("timeout_s", _TIMEOUT_S)

    def close(self):
        pass


class ProgramReadback(_Program):
    """Closed while `pattern` is found in what the program prints."""

    def closed(self):
        out = _run("relay_readback", self._settings["command"], self._timeout_s)
        return re.search(self._settings.get("pattern", r"^\s*1"), out) is not None


class ProgramMeter(_Program):
    """The first group of `pattern` in what the program prints, times `scale`, is the power in W."""

    def power_w(self):
        out = _run("reference_meter", self._settings["command"], self._timeout_s)
        found = re.search(self._settings.get("pattern", r"(-?\d+(?:\.\d+)?)"), out)
        try:
            return float(found.group(1)) * self._settings.get("scale", 1)
        except (AttributeError, IndexError, ValueError):
            raise InstrumentError(f"reference_meter: no number in {out.strip()[:200]!r}") from None


class ProgramSwitch(_Program):
    """`on` and `off` are two programs."""

    def set(self, on):
        _run("switch", self._settings["on" if on else "off"], self._timeout_s)


class ProgramButton(_Program):
    """{seconds} in a word of `command` is how long it is pressed; the program returns when it is let go."""

    def press(self, seconds):
        _run("button", self._settings["command"], self._timeout_s + seconds, seconds=seconds)


class ProgramLoad(_Program):
    """{watts} in a word of `command` is what the load is to draw."""

    def set(self, watts):
        _run("load", self._settings["command"], self._timeout_s, watts=watts)


# --- another MicroPython board ----------------------------------------------------------------------------------------


class Pins:
    """Pins of another board with MicroPython, over its REPL. port: what mpremote takes, a serial port or
    socket://host:port. transport: for tests, an object with enter_raw_repl(), exec(code) -> bytes and close()."""

    def __init__(self, port, transport=None):
        self._port = port
        self._transport = transport or _transport(port)
        try:
            self._transport.enter_raw_repl()
        except Exception as error:  # mpremote's own, OSError, serial's: all mean that the board does not talk
            raise InstrumentError(f"{port}: no MicroPython prompt: {error}") from error

    def exec(self, code):
        """What `code` prints on that board."""
        try:
            return self._transport.exec(code).decode().strip()
        except Exception as error:
            raise InstrumentError(f"{self._port}: {error}") from error

    def close(self):
        self._transport.close()


def _transport(port):
    from mpremote.transport import TransportError
    from mpremote.transport_serial import SerialTransport

    try:
        return SerialTransport(port)
    except (TransportError, OSError) as error:
        raise InstrumentError(f"{port}: cannot be opened: {error}") from error


class PinReadback:
    """The contact pulls a pin of another board to the level `closed`."""

    def __init__(self, settings, pins=None):
        self._pins = pins or Pins(settings["port"])
        self._closed = settings.get("closed", 0)
        pull = "None" if settings.get("pull") == "none" else "Pin.PULL_" + settings.get("pull", "up").upper()
        self._pins.exec(f"from machine import Pin\nreadback = Pin({settings['pin']}, Pin.IN, {pull})")

    def closed(self):
        return self._pins.exec("print(readback.value())") == str(self._closed)

    def close(self):
        self._pins.close()


class PinSwitch:
    """A pin of another board at the level `on` while it is on."""

    def __init__(self, settings, pins=None):
        self._pins = pins or Pins(settings["port"])
        self._on = settings.get("on", 1)
        self._pins.exec(f"from machine import Pin\nswitch = Pin({settings['pin']}, Pin.OUT, value={self._on})")

    def set(self, on):
        self._pins.exec(f"switch.value({self._on if on else 1 - self._on})")

    def close(self):
        self.set(True)
        self._pins.close()


class PinButton:
    """A pin of another board that pulls the button's pin low; else it is open."""

    def __init__(self, settings, pins=None):
        self._pins = pins or Pins(settings["port"])
        pin = f"Pin({settings['pin']}, Pin.OPEN_DRAIN, value=1)"
        self._pins.exec(f"import time\nfrom machine import Pin\nfinger = {pin}")

    def press(self, seconds):
        self._pins.exec(f"finger.value(0); time.sleep_ms({round(seconds * 1000)}); finger.value(1)")

    def close(self):
        self._pins.close()


# --- a serial adapter -------------------------------------------------------------------------------------------------


class ModemReadback:
    """The contact joins an input line of a serial adapter (FTDI and the like) with one that it feeds: `line` is cts,
    dsr, cd or ri, `feed` rts or dtr. port: for tests, an object with pyserial's names."""

    def __init__(self, settings, port=None):
        if port is None:
            import serial

            try:
                port = serial.Serial(settings["port"])
            except (serial.SerialException, OSError) as error:
                raise InstrumentError(f"{settings['port']}: cannot be opened: {error}") from error
        self._port, self._line, self._closed = port, settings.get("line", "cts"), settings.get("closed", 1)
        setattr(port, settings.get("feed", "rts"), True)

    def closed(self):
        try:
            return bool(getattr(self._port, self._line)) == bool(self._closed)
        except OSError as error:
            raise InstrumentError(f"relay_readback: {error}") from error

    def close(self):
        self._port.close()


class ModbusMeter:
    """A register of a meter on Modbus (modbus.py), times `scale`, is the power in W."""

    def __init__(self, settings):
        self._settings = settings
        try:
            self._bus = Modbus(settings["address"], settings.get("baudrate", 9600), settings.get("timeout_s", 2.0))
        except OSError as error:
            raise InstrumentError(f"reference_meter: {settings['address']}: {error}") from error

    def power_w(self):
        s = self._settings
        try:
            value = self._bus.read(s.get("unit", 1), s["register"], s.get("table", "input"), s.get("type", "float32"))
        except (OSError, ValueError) as error:
            raise InstrumentError(f"reference_meter: {s['address']}: {error}") from error
        return value * s.get("scale", 1)

    def close(self):
        self._bus.close()


# --- what an inventory may say of them --------------------------------------------------------------------------------

_WORDS = (list, "a program and its arguments, as a list of texts")
_NUMBER = ((int, float), "a number")
_PATTERN = (re.Pattern, "a regular expression")
_PORT = (str, "a serial port, or socket://host:port")
_PIN = (range(0, 256), "the number of a pin")
_LEVEL = ((0, 1), "0 or 1")
_PROGRAM = {"command": (_WORDS, True), "timeout_s": (_NUMBER, False)}
_SWITCH = {"on": (_WORDS, True), "off": (_WORDS, True), "timeout_s": (_NUMBER, False)}
_PINNED = {"port": (_PORT, True), "pin": (_PIN, True)}

# feature: {driver: (class, {field: ((type, words or pattern, what would be right), must it be there)})}
DRIVERS = {
    "relay_readback": {
        "command": (ProgramReadback, {**_PROGRAM, "pattern": (_PATTERN, False)}),
        "micropython": (PinReadback, {
            **_PINNED, "closed": (_LEVEL, False), "pull": ((("up", "down", "none"), "up, down or none"), False)}),
        "modem_line": (ModemReadback, {
            "port": (_PORT, True), "closed": (_LEVEL, False),
            "line": ((("cts", "dsr", "cd", "ri"), "cts, dsr, cd or ri"), False),
            "feed": ((("rts", "dtr"), "rts or dtr"), False)}),
    },
    "reference_meter": {
        "command": (ProgramMeter, {**_PROGRAM, "pattern": (_PATTERN, False), "scale": (_NUMBER, False)}),
        "modbus": (ModbusMeter, {
            "address": ((str, "tcp://host:port, or a serial port"), True),
            "register": ((range(0, 65536), "0 … 65535"), True),
            "unit": ((range(0, 248), "0 … 247"), False), "baudrate": ((range(300, 1000001), "300 … 1000000"), False),
            "table": ((("input", "holding"), "input or holding"), False),
            "type": ((tuple(TYPES), ", ".join(TYPES)), False), "scale": (_NUMBER, False),
            "timeout_s": (_NUMBER, False)}),
    },
    "power_switch": {
        "command": (ProgramSwitch, _SWITCH),
        "micropython": (PinSwitch, {**_PINNED, "on": (_LEVEL, False)}),
    },
    "button": {
        "command": (ProgramButton, _PROGRAM),
        "micropython": (PinButton, _PINNED),
    },
    "load": {"command": (ProgramLoad, _PROGRAM)},
    "wifi": {"command": (ProgramSwitch, _SWITCH)},
}


def check(where: str, feature: str, settings) -> dict:
    """`settings` of one instrument as the inventory has them, held against DRIVERS. Raises UserError."""
    drivers = DRIVERS[feature]
    if not isinstance(settings, dict):
        raise UserError(f"{where}: a table with driver = one of {', '.join(drivers)}")
    driver = settings.get("driver")
    if not isinstance(driver, str) or driver not in drivers:
        raise UserError(f"{where}.driver: {driver!r} is none of {', '.join(drivers)}")
    fields = drivers[driver][1]
    for name, value in settings.items():
        if name == "driver":
            continue
        if name not in fields:
            raise UserError(f"{where}.{name}: no such field; {driver} has {', '.join(fields)}")
        if not _fits(fields[name][0][0], value):
            raise UserError(f"{where}.{name}: {value!r}: must be {fields[name][0][1]}")
    for name, ((_, right), must) in fields.items():
        if must and name not in settings:
            raise UserError(f"{where}.{name}: missing: {right}")
    return dict(settings)


def _fits(kind, value):
    if isinstance(kind, range):
        return type(value) is int and value in kind
    if isinstance(kind, tuple) and not isinstance(kind[0], type):
        return value in kind and not isinstance(value, bool)
    if kind is re.Pattern:
        try:
            re.compile(value)
        except (re.error, TypeError):
            return False
        return True
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    return kind is not list or (bool(value) and all(isinstance(word, str) for word in value))


def make(feature: str, settings: dict):
    """The instrument of checked settings, opened. Raises InstrumentError."""
    return DRIVERS[feature][settings["driver"]][0](settings)
