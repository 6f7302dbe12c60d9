"""Points in time that a state machine waits for, and how a number stands in a key."""

from spot.port import const

NEVER = const(0x3FFFFFFF)  # now_s that is never reached: the largest small int of a 32-bit chip


def four(number):
    """`number` in four octets, big endian: as integers stand in the keys of jitter."""
    return bytes((number >> 24 & 0xFF, number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF))
