"""Sizes of message bodies, beside S2 and OpenADR 3 JSON with the same content, plain and deflated."""

from spot_host.profile.codec import encode
from spot_host.profile.examples import EXAMPLES, HEAT_PUMP, PLUG, PRICES

from . import peers

PEERS = {
    "register_plug": {"s2": peers.s2_register(
        "kitchen", PLUG["model"], PLUG["firmware"], [("off", 0, 0), ("on", 0, 3680)], 60, 60)},
    "register_heat_pump": {"s2": peers.s2_register(
        "heat pump", HEAT_PUMP["model"], HEAT_PUMP["firmware"], [("off", 0, 12), ("on", 1100, 4200)], 600, 900)},
    "telemetry6": {"openadr": [peers.openadr_report(
        ("POWER", 2300), ("VOLTAGE", 230.12), ("CURRENT", 9.98), ("USAGE", 1234.567), ("FREQUENCY", 50.012),
        ("OPERATING_STATE", "RUNNING_NORMAL"))]},
    "power": {"s2": [peers.s2_power(("ELECTRIC.POWER.L1", 2300))], "openadr": [peers.openadr_report(("POWER", 2300))]},
    "command_limit": {"s2": [peers.s2_instruction()], "openadr": [peers.openadr_limit()]},
    "status": {"s2": [peers.s2_status()]},
    "price24": {"openadr": [peers.openadr_prices(PRICES, 60)]},
    "price96": {"openadr": [peers.openadr_prices([p for p in PRICES for _ in range(4)], 15)]},
}


def run(emit):
    """Emit wire.….bytes for each reference message."""
    bodies = {name: encode(kind, values) for name, kind, _, values in EXAMPLES}
    for name, others in PEERS.items():
        figures = {}
        for peer, objects in others.items():
            figures[f"{peer}_json"], figures[f"{peer}_deflated"] = peers.sizes(*objects)
        emit(f"wire.{name}.bytes", len(bodies[name]), "B", **figures)
