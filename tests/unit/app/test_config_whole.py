"""A configuration is checked as a whole, before anything moves: what does not go with what, and what would be right."""

import copy
import json
from pathlib import Path

import pytest

from spot.board_check import check_board
from spot.config import ConfigError
from spot.config_check import check_fit
from spot.device import settings
from spot.device.heat_pump_settings import HEAT_PUMP
from spot_sim.chips.onewire import rom_of

BOARDS = Path(__file__).resolve().parents[3] / "boards"
PLUG = json.loads((BOARDS / "unix" / "board.json").read_text())
PUMP = json.loads((BOARDS / "unix_heat_pump" / "board.json").read_text())
RATING = PLUG["ratings"]["power_w"]
BUS = {"driver": "onewire", "pin": 20}
ROM = rom_of(1).hex()


def test_the_boards_of_this_repository_pass():
    for path in BOARDS.glob("*/board.json"):
        description = json.loads(path.read_text())
        check_board(description)
        check_fit(description, {})


@pytest.mark.parametrize(
    ("what", "description", "device", "line"),
    [
        ("a limit above the relay's rating", PLUG, {"over_power_w": RATING + 1},
         "over_power_w: must be at most %d, the rating of the board, not %d" % (RATING, RATING + 1)),
        ("an alarm above it", PLUG, {"alarm_current_ma": 16001},
         "alarm_current_ma: must be at most 16000, the rating of the board, not 16001"),
        ("a minimum run longer than the longest block", PUMP, {"min_run_s": 3600, "max_block_s": 1800},
         "min_run_s: must be at most max_block_s, 1800, not 3600"),
        ("the same, with the run's default", PUMP, {"max_block_s": 300},
         "max_block_s: must be at least min_run_s, 600, not 300"),
        ("a pause longer than the longest block", PUMP, {"min_pause_s": 3000, "max_block_s": 1800},
         "min_pause_s: must be at most max_block_s, 1800, not 3000"),
        ("an SG-Ready state held for longer than the longest block", PUMP, {"sg_hold_s": 3600, "max_block_s": 1800},
         "sg_hold_s: must be at most max_block_s, 1800, not 3600"),
        ("a trip below its alarm", PLUG, {"over_voltage_10mv": 25000},
         "over_voltage_10mv: must be above alarm_over_voltage_10mv, 25300, not 25000"),
        ("a trip at its alarm", PLUG, {"over_temperature": 7000},
         "over_temperature: must be above alarm_temperature, 7000, not 7000"),
        ("an alarm below the trip under it", PLUG, {"alarm_under_voltage_10mv": 17000},
         "alarm_under_voltage_10mv: must be above under_voltage_10mv, 18000, not 17000"),
        ("alarms that cross", PLUG, {"alarm_under_mhz": 50500},
         "alarm_under_mhz: must be below alarm_over_mhz, 50500, not 50500"),
        ("a restore below the shed threshold", PLUG, {"shed_mhz": 49900, "shed_restore_mhz": 49850},
         "shed_mhz: must be below shed_restore_mhz, 49850, not 49900"),
        ("comfort upside down", PUMP, {"comfort_low": 2400},
         "comfort_low: must be below comfort_high, 2300, not 2400"),
        ("frost protection above comfort", PUMP, {"frost_room": 1500, "comfort_low": 1400},
         "frost_room: must be below comfort_low, 1400, not 1500"),
        ("a floor of the hot water that no legionella run reaches", PUMP, {"hot_water_low": 5800, "legionella_c": 5700},
         "hot_water_low: must be below legionella_c, 5700, not 5800"),
        ("a defrost that would be frost", PUMP, {"defrost_flow": 450},
         "defrost_flow: must be above frost_flow, 500, not 450"),
        ("a compressor that stands above where it runs", PUMP, {"stopped_w": 200},
         "stopped_w: must be at most running_w, 150, not 200"),
        ("steps beyond the most", PUMP, {"power_max_w": 2000, "steps": [1000, 2500]},
         "steps: must be at most power_max_w, 2000, not 2500"),
        ("off by itself before it may", PLUG, {"min_on_s": 600, "auto_off_s": 300},
         "min_on_s: must be at most auto_off_s, 300, not 600"),
    ],
)
def test_settings_that_do_not_go_together(what, description, device, line):
    with pytest.raises(ConfigError) as error:
        check_fit(description, {"device": device}, "config.json")
    assert str(error.value) == "config.json: device." + line


@pytest.mark.parametrize(
    ("description", "device"),
    [
        (PLUG, {"over_voltage_10mv": 0, "alarm_over_voltage_10mv": 30000}),
        (PLUG, {"min_on_s": 600, "auto_off_s": 0}),
        (PLUG, {"shed_mhz": 0, "shed_restore_mhz": 0}),
        (PUMP, {"min_run_s": 1800, "max_block_s": 1800}),
        (PUMP, {"comfort_low": 2000, "comfort_high": 2001}),
    ],
)
def test_what_goes_together_passes(description, device):
    check_fit(description, {"device": device})


def test_every_row_of_the_table_names_settings_that_there_are():
    known = set(settings.PLUG) | set(HEAT_PUMP) | set(settings.LISTS) | {"rating_power_w", "rating_current_ma"}
    for name, relation, other in settings.ORDER:
        assert {name, other} <= known and relation in ("below", "at most"), name


@pytest.mark.parametrize("kind, table", [("plug", settings.PLUG), ("heat_pump", HEAT_PUMP)])
def test_the_defaults_keep_every_row(kind, table):
    """Also those that only count beside a setting: each setting at its own default is refused by no row."""
    description = PLUG if kind == "plug" else PUMP
    for name, row in table.items():
        if row[2] is not None:
            check_fit(description, {"device": {name: row[2]}})


def changed(description, **parts):
    description = copy.deepcopy(description)
    for role, part in parts.items():
        description["parts"].setdefault(role, {}).update(part)
    return description


@pytest.mark.parametrize(
    ("what", "description", "line"),
    [
        ("two drivers on one pin", changed(PLUG, led={"pin": 2}),
         "parts.relay.pin: must be a pin of its own, not 2, which parts.led.pin has"),
        ("two drivers on one UART", changed(PLUG, buses={"a": {"driver": "modbus_rtu", "uart": 0}}),
         "parts.meter.uart: must be a uart of its own, not 0, which parts.buses.a.uart has"),
        ("a bus that there is not", changed(PUMP, sensors={"room": {"driver": "ds18b20", "bus": "b", "rom": ROM}},
                                            buses={"a": BUS}),
         "parts.sensors.room.bus: must be one of a, not 'b'"),
        ("one sensor for two roles", changed(PUMP, buses={"a": BUS}, sensors={
            name: {"driver": "ds18b20", "bus": "a", "rom": ROM} for name in ("room", "flow")}),
         "parts.sensors.room: must be another sensor than flow, which has this one"),
        ("a calibration out of range", changed(PLUG, meter={"counts_per_v": 999}),
         "parts.meter.counts_per_v: must be an integer from 1000 to 1000000, not 999"),
        ("a watchdog shorter than the worst gap", {**PLUG, "watchdog_ms": 2000, "worst_gap_ms": 2500},
         "watchdog_ms: must be above worst_gap_ms, 2500, not 2000"),
        ("a watchdog without a known gap", {name: value for name, value in {**PLUG, "watchdog_ms": 2000}.items()
                                            if name != "worst_gap_ms"},
         "worst_gap_ms: must be given, below watchdog_ms"),
        ("a watchdog that an RP2 does not have", {**PLUG, "watchdog_ms": 9000, "worst_gap_ms": 400},
         "watchdog_ms: must be an integer from 1000 to 8388, not 9000"),
    ],
)
def test_boards_that_cannot_be(what, description, line):
    with pytest.raises(ConfigError) as error:
        check_board(description, "board.json")
    assert str(error.value) == "board.json: " + line


def test_a_configuration_over_the_board_is_held_against_all_of_it():
    with pytest.raises(ConfigError) as error:
        check_fit(PLUG, {"parts": {"relay": {"pin": PLUG["parts"]["led"]["pin"]}}}, "config.json")
    assert "a pin of its own" in str(error.value) and str(error.value).startswith("config.json: parts.")
