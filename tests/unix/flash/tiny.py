"""A small firmware in place of the real one, whose main.py says its version, and a configuration with a key."""

import json
import os
import subprocess

from spot_host import romfs, suit
from spot_host.flash import plan
from spot_host.toolchain.paths import ROOT

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


def release(version, sequence=1, board="unix", march="x64", base=1, octets=20000):
    """A release file of that board, whose image is so large and holds its version."""
    image = romfs.pack({"release.json": json.dumps({"sequence": sequence, "version": version, "board": board}).encode(),
                        "same.bin": bytes(range(256)) * (octets // 256), "version.txt": version.encode()})
    return suit.write(suit.Manifest.of(image, sequence=sequence, version=version, board=board, march=march, base=base),
                      image)


_CHOOSE = """
import sys
sys.path += [{firmware!r}, {boards!r}]
import json, vfs
from slot_files import Files
from spot import boot
from spot.store import Store
region = Files("flash", {size})
at, trial, n = boot.choose(region, Store(None, "store"))
if at == 2:
    print("starts its own")
else:
    octets = bytearray(n)
    region.readinto(at * region.size + 4096, octets)
    vfs.mount(vfs.VfsRom(octets), "/rom")
    with open("/rom/version.txt") as file:
        print("starts", file.read(), "on trial" if trial else "for good")
try:
    with open("config.json") as file:
        told = json.load(file)
    with open(told["coap"]["pairing"]) as file:
        print(told["model"], json.load(file)["n"])
except OSError:
    print("no config")
"""


def starts(micropython, folder, size=65536):
    """What the loader of our own image would start in this folder, and under which configuration."""
    code = _CHOOSE.format(firmware=str(ROOT / "firmware"), boards=str(ROOT / "boards" / "unix"), size=size)
    done = subprocess.run([str(micropython), "-c", code], cwd=folder, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "MICROPYPATH": ".frozen"})
    return (done.stdout + done.stderr).split("\n")[:-1]


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
