"""What both sides of a CoAP endpoint need of options: which are understood (RFC 7252, section 5.4), and the arithmetic
of blocks (RFC 7959, section 2.2). A block value is num << 4 | more << 3 | szx, as it stands in the option.
"""

from spot.port import const

# number, least and most octets, 1: may come more than once. Options from 256 on are elective ones of any length here.
_KNOWN = (
    b"\x01\x00\x08\x01"
    b"\x03\x01\xff\x00\x04\x01\x08\x01\x05\x00\x00\x00\x06\x00\x03\x00\x07\x00\x02\x00\x08\x00\xff\x01\x0b\x00\xff\x01"
    b"\x0c\x00\x02\x00\x0e\x00\x04\x00\x0f\x00\xff\x01\x10\x01\x01\x00\x11\x00\x02\x00\x14\x00\xff\x01\x17\x00\x03\x00"
    b"\x1b\x00\x03\x00\x1c\x00\x04\x00\x3c\x00\x04\x00\xfc\x01\x28\x00"
)
_IGNORED = const(0xFFFE)  # elective, and nobody asks for it


def unknown(m):
    """Number of the first critical option that is not understood, or 0; elective ones that are not are hidden.

    Not understood is as well what has a length that it cannot have, and the second of an option that comes once
    (section 5.4.3, 5.4.5).
    """
    before = -1
    for i in range(m.count):
        number = m.numbers[i]
        ok = False
        for at in range(0, len(_KNOWN), 4):
            if _KNOWN[at] == number:
                ok = _KNOWN[at + 1] <= m.lens[i] <= _KNOWN[at + 2] and (number != before or _KNOWN[at + 3])
                break
        before = number
        if not ok:
            if number & 1:
                return number
            if number < 256:
                m.numbers[i] = _IGNORED
    return 0


def offset(block):
    """Offset in the body of a block value; SZX 7 (BERT, RFC 8323, section 6) counts in 1,024 octets, as 6 does."""
    return block >> 4 << min(block & 7, 6) + 4


def block(at, more, szx):
    """The block value of offset `at`."""
    return at >> min(szx, 6) + 4 << 4 | (8 if more else 0) | szx


def fits(value, n, reliable):
    """Whether a block of n octets can have this value (section 2.2: all but the last are full)."""
    size = 16 << min(value & 7, 6)
    if value & 7 == 7:
        return reliable and (not value & 8 or n and n % size == 0)
    return n == size if value & 8 else n <= size


def segments(m, number, separator):
    """The values of all options of that number, joined: b"a/b"."""
    return separator.join([m.octets(i) for i in range(m.count) if m.numbers[i] == number])
