"""A device's settings, once: name → (smallest, largest, default). What is None by default comes from the board's
ratings.

Used by the devices for their values and by `spot.config` to refuse a bad file. Temperatures are in 0.01 °C.
"""

from ..codes import (
    ALARM_FREQUENCY,
    ALARM_OVER_CURRENT,
    ALARM_OVER_TEMPERATURE,
    ALARM_OVER_VOLTAGE,
    ALARM_UNDER_VOLTAGE,
    R_CURRENT,
    R_DEVICE_TEMPERATURE,
    R_FREQUENCY,
    R_VOLTAGE,
)

# Of every device. Alarms (0: none) have ALARM_…, slot of the reading, 1 above or -1 below, hysteresis behind
# (limits_watch.py); their defaults are those of EN 50160, and 230 V at 50 Hz
COMMON = {
    "alarm_over_voltage_10mv": (0, 100000, 25300, ALARM_OVER_VOLTAGE, R_VOLTAGE, 1, 200),
    "alarm_under_voltage_10mv": (0, 100000, 20700, ALARM_UNDER_VOLTAGE, R_VOLTAGE, -1, 200),
    "alarm_over_mhz": (0, 70000, 50500, ALARM_FREQUENCY, R_FREQUENCY, 1, 50),
    "alarm_under_mhz": (0, 70000, 49500, ALARM_FREQUENCY, R_FREQUENCY, -1, 50),
    "alarm_current_ma": (0, 1000000, None, ALARM_OVER_CURRENT, R_CURRENT, 1, 300),  # 9/10 of the board's rating
    "alarm_temperature": (0, 15000, 7000, ALARM_OVER_TEMPERATURE, R_DEVICE_TEMPERATURE, 1, 500),
    "alarm_delay_s": (1, 3600, 10),
    "wear_left": (0, 900, 100),  # 1/1000 of the life of relay and flash: less is an alarm
}

PLUG = {
    "power_max_w": (1, 1000000, None),  # of the appliance; the board's rating when not given
    "standby_w": (0, 1000, 0),  # what is drawn with the relay open
    "saving_w": (0, 1000000, None),
    "min_on_s": (0, 86400, 0),
    "min_off_s": (0, 86400, 0),
    "auto_off_s": (0, 604800, 0),  # 0: never
    "auto_on_s": (0, 604800, 0),  # closes by itself so long after it opened, where remote closing is enabled; 0: never
    "power_on_s": (0, 3600, 0),  # open for so long after the mains came back
    "override_s": (60, 86400, 14400),  # the button against a set-point holds for so long
    "limit_grace_s": (1, 600, 30),  # above a limit for so long, then it opens
    "over_power_w": (1, 1000000, None),
    "over_current_ma": (1, 1000000, None),
    "over_voltage_10mv": (0, 100000, 26500),  # 0: no such trip
    "under_voltage_10mv": (0, 100000, 18000),
    "voltage_recover_s": (1, 3600, 60),
    "over_temperature": (4000, 15000, 8500),  # of the device, where it has a sensor
    "shed_mhz": (0, 60000, 49800),  # with shed_consent: sheds below it; 0: never
    "shed_delay_s": (0, 600, 1),
    "shed_restore_mhz": (0, 60000, 49950),
    "shed_restore_s": (10, 3600, 60),  # at or above it for so long
    "shed_spread_s": (0, 3600, 300),  # and up to so much longer, each device its own
    "running_w": (1, 1000, 5),  # from here on the load is said to run
    "stuck_w": (1, 1000, 10),  # from here on an open relay is taken for welded
}

HEAT_PUMP = {
    "power_max_w": (1, 1000000, None),
    "power_min_w": (0, 1000000, None),
    "standby_w": (0, 1000, 10),
    "min_run_s": (0, 86400, 600),
    "min_pause_s": (0, 3600, 600),  # a longer one would keep a lock beyond the two hours of SG-Ready
    "starts_per_hour": (1, 20, 3),
    "max_block_s": (60, 7200, 7200),  # SG-Ready allows two hours of lock
    "block_pause_s": (60, 86400, 1800),  # without a lock for so long, then the next one counts anew
    "sg_hold_s": (0, 3600, 600),  # least time in one SG-Ready state
    "comfort_low": (500, 3000, 1900),
    "comfort_high": (500, 3500, 2300),
    "frost_room": (0, 1500, 700),
    "frost_flow": (0, 1500, 500),
    "running_w": (1, 10000, 150),  # from here on the compressor is said to run
    "stopped_w": (0, 10000, None),  # below here it is said to stand; two thirds of running_w when not given
    "running_delay_s": (0, 600, 10),  # a start or stop that lasts less was none
    "defrost_max_s": (60, 1800, 900),  # no defrost is left alone for longer
    "defrost_after_s": (0, 1800, 300),
    "defrost_gap_s": (0, 7200, 1200),  # and after it none for so long
    "defrost_flow": (0, 3500, 2500),  # without a word of the machine: the flow falls below this; 0: no such rule
    "hot_water_low": (0, 6000, 3800),  # floor of the hot water; 0: none
    "hot_water_set": (3000, 6500, None),  # the machine's own when not given
    "legionella_days": (0, 30, None),  # 0: none; 7 with a sensor and a machine that takes a set-point
    "legionella_c": (5500, 7000, 6000),
    "legionella_hold_s": (60, 7200, 1800),
    "legionella_hour": (0, 23, 13),  # of local time
    "legionella_window_h": (1, 24, 4),
    "legionella_max_s": (1800, 43200, 14400),
    "machine_writes_per_day": (8, 10000, 50),  # to registers that wear the machine's flash
    "machine_interval_s": (0, 3600, 60),
    "machine_band_w": (0, 1000, 50),
    "sensor_grace_s": (0, 3600, 300),  # a sensor may be silent for so long
    "boost_state": (3, 4, 4),
    "offset_max": (0, 1000, 300),
    "override_s": (60, 86400, 14400),
}

PLUG.update(COMMON)
HEAT_PUMP.update(COMMON)

WORDS = {
    "power_on": ("last", "off", "on"),  # of the plug: what it does after the mains came back
    "override": ("not_limits", "yes", "no"),  # what the button overrides: set-points, limits of the EMD too, neither
}
SWITCHES = {"remote_close": False, "lock_below": True, "shed_consent": False}
LISTS = {"steps": (8, 1, 1000000)}  # of the heat pump: at most so many powers in W, ascending

# What goes with what, a setting's default too; 0: there is none. "rating_…" is the board's
ORDER = (
    ("power_max_w", "at most", "rating_power_w"),
    ("over_power_w", "at most", "rating_power_w"),
    ("over_current_ma", "at most", "rating_current_ma"),
    ("alarm_current_ma", "at most", "rating_current_ma"),
    ("alarm_current_ma", "at most", "over_current_ma"),
    ("under_voltage_10mv", "below", "over_voltage_10mv"),
    ("under_voltage_10mv", "below", "alarm_under_voltage_10mv"),
    ("alarm_under_voltage_10mv", "below", "alarm_over_voltage_10mv"),
    ("alarm_over_voltage_10mv", "below", "over_voltage_10mv"),
    ("alarm_under_mhz", "below", "alarm_over_mhz"),
    ("alarm_temperature", "below", "over_temperature"),
    ("shed_mhz", "below", "shed_restore_mhz"),
    ("standby_w", "below", "power_max_w"),
    ("saving_w", "at most", "power_max_w"),
    ("power_min_w", "at most", "power_max_w"),
    ("steps", "at most", "power_max_w"),
    ("running_w", "at most", "power_max_w"),
    ("stopped_w", "at most", "running_w"),
    ("min_on_s", "at most", "auto_off_s"),
    ("min_off_s", "at most", "auto_on_s"),
    ("min_run_s", "at most", "max_block_s"),
    ("min_pause_s", "at most", "max_block_s"),
    ("sg_hold_s", "at most", "max_block_s"),
    ("comfort_low", "below", "comfort_high"),
    ("frost_room", "below", "comfort_low"),
    ("hot_water_low", "below", "hot_water_set"),
    ("hot_water_set", "at most", "legionella_c"),
    ("legionella_hold_s", "below", "legionella_max_s"),
)


def get(config, table, name, rating=None):
    """The setting `name` of `table` from `config`, else its default, else `rating`."""
    value = config.get(name)
    if value is None:
        value = table[name][2]
    return rating if value is None else value
