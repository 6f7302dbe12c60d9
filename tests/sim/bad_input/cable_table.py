"""What is typed, given or plugged in wrong at the cable, once: the line, the exit code, and what is left behind.

tests/unit/flash/test_bad_input.py runs HERE, where no board is needed, tests/unix/flash/test_bad_input.py runs BOARD
with a fake one; both compare what is there afterwards with what was there before.
"""

import re
import shutil
from dataclasses import dataclass, field

from spot_host.device_files import Order
from spot_host.home_folder import HomeFolder
from spot_host.provision import outfit
from spot_host.toolchain.paths import ROOT
from tests.unix.flash import tiny

EUI = "0200000000000001"
OTHER = "0200000000000002"
NOTHING = "not touched"
BEFORE = "as before"


@dataclass
class Typed:
    """what: the sentence; command: as it is typed in the desk's folder, PORT,
          PTY for the port; line: the first line of
    what is printed, by Desk.short; code: the exit code; left: the board afterwards; spoil(desk): done before; more:
    words of the lines that follow, the way out; ports: how many boards are plugged in.

    pretend: of the fake board (tests/unix/flash/fake_repl.py); own: what its own image says of itself, None: a stock
    one; cut: octets from the host after which the cable is pulled; flashed: it has release "one" and the
    configuration, and is to get release "two".
    """

    what: str
    command: str
    line: str
    code: int
    left: str = NOTHING
    spoil: object = None
    more: tuple = ()
    ports: int = 0
    wired: bool = False
    pretend: dict = field(default_factory=dict)
    own: dict | None = None
    cut: int | None = None
    flashed: bool = False


class Desk:
    """A folder with a house, the device's exported folder `device`, and a release `unix.spotfw`. Made once,
          then copied
    (`copy`), since keys take their time."""

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    def make(cls, folder):
        house = HomeFolder.create(folder / "house", "127.0.0.1", 8883, "home")
        for eui in (EUI, OTHER):
            house.provision(Order(eui, "unix"))
        outfit.export(house, EUI, folder / "device")
        outfit.export(house, OTHER, folder / "other")
        (folder / "unix.spotfw").write_bytes(tiny.release("1.2", 7))
        (folder / "text").write_text("hello world\n" * 100)
        (folder / "folder").mkdir()
        return cls(folder)

    def copy(self, folder):
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        for path in folder.glob("house/devices/*/config.json"):
            path.write_text(path.read_text().replace(str(self.folder), str(folder)))
        return Desk(folder)

    def change(self, name, old, new):
        """Other octets in a file."""
        path = self.folder / name
        octets = path.read_bytes()
        assert octets.count(old) >= 1
        path.write_bytes(octets.replace(old, new))

    def cut(self, name, n):
        path = self.folder / name
        path.write_bytes(path.read_bytes()[:n])

    def copied(self, old, new):
        shutil.copyfile(self.folder / old, self.folder / new)

    def short(self, text, **names):
        """`text` without the names of this place."""
        for name, real in names.items():
            text = text.replace(real, name)
        text = text.replace(f"{self.folder}/", "").replace(f"{ROOT}/", "")
        return re.sub(r"usermod -aG \S+", "usermod -aG GROUP", text).removeprefix("spot: ")


def _write(name, octets):
    return lambda desk: (desk.folder / name).write_bytes(octets)


def _large(desk):
    with open(desk.folder / "large", "wb") as file:
        file.truncate(1 << 30)


def _bit(desk):
    path = desk.folder / "unix.spotfw"
    octets = bytearray(path.read_bytes())
    octets[5000] ^= 1
    path.write_bytes(octets)


def _release(**more):
    return lambda desk: (desk.folder / "unix.spotfw").write_bytes(tiny.release("1.2", 7, **more))


_UNIX = "flash --board unix --port socket://127.0.0.1:1 "  # where nothing is: what is wrong here is found before

PORTS = (
    Typed("no board is plugged in", "flash --board pico",
          "no board found on USB: plug one in (a cable that carries data), or name it with --port", 4),
    Typed("two boards are plugged in, none is named", "flash --board pico",
          "2 boards are plugged in; name one with --port:", 4, ports=2,
          more=("/dev/ttyACM0", "/dev/ttyACM1")),
    Typed("two boards, at any other command", "wipe --yes", "2 boards are plugged in; name one with --port:", 4,
          ports=2, more=("/dev/ttyACM0", "/dev/ttyACM1")),
    Typed("a port that is not there", "flash --board pico --port /dev/ttyACM77",
          "/dev/ttyACM77: no such port; there are:", 4, ports=1,
          more=("/dev/ttyACM0",)),
    Typed("a port that is a file", "flash --board pico --port text", "text: is no serial port", 4),
    Typed("a port that is a folder", "flash --board pico --port folder", "folder: cannot be opened: Is a directory",
          4),
    Typed("a port of a kind that does not exist", "flash --board pico --port tcp://board",
          "tcp://board: no such kind of port: invalid URL, protocol 'tcp' not known", 4),
    Typed("a network port where nothing is", "flash --board pico --port socket://127.0.0.1:1",
          "socket://127.0.0.1:1: cannot be opened: nothing is there, or another program has it", 4),
    Typed("another program has the port", "flash --board pico --port PTY",
          "PTY: busy: end what uses it (a terminal, `spot slipmux`) and try again", 4),
    Typed("no permission for the port", "flash --board pico --port PTY",
          "PTY: no permission: `sudo usermod -aG GROUP $USER`, then log in again", 4),
    Typed("a plug that may be on the mains", "flash --board pico_w_plug --port PTY",
          "pico_w_plug is not isolated from the mains: a cable to it can kill. Unplug it from the mains, then "
          "--mains-off", 2, wired=True),
    Typed("a cable, and no word of which board is on it", "console --port PTY",
          "--board: say which board is on the cable: most plugs carry the mains on their serial pins; or --mains-off",
          2, wired=True),
    Typed("a board that is the simulator's", "flash --board sim",
          "--board: sim is the simulator's; nothing can be flashed", 2),
)

FILES = (
    Typed("a configuration that is not there", _UNIX + "--config nothing",
          "--config: nothing is not there: `spot emd enroll` or `spot provision` makes it", 2),
    Typed("a folder without one", _UNIX + "--config folder",
          "--config: folder/config.json is not there: `spot emd enroll` or `spot provision` makes it", 2),
    Typed("config.json that is a list", _UNIX + "--config device", "device/config.json: is not a JSON object", 2,
          spoil=_write("device/config.json", b"[]")),
    Typed("config.json that was torn", _UNIX + "--config device", "device/config.json: is not JSON: torn or mistyped",
          2,
          spoil=lambda desk: desk.cut("device/config.json", 100)),
    Typed("a file of 1 GB", _UNIX + "--config large", "large: is no configuration: it has over 1048576 octets", 2,
          spoil=_large),
    Typed("a configuration for another board", "flash --board pico --port socket://127.0.0.1:1 --config device",
          "device/config.json: board: it is made for 'unix', and --board says 'pico'",
          2),
    Typed("a field that nobody knows", _UNIX + "--config device",
          "device/config.json: lug: must be left out: it is none of agent, associations, board, boards, coap, "
          "device, eui64, log, model, mqtt, parts, slots, store, update, watchdog, wifi", 2,
          spoil=lambda desk: desk.change("device/config.json", b'"log"', b'"lug"')),
    Typed("a device's folder as it lies in its house", _UNIX + f"--config house/devices/{EUI}",
          "house/devices/0200000000000001/config.json: store: house/devices/0200000000000001/store is a folder of "
          "this computer: enrol it for a chip's board", 2),
    Typed("another device's key", _UNIX + "--config device",
          "device/config.json: mqtt.key: must be the key of cert.der: key.der does not match it", 2,
          spoil=lambda desk: desk.copied("other/key.der", "device/key.der")),
    Typed("a certificate that was torn", _UNIX + "--config device",
          "device/config.json: mqtt.cert: must be a certificate in DER or PEM: cert.der is none", 2,
          spoil=lambda desk: desk.cut("device/cert.der", 100)),
    Typed("a key that is not there", _UNIX + "--config device",
          "device/config.json: mqtt.key: must be a file that is there: key.der is not", 2,
          spoil=lambda desk: (desk.folder / "device/key.der").unlink()),
    Typed("a house that is not there", _UNIX + "--home nothing",
          "nothing: no home here; `spot provision init nothing` makes one (so does `spot emd init`)", 2),
    Typed("a network's name and password that are not there", _UNIX + "--home house --wifi nothing",
          "nothing: cannot be read: No such file or directory", 2),
    Typed("a release that is not there", _UNIX + "--release nothing", "nothing: No such file or directory", 2),
    Typed("a release that is a folder", _UNIX + "--release folder", "folder: Is a directory", 2),
    Typed("a release of 0 octets", _UNIX + "--release empty", "empty: no release: it is empty", 2,
          spoil=_write("empty", b"")),
    Typed("a release that is a text", _UNIX + "--release text", "text: no release: it does not begin like one", 2),
    Typed("a release of 1 GB", _UNIX + "--release large", "large: no release: it has over 4194304 octets", 2,
          spoil=_large),
    Typed("a release that was cut", _UNIX + "--release unix.spotfw",
          "unix.spotfw: no release: the file was cut, or is damaged: no CBOR", 2,
          spoil=lambda desk: desk.cut("unix.spotfw", 9000)),
    Typed("a release with one bit of its image turned over", _UNIX + "--release unix.spotfw",
          "unix.spotfw: no release: the image is not the one that its manifest names", 2, spoil=_bit),
    Typed("another board's release", _UNIX + "--release unix.spotfw",
          "unix.spotfw: the release is for pico, not for unix; nothing was written", 3, spoil=_release(board="pico")),
    Typed("a base image that is not there", _UNIX + "--base nothing",
          "--base: nothing: no such file; nothing was written", 3),
    Typed("a base image of the wrong kind", "flash --board pico --port socket://127.0.0.1:1 --base text",
          "--base: text: for rp2040 it is a file .uf2 or .bin or .elf; nothing was written", 3),
    Typed("a backup that is there already", "backup text --port socket://127.0.0.1:1",
          "text is there already: a backup is never written over", 2),
    Typed("a backup into a folder that is not there", "backup nothing/b.tar.gz --port socket://127.0.0.1:1",
          "nothing/b.tar.gz: cannot be written: its folder is not there", 2),
    Typed("a text to restore", "restore text --port socket://127.0.0.1:1",
          "text: no backup of `spot backup`, or a damaged one: not a gzip file", 2),
)

HERE = PORTS + FILES

_PICO = {"platform": "rp2", "machine": "Raspberry Pi Pico with RP2040", "mpy": 6 | 3 << 8 | 4 << 10}
_ESP32 = {"platform": "esp32", "machine": "Generic ESP32 module with ESP32", "mpy": 6 | 3 << 8 | 10 << 10}
_DEVICE = "flash --board unix --port PORT --config device --wait 0"
_THERE = "flash --board unix --port PORT --release unix.spotfw --wait 0"

BOARD = (
    Typed("another chip", "flash --board pico --port PORT",
          "PORT: this is Generic ESP32 module with ESP32 (esp32), and pico is made for rp2040: take another "
          "--board; nothing was written", 3, BEFORE, pretend=_ESP32),
    Typed("a Pico in place of a Pico W", "flash --board pico_w_plug --port PORT",
          "PORT: Raspberry Pi Pico with RP2040 has no Wi-Fi, or an image without it, and pico_w_plug needs it; "
          "nothing was written.", 3, BEFORE, pretend=_PICO,
          more=("picotool",)),
    Typed("our own image, of another board", "flash --board pico --port PORT",
          "PORT: its image is the one of pico_w_plug, not of pico: take another --board, or another image; "
          "nothing was written.", 3, BEFORE, pretend=_PICO,
          own={"board": "pico_w_plug"}, more=("picotool",)),
    Typed("a MicroPython that is too old", "flash --board pico --port PORT",
          "PORT: MicroPython 1.24.1 is too old, pico wants 1.25 or later; nothing was written.", 3, BEFORE,
          pretend={**_PICO, "version": (1, 24, 1, "")}, more=("picotool", "BOOTSEL")),
    Typed("one that is too old, on an ESP32", "flash --board esp32_plug --port PORT",
          "PORT: MicroPython 1.20.0 is too old, esp32_plug wants 1.25 or later; nothing was written.", 3, BEFORE,
          pretend={**_ESP32, "version": (1, 20, 0, "")}, more=("esptool --chip esp32",)),
    Typed("another version of .mpy files", "flash --board pico --port PORT",
          "PORT: this MicroPython takes .mpy files of version 6.2, and 6.3 is what is built here; nothing was "
          "written.", 3, BEFORE,
          pretend={**_PICO, "mpy": 6 | 2 << 8 | 4 << 10}, more=("picotool",)),
    Typed("another architecture of .mpy files", "flash --board pico --port PORT",
          "PORT: .mpy files for armv6m (boards/pico) do not run on a board for armv7emsp; nothing was written", 3,
          BEFORE,
          pretend={**_PICO, "mpy": 6 | 3 << 8 | 7 << 10}),
    Typed("a base image that is too old", "flash --board pico --port PORT",
          "PORT: base image 0 is too old, pico wants 1; nothing was written.", 3, BEFORE, pretend=_PICO,
          own={"board": "pico", "base": 0}, more=("picotool",)),
    Typed("no space on a stock image", _DEVICE,
          "PORT: no space: 45,056 octets are needed, 8,192 are free on the board; `spot wipe --all` empties it", 3,
          BEFORE, pretend={
          "free": 8192}),
    Typed("flash that is full in the middle", _DEVICE,
          "PORT: the board says OSError: 28, its flash is full; the board starts as before", 5,
          "starts the firmware that it had",
          pretend={"full_at": "__init__.py"}, flashed=True),
    Typed("the cable is pulled while files are copied", _DEVICE,
          "PORT: the board does not answer any more: read failed: socket disconnected; the board starts as "
          "before. `spot flash` goes on where it was", 5, "starts the firmware that it had", cut=3500,
          flashed=True),
    Typed("the cable is pulled while a release is written", _DEVICE,
          "PORT: the board does not answer any more: read failed: socket disconnected; the board starts as "
          "before. `spot flash` goes on where it was", 5, "starts the release that it had", own={},
          cut=30000, flashed=True),
    Typed("the board is another device", "flash --board unix --port PORT --config other --wait 0",
          "PORT: this board is device 0200000000000001, and the configuration is that of 0200000000000002: `spot "
          "wipe` first, if it is to become that; nothing was written", 3, BEFORE,
          flashed=True),
    Typed("a release for a stock image", _THERE,
          "PORT: a stock image has no slots for a release: leave --release out, or put our own image there with "
          "--base; nothing was written", 3, BEFORE),
    Typed("a release for another architecture", _THERE,
          "PORT: the release is compiled for armv6m, and this board runs x64; nothing was written", 3, BEFORE, own={},
          spoil=_release(march=
          "armv6m")),
    Typed("a release for a newer base image", _THERE,
          "PORT: the release wants base image 9, this board has 1; nothing was written", 3, BEFORE, own={},
          spoil=_release(base=9)),
    Typed("a release that is larger than a slot", _THERE,
          "PORT: no space: the release has 84,078 octets, a slot of this board 65,536", 3, BEFORE, own={},
          spoil=_release(octets=80000),
          flashed=True),
)
