"""Flash that the compiled plug firmware takes: .mpy for armv6m, built as it is flashed for the board `pico`.

It holds MQTT and TLS, CoAP over UDP and DTLS, and OSCORE. optional: what else the sources have for such a board, in
files of their own that a configuration asks for (CoAP over TCP and TLS, slipmux, COSE, signed broadcasts). plain: the
same sources, all of them, through mpy-cross alone: neither constants in place nor modules in one nor short names.
"""

import tempfile

from spot_host import build

_BOARD, _MARCH = "pico", "armv6m"
_OPTIONAL = ("spot/link/coap_tcp.mpy", "spot/link/slipmux.mpy", "spot/protection.mpy", "spot/agent/signed.mpy")


def run(emit):
    """Emit firmware.mpy.bytes and firmware.optional.bytes."""
    with tempfile.TemporaryDirectory() as folder:
        built = dict(build.build(_MARCH, folder, _BOARD))
        plain = build.compile_all(_MARCH, folder, build.sources(_BOARD))
    optional = {path: built.pop(path) for path in _OPTIONAL}  # KeyError: it is no file of its own any more
    emit("firmware.mpy.bytes", sum(built.values()), "bytes", plain=sum(octets for _, octets in plain))
    emit("firmware.optional.bytes", sum(optional.values()), "bytes")
