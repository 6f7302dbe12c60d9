"""Signed broadcasts on MicroPython: objects that the host signs, in a heap of a chip's size."""

import json
import re
from pathlib import Path

from spot_host import signing
from spot_host.profile.codec import encode
from spot_host.profile.examples import EXAMPLES

BODIES = {name: encode(kind, values) for name, kind, _, values in EXAMPLES}


def test_signed_broadcasts(mpy, tmp_path):
    """Six objects, each with a spoilt part first and then whole, parts in another order each time."""
    signer = signing.generate(tmp_path / "key", 5)
    bodies = [BODIES[name] for name in ("price96", "price24", "carbon", "weather", "grid_state", "price96")]
    objects = [signer.sign(body)[1] for body in bodies]
    (tmp_path / "objects.json").write_text(json.dumps({
        "key": signer.public.hex(), "bodies": [body.hex() for body in bodies],
        "objects": [[part.hex() for part in parts] for parts in objects]}))
    out = mpy(Path(__file__).with_name("signed_on_device.py"), tmp_path / "objects.json", heap="256k")
    found = re.fullmatch(r"taken 6 refused 6 turns (\d+)", out.strip())
    assert found and 12 * 4 < int(found[1]) < 12 * 17
