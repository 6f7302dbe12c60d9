"""The inventory: one that says everything is read, and each mistake is a sentence with file and field."""

import pytest

from spot_host.errors import UserError
from spot_host.hil import inventory, spec

GOOD = """
[board.desk-pico]
target = "serial:/dev/ttyACM0"
home = "home"
eui64 = "0200000000000001"
load_w = 60
patience = 2
features = ["update"]
relay_readback = {driver = "micropython", port = "/dev/ttyACM1", pin = 5, closed = 0}
reference_meter = {driver = "modbus", address = "tcp://192.0.2.7:502", register = 52, type = "float32"}
power_switch = {driver = "command", on = ["uhubctl", "-a", "1"], off = ["uhubctl", "-a", "0"]}
button = {driver = "micropython", port = "/dev/ttyACM1", pin = 6}

[board.shelf]
target = "ip:192.0.2.1"
home = "home"
relay_readback = {driver = "modem_line", port = "/dev/ttyUSB0", line = "cts", feed = "rts"}
wifi = {driver = "command", on = ["ap", "on"], off = ["ap", "off"]}
load = {driver = "command", command = ["load", "{watts}"]}
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "bench.toml"
        path.write_text(text)
        return inventory.load(path)

    return load


def test_a_whole_bench(load, tmp_path):
    boards = load(GOOD)
    desk, shelf = boards["desk-pico"], boards["shelf"]
    assert (desk.target.kind, desk.target.argument) == ("serial", "/dev/ttyACM0")
    assert desk.home == tmp_path / "home" and desk.eui64 == "0200000000000001"
    assert (desk.load_w, desk.patience, desk.features) == (60, 2.0, ("update",))
    assert set(desk.wired) == {"relay_readback", "reference_meter", "power_switch", "button"}
    assert set(shelf.wired) == {"relay_readback", "wifi", "load"} and shelf.eui64 == ""


BOARD = '[board.b]\ntarget = "serial:/dev/ttyACM0"\nhome = "h"\n'


@pytest.mark.parametrize(("text", "words"), [
    ("", "board: at least one board"),
    ("[bord.x]", "bord: no such table"),
    ("board = 3", "board: at least one board"),
    ("[board", "not TOML"),
    ('[board.sim]\ntarget = "ip:x"', "board.sim: a name of"),
    ('[board.B]\ntarget = "ip:x"', "board.B: a name of"),
    ('[board]\nb = 3', "board.b: a table"),
    ('[board.b]\nhome = "h"', 'board.b.target: missing: "serial:PORT" or "ip:ADDRESS"'),
    ('[board.b]\ntarget = "ip:x"', "board.b.home: missing"),
    ('[board.b]\ntarget = "sim"\nhome = "h"', "board.b.target: 'sim': must be \"serial:PORT\""),
    ('[board.b]\ntarget = "serial:"\nhome = "h"', "board.b.target: 'serial:': must be"),
    (BOARD + "speed = 3", "board.b.speed: no such field; there are baudrate,"),
    (BOARD + 'eui64 = "12"', "board.b.eui64: '12': must be 16 hex digits"),
    (BOARD + "baudrate = 1", "board.b.baudrate: 1: must be 300"),
    (BOARD + "load_w = true", "board.b.load_w: True: must be"),
    (BOARD + "patience = 0", "board.b.patience: 0: must be 1"),
    (BOARD + "features = [1]", "board.b.features: must be a list of words"),
    (BOARD + "relay_readback = 3", "board.b.relay_readback: a table with driver = one of command, micropython"),
    (BOARD + "relay_readback = {pin = 3}", "board.b.relay_readback.driver: None is none of"),
    (BOARD + 'relay_readback = {driver = "eyes"}', "board.b.relay_readback.driver: 'eyes' is none of command,"),
    (BOARD + 'relay_readback = {driver = "micropython", pin = 3}', "board.b.relay_readback.port: missing: a serial"),
    (BOARD + 'relay_readback = {driver = "micropython", port = "p", pin = "3"}', "relay_readback.pin: '3': must be"),
    (BOARD + 'relay_readback = {driver = "micropython", port = "p", pin = 3, closed = 2}', "closed: 2: must be 0 or 1"),
    (BOARD + 'relay_readback = {driver = "micropython", port = "p", pin = 3, pul = 1}', "pul: no such field;"),
    (BOARD + 'relay_readback = {driver = "modem_line", port = "p", line = "txd"}', "line: 'txd': must be cts, dsr"),
    (BOARD + 'relay_readback = {driver = "command", command = "cat x"}', "command: 'cat x': must be a program and"),
    (BOARD + 'relay_readback = {driver = "command", command = []}', "command: []: must be a program and"),
    (BOARD + 'relay_readback = {driver = "command", command = ["x"], pattern = "("}', "pattern: '(': must be"),
    (BOARD + 'reference_meter = {driver = "modbus", address = "x", register = 1, type = "u8"}', "type: 'u8': must"),
    (BOARD + 'reference_meter = {driver = "modbus", address = "x", register = 70000}', "register: 70000: must be 0"),
    (BOARD + 'power_switch = {driver = "command", on = ["x"]}', "board.b.power_switch.off: missing: a program"),
])
def test_each_mistake_names_file_and_field(load, text, words):
    with pytest.raises(UserError) as caught:
        load(text)
    assert words in str(caught.value) and "bench.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_which_boards_a_run_means(load):
    boards = load(GOOD)

    def texts(*asked, boards=boards):
        return [(one.text, one.kind) for one in spec.select(asked, boards, spec.ARGUMENT)]

    assert texts() == texts("bench") == [("desk-pico", "serial"), ("shelf", "ip")]
    assert texts("shelf") == [("shelf", "ip")]
    assert texts("serial:/dev/ttyACM0") == [("desk-pico", "serial")]  # what is wired to it is known
    assert texts("sim,shelf", "sim") == [("sim", "sim"), ("shelf", "ip")]
    assert texts("serial:/dev/ttyACM9") == [("serial:/dev/ttyACM9", "serial")]
    assert texts(boards={}) == [("sim", "sim")]
