"""What it costs to verify a signed broadcast (LMS, H10, W4) on the unix port and on the emulated RP2040, and its size.

The emulator does not count misses of the flash cache: its times are lower bounds.
"""

import json
import tempfile
from pathlib import Path

import pyhsslms

from spot_host import signing
from spot_host.profile.codec import encode
from spot_host.profile.examples import EXAMPLES
from tests.bench import unix_port
from tests.rp2040 import board as boards
from tests.rp2040 import build

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("lms_on_device.py")
VECTORS = ROOT / "tests" / "unit" / "wire" / "lms.json"


def on_unix():
    """The figures of lms_on_device.py on the unix port, the best of three processes."""
    return unix_port.best("lms_on_device.py", VECTORS)


def on_rp2040():
    """The same on a fresh emulated board; builds the image where it is missing. Raises SetupError, BoardError."""
    rig = build.set_up()
    with tempfile.TemporaryDirectory() as name, boards.Board(rig, Path(name)) as board:
        board.load(boards.wire(SCRIPT, names=boards.LMS))
        board.put({"lms.json": VECTORS})
        return json.loads(board.run(SCRIPT, "lms.json", timeout=300))


def run(emit):
    """Emit group.… and rp2040.lms_….ms."""
    body = encode("price", next(values for name, _, _, values in EXAMPLES if name == "price96"))
    key = pyhsslms.LmsPrivateKey(lms_type=pyhsslms.lms_sha256_m32_h10, lmots_type=pyhsslms.lmots_sha256_n32_w4)
    bodies = signing.split(key.publicKey().serialize(), 1, body, key.sign(signing.signed_text(1, body)))
    emit("group.signed_price96.bytes", sum(len(part) for part in bodies), "B", unsigned=len(body))
    figures = on_unix()
    emit("group.verify.us", figures["verify_us"], "µs", bare_hashes=figures["hash_us"])
    figures = on_rp2040()
    emit("rp2040.lms_verify.ms", round(figures["verify_us"] / 1000, 1), "ms",
         bare_hashes=round(figures["hash_us"] / 1000, 1))
    emit("rp2040.lms_slice.ms", round(max(figures["slice_us"], figures["start_us"]) / 1000, 1), "ms")
