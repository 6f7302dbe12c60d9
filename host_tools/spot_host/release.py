"""Releases made and judged: the key that signs them, what `spot release` builds, and who would refuse it."""

from pathlib import Path

from spot_host import signing_key, suit
from spot_host.boards import Board
from spot_host.errors import UserError
from spot_host.signing_key import OneTimeKey, replace

_USE = "releases"
_PACE_S = 7 * 86400  # a leaf at least each week: 1,024 of them are for 19 years
FIRST = 2  # sequence number: 1 is what a cable brings to a new board, and an update must be newer
SOON = 60  # signatures left: time to bring the next key to the devices


def generate(folder: Path, height: int = 10, now: float | None = None) -> "ReleaseKey":
    """A new key for 2^height releases in a new folder. Raises SigningError."""
    signing_key.make(folder, height, _USE, _PACE_S, now)
    key = ReleaseKey(folder)
    replace(key.folder / "public.hex", key.hss.hex().encode() + b"\n", 0o644)
    return key


class ReleaseKey(OneTimeKey):
    """The key in `folder`; `number` is the latest sequence number that it signed. Raises SigningError.

    moved: look at it also where this user does not know it, or knows a later state of it (`adopt`).
    """

    def __init__(self, folder: Path, moved: bool = False):
        super().__init__(folder, _USE, moved)

    @property
    def hss(self) -> bytes:
        """Its public key as devices have it: HSS of one level, 60 octets."""
        return b"\0\0\0\1" + self.public


class BoardFacts:
    """What of a board's description a release depends on. slot_octets: of one slot, the sector with the head included.

    Raises UserError where there is no such board.
    """

    def __init__(self, name: str):
        board = Board.load(name)
        self.name, self.march, self.model = name, board.march, board.model
        self.base, self.slot_octets = board.image.base, board.image.slot_bytes


def build(board: str, version: str, folder: Path | None, sequence: int | None = None, next_keys=(),
          image_of=None, now: float | None = None) -> bytes:
    """A release for `board`: its octets. folder: of the key that signs it, None for one that only a cable brings.

    sequence: higher than the key's latest; that and one more when it is absent, and FIRST at least. next_keys: HSS
    public keys that devices are to trust from then on, beside this one. image_of(board, version, sequence, keys in
    hex): the image, spot_host.romfs.build if absent. A sequence number is used up when its image was built, also by a
    failure after that. Raises UserError.
    """
    if image_of is None:
        from spot_host.romfs import build as image_of  # compiles the firmware: slow to import
    facts = BoardFacts(board)
    key = ReleaseKey(folder) if folder is not None else None
    keys = [k.hex() for k in dict.fromkeys(([key.hss] if key else []) + list(next_keys))]

    def make(number):
        image = bytes(image_of(board, version, number, keys))
        if len(image) > facts.slot_octets - suit.HEAD_OCTETS:
            raise UserError(f"the image has {len(image)} octets, a slot of {board} takes "
                            f"{facts.slot_octets - suit.HEAD_OCTETS}")
        manifest = suit.Manifest.of(image, sequence=number, version=version, board=board, march=facts.march,
                                    base=facts.base)
        return suit.to_sign(suit.manifest_digest(manifest.encoded())), manifest, image

    if key is None:
        if sequence is None:
            raise UserError("a release without a key needs --sequence")
        _, manifest, image = make(sequence)
        return suit.write(manifest, image)
    # Wrong words are found before a number is used up.
    suit.Manifest(sequence or key.number + FIRST, version, board, facts.march, facts.base, bytes(32), 1,
                  class_id=bytes(16)).check()
    _, (_, manifest, image), signature = key.sign_text(make, sequence, now, FIRST)
    octets = suit.write(manifest, image, b"\0\0\0\0" + signature)
    suit.verify(suit.read(octets), key.hss)
    return octets


def refusals(release: suit.Release, keys=None, running: int | None = None, facts: BoardFacts | None = None) -> list:
    """[(reason, sentence)]: why a device would refuse this release; reasons as in docs/profile.md.

    keys: HSS public keys that it trusts; running: the sequence number that it runs; facts: its board. What is None is
    not judged.
    """
    manifest, found = release.manifest, []
    if not release.signature:
        found.append(("signature", "it is not signed: only a cable brings it"))
    elif keys is not None:
        why = []
        for key in keys:
            try:
                suit.verify(release, key)
                break
            except suit.SuitError as error:
                why.append(str(error))
        else:
            found.append(("signature", "; ".join(why) or "no key is trusted"))
    if manifest.vendor != suit.VENDOR.bytes:
        found.append(("other_board", "it is another vendor's"))
    if manifest.class_id != suit.class_id(manifest.board).bytes:
        found.append(("other_board", f"its class is not that of a {manifest.board}"))
    if running is not None and manifest.sequence <= running:
        found.append(("sequence", f"{manifest.sequence} is not above {running}, which runs"))
    if facts is not None:
        if manifest.board != facts.name:
            found.append(("other_board", f"made for {manifest.board}, not for {facts.name}"))
        if manifest.base > facts.base:
            found.append(("base", f"needs base image {manifest.base}, the board has {facts.base}"))
        if manifest.size > facts.slot_octets - suit.HEAD_OCTETS:
            found.append(("size", f"a slot takes {facts.slot_octets - suit.HEAD_OCTETS} octets"))
    return found
