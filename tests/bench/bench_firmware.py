"""Flash that the compiled plug firmware takes: .mpy for armv6m, built as it is flashed for the board `pico_w_plug`.

It holds MQTT and TLS, CoAP over UDP and DTLS, and OSCORE. The rest of what the sources have for such a board is in
files of their own, which are in the flash as well where they are wanted:

- optional: what a configuration asks for (CoAP over TCP and TLS, slipmux, COSE, signed broadcasts, shedding by
  frequency);
- service: what is run a few times in the life of a device (safe mode; log reading and calibration over the network; a signed update).

plain: the same sources, all of them, through mpy-cross alone: neither constants in place nor modules in one nor short
names. whole: all files together.
"""

import tempfile

from spot_host import build

_BOARD, _MARCH = "pico_w_plug", "armv6m"
_OPTIONAL = ("spot/link/coap_tcp.mpy", "spot/link/slipmux.mpy", "spot/protection.mpy", "spot/agent/signed.mpy",
             "spot/device/shedding.mpy")
_SERVICE = ("spot/safe.mpy", "spot/agent/service.mpy", "spot/device/calibration.mpy", "spot/update.mpy",
            "spot/wire/lms.mpy")


def run(emit):
    """Emit firmware.mpy.bytes, firmware.optional.bytes and firmware.service.bytes."""
    with tempfile.TemporaryDirectory() as folder:
        built = dict(build.build(_MARCH, folder, _BOARD))
        plain = build.compile_all(_MARCH, folder, build.sources(_BOARD))
    whole = sum(built.values())
    optional = [built.pop(path) for path in _OPTIONAL]  # KeyError: it is no file of its own any more
    optional.append(built.pop("spot/firmware.mpy"))  # where there are slots
    service = [built.pop(path) for path in _SERVICE]
    emit("firmware.mpy.bytes", sum(built.values()), "bytes", plain=sum(octets for _, octets in plain), whole=whole)
    emit("firmware.optional.bytes", sum(optional), "bytes")
    emit("firmware.service.bytes", sum(service), "bytes")
