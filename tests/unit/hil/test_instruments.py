"""Instruments against programs, a Modbus slave and boards that are played here; what fails is said."""

import contextlib
import io
import os
import pty
import socket
import struct
import sys
import threading
import tty
from types import SimpleNamespace

import pytest

from spot_host.hil import instruments
from spot_host.hil.instruments import InstrumentError, ModemReadback, PinButton, PinReadback, Pins, PinSwitch
from spot_host.hil.modbus import crc16

PRINT = [sys.executable, "-c", "import sys; print(*sys.argv[1:])"]
FAILS = [sys.executable, "-c", "raise SystemExit('no such port')"]


def made(feature, **settings):
    return instruments.make(feature, instruments.check("bench.toml: x", feature, settings))


# --- programs ---------------------------------------------------------------------------------------------------------


def test_programs_are_read():
    assert made("relay_readback", driver="command", command=[*PRINT, "1"]).closed()
    assert not made("relay_readback", driver="command", command=[*PRINT, "0"]).closed()
    assert made("relay_readback", driver="command", command=[*PRINT, "contact:", "closed"], pattern="closed$").closed()
    meter = made("reference_meter", driver="command", command=[*PRINT, "P", "=", "-1.25", "kW"], scale=1000)
    assert meter.power_w() == -1250
    meter = made("reference_meter", driver="command", command=[*PRINT, "P=", "7", "Q=", "8"], pattern=r"Q= (\d+)")
    assert meter.power_w() == 8


def test_programs_are_told(tmp_path):
    write = [sys.executable, "-c", f"import sys; open({str(tmp_path / 'said')!r}, 'a').write(sys.argv[1])"]
    switch = made("power_switch", driver="command", on=[*write, "+"], off=[*write, "-"])
    switch.set(False)
    switch.set(True)
    made("button", driver="command", command=[*write, "b{seconds}"]).press(0.5)
    made("load", driver="command", command=[*write, "l{watts}"]).set(300)
    assert (tmp_path / "said").read_text() == "-+b0.5l300"


@pytest.mark.parametrize(("command", "words"), [
    (FAILS, "no such port"), (["/none/such"], "No such file"), ([*PRINT, "nothing"], "no number in 'nothing'"),
    ([sys.executable, "-c", "import time; time.sleep(9)"], "timed out"),
])
def test_a_program_that_fails_is_quoted(command, words):
    with pytest.raises(InstrumentError, match=words):
        made("reference_meter", driver="command", command=command, timeout_s=0.5).power_w()


# --- Modbus -----------------------------------------------------------------------------------------------------------

REGISTERS = {52: struct.pack(">f", 812.5), 60: struct.pack(">h", -7), 62: struct.pack(">I", 70_000)}


def answered(request):
    """The data of a slave's answer to the data of a request."""
    function, register, count = struct.unpack(">BHH", request)
    data = REGISTERS.get(register)
    if data is None or len(data) != 2 * count or function != 4:
        return bytes((function | 0x80, 2))
    return bytes((function, len(data))) + data


@pytest.fixture
def tcp():
    """The address of a meter on Modbus TCP, which first sends the late answer to something else."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _ = server.accept()
        with client:
            while head := client.recv(7):
                number, _, size, unit = struct.unpack(">HHHB", head)
                body = answered(client.recv(size - 1))
                for late in (number - 1 & 0xFFFF, number):
                    frame = struct.pack(">HHHB", late, 0, len(body) + 1, unit) + body
                    client.sendall(frame[:5])
                    client.sendall(frame[5:])

    threading.Thread(target=serve, daemon=True).start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    server.close()


def meter(address, **more):
    return made("reference_meter", driver="modbus", address=address, **more)


def test_a_meter_on_modbus_tcp(tcp):
    one = meter(tcp, register=52)
    assert one.power_w() == 812.5
    one.close()


def test_types_and_scale(tcp):
    one = meter(tcp, register=60, type="int16", scale=10)
    assert one.power_w() == -70
    one.close()


def test_an_exception_of_the_meter_is_said(tcp):
    one = meter(tcp, register=99)
    with pytest.raises(InstrumentError, match="register 99: exception 2"):
        one.power_w()
    one.close()


@pytest.fixture
def rtu():
    """(port, list of what goes wrong next) of a meter on a serial line."""
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    wrong = []

    def serve():
        while True:
            try:
                frame = b""
                while len(frame) < 8:
                    frame += os.read(master, 8 - len(frame))
                assert crc16(frame[:6]) == struct.unpack("<H", frame[6:])[0]
                answer = frame[:1] + answered(frame[1:6])
                answer += struct.pack("<H", crc16(answer))
                what = wrong.pop() if wrong else None
                if what == "damaged":
                    answer = answer[:3] + b"\xff" + answer[4:]
                os.write(master, answer[:4] if what == "half" else answer if what != "silent" else b"")
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield os.ttyname(slave), wrong
    os.close(slave)
    os.close(master)


def test_a_meter_on_a_serial_line(rtu):
    port, wrong = rtu
    one = meter(port, register=52, timeout_s=0.3)
    assert one.power_w() == 812.5
    for what, words in (("damaged", "damaged"), ("half", "half an answer"), ("silent", "no answer")):
        wrong.append(what)
        with pytest.raises(InstrumentError, match=words):
            one.power_w()
    assert one.power_w() == 812.5
    one.close()
    with pytest.raises(InstrumentError, match="exception 2"):
        meter(port, register=53, timeout_s=0.3).power_w()


def test_the_check_of_the_specification():
    assert crc16(bytes.fromhex("010300000001")) == 0x0A84  # sent as 84 0A


def test_a_meter_that_is_not_there_is_a_sentence():
    for address in ("tcp://127.0.0.1:1", "/dev/none"):
        with pytest.raises(InstrumentError, match="reference_meter: "):
            meter(address, register=1)


# --- another MicroPython board ----------------------------------------------------------------------------------------


class Repl:
    """A board's prompt: a `machine` whose pins are here, and Python to run what comes."""

    def __init__(self):
        self.levels, self.moves, self.closed = {5: 1}, [], False
        repl = self

        class Pin:
            IN, OUT, OPEN_DRAIN, PULL_UP, PULL_DOWN = range(5)

            def __init__(self, number, mode, pull=None, value=None):
                self.number = number
                if value is not None:
                    self.value(value)

            def value(self, level=None):
                if level is None:
                    return repl.levels[self.number]
                repl.levels[self.number] = level
                repl.moves.append((self.number, level))

        time = SimpleNamespace(sleep_ms=lambda ms: self.moves.append(("ms", ms)))
        self._names = {"Pin": Pin, "time": time}

    def enter_raw_repl(self):
        pass

    def exec(self, code):
        out = io.StringIO()
        code = code.replace("from machine import Pin", "").replace("import time", "")
        with contextlib.redirect_stdout(out):
            exec(code, self._names)
        return out.getvalue().encode()

    def close(self):
        self.closed = True


@pytest.fixture
def repl():
    return Repl()


def pins(repl):
    return Pins("/dev/ttyACM1", repl)


def test_a_pin_of_another_board_reads_the_contact(repl):
    readback = PinReadback({"pin": 5, "closed": 0}, pins(repl))
    assert not readback.closed()
    repl.levels[5] = 0
    assert readback.closed()
    readback.close()
    assert repl.closed


def test_a_pin_of_another_board_switches_the_supply_and_leaves_it_on(repl):
    switch = PinSwitch({"pin": 7, "on": 0}, pins(repl))
    switch.set(False)
    assert repl.levels[7] == 1
    switch.close()
    assert repl.moves == [(7, 0), (7, 1), (7, 0)]


def test_a_pin_of_another_board_presses_the_button(repl):
    PinButton({"pin": 6}, pins(repl)).press(0.2)
    assert repl.moves == [(6, 1), (6, 0), ("ms", 200), (6, 1)]


def test_a_board_that_does_not_talk_is_said(repl):
    repl.exec = lambda code: (_ for _ in ()).throw(OSError("device disconnected"))
    with pytest.raises(InstrumentError, match="/dev/ttyACM1: device disconnected"):
        PinReadback({"pin": 5}, pins(repl))
    with pytest.raises(InstrumentError, match="/dev/none: cannot be opened"):
        made("relay_readback", driver="micropython", port="/dev/none", pin=5)


# --- a serial adapter -------------------------------------------------------------------------------------------------


class Adapter:
    rts = dtr = False

    def __init__(self):
        self.contact = True
        self.open = True

    @property
    def cts(self):
        return self.contact and self.rts

    @property
    def ri(self):
        return self.contact and self.dtr

    def close(self):
        self.open = False


@pytest.mark.parametrize("wired", [{}, {"line": "ri", "feed": "dtr"}])
def test_the_lines_of_a_serial_adapter_read_the_contact(wired):
    adapter = Adapter()
    readback = ModemReadback(wired, adapter)
    assert readback.closed()
    adapter.contact = False
    assert not readback.closed()
    readback.close()
    assert not adapter.open
    assert ModemReadback({**wired, "closed": 0}, adapter).closed()


def test_an_adapter_that_is_not_there_is_a_sentence():
    with pytest.raises(InstrumentError, match="/dev/none: cannot be opened"):
        made("relay_readback", driver="modem_line", port="/dev/none")
