"""Ports for servers that want their number told, free for UDP and TCP, and never the same on two test workers."""

import itertools
import os
import socket
import zlib

_FIRST, _LAST, _SHARE = 20_000, 32_000, 1_000  # below the system's ephemeral ports, which clients get
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_turns = itertools.count()


def _free(port) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT does not matter to servers
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free(n=1) -> int:
    """The first of n ports in a row that nobody uses, on UDP or TCP.

    A share of the range belongs to the worker, and where it begins is drawn from the run's own name, so that neither
    two workers nor two checkouts on a machine are likely to meet.
    """
    run = zlib.crc32(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())).encode())
    shares = (_LAST - _FIRST) // _SHARE
    base = _FIRST + (run + _worker) % shares * _SHARE
    for _ in range(_SHARE // n):
        port = base + next(_turns) * n % (_SHARE - n)
        if all(_free(port + i) for i in range(n)):
            return port
    raise OSError(f"no {n} free ports in a row from {base} on")
