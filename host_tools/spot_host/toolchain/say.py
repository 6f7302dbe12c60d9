"""What the set-up tells the person: short, calm lines, a moving one only on a terminal."""

import os
import sys

_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
_open = False


def colour(code: str, text: str, stream=sys.stderr) -> str:
    """`text` in an ANSI colour when `stream` is a terminal and NO_COLOR is not set."""
    if stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb":
        return f"\x1b[{code}m{text}\x1b[0m"
    return text


def line(text: str) -> None:
    """One finished line."""
    global _open
    if _open:
        sys.stderr.write("\r\x1b[K")
        _open = False
    print(text, file=sys.stderr, flush=True)


def progress(text: str) -> None:
    """A line that the next one overwrites; nothing at all where the output is not a terminal."""
    global _open
    if _terminal:
        sys.stderr.write("\r\x1b[K" + text[: _columns() - 1])
        sys.stderr.flush()
        _open = True


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80


def size(n: int) -> str:
    """Bytes for people: 11.5 MB."""
    return f"{n / 1e6:.1f} MB" if n >= 100_000 else f"{n / 1e3:.0f} kB"
