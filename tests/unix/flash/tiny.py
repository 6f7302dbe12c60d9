"""A small firmware in place of the real one, whose main.py says its version, and a configuration with a key."""

import json
import os
import subprocess

from spot_host.flash import plan

EUI = "020000fffe000001"


def firmware(version, extra=b""):
    """A firmware of three files, as plan.firmware makes one."""
    parts = {"spot/__init__.py": f"VERSION = {version!r}\n".encode(), "spot/same.py": b"# the same in all\n" * 100,
             "main.py": b"import json, sys\nimport spot\nimport spot.same\n"
                        b"with open('config.json') as file:\n    told = json.load(file)\n"
                        b"with open(told['coap']['pairing']) as file:\n    key = json.load(file)\n"
                        b"print('runs', spot.VERSION, told['model'], key['n'])\n" + extra,
             "boards/unix/board.json": b"{}"}
    mark = plan.digest(b"".join(parts.values()))[:8]
    folder = plan.PREFIX + mark
    return plan.Firmware(folder, {f"{folder}/{path}": data for path, data in parts.items()},
                         plan._STUB.format(folder=folder).encode(), 100)


def device(n):
    """A configuration with a key file, whose content says `n`."""
    key = json.dumps({"n": n}).encode()
    name = plan.key_name("pairing.json", key)
    return plan.Device({"board": "unix", "eui64": EUI, "store": "store", "model": f"config {n}",
                        "coap": {"uri": "coap://127.0.0.1", "pairing": name}}, {name: key})


def runs(micropython, folder):
    """What a board with these files prints when it is started."""
    done = subprocess.run([str(micropython), "main.py"], cwd=folder, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "MICROPYPATH": ".frozen"})
    return (done.stdout + done.stderr).strip()
