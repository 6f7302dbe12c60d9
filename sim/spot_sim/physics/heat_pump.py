"""What a heat pump delivers and draws: hplib's fits of the Heat Pump Keymark certificates, as three straight lines.

hplib describes an air/water pump by linear functions of outdoor and flow temperature. Its `simulate` takes the *return*
temperature and adds 5 K for the flow (35 in is 40 out); here `flow_c` is the flow. A test compares every function here
with hplib's own answers.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache

from . import datasets

SPREAD_K = 5.0  # between flow and return, as in hplib
_LEAST_LOAD = 0.25  # of the power at -7 degC, hplib's floor of modulation
_MEASURED_C = -7.0
_REGULATED, _ON_OFF = 1.0, 4.0  # hplib's groups of outdoor air/water pumps

DEFAULT_MODEL = "CHA-07/400V"


@dataclass(frozen=True)
class HeatPumpData:
    """One machine. Temperatures in degC, powers in W.

    COP = cop_outdoor * outdoor + cop_flow * flow + cop_base; electric power likewise, times `electric_ref_w`.
    """

    model: str
    regulated: bool
    electric_ref_w: float  # at -7 degC outside and 52 degC flow: the most the compressor draws
    thermal_ref_w: float
    cop_outdoor: float
    cop_flow: float
    cop_base: float
    power_outdoor: float
    power_flow: float
    power_base: float

    def cop(self, outdoor_c, flow_c):
        """Coefficient of performance, at least 1."""
        return max(1.0, self.cop_outdoor * outdoor_c + self.cop_flow * flow_c + self.cop_base)

    def nominal_w(self, outdoor_c, flow_c):
        """Electric power at the certificate's load for these temperatures (hplib's P_el)."""
        power = self.electric_ref_w * (self.power_outdoor * outdoor_c + self.power_flow * flow_c + self.power_base)
        return max(power, self.least_w(flow_c)) if self.regulated else power

    def least_w(self, flow_c):
        """The least electric power at which the compressor runs."""
        share = self.power_outdoor * _MEASURED_C + self.power_flow * flow_c + self.power_base
        return (_LEAST_LOAD if self.regulated else 1.0) * self.electric_ref_w * share


@lru_cache(maxsize=1)
def _database():
    with open(datasets.path("hplib", "hplib_database.csv"), newline="", encoding="utf-8") as file:
        return {row["Model"]: row for row in csv.DictReader(file)}


def models():
    """The names of all outdoor air/water pumps in the database, sorted."""
    return sorted(
        name
        for name, row in _database().items()
        if float(row["Group"]) in (_REGULATED, _ON_OFF) and row["P_el_h_ref [W]"]
    )


@lru_cache(maxsize=64)
def load(model=DEFAULT_MODEL):
    """A machine of hplib's database by its name. Raises ValueError when there is none, or it is no outdoor air/water
    pump.
    """
    row = _database().get(model)
    if row is None:
        raise ValueError(f"hplib knows no heat pump {model!r}; for example {DEFAULT_MODEL!r}")
    group = float(row["Group"])
    if group not in (_REGULATED, _ON_OFF) or not row["P_el_h_ref [W]"]:
        raise ValueError(f"{model!r} is no single outdoor air/water heat pump")
    # of an air pump both the source (p1) and the surroundings (p4) are the outdoor air: opposite large numbers
    # that add up to the slope
    cop = [float(row[f"p{n}_COP [-]"]) for n in (1, 2, 3, 4)]
    power = [float(row[name]) for name in ("p1_P_el_h [1/°C]", "p2_P_el_h [1/°C]", "p3_P_el_h [-]", "p4_P_el_h [1/°C]")]
    return HeatPumpData(
        model,
        group == _REGULATED,
        float(row["P_el_h_ref [W]"]),
        float(row["P_th_h_ref [W]"]),
        cop[0] + cop[3],
        cop[1],
        cop[2],
        power[0] + power[3],
        power[1],
        power[2],
    )
