"""Debian packages without root: a private apt state, signatures checked by apt, unpacked into a folder.

The mirror and its keyring are the ones that the system's own apt uses; only the suite may be another one.
"""

import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spot_host.errors import SetupError

from . import cache, paths, run, say

_RECIPE = 1  # part of every cache key: raise it when what is kept of a package changes
_LISTS_FRESH_S = 24 * 3600
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_BASE_LIBRARIES = {"zlib1g"}  # libraries whose names do not begin with lib


def available() -> str | None:
    """None where Debian packages can be fetched here, else the reason in a few words."""
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            return f"no {tool} here"
    try:
        mirror()
    except SetupError as exc:
        return str(exc)
    return None


def architecture() -> str:
    """dpkg's name of this machine: amd64, arm64 …"""
    return run.check(["dpkg", "--print-architecture"], "reading the architecture").strip()


def mirror(etc: Path = Path("/etc/apt")) -> tuple[str, str]:
    """The (URI, keyring) of the Debian mirror in the system's own sources, one-line or deb822.

    Raises SetupError where there is none: another distribution, or sources without a Debian archive.
    """
    for uri, suite, keyring in _sources(etc):
        path = urlsplit(uri).path.rstrip("/")
        if not path.endswith("debian") or "-security" in suite or "snapshot" in uri:
            continue
        if keyring and os.access(keyring, os.R_OK):
            return uri.rstrip("/"), keyring
        if _KEYRING.exists():
            return uri.rstrip("/"), str(_KEYRING)
    raise SetupError("no Debian mirror in /etc/apt/sources.list or sources.list.d")


def _sources(etc: Path):
    """Yield (URI, suite, keyring or None) of every enabled binary source, in apt's own order."""
    files = [etc / "sources.list"]
    directory = etc / "sources.list.d"
    if directory.is_dir():
        files += sorted(directory.iterdir())
    for file in files:
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        if file.suffix == ".sources":
            yield from _deb822(text)
        elif file.suffix == ".list":
            yield from _one_line(text)


def _one_line(text: str):
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)", line)
        if found:
            options = dict(part.split("=", 1) for part in (found[1] or "").split() if "=" in part)
            yield found[2], found[3], options.get("signed-by")


def _deb822(text: str):
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", text):
        fields = {}
        name = None
        for line in stanza.splitlines():
            if line[:1] in " \t" and name:
                fields[name] += "\n" + line
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").strip() == "no":
            continue
        keyring = fields.get("signed-by", "").strip()
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, keyring if keyring.startswith("/") else None


class _Apt:
    """apt-get with its state, lists and sources in the user's cache; the system's are only read."""

    def __init__(self, suite: str, source: bool):
        self.uri, keyring = mirror()
        self.host = urlsplit(self.uri).netloc or self.uri
        self.suite = suite
        key = hashlib.sha256(f"{self.uri} {suite} {source}".encode()).hexdigest()[:12]
        self.state = paths.cache_dir() / "apt" / f"{suite}-{key}"
        self.debs = paths.cache_dir() / "debs"
        with cache.explained():
            for name in ("lists/partial", "cache/archives/partial"):
                (self.state / name).mkdir(parents=True, exist_ok=True)
            self.debs.mkdir(parents=True, exist_ok=True)
            (self.state / "status").write_text("")
            kinds = ["deb", "deb-src"] if source else ["deb"]
            (self.state / "sources.list").write_text(
                "".join(f"{kind} [signed-by={keyring}] {self.uri} {suite} main\n" for kind in kinds)
            )
        settings = {
            "Dir::State": self.state,
            "Dir::State::lists": self.state / "lists",
            "Dir::State::status": self.state / "status",
            "Dir::Cache": self.state / "cache",
            "Dir::Etc::sourcelist": self.state / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "APT::Install-Recommends": "0",
            "APT::Architecture": architecture(),
            "APT::Architectures": architecture(),
            "APT::Get::AllowUnauthenticated": "0",
            "Acquire::AllowInsecureRepositories": "0",
        }
        if os.geteuid() == 0:
            settings["APT::Sandbox::User"] = "root"  # _apt may not enter root's own cache
        self.options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]

    def get(self, *arguments, what: str, cwd=None, on_line=None) -> str:
        return run.check(["apt-get", *self.options, "-q", *arguments], what, cwd=cwd or self.state, on_line=on_line)

    def update(self, force: bool = False) -> None:
        """Fetch the suite's package list, unless a fresh one is here. apt checks its signature."""
        stamp = self.state / "updated"
        if not force and stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_FRESH_S:
            return
        say.progress(f"reading the package list of {self.suite} from {self.host} (about 10 MB)")
        partial = self.state / "lists" / "partial"
        try:
            self.get("update", "-o", "APT::Update::Error-Mode=any",
                     what=f"reading {self.host}'s package list of {self.suite}")
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)  # half a list would keep a full disk full
            raise
        with cache.explained():
            stamp.touch()

    def closure(self, packages) -> list[str]:
        """`packages` and every library they need, as exact `name=version`, from an empty system."""
        uris = self.get("-y", "--print-uris", "install", *packages, what=f"looking up {' '.join(packages)}")
        chosen = []
        for file in re.findall(r"^'[^']+' (\S+_\S+\.deb) \d+ ", uris, re.M):
            name, version, _ = unquote(file).split("_", 2)
            if name in packages or name.startswith("lib") or name in _BASE_LIBRARIES:
                chosen.append(f"{name}={version}")
        return sorted(chosen)

    def candidates(self, packages) -> list[str]:
        """The `name=version` of each package as the suite has it."""
        text = run.check(["apt-cache", *self.options, "show", "--no-all-versions", *packages], "looking up packages")
        found = dict(re.findall(r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)", text, re.M))
        missing = [name for name in packages if name not in found]
        if missing:
            raise SetupError(f"{self.suite} on {self.host} has no package {' '.join(missing)}")
        return [f"{name}={found[name]}" for name in packages]

    def download(self, wanted: list[str]) -> list[Path]:
        """The .deb files of `name=version` packages, from the cache or the mirror (checked by apt)."""
        files = {item: self.debs / "_".join(item.replace(":", "%3a").split("=", 1)) for item in wanted}
        missing = [item for item in wanted if not list(files[item].parent.glob(files[item].name + "_*.deb"))]
        if missing:
            count = 0

            def on_line(text):
                nonlocal count
                found = re.match(r"Get:\d+ \S+ \S+ \S+ (\S+) .*\[(.*)\]", text)
                if found:
                    count += 1
                    say.progress(f"  {count} of {len(missing)}: {found[1]}, {found[2]}")

            with cache.workspace(self.debs, "download") as work:
                what = f"downloading {wanted[0].split('=')[0]} and what it needs from {self.host}"
                self.get("download", *missing, what=what, cwd=work, on_line=on_line)
                for file in work.glob("*.deb"):
                    file.rename(self.debs / file.name)
        return [next(path.parent.glob(path.name + "_*.deb")) for path in files.values()]


def fetch(packages, suite: str, dest: Path, source: bool = False, closure: bool = False) -> Path:
    """Put Debian packages of `suite` into the directory `dest`, whole or not at all, and return it.

    Binary packages are unpacked there (`dest/usr/…`), with `closure` also every library they need down to
    libc, so that the program starts through `dest`'s own loader. With `source` the source packages of these
    names are downloaded instead, as files (`.dsc` and archives). `dest/packages.json` lists name → version.
    Kept in the user's cache by suite, architecture and names: a second call needs no network.

    Raises SetupError (one line) where the platform has no apt, without network, on a full disk.
    """
    packages = sorted(packages)
    reason = available()
    if reason:
        raise SetupError(f"cannot fetch {' '.join(packages)}: {reason}")
    arch = architecture()
    key = hashlib.sha256(f"{_RECIPE} {suite} {arch} {packages} {source} {closure}".encode()).hexdigest()[:12]
    label = f"{packages[0]}-{suite}-{arch}-{'src-' if source else ''}{key}"
    tree = paths.cache_dir() / "debian" / label
    with cache.locked("debian"):
        if not (tree / "packages.json").exists():
            apt = _Apt(suite, source)
            names = " ".join(packages[:3]) + (f" and {len(packages) - 3} more" if len(packages) > 3 else "")
            say.line(f"fetching {names} (Debian {suite}, {apt.host})")
            cache.publish(tree, lambda work: _build(apt, packages, work, source, closure))
            say.line(f"  {names}: done")
        if dest.resolve() != tree.resolve():
            cache.publish(dest, lambda work: cache.copy_tree(tree, work))
    return dest


def _build(apt: _Apt, packages, work: Path, source: bool, closure: bool) -> None:
    apt.update()
    if source:
        say.progress(f"downloading the sources of {' '.join(packages)}")
        apt.get("source", "--download-only", *packages, what=f"downloading {' '.join(packages)}", cwd=work)
        versions = {file.name.split("_")[0]: file.name.split("_")[1][:-4] for file in work.glob("*.dsc")}
    else:
        choose = apt.closure if closure else apt.candidates
        try:
            wanted = choose(packages)
            files = apt.download(wanted)
        except SetupError:
            apt.update(force=True)  # the mirror moved on since the list was read
            wanted = choose(packages)
            files = apt.download(wanted)
        for file in files:
            say.progress(f"unpacking {file.name}")
            run.check(["dpkg-deb", "-x", file, work], f"unpacking {file.name}")
        for useless in ("usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/locale"):
            shutil.rmtree(work / useless, ignore_errors=True)
        versions = dict(item.split("=", 1) for item in wanted)
    (work / "packages.json").write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


def loader(tree: Path) -> Path:
    """The dynamic loader inside an unpacked `tree` that holds libc6."""
    for pattern in ("usr/lib64/ld-linux-*", "usr/lib/ld-linux-*", "lib64/ld-linux-*", "lib/ld-linux-*",
                    "usr/lib/*/ld-linux-*"):
        for path in sorted(tree.glob(pattern)):
            return path
    raise SetupError(f"no loader in {paths.short(tree)}")


def wrapper(tree: Path, program: Path, script: Path) -> None:
    """Write `script`, which starts `program` of the unpacked `tree` through the tree's own loader.

    The script finds the tree from its own place, so a checkout may be moved.
    """
    lib = next(path.parent for path in sorted(tree.glob("usr/lib/*/libc.so.6")))
    base = os.path.relpath(tree, script.parent)

    def inside(path):
        return f'"$d/{path.relative_to(tree)}"'

    cache.write_atomic(
        script,
        "#!/bin/sh\n"
        f'd=$(dirname "$(readlink -f "$0")")/{base}\n'
        f"exec {inside(loader(tree))} --argv0 \"$0\" --library-path {inside(lib)} {inside(program)} \"$@\"\n",
        0o755,
    )
