"""The last gasp on the MicroPython unix port: a plug in its real loop, on its real link, whose mains fails.

outage.gasp.us: from the look that finds the input active to the octets at the socket; the median of a dozen on each
link, the slowest link. outage.gasp.heap_bytes: what that takes. outage.edge.ms: from the input's edge at any phase of
the loop to those octets, the worst. outage.kept.ms: and to the end of the writes that follow.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from spot_host.acl import DeviceAccess
from spot_host.broker import Broker
from spot_host.pairing import Pairing
from spot_host.pki import Pki
from spot_host.toolchain import paths, runtimes
from spot_sim.coap_post import CoapPost

_EUI = "0200000000000001"
_PAIRING = Pairing(bytes(range(16)), bytes(8), b"\x01")


def _rows(folder, section):
    """[µs, octets, ms, ms] of each failure of a device with this link."""
    store = tempfile.mkdtemp(dir=folder)
    path = f"{paths.ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"
    command = [str(runtimes.installed("micropython")), str(Path(__file__).with_name("outage_on_device.py")),
               str(paths.ROOT / "boards"), f"{store}/s", json.dumps(section)]
    got = subprocess.run(command, env={**os.environ, "MICROPYPATH": path}, capture_output=True, text=True, timeout=60,
                         stdin=subprocess.DEVNULL)
    if got.returncode:
        raise RuntimeError(got.stdout + got.stderr)
    return json.loads(got.stdout.splitlines()[-1])


def _mqtt(folder):
    pki = Pki(folder / "pki")
    pki.device(_EUI)
    pki.emd()
    with Broker(pki, "home", [DeviceAccess(_EUI, "plug", ())], folder=folder / "broker") as broker:
        identity = pki.identity(_EUI)
        return _rows(folder, {"mqtt": {"host": "localhost", "port": broker.port, "ca": str(pki.ca_der),
                                       "cert": str(identity.cert_der), "key": str(identity.key_der)}})


def _coap(folder):
    post = CoapPost({_EUI: _PAIRING})
    post.start()
    try:
        (folder / "pairing.json").write_text(json.dumps(_PAIRING.record()))
        return _rows(folder, {"coap": {"uri": f"coap://127.0.0.1:{post.port}", "host": "127.0.0.1",
                                       "pairing": str(folder / "pairing.json")}})
    finally:
        post.stop()


def run(emit):
    ways = {}
    with tempfile.TemporaryDirectory() as name:
        for way, measure in (("mqtt_tls", _mqtt), ("coap_oscore", _coap)):
            ways[way] = list(zip(*measure(Path(name)), strict=True))
    us = {way: sorted(columns[0])[len(columns[0]) // 2] for way, columns in ways.items()}
    emit("outage.gasp.us", max(us.values()), "µs", **us)
    heap = {way: max(columns[1][1:]) for way, columns in ways.items()}  # the first one makes lists longer
    emit("outage.gasp.heap_bytes", max(heap.values()), "B", **heap)
    for name, at in (("edge", 2), ("kept", 3)):
        worst = {way: round(max(columns[at]), 1) for way, columns in ways.items()}
        emit(f"outage.{name}.ms", max(worst.values()), "ms", **worst)
