"""Bad releases, keys and words for `spot release` and `spot update`, once: the line, and the exit code.

tests/unit/release/test_bad_input.py runs them as they are typed, in the folder of a Place, and compares what is in it,
and in the state of its keys, with what was there before.
"""

import shutil
from dataclasses import dataclass

from spot_host import release, suit

IMAGE = b"\xd2\xcd\x31" + bytes(range(256)) * 40
BORN = 1_790_000_000


def image_of(board, version, sequence, keys):
    """In place of a compiled firmware."""
    return IMAGE


class Place:
    """A folder with a release `a.spotfw`, the key that signed it, another key, and what lies about. Made once, then
    copied, since keys take their time."""

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    def make(cls, folder):
        place = cls(folder)
        for name in ("key", "other"):
            release.generate(folder / name, 5, BORN)
        (folder / "a.spotfw").write_bytes(release.build("pico", "1.0", folder / "key", None, image_of=image_of))
        (folder / "text").write_text("hello world\n" * 100)
        (folder / "folder").mkdir()
        return place

    def copy(self, folder):
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Place(folder)

    def write(self, octets, name="a.spotfw"):
        (self.folder / name).write_bytes(octets)

    def octets(self, name="a.spotfw"):
        return (self.folder / name).read_bytes()

    def bit(self, at):
        octets = bytearray(self.octets())
        octets[at] ^= 1
        self.write(bytes(octets))


@dataclass
class File:
    """A file that is no release, for each of COMMANDS. what: the sentence; line: what follows its name; spoil(place):
    makes it, as `a.spotfw`; name: where it is another one."""

    what: str
    line: str
    spoil: object = None
    name: str = "a.spotfw"


@dataclass
class Typed:
    """what: the sentence; command: as it is typed; line: what is printed; code: the exit code; spoil(place): done
    before; plain: as somebody who may not write into the folder `shut`."""

    what: str
    command: str
    line: str
    code: int = 2
    spoil: object = None
    plain: bool = False


COMMANDS = ("release show {}", "release verify {} --key key", "update start {} --db emd.sqlite")


def _large(place):
    with open(place.folder / "a.spotfw", "wb") as file:
        file.truncate(1 << 30)


def _end(place):
    return len(place.octets()) - len(IMAGE)


FILES = (
    File("a file that is not there", "No such file or directory", name="nothing"),
    File("a folder", "Is a directory", name="folder"),
    File("0 octets", "no release: it is empty", lambda place: place.write(b"")),
    File("a text", "no release: it does not begin like one", name="text"),
    File("1 GB", "no release: it has over 4194304 octets", _large),
    File("cut in its head", "no release: the file was cut, or is damaged: no CBOR",
         lambda place: place.write(place.octets()[:1000])),
    File("cut in its image", "no release: the file was cut, or is damaged: no CBOR",
         lambda place: place.write(place.octets()[:-1])),
    File("one octet more", "no release: the file was changed, or something follows: not in its one encoding",
         lambda place: place.write(place.octets() + b"\n")),
    File("one bit of its digest", "no release: the manifest is not the one that the digest names",
         lambda place: place.bit(20)),
    File("one bit of its manifest", "no release: the manifest is not the one that the digest names",
         lambda place: place.bit(place.octets().index(b"pico") + 1)),
    File("one bit of its image", "no release: the image is not the one that its manifest names",
         lambda place: place.bit(len(place.octets()) - 1)),
    File("the image of another release", "no release: the image has 4 octets, its manifest says 10243",
         lambda place: place.write(place.octets()[:_end(place) - 3] + b"\x44abcd")),
)


def _unsigned(place):
    place.write(release.build("pico", "1.0", None, 3, image_of=image_of))


def _bad_signature(place):
    place.bit(1000)


def _class(place):
    manifest = suit.Manifest.of(IMAGE, sequence=9, version="1.0", board="pico", march="armv6m", base=1)
    manifest = type(manifest)(**{**vars(manifest), "class_id": bytes(16)})
    text = suit.to_sign(suit.manifest_digest(manifest.encoded()))
    signature = release.ReleaseKey(place.folder / "key").sign_text(lambda number: (text,), None)[2]
    place.write(suit.write(manifest, IMAGE, b"\0\0\0\0" + signature))


def _database(place):
    from spot_host.emd.config import EmdConfig
    from spot_host.emd.core import EmdCore
    from spot_host.emd.memory import MemoryOut
    from spot_host.emd.sqlite import SqliteStorage

    storage = SqliteStorage(place.folder / "emd.sqlite")
    EmdCore(EmdConfig(), storage, MemoryOut(), BORN)
    storage.close()


def _used_since(place):
    """The folder as it was before the latest signature."""
    shutil.copytree(place.folder / "key", place.folder / "copy")
    release.build("pico", "1.1", place.folder / "key", None, image_of=image_of)
    for name in ("key.json", "journal"):
        shutil.copy(place.folder / "copy" / name, place.folder / "key" / name)


def _shut(place):
    (place.folder / "shut").mkdir()
    (place.folder / "shut").chmod(0o500)


_BUILD = "release build pico --version 1.1 --key key --out b.spotfw"
TYPED = (
    Typed("signed with another key", "release verify a.spotfw --key other",
          "a.spotfw: signature: not signed by the key KEY"),
    Typed("signed with another key, and brought to a fleet", "update start a.spotfw --key other --db emd.sqlite",
          "a.spotfw: signature: not signed by the key KEY"),
    Typed("one bit of its signature", "release verify a.spotfw --key key",
          "a.spotfw: signature: not signed by the key KEY", spoil=_bad_signature),
    Typed("not signed", "release verify a.spotfw --key key",
          "a.spotfw: signature: it is not signed: only a cable brings it", spoil=_unsigned),
    Typed("not signed, and brought to a fleet", "update start a.spotfw --db emd.sqlite",
          "a.spotfw: signature: it is not signed: only a cable brings it", spoil=_unsigned),
    Typed("of a class that is not its board's", "release verify a.spotfw --key key",
          "a.spotfw: other_board: its class is not that of a pico", spoil=_class),
    Typed("a key that is none", "release verify a.spotfw --key text", "text: no HSS public key"),
    Typed("no key", "release verify a.spotfw", "--key: whose signature it should be"),
    Typed("no database", "update start a.spotfw --db emd.sqlite",
          "emd.sqlite: there is no such database; `spot emd run` makes it"),
    Typed("an EMD that does not run", "update start a.spotfw --db emd.sqlite",
          "no EMD runs on emd.sqlite; start one: spot emd run CONFIG", 3, spoil=_database),
    Typed("a database that is a text", "update start a.spotfw --db text",
          "text: not a usable EMD database: file is not a database"),
    Typed("a release that is there already", _BUILD.replace("b.spotfw", "a.spotfw"),
          "a.spotfw is there already: a release is never written over"),
    Typed("into a folder that is not there", _BUILD.replace("b.spotfw", "nothing/b.spotfw"),
          "nothing: no such folder"),
    Typed("into a folder without permission", _BUILD.replace("b.spotfw", "shut/b.spotfw"),
          "shut: no permission to write there", spoil=_shut, plain=True),
    Typed("a sequence number that was used", _BUILD + " --sequence 1", "key: number 1 was used; the latest is 2"),
    Typed("a version that is too long", _BUILD.replace("1.1", "1.2.3.4.5.6.7.8.9"),
          "version '1.2.3.4.5.6.7.8.9': 1 to 16 printable ASCII characters"),
    Typed("a key's folder that is none", _BUILD.replace("--key key", "--key folder"),
          "folder: no signing key: key.json: No such file or directory"),
    Typed("a key's folder that is not there", _BUILD.replace("--key key", "--key nothing"),
          "nothing: no signing key: key.json: No such file or directory"),
    Typed("a key's folder that was put back from a copy", _BUILD,
          "key was put back from a copy, or is one: another folder of this key has signed since. Make a new key",
          spoil=_used_since),
    Typed("no key, and not said to be unsigned", "release build pico --version 1.1 --out b.spotfw",
          "either --key FOLDER, or --unsigned"),
    Typed("a new key where one is", "release keygen key", "key is there already: a key is never written over"),
    Typed("a new key without permission", "release keygen shut/key", "shut/key: Permission denied", spoil=_shut,
          plain=True),
    Typed("a key of another height", "release keygen new --height 7", "height: one of 5, 10, 15"),
    Typed("a house without permission", "provision init shut/house",
          "shut/house: cannot be written: Permission denied", spoil=_shut, plain=True),
)
