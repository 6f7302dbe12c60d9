"""What each metering driver shows of a known load, in front of its simulated chip: `python -m spot_sim.chips.accuracy`.

Rows of Markdown: the power that is shown (mean, least and most of the samples of two minutes, after one minute), the
energy of these two minutes, and what is shown in the seconds after a load of 2,000 W has gone. Noise of a real input is
not in it: it is the accuracy of the numbers, not of a shunt.
"""

import random

from spot.board.board import build

from ..hardware import Hardware
from .ade7953 import ADE7953Chip
from .bl0942 import BL0942Chip
from .cse7766 import CSE7766Chip
from .hlw8012 import PulseChip

WATTS = (0.5, 1, 2, 5, 20, 100, 2300)
AFTER_S = (1, 2, 5, 10, 19, 21, 31)


class _Load:
    power_factor = 1.0

    def __init__(self, watts):
        self.watts, self._mj, self._at_s = watts, 0.0, 0

    def power_w(self, now_s):
        return self.watts

    def energy_mj(self, now_s):
        self._mj += self.watts * 1000 * (now_s - self._at_s)
        self._at_s = now_s
        return self._mj


class _Mains:
    def voltage_10mv(self, now_s):
        return 23000

    def frequency_mhz(self, now_s):
        return 50000


class _Log:
    def info(self, *arguments):
        pass


def _pulses(model):
    def fit(hardware, load):
        PulseChip(hardware, load, _Mains(), 4, 5, 6, model, random.Random(1))
        return {"driver": "hlw8012", "chip": model, "cf_pin": 4, "cf1_pin": 5, "sel_pin": 6}

    return fit


def _bl0942(hardware, load):
    hardware.uarts[0] = BL0942Chip(hardware, load, _Mains())
    return {"driver": "bl0942", "uart": 0}


def _cse7766(hardware, load):
    hardware.uarts[0] = CSE7766Chip(hardware, load, _Mains())
    return {"driver": "cse7766", "uart": 0}


def _ade7953(hardware, load):
    hardware.i2cs[0].chips[0x38] = ADE7953Chip(hardware, load, _Mains())
    return {"driver": "ade7953", "i2c": 0}


CHIPS = {"bl0942": _bl0942, "hlw8012": _pulses("hlw8012"), "bl0937": _pulses("bl0937"), "cse7766": _cse7766,
         "ade7953": _ade7953}


class _Bench:
    def __init__(self, fit, watts):
        self.load = _Load(watts)
        self.hardware = Hardware()
        self.board = build({"name": "bench", "parts": {"meter": fit(self.hardware, self.load)}}, {}, self.hardware,
                           _Log())

    def run(self, seconds):
        """Power in W after each second."""
        hardware, meter = self.hardware, self.board.meter
        shown = []
        for s in range(hardware.now_s, hardware.now_s + seconds):
            hardware.advance(s, 500)
            meter.poll()
            hardware.advance(s + 1)
            meter.sample(s + 1)
            shown.append(meter.power_dw / 10)
        return shown


def table(name):
    """The rows of one chip: [true W, mean, least, most, Wh shown in 120 s, Wh true]."""
    rows = []
    for watts in WATTS:
        bench = _Bench(CHIPS[name], watts)
        bench.run(60)
        meter = bench.board.meter
        before_wh = meter.energy_wh + meter._rest[0] / _wh(meter)
        shown = bench.run(120)
        used_wh = meter.energy_wh + meter._rest[0] / _wh(meter) - before_wh
        rows.append([watts, sum(shown) / len(shown), min(shown), max(shown), used_wh, watts / 30])
    return rows


def _wh(meter):
    """What 1 Wh is in the unit of the rest that the driver keeps."""
    name = type(meter).__name__
    return {"BL0942": 3600000, "HLW8012": meter._calibration[2], "CSE7766": 225000000}.get(name) or meter._wh


def decay(name):
    """W shown at AFTER_S seconds after 2,000 W have gone."""
    bench = _Bench(CHIPS[name], 2000)
    bench.run(30)
    bench.load.energy_mj(bench.hardware.now_s)
    bench.load.watts = 0
    shown = bench.run(max(AFTER_S))
    return [shown[s - 1] for s in AFTER_S]


def main():
    for name in CHIPS:
        print(f"\n{name}\n\n| load, W | shown, W: mean | least | most | Wh in 120 s | true Wh |")
        print("|---|---|---|---|---|---|")
        for watts, mean, least, most, wh, true_wh in table(name):
            print(f"| {watts:g} | {mean:.2f} | {least:.1f} | {most:.1f} | {wh:.3f} | {true_wh:.3f} |")
        shown = ", ".join(f"{s} s: {w:.1f}" for s, w in zip(AFTER_S, decay(name), strict=True))
        print(f"\nW after 2,000 W have gone: {shown}")


if __name__ == "__main__":
    main()
