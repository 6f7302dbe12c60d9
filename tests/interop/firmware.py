"""The firmware's side: a MicroPython process (device.py) that is told what to do and says in JSON what happened."""

import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path

import pytest

from spot_host.toolchain import runtimes

ROOT = Path(__file__).resolve().parents[2]


class Device:
    """A process with one CoAP endpoint on one transport; see device.py for the configuration and the commands."""

    def __init__(self, folder, heap="1m", program="device.py", **config):
        path = runtimes.installed("micropython")
        if not path.exists():
            pytest.skip("MicroPython unix port (make setup)")
        file = Path(folder) / f"device{time.monotonic_ns()}.json"
        file.write_text(json.dumps(config))
        env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
        self._process = subprocess.Popen(
            [str(path), "-X", f"heapsize={heap}", str(Path(__file__).with_name(program)), str(file)], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._new, self._requests = queue.Queue(), 0
        self.errors, self.seen = "", []
        self._complaints = threading.Thread(target=self._read_errors, daemon=True)
        self._complaints.start()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            try:
                self._new.put(json.loads(line))
            except ValueError:
                self._new.put({"stray": line})
        self._complaints.join()  # whoever hears of the end finds what was said at it in `errors`
        self._new.put({"exit": self._process.wait()})

    def _read_errors(self):
        self.errors = self._process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def tell(self, *what):
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def expect(self, key, value=None, timeout=15):
        """The next event that has `key` (with `value`, if given); all go to `seen`. Fails after `timeout` s."""
        deadline = time.monotonic() + timeout
        skipped = []
        while True:
            try:
                event = self._new.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                event = None
            if event is None or ("exit" in event and key != "exit"):
                pytest.fail(f"no {key}={value} within {timeout} s; {event}; saw {skipped}; {self.errors}")
            self.seen.append(event)
            if key in event and (value is None or event[key] == value):
                return event
            skipped.append(event)

    def ask(self, code, path, payload=b"", options=None, context="", timeout=15, **more):
        """One request and its reply: {"code", "options": {number: octets}, "body", "fresh"}; code 0: no answer."""
        number = self.request(code, path, payload, options, context, **more)
        return self.reply(number, timeout)

    def request(self, code, path, payload=b"", options=None, context="", **more):
        """Start a request; returns its number, for `reply` and ["cancel", number]."""
        self._requests += 1
        rows = [[number, value.hex()] for number, value in sorted((options or {}).items())]
        self.tell("request", {"id": self._requests, "code": code, "path": path, "body": payload.hex(), "options": rows,
                              "context": context, **more})
        return self._requests

    def reply(self, number, timeout=15):
        """The next reply (or notification) to a request."""
        got = self.expect("reply", number, timeout)
        options = {row[0]: bytes.fromhex(row[1]) for row in got["options"]}
        return {"code": got["code"], "body": bytes.fromhex(got["body"]), "options": options, "fresh": got["fresh"]}
