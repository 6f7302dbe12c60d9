"""umqtt.simple on CPython: the modules that it imports under MicroPython's old names, and where it lies."""

import binascii
import socket
import struct
import sys

import pytest

from spot_host.toolchain import runtimes

if not (runtimes.umqtt_dir() / "umqtt" / "simple.py").exists():
    pytest.skip("umqtt.simple (make setup)", allow_module_level=True)
sys.modules.setdefault("usocket", socket)
sys.modules.setdefault("ustruct", struct)
sys.modules.setdefault("ubinascii", binascii)
sys.path.append(str(runtimes.umqtt_dir()))
