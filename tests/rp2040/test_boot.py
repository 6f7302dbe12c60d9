"""The emulated board is a board: MicroPython boots, has its file system, keeps time by cycles and outlives resets."""

import hashlib

import pytest

from tests.rp2040 import board as boards


def test_boots_micropython(fresh_board):
    out = fresh_board.exec(
        "import sys, machine\ni = sys.implementation\nprint(i.name, i.version[:2], i._machine)\n"
        "print(machine.freq(), machine.reset_cause() == machine.PWRON_RESET)"
    )
    assert out == "micropython (1, 25) Raspberry Pi Pico with RP2040\n125000000 True\n"


def test_file_system_is_littlefs(fresh_board):
    out = fresh_board.exec("import os, vfs\nroot = [one for one, at in vfs.mount() if at == '/']\n"
                           "print(type(root[0]).__name__, os.statvfs('/')[:3])")
    assert out == "VfsLfs2 (4096, 4096, 160)\n"


def test_each_board_has_an_id_of_its_own(rp2040_rig, tmp_path):
    ids = []
    for name in "aab":
        (tmp_path / name).mkdir(exist_ok=True)
        with boards.Board(rp2040_rig, tmp_path / name) as board:
            ids.append(board.exec("import machine\nprint(machine.unique_id().hex())").strip())
    assert ids[0] == ids[1] != ids[2] and {len(one) for one in ids} == {16}


def test_flash_persists_over_a_power_cycle(fresh_board):
    data = bytes(range(256)) * 40
    fresh_board.put({"lib/kept.bin": data})
    fresh_board.exec("in_ram = 1")
    fresh_board.power_cycle()
    out = fresh_board.exec(
        "import hashlib, machine\nprint('in_ram' in globals(), machine.reset_cause() == machine.PWRON_RESET)\n"
        "print(hashlib.sha256(open('/lib/kept.bin', 'rb').read()).digest().hex())", resume=True)
    assert out.split() == ["False", "True", hashlib.sha256(data).hexdigest()]


def test_flash_outlives_the_emulator(rp2040_rig, tmp_path):
    with boards.Board(rp2040_rig, tmp_path) as board:
        board.put({"note.txt": b"still here"})
    with boards.Board(rp2040_rig, tmp_path) as board:
        assert board.exec("print(open('note.txt').read())") == "still here\n"


def test_ticks_count_emulated_cycles(fresh_board):
    """An hour's sleep takes no host time, and the chip's clock agrees with the emulator's count of cycles."""
    code = "import time\nprint(time.ticks_us())"
    chip_before, before = int(fresh_board.exec(code, resume=True)), fresh_board.status()
    fresh_board.exec("import time\nfor _ in range(60): time.sleep(60)", timeout=30)
    chip_after, after = int(fresh_board.exec(code, resume=True)), fresh_board.status()
    emulated_us = after["micros"] - before["micros"]
    by_cycles_us = (after["cycles"] - before["cycles"]) / after["clk_sys"] * 1e6
    by_chip_us = (chip_after - chip_before) % (1 << 30)
    assert emulated_us == pytest.approx(by_cycles_us, rel=1e-6)
    assert emulated_us >= 3600e6
    assert by_chip_us == pytest.approx(emulated_us % (1 << 30), abs=50_000)


def test_same_code_takes_the_same_cycles(fresh_board):
    code = ("import time\ndef work():\n    n = 0\n    for i in range(20000): n += i\n    return n\n"
            "t = time.ticks_us()\nwork()\nprint(time.ticks_diff(time.ticks_us(), t))")
    first, second = int(fresh_board.exec(code)), int(fresh_board.exec(code))
    assert first == pytest.approx(second, rel=0.01)
    assert 20_000 < first < 1_000_000  # microseconds: the order of a Pico


def test_reset_tells_its_cause_and_keeps_flash(fresh_board):
    fresh_board.put({"note.txt": b"kept"})
    with pytest.raises(boards.BoardError):
        fresh_board.exec("import machine\nmachine.reset()")
    fresh_board.wait_for_reset()
    out = fresh_board.exec("import machine\nprint(machine.reset_cause() == machine.WDT_RESET, open('note.txt').read())")
    assert out == "True kept\n"


def test_expired_watchdog_resets(fresh_board):
    with pytest.raises(boards.BoardError):
        fresh_board.exec("import machine\nmachine.WDT(timeout=200)\nwhile True: pass")
    fresh_board.wait_for_reset()
    assert fresh_board.exec("import machine\nprint(machine.reset_cause() == machine.WDT_RESET)") == "True\n"


def test_uart_keeps_its_pace(fresh_board):
    out = fresh_board.exec(
        "import machine, time\nu = machine.UART(0, 9600, tx=0, rx=1)\n"
        "t = time.ticks_us()\nu.write(b'x' * 96)\nu.flush()\n"
        "print(time.ticks_diff(time.ticks_us(), t))")
    assert int(out) == pytest.approx(96 * 10 / 9600 * 1e6, rel=0.02)


def test_driven_output_reads_back(fresh_board):
    out = fresh_board.exec(
        "from machine import Pin\np = Pin(5, Pin.OUT)\np(1)\na = p()\np(0)\nprint(a, p())")
    assert out == "1 0\n"


def test_float_functions_of_the_rom(fresh_board):
    out = fresh_board.exec(
        "import math\ninf = float('inf')\n"
        "print([int(x) for x in (1e9 + 64, -7.5 // 2, 3.0 * 1.5 * 1000, math.sqrt(2) * 1e6, 1 / 3 * 1e6)])\n"
        "print(inf > 1e38, math.isnan(inf - inf), float(16777217) == 16777216.0, -1.5 < 0.25)\n"
        "print([round(f * 1e4) for f in (math.sin(1), math.cos(1), math.exp(1), math.log(10), math.atan2(1, -1))])")
    assert out.splitlines() == [
        "[1000000064, -4, 4500, 1414213, 333333]", "True True True True", "[8415, 5403, 27183, 23026, 23562]"]


def test_an_exception_on_the_board_is_an_error_here(fresh_board):
    with pytest.raises(boards.BoardError, match="ZeroDivisionError"):
        fresh_board.exec("1 // 0")


def test_what_the_emulator_cannot_do_ends_it_with_a_reason(fresh_board):
    with pytest.raises(boards.BoardError):
        fresh_board.exec("import machine\nmachine.bootloader()")
    with pytest.raises(boards.BoardError, match="there is no USB boot here"):
        fresh_board.wait_for_reset()


def test_stopping_leaves_no_process(rp2040_rig, tmp_path):
    board = boards.Board(rp2040_rig, tmp_path)
    board.start()
    process = board._process
    board.stop()
    assert process.returncode == 0
    board.start()
    process = board._process
    process.stdin.close()  # as when the tests are killed
    assert process.wait(10) == 0
    board.stop()


def test_overflow_flag_of_arithmetic_with_carry(fresh_board):
    """SBCS and ADCS with a carry and 0x7FFFFFFF: the cases in which rp2040js alone gets V wrong."""
    out = fresh_board.exec("""
@micropython.asm_thumb
def subtract(r0, r1):
    mov(r2, 0)
    cmp(r2, 1)
    sbc(r0, r1)
    bvs(YES)
    mov(r0, 0)
    b(END)
    label(YES)
    mov(r0, 1)
    label(END)

@micropython.asm_thumb
def add(r0, r1):
    mov(r2, 0)
    cmp(r2, 0)
    adc(r0, r1)
    bvs(YES)
    mov(r0, 0)
    b(END)
    label(YES)
    mov(r0, 1)
    label(END)

top = 0x7fffffff
print([subtract(x, top) for x in (5, 0, -5, -top - 1)], subtract(5, top - 1), subtract(top, -top))
print([add(top, x) for x in (5, 0, -1, -5)], add(-5, -top), add(top - 1, 0))
""")
    assert out == "[0, 0, 1, 1] 0 1\n[1, 1, 0, 0] 1 0\n"
