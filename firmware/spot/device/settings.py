"""A device's settings, once: name → (smallest, largest, default). What is None by default comes from the board's
ratings.

Used by the devices for their values and by `spot.config_check` to refuse a bad file. Temperatures are in 0.01 °C.
Those of a heat pump are in heat_pump_settings.py: a plug's image is without them.
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
    "over_temperature": (4000, 12000, 8500),  # of the device, where it has a sensor
    "shed_mhz": (0, 60000, 49800),  # with shed_consent: sheds below it; 0: never
    "shed_delay_s": (0, 600, 1),
    "shed_restore_mhz": (0, 60000, 49950),
    "shed_restore_s": (10, 3600, 60),  # at or above it for so long
    "shed_spread_s": (0, 3600, 300),  # and up to so much longer, each device its own
    "running_w": (1, 1000, 5),  # from here on the load is said to run
    "stuck_w": (1, 1000, 10),  # from here on an open relay is taken for welded
}

PLUG.update(COMMON)

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
    ("hot_water_low", "below", "legionella_c"),
    ("frost_flow", "below", "defrost_flow"),
    ("legionella_hold_s", "below", "legionella_max_s"),
)


def get(config, table, name, rating=None):
    """The setting `name` of `table` from `config`, else its default, else `rating`."""
    value = config.get(name)
    if value is None:
        value = table[name][2]
    return rating if value is None else value
