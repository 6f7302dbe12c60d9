"""The firmware of simulated devices: two slots in a device's file system, and releases for them.

What a simulated device runs is this process's `spot`, whatever its active slot holds. Of the release in that slot it
takes what a device says of it (sequence, version, board), and how it behaves: a release can be one that never gets
onto its link, or one that does not live for a minute.

    first = release("sim", 1, "1.0.0", sign=sign)
    equip(device, first, [key])                       # before it boots: runs it, and trusts that key
    bad = release("sim", 2, "1.1.0", SILENT, sign=sign)
"""

import json

from spot.boot import choose
from spot.slots import IMAGE, SECTOR, Slots
from spot.store import Store
from spot_host import suit
from spot_sim.rom import Region

GOOD, SILENT, DYING = "good", "silent", "dying"  # it works; it never connects; it does not live for long
_DYING_S = 20


def image(board, sequence, version, behaviour=GOOD, octets=6000, keys=(), base=1):
    """The image of a release for simulated devices of `board`, `octets` long. keys: hex, those that sign the next."""
    said = {
        "sequence": sequence, "version": version, "board": board, "base": base, "keys": list(keys),
        "vendor": suit.VENDOR.hex, "class": suit.class_id(board).hex, "behaviour": behaviour,
    }
    text = json.dumps(said).encode() + b"\n"
    filler = bytes((7 * i + sequence) & 255 for i in range(256))
    return (text + filler * (octets // 256 + 1))[: max(octets, len(text))]


def release(board, sequence, version, behaviour=GOOD, octets=6000, keys=(), base=1, sign=None):
    """A release of `image`. sign(octets) -> HSS signature; None: one that is not signed."""
    body = image(board, sequence, version, behaviour, octets, keys, base)
    manifest = suit.Manifest.of(
        body, sequence=sequence, version=version, board=board, march="bytecode", base=base
    )
    signature = sign(suit.to_sign(suit.manifest_digest(manifest.encoded()))) if sign else b""
    return suit.write(manifest, body, signature)


def equip(device, octets, keys, rate=4096, size=64 * SECTOR):
    """Give a SimDevice slots of `size` octets and its first release, before it boots. keys: HSS public keys that sign
    its updates; rate: octets a second at which it fetches them."""
    device.firmware = SimFirmware(device.fs, size)
    device.firmware.install(octets)
    device.config["update"] = {"keys": [key.hex() for key in keys], "rate": rate}


class SimFirmware:
    """What a device has of firmware: its slots, which outlive its restarts, and what runs now."""

    def __init__(self, fs, size=64 * SECTOR):
        self.region = Region(fs, size)
        self._fs = fs
        self.active, self.trial, self.running = 2, False, None

    def install(self, octets, slot=0):
        self.region.install(slot, octets, suit.read(octets).head)

    def start(self, folder):
        """As the loader does it, at each start of the device. folder: of its store."""
        store = Store(self._fs, folder)
        self.active, self.trial, n = choose(self.region, store)
        self.running = None
        if n:
            octets = bytearray(n)
            self.region.readinto(self.active * self.region.size + IMAGE, octets)
            self.running = json.loads(bytes(octets).split(b"\n")[0])

    def slots(self, store):
        """What is started, as the firmware sees it. store: the App's."""
        return Slots(self.region, store, self.active, self.trial, self.running)

    @property
    def connects(self):
        """Whether what runs gets onto its link at all."""
        return self.running is None or self.running["behaviour"] != SILENT

    @property
    def lives_s(self):
        """For how long what runs lives; None: as long as it has power."""
        return _DYING_S if self.running is not None and self.running["behaviour"] == DYING else None
