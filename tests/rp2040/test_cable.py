"""The whole firmware by itself on the emulated chip: main.py from flash, its EMD at the other end of the USB cable, a
BL0942 at its UART, a relay at its pin. In the order of a device's life; then one whose power goes in mid-write.
"""

import random

import pytest

from spot.codes import (
    ABSENT,
    DECIDER_OVERRIDE,
    RESET_POWER_ON,
    STATE_RECEIVED,
    STATE_STARTED,
)
from spot.wire.profile import digest
from tests.rp2040 import board as boards
from tests.rp2040 import cable as cables

COMMAND_MS = 70  # USB, slipmux and the loop's turn of 25 ms; the bound from the datagram on is a benchmark's
CUTS = 4


@pytest.fixture(scope="module")
def cable(rp2040_rig, product, tmp_path_factory):
    with boards.Board(rp2040_rig, tmp_path_factory.mktemp("cable"), flash=product, held=True) as board:
        board.wire(*cables.wiring())
        cable = cables.Cable(board)
        cable.join()
        yield cable


def test_it_registers_by_itself(cable):
    said = cable.told("register")[0]
    assert said["model"] == cables.DESCRIPTION["model"] and said["reset"] == RESET_POWER_ON
    assert cable.device and cable.damaged == 0 and cable.resets == 0
    assert cable.board.status()["watchdog"]


def test_its_meter_is_read(cable):
    """The relay closes by the household's last choice; what the BL0942 answers at the UART comes as telemetry."""
    assert cable.run(30, lambda: cable.power_w() == cables.LOAD_W), cable.story()
    latest = cable.told("telemetry")[-1]
    assert latest["voltage"] == 23_000 and latest["current"] == pytest.approx(cables.LOAD_MA, rel=0.01)
    assert latest["frequency"] == 50_000


def test_commands_move_the_relay(cable):
    """Each is received, the pin moves in time, and the EMD hears that it started; the load goes and comes back."""
    for kind, level, watts in (("off", 0, 0), ("on", 1, cables.LOAD_W), ("off", 0, 0)):
        command = cable.command(kind)
        assert cable.moved() == (pytest.approx(COMMAND_MS / 2, abs=COMMAND_MS / 2), level)
        assert cable.run(10, lambda c=command, w=watts: (c.state, cable.power_w()) == (STATE_STARTED, w)), cable.story()
    assert [row["state"] for row in cable.told("status")].count(STATE_RECEIVED) >= 3


def test_the_watchdog_does_not_bite_who_waits(cable):
    """Half a minute of idle time, which takes the host as long as the work in it: 8 s without a look would bite."""
    first = len(cable.bodies)
    assert cable.run(30) and cable.resets == 0
    assert cable.board.status()["watchdog"] and cable.told("heartbeat", first)  # and the lease is kept


def test_it_starts_again_after_a_power_cut(cable):
    """Boot count, cause and the command that is not over."""
    before = cable.told("register")[-1]["boot"]
    off = cable.command("off", priority=9)
    assert cable.run(10, lambda: off.state == STATE_STARTED), cable.story()
    cable.power_cycle()
    cable.join()
    said = cable.told("register")[-1]
    assert (said["boot"], said["reset"]) == (before + 1, RESET_POWER_ON)
    cable.run(5)
    assert cable.relay == 0 and cable.relay_moves() == []


def test_the_button_works(cable):
    """GP14 to ground for 200 ms: the household's word goes over the command that is running, and the telemetry says
    whose it is."""
    cable.board.drive(cables.BUTTON, 0)
    cable.run(0.2)
    cable.board.drive(cables.BUTTON, 1)
    ms, level = cable.moved()
    assert level == 1 and ms < 500
    assert cable.run(10, lambda: cable.told("telemetry")[-1].get("decider") == DECIDER_OVERRIDE), cable.story()


def agreed(cable, first):
    """The device's latest heartbeat says that it holds what the EMD thinks. (One that crosses a command does not.)"""
    beats = cable.told("heartbeat", first)
    return beats and beats[-1]["digest"] == cable.device.ledger.digest(digest)


@pytest.mark.parametrize("erase_ms", [45, 400])
def test_power_goes_in_mid_write(rp2040_rig, product, tmp_path, erase_ms):
    """The power goes while flash is erased or programmed, during commands and during starts, and leaves it torn. What
    the EMD had an answer to is in the ledger afterwards; each start has a number of its own, and registers."""
    draw = random.Random(erase_ms)
    with boards.Board(rp2040_rig, tmp_path, flash=product, erase_ms=erase_ms, held=True) as board:
        board.wire(*cables.wiring())
        cable = cables.Cable(board)
        cable.join()
        cable.run(3)
        for number in range(CUTS if erase_ms < 400 else 2):
            boot, starts = cable.told("register")[-1]["boot"], 1
            command = cable.command("on" if number % 2 else "off")
            seed = draw.randrange(1 << 32)
            board.cut(draw.randint(1, 8), seed)
            cable.run(20, lambda: cable.cuts)
            if not cable.cuts:  # it had nothing more to write
                cable.power_cycle()
            else:
                if number % 3 == 0:  # and once more while it starts
                    board.cut(draw.randint(1, 4), seed)
                    starts += 1
                board.power_on()
            cable.cuts = 0
            answered = not command.unanswered
            first, printed = len(cable.bodies), len(cable.said)
            if not cable.run(30, lambda first=first: cable.told("register", first)):
                board.power_on()
                cable.cuts = 0
                cable.join()
            said = cable.told("register")[-1]
            assert boot < said["boot"] <= boot + starts, (boot, said, seed)
            assert cable.run(40, lambda first=first: agreed(cable, first)), (seed, cable.story())
            if answered:  # nothing is missing in it, so nobody had to ask for anything again
                assert not any("ledger.resynchronise" in line for line in cable.said[printed:]), cable.said
            level = number % 2
            assert cable.run(90, lambda n=level, c=command: cable.relay == n and not c.unanswered), cable.story()
            assert not [line for line in cable.said if "Traceback" in line or "Error" in line], cable.said
        assert ABSENT not in [row["boot"] for row in cable.told("register")]

