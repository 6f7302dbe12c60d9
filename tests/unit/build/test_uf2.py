"""UF2 files say where each octet goes, as the boot ROM reads them."""

import struct

import pytest

from spot_host import uf2


def read(octets):
    """{flash offset: octet} and {family}, by the format's own description."""
    flash, families, count = {}, set(), len(octets) // 512
    for number in range(count):
        block = octets[512 * number : 512 * (number + 1)]
        first, second, flags, address, size, index, total, family = struct.unpack("<8I", block[:32])
        assert (first, second, block[-4:]) == (0x0A324655, 0x9E5D5157, bytes.fromhex("306fb10a"))
        assert (flags, size, index, total) == (0x2000, 256, number, count)
        families.add(family)
        flash.update({address - 0x10000000 + i: octet for i, octet in enumerate(block[32 : 32 + size])})
    return flash, families


@pytest.mark.parametrize("mcu, family", [("rp2040", 0xE48BFF56), ("rp2350", 0xE48BFF59)])
@pytest.mark.parametrize("length", [1, 256, 257, 5000])
def test_every_octet_goes_to_its_place(mcu, family, length):
    image = bytes(i % 251 for i in range(length))
    packed = uf2.pack(image, mcu, at=4096)
    assert len(packed) % 512 == 0
    flash, families = read(packed)
    assert families == {family}
    assert bytes(flash[4096 + i] for i in range(length)) == image
    assert min(flash) == 4096 and set(map(flash.get, range(4096 + length, max(flash) + 1))) <= {0xFF}


def test_a_chip_whose_boot_rom_takes_none_is_refused():
    with pytest.raises(KeyError):
        uf2.pack(b"x", "esp32")
