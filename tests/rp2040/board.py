"""An emulated Pico as seen from the workstation: start it, talk to it with the real mpremote, switch it off and on.

`python -m tests.rp2040.board SCRIPT.py` runs one script on a fresh one.
"""

import hashlib
import itertools
import json
import os
import queue
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty
from pathlib import Path

from spot_host import build as firmware
from spot_host import romfs
from spot_host.boards import Board as Description

from . import build

_SERVE = Path(__file__).with_name("emulator") / "serve.mjs"
_START_S = 30
ARCHITECTURE = "armv6m"
_PRELUDE = """\
import sys, vfs
vfs.mount(vfs.VfsRom(memoryview(vfs.rom_ioctl(2, 0))[{begin}:{end}]), "/image")
sys.path.insert(0, "/image")
del vfs
"""


class BoardError(Exception):
    """The emulator or mpremote ended with an error; the text is what it said."""


class Board:
    """One emulated board. Its flash is a file in `folder` and outlives it; a context manager.

    flash: a file to begin with (as `save` of another board left it). erase_ms: what a sector's erase takes; 45 typical,
    400 the worst. held: time stands still from power-on, but for `advance`. Raises BoardError when the emulator does
    not come up.
    """

    def __init__(self, rig: build.Rig, folder: Path, flash: Path | None = None, erase_ms: float = 45,
                 held: bool = False):
        self.rig = rig
        self.flash = folder / "flash.bin"
        if flash is not None:
            shutil.copyfile(flash, self.flash)
        self.held = held
        identity = hashlib.sha256(str(self.flash).encode()).hexdigest()[:16]
        self._options = {"eraseMs": erase_ms, "held": held, "id": identity}
        self._pty = None
        self._before_us = self._micros = 0  # emulated time of the boots before this one, and of this one
        self.port = None
        self.image = None  # the firmware that `load` has put there
        self.prelude = ""  # of a script: it can be imported
        self._ids = itertools.count(1)
        self._process = None
        self._lines = None
        self._log = None
        self._pending = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def start(self) -> None:
        """Power on, and wait until the board's USB serial port is there."""
        self._log = tempfile.TemporaryFile()
        self._lines = queue.Queue()
        self._pending = []
        self._process = subprocess.Popen(
            [self.rig.node, _SERVE, self.rig.emulator, self.rig.firmware, self.flash, json.dumps(self._options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True)
        threading.Thread(target=self._read, args=(self._process.stdout, self._lines), daemon=True).start()
        self.held = self._options["held"]
        try:
            self.port = self._wait(lambda line: line.get("event") == "listening")["port"]
            if not self.held:
                self._wait(lambda line: line.get("event") == "usb")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Power off: the flash is written to its file, the emulator's process ends."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if self._pty:
            self._pty.close()
            self._pty = None
        try:
            if process.poll() is None:
                process.stdin.write('{"do": "stop", "id": 0}\n')
            process.stdin.close()  # the emulator ends without its stdin in any case
        except OSError:
            pass
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self._log.close()

    def power_cycle(self) -> None:
        """Off and on again: nothing but the flash is left. Waits until the serial port is back, unless it is held."""
        self.command("power_cycle")
        self._gone()
        self._back()

    def power_off(self) -> None:
        """The power goes, here and now."""
        self.command("power_off")
        self._gone()

    def power_on(self) -> None:
        """After `power_off`, or a cut: nothing but the flash is left."""
        self.command("power_on")
        self._back()

    def cut(self, at: int = 1, seed: int = 0) -> None:
        """The power will go in the middle of a flash write, erase or program: the `at`-th from now on. What lies there
        is then torn, as `seed` draws it."""
        self.command("cut", at=at, seed=seed)

    def wait_for_cut(self) -> int:
        """Wait until the power went there; number of that write since the boot."""
        return self._wait(lambda line: line.get("event") == "off")["flash_writes"]

    def _back(self):
        if not self.held:
            self._wait(lambda line: line.get("event") == "usb")

    def save(self, to: Path | None = None) -> Path:
        """Write the flash to its file, and copy it to `to`: other boards begin with it."""
        self.command("save")
        if to is not None:
            shutil.copyfile(self.flash, to)
        return to or self.flash

    # --- lock-step: time stands still but for what is granted

    def hold(self) -> None:
        """From now on the board's time stands still but for `advance`, and nobody is at its serial port."""
        self._micros = self.command("hold")["micros"]
        self.held = True

    def free(self) -> bytes:
        """The board runs by itself again; what it had said."""
        self.held = False
        return bytes.fromhex(self.command("free")["said"])

    def advance(self, seconds: float, octets: bytes = b"", stop: int | None = None) -> tuple[str, bytes]:
        """Let a held board run so long by its own clock, after `octets` have come to its serial port: (why, said).

        stop: go back as soon as it has said an octet of this value. why: "time", "said", "reset" (it starts anew with
        the next call) or "off". said: what came from its serial port.
        """
        got = self.command("advance", micros=seconds * 1e6, hex=octets.hex(), stop=stop)
        self._micros = got["micros"] or 0
        if got["why"] in ("reset", "off"):
            self._gone()
        return got["why"], bytes.fromhex(got["said"])

    @property
    def elapsed_s(self) -> float:
        """Emulated seconds that a held board has been running, over all its boots."""
        return (self._before_us + self._micros) / 1e6

    def _gone(self):
        self._before_us += self._micros
        self._micros = 0

    # --- pins

    def wire(self, *parts: dict) -> None:
        """What hangs at the board from its first instruction on, at each start: commands of serve.mjs, as
        `{"do": "drive", "pin": 14, "level": 1}`."""
        self.command("wire", parts=list(parts))

    def drive(self, pin: int, level: int) -> None:
        """The outside puts a pin to a level, until the next reset."""
        self.command("drive", pin=pin, level=level)

    def level(self, pin: int) -> int:
        """The level of a pin, whoever drives it."""
        return self.command("pin", pin=pin)["level"]

    def edges(self, pin: int) -> list:
        """[(emulated µs since this boot, level)] of a pin that `watch` is at: the latest 64."""
        return [tuple(row) for row in self.command("inputs")["edges"][str(pin)]]

    # --- its serial port

    @property
    def pty(self) -> str:
        """A pseudo-terminal that is the board's serial port, like /dev/ttyACM0: it goes with a reset, and another one
        is there under this name when the board is back. One client at a time, here or at the TCP port."""
        if self._pty is None:
            self._pty = _Terminal(self.flash.parent / "ttyACM0", self.port)
            self._pty.open()
        return str(self._pty.path)

    def wait_for_reset(self) -> int:
        """Wait until the board has reset itself and its serial port is back; the watchdog's reason register."""
        reason = self._wait(lambda line: line.get("event") == "reset")["reason"]
        self._wait(lambda line: line.get("event") == "usb")
        return reason

    def status(self) -> dict:
        """boots, off, cycles, micros (emulated, since this boot), clk_sys (Hz), flash_writes (since this boot),
        connected, watchdog (it is armed)."""
        return self.command("status")

    def command(self, name: str, **values) -> dict:
        """Send a control command to the emulator (serve.mjs) and return its answer."""
        number = next(self._ids)
        try:
            self._process.stdin.write(json.dumps({**values, "do": name, "id": number}) + "\n")
            self._process.stdin.flush()
        except OSError as exc:
            raise BoardError(f"the emulator has ended: {self._said()}") from exc
        answer = self._wait(lambda line: line.get("id") == number)
        if "error" in answer:
            raise BoardError(answer["error"])
        return answer

    def exec(self, code: str, timeout: float = 60, resume: bool = False) -> str:
        """Run `code` on the board; its output. A fresh interpreter each time, unless `resume`.

        Raises BoardError with the traceback if it ends with an exception.
        """
        return self.mpremote(*(["resume"] if resume else []), "exec", code, timeout=timeout)

    def run(self, script: Path, *arguments, timeout: float = 60) -> str:
        """Run a script of the workstation on the board with `arguments` in its sys.argv; its output."""
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / script.name
            argv = [script.name, *(str(argument) for argument in arguments)]
            text = script.read_text()
            text = self.image.guest(text, script.stem) if self.image else text
            copy.write_text(f"{self.prelude}import sys; sys.argv[:] = {argv!r}\n" + text)
            return self.mpremote("run", str(copy), timeout=timeout)

    def load(self, image: firmware.Image) -> None:
        """Put a firmware there, compiled for the chip, in ROMFS, as a product has it: where the first slot's release
        would lie. Scripts of `run` are from then on those that go with it."""
        with tempfile.TemporaryDirectory() as name:
            rows = image.compile(ARCHITECTURE, name)
            rom = romfs.pack({path: (Path(name) / path).read_bytes() for path, _ in rows})
        parts = Description.load(build.BOARD)
        begin = parts.image.slot_bytes + romfs.HEAD
        where = parts.flash_bytes - parts.image.storage_bytes - parts.image.romfs_bytes + begin
        self.command("flash", at=where, hex=rom.hex())
        self.image, self.prelude = image, _PRELUDE.format(begin=begin, end=begin + len(rom))

    def put(self, files: dict) -> None:
        """Copy files to the board: path there → Path here, or bytes. Folders are made; mpremote skips what is there."""
        with tempfile.TemporaryDirectory() as name:
            stage = Path(name)
            for remote, content in files.items():
                target = stage / remote.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
            tops = [str(path) for path in sorted(stage.iterdir())]
            self.mpremote("cp", "-r", *tops, ":/", timeout=180)

    def mpremote(self, *arguments: str, timeout: float = 60) -> str:
        """Run `mpremote connect socket://… ARGUMENTS`; its output. Raises BoardError if it fails or takes too long."""
        command = [sys.executable, "-m", "mpremote", "connect", f"socket://127.0.0.1:{self.port}", *arguments]
        try:
            got = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as exc:
            raise BoardError(f"mpremote {arguments[0]} took over {timeout} s; {self._said()}") from exc
        if got.returncode:
            raise BoardError(f"{got.stdout}{got.stderr}{self._said()}".strip())
        return got.stdout.replace("\r\n", "\n")

    def _read(self, stream, lines) -> None:
        for text in stream:
            line = json.loads(text)
            if self._pty and "event" in line:
                self._pty.event(line["event"])
            lines.put(line)
        lines.put(None)

    def _wait(self, wanted) -> dict:
        """The next line from the emulator that is `wanted`; the others are kept for who waits for them."""
        for index, line in enumerate(self._pending):
            if wanted(line):
                return self._pending.pop(index)
        deadline = time.monotonic() + _START_S
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise BoardError(f"the emulator did not answer within {_START_S} s; {self._said()}") from None
            if line is None or line.get("event") == "failed":
                raise BoardError(f"the emulator ended: {line['text'] if line else ''} {self._said()}")
            if wanted(line):
                return line
            self._pending.append(line)

    def _said(self) -> str:
        if self._log.closed:
            return ""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]


class _Terminal:
    """Carries octets between a pseudo-terminal under the name `path` and the emulator's TCP port, in a thread.

    A client at the TCP port takes the board away from the terminal; the terminal's next octet takes it back.
    """

    def __init__(self, path: Path, port: int):
        self.path = path
        self._port = port
        self._master = self._slave = self._thread = None

    def open(self):
        """A new pseudo-terminal under the name."""
        self._master, self._slave = os.openpty()  # the slave is held, so that the master lives without a client
        tty.setraw(self._slave)
        self._wake, self._ended = os.pipe()
        link = self.path.with_name(self.path.name + ".new")
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._slave))
        link.replace(self.path)
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def event(self, name):
        """What the emulator says: the port goes with a reset and with the power, and is back with the USB device."""
        if name in ("reset", "off"):
            self.close()
        elif name == "usb" and self._thread is None:
            self.open()

    def close(self):
        """Hang up."""
        if self._thread is None:
            return
        self.path.unlink(missing_ok=True)
        os.write(self._ended, b"x")
        self._thread.join(5)
        self._thread = None
        for fd in (self._master, self._slave, self._wake, self._ended):
            os.close(fd)

    def _connect(self):
        return socket.create_connection(("127.0.0.1", self._port))

    def _carry(self):
        cable = self._connect()
        try:
            while True:
                ready, _, _ = select.select([self._master, self._wake] + ([cable] if cable else []), [], [])
                if self._wake in ready:
                    return
                if cable in ready:
                    try:
                        data = cable.recv(4096)
                    except OSError:
                        data = b""
                    if data:
                        os.write(self._master, data)
                    else:  # taken away, or a reset: then close() follows
                        cable.close()
                        cable = None
                elif self._master in ready:
                    data = os.read(self._master, 4096)
                    cable = cable or self._connect()
                    cable.sendall(data)
        except OSError:
            pass  # the emulator has ended
        finally:
            if cable:
                cable.close()


def wire(*scripts: Path, names=None) -> firmware.Image:
    """The part of the firmware that scripts need: that of the codec (WIRE), or these modules."""
    names = WIRE if names is None else names
    texts = {path: text for path, text in firmware.sources().items() if path.removesuffix(".py") in names}
    return firmware.Image(texts, [script.read_text() for script in scripts])


def main(arguments) -> int:
    """Run one script on a fresh board, with the wire part of the firmware on it."""
    if len(arguments) != 1:
        print("usage: python -m tests.rp2040.board SCRIPT.py", file=sys.stderr)
        return 2
    rig = build.set_up()
    with tempfile.TemporaryDirectory() as name, Board(rig, Path(name)) as board:
        script = Path(arguments[0])
        board.load(wire(script))
        try:
            print(board.run(script, timeout=600), end="")
        except BoardError as exc:
            print(exc, file=sys.stderr)
            return 1
    return 0


WIRE = ("spot/__init__", "spot/port", "spot/codes", "spot/wire/__init__", "spot/wire/cbor",
        "spot/wire/cbor_objects", "spot/wire/fields", "spot/wire/profile")
LMS = ("spot/__init__", "spot/port", "spot/wire/__init__", "spot/wire/lms")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
