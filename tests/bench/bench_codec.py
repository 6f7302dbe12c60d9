"""The codec's times and heap on the MicroPython unix port, beside the built-in C json."""

import json
import os
import subprocess
from pathlib import Path

from spot_host.toolchain import runtimes

ROOT = Path(__file__).resolve().parents[2]


def run(emit):
    """Emit codec.….us and codec.….heap_bytes; the best of three processes, since other work disturbs."""
    environment = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:.frozen"}
    command = [str(runtimes.installed("micropython")), str(Path(__file__).with_name("codec_on_device.py"))]
    runs = [json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
            for _ in range(3)]
    best = {name: min(each[name] for each in runs) for name in runs[0]}
    emit("codec.telemetry_encode.us", best["telemetry_encode_us"], "µs", json=best["json_dumps_us"])
    emit("codec.command_decode.us", best["command_decode_us"], "µs", json=best["json_loads_us"])
    emit("codec.telemetry_encode.heap_bytes", best["telemetry_encode_heap"], "B", json=best["json_dumps_heap"])
    emit("codec.command_decode.heap_bytes", best["command_decode_heap"], "B", json=best["json_loads_heap"])
