"""Appliances behind plugs, by the names that scenario files use.

What a household does (when somebody wants tea) is drawn day by day from the appliance's own random stream, never in
answer to the switch: two runs of one seed differ only by what the control did.
"""

from .ev_charger import EvCharger
from .fridge import Fridge
from .kettle import Kettle
from .washing_machine import WashingMachine

APPLIANCES = {"kettle": Kettle, "fridge": Fridge, "washing_machine": WashingMachine, "ev": EvCharger}


def make(kind, seeds, calendar, **parameters):
    """An appliance by its name in a scenario file. Raises ValueError for an unknown kind."""
    try:
        build = APPLIANCES[kind]
    except KeyError:
        raise ValueError(f"unknown appliance {kind!r}: known are {', '.join(sorted(APPLIANCES))}") from None
    return build(seeds, calendar, **parameters)
