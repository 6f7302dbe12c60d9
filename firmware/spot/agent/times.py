"""Points in time that a state machine waits for."""

from spot.port import const

NEVER = const(0x3FFFFFFF)  # now_s that is never reached: the largest small int of a 32-bit chip
