"""`spot calibrate`: adjust a device's meter to a reference, over the network, through the running EMD.

Never over a serial line: most plug boards are not isolated from the mains. Exit codes as `spot emd`.
"""

import json
import sys
import time
from typing import Annotated

import typer

from spot_host.commands.emd import _DB, AsJson, Database, _device, _reader
from spot_host.errors import UserError
from spot_host.profile import definition as d
from spot_host.profile.explain import quantity

_OBJECTS = {name: id_ for id_, _, name, *_ in d.OBJECTS}
# quantity: (object, unit there, what one unit of the message is of it)
_QUANTITIES = {"voltage": ("voltage", "10 mV", 1), "current": ("current", "mA", 1), "power": ("power", "W", 10)}
_SAMPLE_S = 2  # until the meter has measured with the new factors
_WHY = {
    "not_supported": "this device's meter cannot be calibrated, or this EMD may not (docs/calibration.md)",
    "out_of_range": "more than 30 % off the board's description, or a load that is too small (50 V, 0.2 A, 20 W at "
    "least) or not steady: does the reference measure the same load?",
    "ended": "the device got it too late: is its clock right?",
    "busy": "another calibration is under way",
    "sensor": "the meter gave no values",
    "no_time": "the device has no time yet",
    "store_full": "the device cannot keep it: its flash is full; what was in force stays",
    "safe_mode": "the device is in safe mode",
}


def main(
    device: Annotated[str, typer.Argument(help="EUI-64, or its last digits.")],
    voltage: Annotated[float | None, typer.Option(help="What the reference shows, in V.")] = None,
    current: Annotated[float | None, typer.Option(help="In A.")] = None,
    power: Annotated[float | None, typer.Option(help="In W.")] = None,
    seconds: Annotated[int, typer.Option(min=3, max=300, help="The mean over so long is compared.")] = 10,
    db: Database = _DB,
    as_json: AsJson = False,
):
    """Adjust a device's meter to a reference load (docs/calibration.md): at least one of voltage, current, power."""
    truth = {
        name: round(value * scale)
        for name, value, scale in (("voltage", voltage, 100), ("current", current, 1000), ("power", power, 10))
        if value is not None
    }
    if not truth:
        raise UserError("what does the reference show? Give --voltage, --current or --power, or all of them")
    fields = {f.name: f for f in d.message("calibrate").fields}
    for name, value in truth.items():
        lo, hi = d.bounds(fields[name])
        if not lo <= value <= hi:
            unit = fields[name].unit
            raise UserError(f"--{name}: not within {quantity(lo, unit)} and {quantity(hi, unit)}")
    reader = _reader(db)
    eui = _device(reader, device)
    before = _shown(reader, eui)
    result = reader.request({"do": "calibrate", "device": eui, "seconds": seconds, **truth}, seconds + 60)
    after = {}
    if "error" not in result:
        time.sleep(_SAMPLE_S)
        after = _shown(reader, eui)
    if as_json:
        print(json.dumps({**result, "before": before, "truth": truth, "after": after}))
    elif "error" in result:
        word = result["error"].removeprefix("refused: ")
        print(f"spot: {eui}: not calibrated: {_WHY.get(word, result['error'])}", file=sys.stderr)
    else:
        print(f"{eui}: calibrated, and kept on the device")
        for name, value in truth.items():
            unit = _QUANTITIES[name][1]
            print(f"  {name:8} showed {_words(before, name)}, reference "
                  f"{quantity(value / _QUANTITIES[name][2], unit)}, shows {_words(after, name)}")
    if "error" in result:
        raise typer.Exit(result.get("code", 4))


def _words(values, name):
    number = values.get(name)
    return "nothing" if number is None else quantity(number, _QUANTITIES[name][1])


def _shown(reader, eui):
    """What the device's meter shows now; what it cannot say is left out."""
    ids = {name: _OBJECTS[row[0]] for name, row in _QUANTITIES.items()}
    result = reader.request({"do": "read", "device": eui, "objects": list(ids.values())}, 15)
    values = result.get("values", {})
    return {name: values[str(i)] for name, i in ids.items() if str(i) in values}
