"""Starts and steers a mosquitto of our own: TLS with client certificates, revocation, access rules, kept sessions."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import acl
from .errors import UserError
from .pki import Identity, Pki
from .toolchain import runtimes

_START_S = 10
_STOP_S = 5


def find_mosquitto() -> Path:
    """mosquitto 2 from the toolchain or PATH; UserError when there is none."""
    installed = runtimes.installed("mosquitto")
    found = installed if installed.exists() else runtimes.on_path("mosquitto")
    if not found:
        raise UserError("mosquitto 2 is missing: make setup")
    if runtimes.probe_mosquitto(str(found))[0] is None:  # taken from PATH at the set-up, and uninstalled since
        raise UserError(f"{found} does not start any more: make setup")
    return Path(found)


def free_port(host="127.0.0.1") -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Broker:
    """One mosquitto for one utility's devices and EMDs; works as root and as an ordinary user.

    `devices` is a list of acl.DeviceAccess, `emds` the common names that may command. `port` 0 takes a free one, and
    a restart keeps it. Without `folder`, configuration and state are in a temporary folder that `remove` deletes. As a
    context manager it starts and ends itself.
    """

    def __init__(self, pki: Pki, utility: str, devices=(), emds=("emd",), *, host="127.0.0.1", port=0, folder=None,
                 identity: Identity | None = None, mosquitto=None, autosave_s=30):
        self.pki, self.utility, self.host = pki, utility, host
        self.devices, self.emds = list(devices), tuple(emds)
        self.port = port
        self._any_port = not port
        self.identity = identity or pki.broker()
        self._mosquitto = mosquitto
        self._autosave_s = autosave_s
        self._own_folder = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="spot-broker-") if folder is None else folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "mosquitto.log"
        self._state = self.folder / "state"
        self._state.mkdir(exist_ok=True)
        self._process = None
        atexit.register(self.remove)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.remove()

    @property
    def pid(self):
        """Process id while it runs, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def configuration(self) -> str:
        """The text of mosquitto.conf."""
        lines = [
            "# Generated: spot_host.broker",
            *(["user root"] if os.geteuid() == 0 else []),  # else it becomes `mosquitto`, who cannot read 0600 keys
            f"listener {self.port} {self.host}",
            f"cafile {self.pki.ca}",
            f"certfile {self.identity.cert}",
            f"keyfile {self.identity.key}",
            f"crlfile {self.pki.crl}",
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",  # nobody takes another's session over
            "tls_version tlsv1.2",
            "allow_anonymous false",
            f"acl_file {self.folder / 'acl'}",
            "persistence true",
            f"persistence_location {self._state}/",
            f"autosave_interval {self._autosave_s}",
            # No persistent_client_expiration: mosquitto 2.0.21 was seen to expire a session that was connected, a
            # second after each connection, until it was restarted. Sessions are as many as certificates anyway.
            "message_size_limit 4096",
            "max_queued_messages 1000",
            "sys_interval 0",
            "set_tcp_nodelay true",
            f"log_dest file {self.log}",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
            "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        ]
        return "\n".join(lines) + "\n"

    def _write(self):
        live = [entry for entry in self.devices if not self.pki.is_revoked(entry.device)]
        rules = self.folder / "acl"
        rules.write_text(acl.rules(self.utility, live, [emd for emd in self.emds if not self.pki.is_revoked(emd)]))
        rules.chmod(0o600)  # newer versions warn about anything wider
        (self.folder / "mosquitto.conf").write_text(self.configuration())

    def start(self) -> None:
        """Start, and return when it accepts connections; UserError with the end of its log when it does not."""
        if self.pid:
            return
        mosquitto = self._mosquitto or find_mosquitto()
        for attempt in range(3):
            if self._any_port and (not self.port or attempt):
                self.port = free_port(self.host)
            self._write()
            before = self._said(b" running")
            with open(self.folder / "stderr", "wb") as errors:
                # A session of its own: Ctrl-C at the terminal is for us, who stop it in order.
                self._process = subprocess.Popen(
                    [str(mosquitto), "-c", str(self.folder / "mosquitto.conf")], stdin=subprocess.DEVNULL,
                    stdout=errors, stderr=errors, start_new_session=True)
            if self._accepts(before):
                return
            self.kill()
            if not self._any_port:
                break
        said = "".join(path.read_text(errors="replace")[-800:] for path in (self.log, self.folder / "stderr")
                       if path.exists())
        raise UserError(f"mosquitto does not start on {self.host}:{self.port}. It says:\n{said}")

    def _accepts(self, before):
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._said(b" running") > before:
                return True
            time.sleep(0.005)
        return False

    def _said(self, words):
        return self.log.read_bytes().count(words) if self.log.exists() else 0

    def stop(self) -> None:
        """End in order: sessions are written down."""
        if self.pid:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End at once, as a power cut would: what was not saved is gone."""
        if self._process:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()

    def restart(self, forget=False) -> None:
        """Stop and start on the same port; `forget` loses all sessions and retained messages."""
        self.stop()
        if forget:
            self.forget()
        self.start()

    def forget(self) -> None:
        """Delete sessions and retained messages; only while it is stopped."""
        shutil.rmtree(self._state, ignore_errors=True)
        self._state.mkdir()

    def reload(self) -> None:
        """Apply changed access rules (to live connections, too) and revocations (to new ones); returns when done."""
        self._write()
        if self.pid:
            before = self._said(b"Reloading config")
            self._process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + _STOP_S  # it looks at the signal between two packets
            while self.pid and self._said(b"Reloading config") == before:
                if time.monotonic() > deadline:
                    raise UserError(f"mosquitto (process {self.pid}) does not reload its configuration")
                time.sleep(0.005)

    def admit(self, device: acl.DeviceAccess) -> None:
        """Let one more device in, or change its class or groups."""
        self.devices = [entry for entry in self.devices if entry.device != device.device] + [device]
        self.reload()

    def revoke(self, name: str, cut=True) -> None:
        """Revoke `name`'s certificate, and take its rights away at once.

        mosquitto ends no live connection for a revocation list: with `cut` it restarts, keeping sessions, so that the
        connection ends, too, and cannot come back.
        """
        self.pki.revoke(name)
        if cut and self.pid:
            self.restart()
        else:
            self.reload()

    def remove(self) -> None:
        """Stop, and remove the temporary folder."""
        self.stop()
        atexit.unregister(self.remove)
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
