"""Runs a measuring script on the MicroPython unix port."""

import json
import os
import subprocess
from pathlib import Path

from spot_host.toolchain import runtimes

ROOT = Path(__file__).resolve().parents[2]


def best(script, *arguments):
    """The figures that the script of this folder prints as JSON, {name: number}: the least of three processes each,
    since other work disturbs."""
    environment = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:.frozen"}
    command = [str(runtimes.installed("micropython")), str(Path(__file__).with_name(script)),
               *map(str, arguments)]
    runs = [json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
            for _ in range(3)]
    return {name: min(each[name] for each in runs) for name in runs[0]}
