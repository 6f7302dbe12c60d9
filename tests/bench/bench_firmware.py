"""Flash that the compiled plug firmware takes: .mpy for armv6m, built as it is flashed for the board `pico`.

plain: the same sources through mpy-cross alone, without their constants put in place.
"""

import tempfile

from spot_host import build

_BOARD, _MARCH = "pico", "armv6m"


def run(emit):
    """Emit firmware.mpy.bytes."""
    with tempfile.TemporaryDirectory() as folder:
        built = build.build(_MARCH, folder, _BOARD)
        plain = build.compile_all(_MARCH, folder, build.sources(_BOARD))
    emit("firmware.mpy.bytes", sum(octets for _, octets in built), "bytes", plain=sum(octets for _, octets in plain))
