"""Draws a history from a seed: what the devices are, and everything that happens to them."""

import random

from spot_host.emd.ledger import KIND
from spot_sim.adversary.history import History

_HOUR_S, _DAY_S = 3600, 86400
# Days whose nights have a change of clocks among them
_DAYS = ("2024-12-12", "2024-12-12", "2025-03-28", "2025-10-24", "2025-06-20", "2025-12-30")
_PLUGS = (
    {"kind": "ev", "load": {"rated_w": 2300, "need_kwh": [60, 90], "at_home_share": 1.0}},
    {"kind": "ev"},
    {"kind": "fridge"},
    {"kind": "washing_machine"},
    {"kind": "kettle"},
)


class Shape:
    """What a kind of history is like: days (least, most), numbers of devices, the EMD's plan, events a device and
    day."""

    def __init__(self, days, devices, heat_pumps, plan, period_s, density, calm_s, link="mqtt"):
        self.days, self.devices, self.heat_pumps = days, devices, heat_pumps
        self.plan, self.period_s, self.density, self.calm_s, self.link = plan, period_s, density, calm_s, link


_MINUTE = {"heartbeat_s": 60, "heartbeat_timeout_s": 150, "telemetry_interval_s": 300}
_SLOW = {"heartbeat_s": 3600, "heartbeat_timeout_s": 7200, "telemetry_interval_s": 7200}
_MIDDLE = {"heartbeat_s": 300, "heartbeat_timeout_s": 750, "telemetry_interval_s": 900}
SHAPES = {
    "dense": Shape((2, 4), (1, 3), 0.25, _MINUTE, (60, 120), 60, 5 * _HOUR_S),
    "week": Shape((6, 12), (1, 3), 0.25, _MIDDLE, (120, 300), 25, 6 * _HOUR_S),
    "months": Shape((40, 110), (2, 3), 0.1, _SLOW, (600, 900), 4, 12 * _HOUR_S),
    "coap": Shape((1, 2), (1, 2), 0.1, _MIDDLE, (120, 300), 50, 6 * _HOUR_S, "coap"),
}
_ORDER = ("dense", "months", "week", "dense", "coap", "dense", "months", "week", "dense", "week")


def shape_of(seed):
    """The shape of a seed's history."""
    return _ORDER[seed % len(_ORDER)]


def draw(seed, shape=None):
    """The History of a seed."""
    return _Drawer(seed, shape or shape_of(seed)).history()


class _Drawer:
    def __init__(self, seed, shape):
        self.seed, self.name, self.shape = seed, shape, SHAPES[shape]
        self.rng = random.Random(f"adversary {seed} {shape}")
        self.events = []

    def history(self):
        rng, shape = self.rng, self.shape
        days = rng.randint(*shape.days)
        devices = [self.device() for _ in range(rng.randint(*shape.devices))]
        jitter_s = rng.choice((0, 0, 30, 120))
        # CoAP keeps the plan's pace
        plan = dict(shape.plan)
        association = {
            **plan,
            "interval_length_min": rng.choice((15, 15, 30, 60) if self.name == "months" else (1, 5, 15, 15, 60)),
            "failsafe_limit_w": rng.choice((0, 500, 1000, 1500)),
            "failsafe_min_s": rng.choice((7200, 10800, 21600)),
            "jitter_s": jitter_s,
            "policy": rng.choice(("none", "none", "avoid_dearest", "threshold")),
            "deadband_w": rng.choice((None, None, 50, 500)),
        }
        association = {k: v for k, v in association.items() if v is not None}
        association["autonomous_cap_w"] = rng.choice((association["failsafe_limit_w"], 2000, 3000))
        association["autonomous_cap_w"] = max(association["autonomous_cap_w"], association["failsafe_limit_w"])
        emd = {"association": association, "plan_prices": rng.random() < 0.15}
        end_s = days * _DAY_S - shape.calm_s
        self.draw_events(len(devices), end_s)
        self.events.sort(key=lambda event: event[0])
        return History(
            seed=self.seed, shape=self.name, day=rng.choice(_DAYS), days=days, devices=devices, emd=emd,
            storage=rng.choice(("crash", "crash", "plain")), calm_s=shape.calm_s, events=self.events,
        )

    def device(self):
        rng = self.rng
        period_s = rng.choice(self.shape.period_s)
        if rng.random() < self.shape.heat_pumps:
            return {"kind": "heat_pump", "link": self.shape.link, "board": {"meter": {"period_s": period_s}}}
        row = dict(rng.choice(_PLUGS))
        device = {"remote_close": rng.random() < 0.5}
        if rng.random() < 0.5:
            device["min_on_s"] = rng.choice((30, 300, 900))
            device["min_off_s"] = rng.choice((30, 180, 600))
        if rng.random() < 0.15:
            device["auto_off_s"] = rng.choice((900, 7200, 40000))
        if rng.random() < 0.3:
            device["power_on"] = rng.choice(("last", "off", "on"))
        return {**row, "link": self.shape.link, "device": device, "board": {"meter": {"period_s": period_s}}}

    # Events

    def draw_events(self, devices, end_s):
        rng = self.rng
        count = int(self.shape.density * devices * end_s / _DAY_S)
        names, weights = zip(*((name, weight) for name, weight in _WEIGHTS.items()), strict=True)
        # every history leaves some of them out, so that others are seen by themselves
        weights = [w * rng.choice((0, 1, 1, 2)) for w in weights]
        if not any(weights):
            weights = [1] * len(weights)
        for _ in range(count):
            at_ms = rng.randrange(120_000, end_s * 1000)
            kind = rng.choices(names, weights)[0]
            number, what, lasts_s = getattr(self, kind)(rng)
            left_s = end_s - at_ms // 1000
            if lasts_s >= left_s:
                continue  # it would last into the calm
            self.events.append([at_ms, kind, rng.randrange(devices) if number else -1, what])
            # the household finds the trip and takes it back; another press closes
            if kind in ("surge", "volts", "relay", "meter"):
                for wait_s in (rng.randint(600, 9000), rng.randint(9001, 20000)):
                    if at_ms // 1000 + lasts_s + wait_s < end_s - 10:
                        self.events.append([
                            at_ms + (lasts_s + wait_s) * 1000, "press", self.events[-1][2] if number else -1,
                            {"ms": 200},
                        ])
            if kind == "command" and rng.random() < 0.15:  # taken back at once: the revoke may be there first
                soon_ms = min(at_ms + rng.randrange(200, 15_000), end_s * 1000 - 1)
                self.events.append([soon_ms, "revoke", self.events[-1][2], {"pick": -1}])
                continue
            if kind in ("command", "power", "reset") and rng.random() < 0.2:  # and once more, close by
                again_ms = at_ms + rng.randrange(1, 20_000)
                if again_ms // 1000 + lasts_s < end_s:
                    self.events.append([again_ms, kind, self.events[-1][2], dict(what)])

    def link(self, rng):
        seconds = rng.randint(60, 4 * _HOUR_S)
        rates = {"loss": rng.choice((0, 0.1, 0.3, 0.6)), "duplication": rng.choice((0, 0.2)),
                 "reordering": rng.choice((0, 0.2)), "delay_ms": rng.choice(([0, 0], [10, 6000], [100, 15000]))}
        if rng.random() < 0.3:
            rates["loss_for_good"] = 0.1
        return False, {"seconds": seconds, **rates}, seconds

    def drop(self, rng):
        seconds = int(rng.choice((10, 200, 2000, 20000, 100_000)) * (0.5 + rng.random()))
        return True, {"seconds": seconds, "forget": rng.random() < 0.3}, seconds

    def flap(self, rng):
        times, seconds = rng.randint(2, 12), rng.randint(1, 60)
        return True, {"times": times, "seconds": seconds}, times * seconds * 2

    def emd_link(self, rng):
        seconds = rng.choice((5, 300, 4000, 30000))
        return False, {"seconds": seconds, "forget": rng.random() < 0.3}, seconds

    def broker(self, rng):
        seconds = rng.choice((5, 60, 1800))
        return False, {"seconds": seconds, "forget": rng.random() < 0.5}, seconds

    def power(self, rng):
        seconds = rng.choice((1, 2, 20, 300, 3000, 20000))
        return True, {"seconds": seconds}, seconds

    def tear(self, rng):
        seconds = rng.choice((1, 5, 200))
        return True, {
            "after": rng.choice((0, 0, 1, 1, 2, 3, 5, 8, 20)), "torn": rng.choice((0, 0, 1, 4, 9, 17, 60)),
            "seconds": seconds, "boot": rng.random() < 0.2,
        }, _DAY_S  # it strikes when the device writes

    def reset(self, rng):
        return True, {}, 1

    def meter(self, rng):
        seconds = rng.choice((30, 300, 3000))
        mode = rng.choice(("silent", "stuck", "noise", "bits"))
        return True, {"mode": mode, "seconds": seconds, "seed": rng.randrange(1 << 30)}, seconds

    def surge(self, rng):
        seconds = rng.choice((60, 600))
        return True, {"times": rng.choice((2, 4, 9)), "seconds": seconds}, seconds + _HOUR_S

    def volts(self, rng):
        seconds = rng.choice((30, 200, 1000))
        return True, {"times": rng.choice((0.5, 0.75, 1.2, 1.3)), "seconds": seconds}, seconds + _HOUR_S

    def mhz(self, rng):
        seconds = rng.choice((30, 600))
        return True, {"shift": rng.choice((-1200, -500, -250, 300)), "seconds": seconds}, seconds

    def relay(self, rng):
        seconds = rng.choice((60, 2000))
        return True, {"position": rng.randrange(2), "seconds": seconds}, seconds

    def sensor(self, rng):
        seconds = rng.choice((100, 5000))
        name = rng.choice(("room", "outdoor", "flow"))
        mode = rng.choice(("missing", "stuck", "implausible"))
        return True, {"name": name, "mode": mode, "seconds": seconds}, seconds

    def machine(self, rng):
        seconds = rng.choice((100, 5000))
        return True, {"seconds": seconds}, seconds

    def press(self, rng):
        return True, {"ms": rng.choice((10, 80, 200, 400, 3500))}, 10

    def emd_kill(self, rng):
        seconds = rng.choice((1, 5, 60, 4000))
        return False, {"seconds": seconds}, seconds

    def emd_stop(self, rng):
        seconds = rng.choice((1, 60, 4000, 30000))
        return False, {"seconds": seconds}, seconds

    def emd_lost(self, rng):
        seconds = rng.choice((5, 4000))
        return False, {"seconds": seconds}, seconds

    def emd_clock(self, rng):
        by_s = rng.choice((-7200, -300, -20, 5, 30, 900, 7200))
        seconds = rng.choice((0, 600, 7200)) if by_s % 300 == 0 else rng.choice((600, 7200))  # it ends on a round time
        return False, {"by_s": by_s, "seconds": seconds}, seconds

    def command(self, rng):
        kind = rng.choice([k for k in KIND if k not in ("revoke", "schedule")])
        ranges = {"limit": (0, 4000), "limit_percent": (0, 100), "offset": (-300, 300), "sg_ready": (1, 4)}
        what = {
            "name": kind, "duration": rng.choice((1, 60, 900, 7200, 40000)), "delay": rng.choice((0, 0, 0, 300, 9000)),
            "priority": rng.randint(0, 12),
        }
        what["duration"] = max(1, int(what["duration"] * (0.5 + rng.random())))
        if kind in ranges:
            what["value"] = rng.randint(*ranges[kind])
        if kind == "band":
            what["value"] = rng.randint(1700, 2100)
            what["value2"] = what["value"] + rng.randint(0, 300)
        if rng.random() < 0.3:
            what["jitter"] = rng.randint(0, 600)
        if self.seed % 5 == 3 and rng.random() < 0.3:
            what["after"] = 1
        return True, what, 0

    def revise(self, rng):
        return True, {"pick": rng.randrange(16), "duration": rng.randint(10, 9000)}, 0

    def revoke(self, rng):
        return True, {"pick": rng.randrange(16)}, 0

    def configure(self, rng):
        values = rng.choice(([23, rng.choice((0, 700, 50000))], [19, rng.randint(1700, 1900)],
                             [20, rng.randint(2200, 2500)], [19, 1800, 20, 2400], [27, 1], [99, 1]))
        return True, {"values": values}, 700

    def read(self, rng):
        return True, {"objects": rng.sample(range(1, 48), rng.randint(1, 12))}, 400

    def prices(self, rng):
        count = rng.choice((24, 48, 96))
        return False, {"prices": [rng.randint(-50, 400) for _ in range(count)], "interval_s": 3600}, 0

    def mangle(self, rng):
        return True, {"seed": rng.randrange(1 << 30), "way": rng.choice(("down", "down", "up"))}, 0

    def foreign(self, rng):
        return True, {"seed": rng.randrange(1 << 30), "by": rng.choice((-5, -1, 1, 40))}, 0

    def replay(self, rng):
        return True, {"seed": rng.randrange(1 << 30)}, 0


_WEIGHTS = {
    "link": 4, "drop": 6, "flap": 2, "emd_link": 2, "broker": 2, "power": 5, "tear": 6, "reset": 4, "meter": 3,
    "surge": 4, "volts": 2, "mhz": 2, "relay": 1, "sensor": 1, "machine": 1, "press": 8, "emd_kill": 3, "emd_stop": 1,
    "emd_lost": 0.5, "emd_clock": 1, "command": 25, "revise": 6, "revoke": 5, "configure": 3, "read": 3, "prices": 1,
    "mangle": 6, "foreign": 2, "replay": 4,
}
