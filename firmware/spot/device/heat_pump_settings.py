"""The settings of a heat pump: as settings.py has those of a plug. Temperatures are in 0.01 °C."""

from .settings import COMMON

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

HEAT_PUMP.update(COMMON)
