"""A fake board on a TCP port: MicroPython's unix port behind it as fake_repl.py, its file system a folder.

The cable can be pulled (the connection ends) or the power cut (the process is killed) after so many octets.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

SCRIPT = Path(__file__).with_name("fake_repl.py")
# A signal raises in the middle of whatever MicroPython does, an import as well, which does not always survive that: a
# main.py that ends by itself is waited for.
_BRIEF_S = 0.5
RESET = 9  # exit code that stands for machine.reset()


class FakeBoard:
    """A context manager. url: for the port; folder: its file system; boots: how often it has started; held: of these,
    with the loader's `hold` file.

    pretend: see fake_repl.py. cut_after: octets from the host after which the power goes, for good; None: never.
    """

    def __init__(self, micropython, folder, pretend=None, cut_after=None):
        self._micropython, self.folder = micropython, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._pretend = pretend or {}
        self._left = cut_after
        self.octets = self.boots = self.held = 0
        self.dead = self._runs = self._resets = False
        self._process = self._client = None
        self._lock = threading.Lock()
        self._ended = False
        self.printed = b""

    def __enter__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._boot()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._ended = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._drop()
        with self._lock:
            if self._process:
                self._process.kill()
                self._process.wait()

    def _boot(self):
        command = [self._micropython, "-X", "heapsize=4m", SCRIPT, self.folder, json.dumps(self._pretend)]
        with self._lock:
            self.boots += 1
            self._resets = False
            self._process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                                             env={**os.environ, "MICROPYPATH": ""})
            os.read(self._process.stderr.fileno(), 1)  # B: it has begun
            self._runs = False
        threading.Thread(target=self._states, args=(self._process,), daemon=True).start()
        threading.Thread(target=self._out, args=(self._process,), daemon=True).start()

    def _states(self, process):
        while word := os.read(process.stderr.fileno(), 1):
            self.held += word == b"H"
            if process is self._process and word in b"MR":
                self._runs = word == b"M"
        process.stderr.close()

    def _out(self, process):
        while data := os.read(process.stdout.fileno(), 4096):
            self.printed = (self.printed + data)[-65536:]
            client = self._client
            if client:
                with contextlib.suppress(OSError):
                    client.sendall(data)
        code = process.wait()
        process.stdout.close()
        process.stdin.close()
        if not self._ended and not self.dead and code == RESET:
            self._boot()  # the port stays, as one behind a USB bridge does: whoever is there by now may be the next one

    def _drop(self):
        client, self._client = self._client, None
        if client:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()

    def _serve(self):
        while not self._ended:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.dead:
                client.close()
                continue
            self._drop()
            end = time.monotonic() + 10
            while self._resets and not self.dead and time.monotonic() < end:
                time.sleep(0.005)  # a chip has gone at once, a process has not
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client
            threading.Thread(target=self._in, args=(client,), daemon=True).start()

    def _in(self, client):
        with contextlib.suppress(OSError):
            while data := client.recv(4096):
                for piece in (data,) if self._left is None else (data[i : i + 1] for i in range(len(data))):
                    if not self._take(piece):
                        return

    def _take(self, data):
        if self._left is not None:
            if self._left <= 0:
                self.cut()
                return False
            self._left -= len(data)
        self.octets += len(data)
        self._resets = self._resets or b"machine.reset()" in data
        while (process := self._process).poll() is not None and not self._ended:
            time.sleep(0.005)  # it starts anew
        if b"\x03" in data and self._runs:
            end = time.monotonic() + _BRIEF_S
            while self._runs and time.monotonic() < end:
                time.sleep(0.005)
            if self._runs:
                process.send_signal(signal.SIGINT)
            while self._runs and process.poll() is None and not self._pretend.get("no_repl"):
                time.sleep(0.005)
        with contextlib.suppress(OSError, ValueError):
            process.stdin.write(data)
        return True

    def wait_for(self, words):
        """Wait until it has printed that."""
        end = time.monotonic() + 20
        while words not in self.printed:
            assert time.monotonic() < end, self.printed
            time.sleep(0.01)

    def wait_for_start(self, n):
        """Wait until it has started so often."""
        end = time.monotonic() + 20
        while self.boots < n:
            assert time.monotonic() < end, self.boots
            time.sleep(0.01)

    def cut(self):
        """The power goes, and stays off."""
        self.dead = True
        with self._lock:
            self._process.kill()
        self._drop()

    def start_main(self, *arguments):
        """What the board prints when it is started once more with what lies in its folder; no REPL."""
        done = subprocess.run([self._micropython, "-X", "heapsize=4m", "main.py", *arguments], cwd=self.folder,
                              capture_output=True, text=True, timeout=60, env={**os.environ, "MICROPYPATH": ".frozen"})
        return done.stdout + done.stderr
