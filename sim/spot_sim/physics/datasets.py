"""Finds the data files inside the installed packages hplib and demandlib, without importing them (pandas alone takes
seconds).
"""

from importlib.util import find_spec
from pathlib import Path


class DatasetError(Exception):
    """A data set is not there, or not as expected."""


def path(package, *parts):
    """Path of a data file of `package`. Raises DatasetError when the package or the file is missing."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError(f"the Python package {package} is not installed: make setup")
    file = Path(spec.submodule_search_locations[0], *parts)
    if not file.is_file():
        raise DatasetError(f"{package} is installed but has no {'/'.join(parts)}: another version than the pinned one?")
    return file
