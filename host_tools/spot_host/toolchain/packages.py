"""Single archives from the Python and npm registries, pinned by checksum, through their ordinary clients."""

import hashlib
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

from spot_host.errors import SetupError

from . import cache, paths, run, say

# Run in the virtual environment: the index is the one that pip itself is set to use.
_UNEARTH = """
import subprocess, sys
from pip._internal.models.index import PyPI
from unearth import PackageFinder
name, version, folder = sys.argv[1:]
def setting(key):
    got = subprocess.run([sys.executable, "-m", "pip", "config", "get", key], capture_output=True, text=True)
    return got.stdout.split() if not got.returncode else []
indexes = setting("global.index-url") or [PyPI.simple_url]
finder = PackageFinder(index_urls=indexes, find_links=setting("global.find-links"), ignore_compatibility=False,
                       no_binary=[":all:"])
best = finder.find_best_match(f"{name}=={version}").best
if best is None:
    sys.exit(f"ERROR: no sdist of {name} {version} in the package index (or: Network is unreachable)")
import pathlib
print("FILE", finder.download_and_unpack(best.link, pathlib.Path(folder) / "unpacked", pathlib.Path(folder)))
"""

_SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def fetch_python(name: str, version: str, sha256: str, kind: str = "sdist") -> Path:
    """The archive of a Python package, without installing or building it; kept in the cache.

    `kind` is "sdist" or "wheel". Needs the virtual environment (unearth is in the lock). Raises SetupError.
    """
    folder = paths.cache_dir() / "packages" / f"{name}-{version}-{sha256[:12]}"
    with cache.locked("packages"):
        if not folder.is_dir():

            def build(work):
                say.progress(f"downloading {name} {version}")
                if kind == "wheel":
                    command = ["-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps",
                               "--only-binary=:all:", "-d", work, f"{name}=={version}"]
                else:
                    command = ["-c", _UNEARTH, name, version, work]
                run.check([paths.VENV_PYTHON, *command], f"downloading {name} {version}")
                shutil.rmtree(work / "unpacked", ignore_errors=True)
                (archive,) = work.iterdir()
                _verify(archive, "sha256", sha256)

            cache.publish(folder, build)
            say.line(f"fetched {name} {version}")
    (archive,) = folder.iterdir()
    return archive


def fetch_npm(name: str, version: str, sha256: str, dest: Path) -> Path:
    """Unpack the npm package into `dest` (without dependencies or scripts); kept in the cache. Needs npm."""
    folder = paths.cache_dir() / "packages" / f"{name.replace('/', '+')}-{version}-{sha256[:12]}"
    with cache.locked("packages"):
        if not folder.is_dir():
            if not shutil.which("npm"):
                raise SetupError(f"downloading {name}: no npm here; install Node.js 18 or later")

            def build(work):
                say.progress(f"downloading {name} {version}")
                env = {}
                if "NODE_EXTRA_CA_CERTS" not in os.environ and _SYSTEM_CERTIFICATES.exists():
                    env["NODE_EXTRA_CA_CERTS"] = str(_SYSTEM_CERTIFICATES)  # as pip and apt do, beside Node's own
                run.check(["npm", "pack", f"{name}@{version}", "--ignore-scripts", "--loglevel=error"],
                          f"downloading {name} {version}", cwd=work, env=env)
                (archive,) = work.iterdir()
                _verify(archive, "sha256", sha256)

            cache.publish(folder, build)
            say.line(f"fetched {name} {version}")
        (archive,) = folder.iterdir()
        return cache.publish(dest, lambda work: unpack(archive, work))


def _verify(archive: Path, kind: str, expected: str) -> None:
    got = hashlib.new(kind, archive.read_bytes()).hexdigest()
    if got != expected:
        raise SetupError(f"{archive.name} has another checksum than expected and was thrown away ({kind} {got})")


def unpack(archive: Path, dest: Path) -> None:
    """Unpack a tar or wheel into `dest`, without its single top folder; nothing may leave `dest`."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as handle:
            handle.extractall(dest)
        return
    with tarfile.open(archive) as handle:
        members = []
        for member in handle.getmembers():
            head, _, rest = member.name.lstrip("./").partition("/")
            if not rest or os.path.isabs(rest) or ".." in rest.split("/") or not (member.isfile() or member.isdir()):
                continue
            member.name = rest
            members.append(member)
        handle.extractall(dest, members)


def write_json(path: Path, value) -> None:
    """A small JSON file, whole or not at all."""
    cache.write_atomic(path, json.dumps(value, indent=1, sort_keys=True) + "\n")
