"""Flash that the compiled plug firmware takes: .mpy for armv6m, built as it is flashed for the board `pico_w_plug`.

It holds MQTT and TLS, CoAP over UDP and DTLS, and OSCORE. The rest of what the sources have for such a board is in
files of their own, which are in the flash as well where they are wanted:

- optional: what a configuration asks for (CoAP over TCP and TLS, slipmux, COSE, signed broadcasts, shedding by
  frequency, other pins than the board's own: board_check);
- service: what is run a few times in the life of a device (safe mode; log reading and calibration over the network;
  an update's fetching and verifying; another network; the check of a configuration, once for each in each release).

What every start loads is in firmware.mpy.bytes, spot/firmware.mpy of a device with slots too. checks: the same with the
check of the configuration, which a first start needs.

plain: the same sources, all of them, through mpy-cross alone: neither constants in place nor modules in one nor short
names. whole: all files together.
"""

import tempfile

from spot_host import build

_BOARD, _MARCH = "pico_w_plug", "armv6m"
_OPTIONAL = ("spot/link/coap_tcp.mpy", "spot/link/slipmux.mpy", "spot/protection.mpy", "spot/agent/signed.mpy",
             "spot/device/shedding.mpy", "spot/board_check.mpy")
_CHECKS = "spot/config_check.mpy"
_SERVICE = ("spot/safe.mpy", "spot/agent/service.mpy", "spot/device/calibration.mpy", "spot/update.mpy",
            "spot/wire/lms.mpy", "spot/network.mpy", "spot/link/coap_window.mpy", _CHECKS)


def run(emit):
    """Emit firmware.mpy.bytes, firmware.optional.bytes and firmware.service.bytes."""
    with tempfile.TemporaryDirectory() as folder:
        built = dict(build.build(_MARCH, folder, _BOARD))
        plain = build.compile_all(_MARCH, folder, build.sources(_BOARD))
    whole = sum(built.values())
    checks = built[_CHECKS]
    optional = [built.pop(path) for path in _OPTIONAL]  # KeyError: it is no file of its own any more
    service = [built.pop(path) for path in _SERVICE]
    always = sum(built.values())
    emit("firmware.mpy.bytes", always, "bytes", plain=sum(octets for _, octets in plain), whole=whole,
         checks=always + checks)
    emit("firmware.optional.bytes", sum(optional), "bytes")
    emit("firmware.service.bytes", sum(service), "bytes")
