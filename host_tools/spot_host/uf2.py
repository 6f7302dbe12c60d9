"""UF2: an image as the drive of a chip's boot ROM takes it (hold BOOTSEL while the cable goes in), without any tool.

Blocks of 512 octets, each with where its 256 octets go (github.com/microsoft/uf2; data sheets of RP2040 and RP2350).
"""

import struct

_FLASH = 0x10000000
_FAMILIES = {"rp2040": 0xE48BFF56, "rp2350": 0xE48BFF59}  # rp2350: its Arm cores, secure
_FAMILY_PRESENT = 0x2000
_PAYLOAD = 256


def pack(image: bytes, mcu: str, at: int = 0) -> bytes:
    """`image` for flash offset `at` (a multiple of 256) of an `mcu` as .uf2. KeyError where its boot ROM takes none."""
    family = _FAMILIES[mcu]
    blocks = range(0, len(image), _PAYLOAD)
    return b"".join(
        struct.pack("<8I476sI", 0x0A324655, 0x9E5D5157, _FAMILY_PRESENT, _FLASH + at + begin, _PAYLOAD, number,
                    len(blocks), family, image[begin : begin + _PAYLOAD].ljust(_PAYLOAD, b"\xff"), 0x0AB16F30)
        for number, begin in enumerate(blocks))
