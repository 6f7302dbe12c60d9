"""A file system in memory, os-shaped, for many simulated devices; it can fill up, and power can be cut at any
operation."""

import errno
import io


class PowerCut(BaseException):
    """Power went. A BaseException: no `except OSError` or `except Exception` of the firmware may survive it."""


class MemoryFs:
    """Files in a dict, with `open, rename, remove, listdir, mkdir, stat` as in `os`; paths are keys, directories are
    not kept apart.

    capacity: octets of content it takes (None: no bound), then ENOSPC. replaces: whether `rename` replaces an
    existing file (False: EEXIST, as FAT does). cut_after: number of mutating operations that are let through before
    PowerCut (None: never); `torn` of the octets of the interrupted write get through (None: 0). Content reaches the
    medium with each `write`.
    """

    def __init__(self, capacity=None, replaces=True):
        self.files = {}
        self.capacity = capacity
        self.replaces = replaces
        self.cut_after = None
        self.torn = 0
        self.operations = 0

    def _operate(self):
        """Counts one mutating operation; True when the power goes in this one."""
        self.operations += 1
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        return self.cut_after < 0

    def _used(self):
        return sum(map(len, self.files.values()))

    def open(self, path, mode="rb"):
        """A binary file: modes rb, wb, ab."""
        if mode == "rb":
            if path not in self.files:
                raise OSError(errno.ENOENT, path)
            return io.BytesIO(bytes(self.files[path]))
        if mode not in ("wb", "ab"):
            raise ValueError(mode)
        if mode == "wb" or path not in self.files:
            if self._operate():
                raise PowerCut
            self.files[path] = bytearray()
        return _Writer(self, path)

    def _write(self, path, data):
        if self._operate():
            self.files[path] += bytes(data[: self.torn])
            raise PowerCut
        if self.capacity is not None and self._used() + len(data) > self.capacity:
            self.files[path] += bytes(data[: max(0, self.capacity - self._used())])
            raise OSError(errno.ENOSPC, path)
        self.files[path] += data

    def rename(self, old, new):
        if old not in self.files:
            raise OSError(errno.ENOENT, old)
        if new in self.files and not self.replaces:
            raise OSError(errno.EEXIST, new)
        if self._operate():
            raise PowerCut
        self.files[new] = self.files.pop(old)

    def remove(self, path):
        if path not in self.files:
            raise OSError(errno.ENOENT, path)
        if self._operate():
            raise PowerCut
        del self.files[path]

    def listdir(self, path):
        prefix = path.rstrip("/") + "/"
        return [name[len(prefix):] for name in self.files if name.startswith(prefix) and "/" not in name[len(prefix):]]

    def mkdir(self, path):
        pass

    def stat(self, path):
        if path not in self.files:
            raise OSError(errno.ENOENT, path)
        return (0x8000, 0, 0, 0, 0, 0, len(self.files[path]), 0, 0, 0)


class _Writer:
    def __init__(self, fs, path):
        self._fs = fs
        self._path = path

    def write(self, data):
        self._fs._write(self._path, data)
        return len(data)

    def flush(self):
        pass

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False
