"""Wait for a socket without touching it: asyncio's streams wait and read in one, and their `read` joins datagrams."""

from ..port import asyncio


def readable(sock):
    """Awaitable: `sock` has something to read, or an error to tell."""
    yield asyncio.core._io_queue.queue_read(sock)


def writable(sock):
    """Awaitable: `sock` takes something, or has an error to tell."""
    yield asyncio.core._io_queue.queue_write(sock)
