"""Where things are: the checkout, its `.venv` and `.toolchain`, and the user's cache."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
PYPROJECT = ROOT / "pyproject.toml"


def toolchain_dir() -> Path:
    """`.toolchain` of this checkout; SPOT_TOOLCHAIN names another one."""
    return Path(os.environ.get("SPOT_TOOLCHAIN") or ROOT / ".toolchain")


def cache_dir() -> Path:
    """The user's cache: SPOT_CACHE, else $XDG_CACHE_HOME/spot, else ~/.cache/spot."""
    named = os.environ.get("SPOT_CACHE")
    if named:
        return Path(named).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spot"


def short(path) -> str:
    """A path for people: relative to the checkout, or with ~ for the home directory."""
    path = Path(path)
    try:
        return str(path.relative_to(ROOT))
    except ValueError:
        pass
    try:
        return "~/" + str(path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)
