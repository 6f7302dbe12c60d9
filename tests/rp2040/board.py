"""An emulated Pico as seen from the workstation: start it, talk to it with the real mpremote, switch it off and on.

`python -m tests.rp2040.board SCRIPT.py` runs one script on a fresh one.
"""

import itertools
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from spot_host import build as firmware

from . import build

_SERVE = Path(__file__).with_name("emulator") / "serve.mjs"
_START_S = 30
ARCHITECTURE = "armv6m"


class BoardError(Exception):
    """The emulator or mpremote ended with an error; the text is what it said."""


class Board:
    """One emulated board. Its flash is a file in `folder` and outlives it; a context manager.

    Raises BoardError when the emulator does not come up.
    """

    def __init__(self, rig: build.Rig, folder: Path):
        self.rig = rig
        self.flash = folder / "flash.bin"
        self.port = None
        self.image = None  # the firmware that `load` has put there
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
            [self.rig.node, _SERVE, self.rig.emulator, self.rig.firmware, self.flash],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True)
        threading.Thread(target=self._read, args=(self._process.stdout, self._lines), daemon=True).start()
        try:
            self.port = self._wait(lambda line: line.get("event") == "listening")["port"]
            self._wait(lambda line: line.get("event") == "usb")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Power off: the flash is written to its file, the emulator's process ends."""
        if self._process is None:
            return
        process, self._process = self._process, None
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
        """Off and on again: nothing but the flash is left. Waits until the serial port is back."""
        self.command("power_cycle")
        self._wait(lambda line: line.get("event") == "usb")

    def wait_for_reset(self) -> int:
        """Wait until the board has reset itself and its serial port is back; the watchdog's reason register."""
        reason = self._wait(lambda line: line.get("event") == "reset")["reason"]
        self._wait(lambda line: line.get("event") == "usb")
        return reason

    def status(self) -> dict:
        """boots, cycles, micros (emulated, since this boot), clk_sys (Hz), flash_writes, connected."""
        return self.command("status")

    def command(self, name: str, **values) -> dict:
        """Send a control command to the emulator (serve.mjs) and return its answer."""
        number = next(self._ids)
        try:
            self._process.stdin.write(json.dumps({**values, "do": name, "id": number}) + "\n")
            self._process.stdin.flush()
        except OSError as exc:
            raise BoardError(f"the emulator has ended: {self._said()}") from exc
        return self._wait(lambda line: line.get("id") == number)

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
            copy.write_text(f"import sys; sys.argv[:] = {argv!r}\n" + text)
            return self.mpremote("run", str(copy), timeout=timeout)

    def load(self, image: firmware.Image) -> None:
        """Put a firmware there, compiled for the chip; scripts of `run` are from then on those that go with it."""
        with tempfile.TemporaryDirectory() as name:
            rows = image.compile(ARCHITECTURE, name)
            self.put({path: Path(name) / path for path, _ in rows})
        self.image = image

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

    @staticmethod
    def _read(stream, lines) -> None:
        for text in stream:
            lines.put(json.loads(text))
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


WIRE = ("spot/__init__", "spot/port", "spot/codes", "spot/wire/__init__", "spot/wire/cbor", "spot/wire/fields",
        "spot/wire/profile")
LMS = ("spot/__init__", "spot/port", "spot/wire/__init__", "spot/wire/lms")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
