"""libcoap's programs as peers: its server and resource directory as processes, its client as one call."""

import re
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from spot_host.toolchain import libcoap
from tests.interop import ports
from tests.interop.wire import ping

BUILDS = tuple(libcoap.BUILDS)


def program(name, build="openssl") -> Path:
    """A program of libcoap; the test is skipped, and counted, where it is not there."""
    path = libcoap.installed(name, build)
    if not path.exists():
        pytest.skip(f"libcoap's {path.name} (make setup)")
    return path


class Answer(NamedTuple):
    """What coap-client printed: the payload, and the lines of its log (with the error's code, where it was one)."""

    body: bytes
    log: str

    @property
    def error(self):
        """"4.04" and the like; "" for a success."""
        found = re.search(r"^([45]\.\d\d)\b", self.log, re.M)
        return found[1] if found else ""


def client(uri, *options, build="openssl", timeout=15) -> Answer:
    """`coap-client [options] uri`; fails the test when it has not ended after `timeout` s."""
    # -B: how long it waits by itself; an ample time, so that an unanswered request ends as one
    command = [program("coap-client", build), "-B", str(timeout - 2), *map(str, options), uri]
    try:
        got = subprocess.run(command, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as exc:
        pytest.fail(f"coap-client {uri} did not end within {timeout} s: {exc.stdout} {exc.stderr}")
    return Answer(got.stdout.rstrip(b"\n"), got.stderr.decode(errors="replace"))


class Background:
    """`coap-client [options] uri` in the background; `wait(end)` until what it was answered or notified of ends so."""

    def __init__(self, uri, folder, *options, build="openssl"):
        self._file = Path(folder) / f"answered-{time.monotonic_ns()}"
        self._log = self._file.with_suffix(".log")
        command = [program("coap-client", build), *options, "-o", self._file, uri]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def body(self):
        """Everything that came, one after the other."""
        return self._file.read_bytes() if self._file.exists() else b""

    def wait(self, end, timeout=15, unless=None, skip=""):
        """Wait until what came ends with `end`; where its log says `unless`, the test is skipped as `skip`."""
        deadline = time.monotonic() + timeout
        while not self.body.endswith(end):
            said = self._log.read_text(errors="replace")
            if unless and unless in said:
                pytest.skip(skip)
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"coap-client was not told {end}, only {self.body}; {said}")
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._process.kill()
        self._process.wait()


class _Server:
    """A process that serves on `port` (UDP, TCP) and on `port + 1` (DTLS, TLS, where it has a certificate)."""

    program = ""

    def __init__(self, folder, *options, build="openssl", pki=None, cert=None):
        path = program(self.program, build)
        if pki:
            options = [*options, "-c", self._certificate(cert), *self._key(cert), "-C", pki.ca, "-R", pki.ca]
        for _ in range(3):  # another process may take the port between the look and the bind
            self.port = ports.free(2)
            self.log = Path(folder) / f"{path.name}-{self.port}.log"
            command = [path, "-A", "127.0.0.1", "-p", self.port, "-v", "7", *options]
            with open(self.log, "wb") as log:
                self._process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log,
                                                 stderr=subprocess.STDOUT)
            if self._ready():
                return
            self._end()
        pytest.fail(f"{path.name} does not serve: {self.log.read_text()}")

    def _certificate(self, cert):
        return cert.cert

    def _key(self, cert):
        return ["-j", cert.key]

    def _ready(self):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and self._process.poll() is None:
            if ping("127.0.0.1", self.port, 0.1):
                return True
        return False

    def _end(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._end()

    def uri(self, path="/", scheme="coap"):
        return f"{scheme}://127.0.0.1:{self.port + scheme.startswith('coaps')}{path}"


class Server(_Server):
    """coap-server: `/`, `/time` (observable), `/async`, `/example_data` (1,500 octets, writable, block-wise)."""

    program = "coap-server"


class Directory(_Server):
    """coap-rd: a resource directory of an early draft of RFC 9176; it registers at `/rd`."""

    program = "coap-rd"

    def _certificate(self, cert):
        both = Path(cert.cert).with_suffix(".both.pem")
        both.write_bytes(Path(cert.cert).read_bytes() + Path(cert.key).read_bytes())
        both.chmod(0o600)
        return both

    def _key(self, cert):
        return []
