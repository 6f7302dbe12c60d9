"""The CoAP codec and endpoint on MicroPython: what they do is what they do on CPython, datagram by datagram."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def test_building_and_reading_a_request_takes_no_heap(mpy):
    assert mpy(HERE / "coap_locked.py").split() == ["locked", "55"]


def test_both_runtimes_send_the_same_datagrams_and_a_flood_leaves_no_heap_in_use(mpy):
    got = mpy(HERE / "coap_on_device.py", "6", "3000", heap="512k").split()
    env = {**os.environ, "PYTHONPATH": str(ROOT / "firmware")}
    here = subprocess.run([sys.executable, HERE / "coap_on_device.py", "6", "100"], env=env, capture_output=True,
                          text=True, check=True).stdout.split()
    assert got[0] == here[0]
    assert int(got[1]) <= 2048  # what is under way at that moment
