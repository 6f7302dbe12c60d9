"""A device's settings, once: name → (smallest, largest, default). What is None by default comes from the board's
ratings.

Used by the devices for their values and by `spot.config` to refuse a bad file. Temperatures are in 0.01 °C.
"""

PLUG = {
    "power_max_w": (1, 1000000, None),  # of the appliance; the board's rating when not given
    "standby_w": (0, 1000, 0),  # what is drawn with the relay open
    "saving_w": (0, 1000000, None),
    "min_on_s": (0, 86400, 0),
    "min_off_s": (0, 86400, 0),
    "auto_off_s": (0, 604800, 0),  # 0: never
    "limit_grace_s": (1, 600, 30),  # above a limit for so long, then it opens
    "over_power_w": (1, 1000000, None),
    "over_current_ma": (1, 1000000, None),
    "over_voltage_10mv": (0, 100000, 26500),  # 0: no such trip
    "under_voltage_10mv": (0, 100000, 18000),
    "voltage_recover_s": (1, 3600, 60),
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
    "running_w": (1, 10000, 150),
    "boost_state": (3, 4, 4),
    "offset_max": (0, 1000, 300),
    "override_s": (60, 86400, 14400),
}

WORDS = {"power_on": ("last", "off", "on")}  # of the plug: what it does after the mains came back
SWITCHES = {"remote_close": False, "lock_below": True}
LISTS = {"steps": (8, 1, 1000000)}  # of the heat pump: at most so many powers in W, ascending


def get(config, table, name, rating=None):
    """The setting `name` of `table` from `config`, else its default, else `rating`."""
    value = config.get(name)
    if value is None:
        value = table[name][2]
    return rating if value is None else value
