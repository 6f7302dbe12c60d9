"""Which slot is started: read before anything else of the firmware, from a part of the chip's image that no update
changes. So it knows of a release only what never changes: where its head has the digests.

A trial has three starts, each counted before anything of the release is read as code; the start after them goes back.
A start that cannot be counted is none. When the state is lost the highest sequence is tried. Signatures are the
updater's business: what lies here was verified before it came, or was brought over the cable.
"""

import json
import sys

from .codes import ABSENT
from .port import machine, report, sha256, sha256_object, sleep_ms, vfs
from .slots import FROZEN, IMAGE, NAME, SECTOR, Slots, chip, put_state, read_state
from .store import Store

_STARTS = 3
_WATCHDOG_MS = 8000  # of a trial, from before its first line on
_REST_MS = 5000  # time for Ctrl-C over the serial line


class Bare(Store):
    """The store as the loader has it: a factory reset is left to the release, which knows what it keeps."""

    def _wipe(self, meter):
        pass


def _item(buf, at):
    """(major type, argument, where the content begins) of the CBOR item at `at`."""
    info = buf[at] & 31
    major = buf[at] >> 5
    at += 1
    if info < 24:
        return major, info, at
    if info > 26:
        raise ValueError
    n = 1 << (info - 24)
    return major, int.from_bytes(bytes(buf[at : at + n]), "big"), at + n


def _after(buf, at):
    """Where the item behind the one at `at` begins."""
    major, n, at = _item(buf, at)
    if major == 2 or major == 3:
        return at + n
    if major == 6:
        n = 1
    elif major == 5:
        n *= 2
    elif major != 4:
        return at
    while n:
        at = _after(buf, at)
        n -= 1
    return at


def _value(buf, at, key):
    """Where the value of the integer `key` begins in the map at `at`."""
    major, n, at = _item(buf, at)
    while n and major == 5:
        major_of, number, _ = _item(buf, at)
        at = _after(buf, at)
        if major_of == 0 and number == key:
            return at
        at = _after(buf, at)
        n -= 1
    raise ValueError


def _inside(buf, at):
    """Where the content of the byte string at `at` begins."""
    major, _, at = _item(buf, at)
    if major != 2:
        raise ValueError
    return at


def _digest(buf, at):
    """The 32 octets of << [-16, digest] >> at `at`."""
    major, n, at = _item(buf, _inside(buf, at))
    if major != 4 or n != 2 or buf[at] != 0x2F:
        raise ValueError
    at += 1
    major, n, at = _item(buf, at)
    if major != 2 or n != 32:
        raise ValueError
    return bytes(buf[at : at + 32])


def head(buf):
    """(sequence, octets of the image, its SHA-256) as the head in `buf` says, None when it is none, or damaged."""
    try:
        manifest = _value(buf, 0, 3)
        authentication = _inside(buf, _value(buf, 0, 2))
        if sha256(buf[manifest : _after(buf, manifest)]) != _digest(buf, _item(buf, authentication)[2]):
            return None
        manifest = _inside(buf, manifest)
        common = _inside(buf, _value(buf, manifest, 3))
        sequence = _item(buf, _inside(buf, _value(buf, common, 4)))[2]
        parameters = _after(buf, sequence)
        return (
            _item(buf, _value(buf, manifest, 2))[1],
            _item(buf, _value(buf, parameters, 14))[1],
            _digest(buf, _value(buf, parameters, 3)),
        )
    except (IndexError, ValueError, OverflowError, RuntimeError):
        return None


def found(region, at):
    """What `head` says of slot `at`, whose image is checked, octet for octet; None when it is not right."""
    buf = bytearray(SECTOR)
    region.readinto(at * region.size, buf)
    said = head(buf)
    if said is None or said[1] > region.size - IMAGE:
        return None
    start = at * region.size + IMAGE
    image = region.view(start, said[1])
    if image is not None:
        return said if sha256(image) == said[2] else None
    hashed = sha256_object(b"")
    for i in range(0, said[1], SECTOR):
        piece = memoryview(buf)[: min(SECTOR, said[1] - i)]
        region.readinto(start + i, piece)
        hashed.update(piece)
    return said if hashed.digest() == said[2] else None


def _sure(region, at):
    """As found, of which slot it may be, but looked at twice: a supply that breaks down is what wrong reads are from,
    and for one of those no release is given up."""
    return (found(region, at) or found(region, at)) if at < FROZEN else None


def _lost(region, at):
    """How often the state was lost while this release was the newer one, up to _STARTS: counted in the last page before
    its image, which no head reaches, once more with each call."""
    page = bytearray(256)
    place = at * region.size + IMAGE - 256
    region.readinto(place, page)
    n = 0
    while n < _STARTS and page[n] == 0:
        n += 1
    if n < _STARTS and bytes(page[n:]) == b"\xff" * (256 - n):
        page[n] = 0
        try:
            region.write(place, page)
        except OSError:
            pass
    return n


def _keep(store, *state):
    try:
        put_state(store, *state)
        return True
    except OSError:  # the store has logged it
        return False


def choose(region, store):
    """(slot to start, or FROZEN when none is right; whether it is on trial; octets of its image). One write where the
    state changes."""
    state = read_state(store)
    if state is None:
        there = [_sure(region, 0), _sure(region, 1)]
        if there[0] is None and there[1] is None:
            return FROZEN, False, 0
        at = 0 if there[1] is None or there[0] is not None and there[0][0] > there[1][0] else 1
        # which of two was good, nobody knows any more: the newer one has to show it, unless it is what loses the state
        if there[1 - at] is not None and _lost(region, at) >= _STARTS:
            at = 1 - at
        state = [at, at if there[1 - at] is None else 1 - at, 0, ABSENT]
        _keep(store, *state)
    at, back, starts, failed = state
    said = _sure(region, at)
    if at == back:
        if said is not None:
            return at, False, said[1]
        if at == FROZEN:
            return FROZEN, False, 0
        said = _sure(region, 1 - at)
        if said is None:  # nothing is kept of it: maybe they can be read at the next start
            return FROZEN, False, 0
        at, back, starts = 1 - at, FROZEN, 0  # it is damaged; what the other one is worth, nobody knows any more
    if said is not None and starts < _STARTS and _keep(store, at, back, starts + 1, failed):
        return at, True, said[1]
    failed = said[0] if said else 0
    said = _sure(region, back)
    if said is None:
        back = FROZEN
    _keep(store, back, back, 0, failed)
    return back, False, said[1] if said else 0


def _parts(config):
    """(region or None, store) of the device whose configuration is the file `config`; the usual store when it cannot
    be read: what is wrong with it the release says."""
    try:
        with open(config) as file:
            told = json.load(file)
        root, folder = told.get("store", "store"), told.get("slots")
        boards = told.get("boards", "boards")
    except (OSError, ValueError, AttributeError):
        root, folder = "store", None
    if not isinstance(root, str):
        root = "store"
    region = chip()
    if machine is None and folder:
        sys.path.insert(1, boards + "/unix")
        from slot_files import Files

        region = Files(folder)
    return region, Bare(None, root), root


def prepare(config, place):
    """Chooses and mounts at `place`. Returns (whether this is a chip, whether something is mounted, words for main.py's
    command line, for a trial the file of the slots' state). Not mounted: a computer's own release is source. A chip's
    own is started in safe mode; a trial under the watchdog."""
    region, store, root = _parts(config)
    if region is None:
        return False, False, [], None
    slot, trial, n = choose(region, store)
    words = ["--slot=%d" % slot]
    state = None
    if trial:
        words.append("--trial")
        state = root + "/" + NAME
        if machine is not None:
            machine.WDT(timeout=_WATCHDOG_MS)
    if slot == FROZEN:
        if machine is None:
            return False, False, words, None
        words.append("--safe")
        slot = -1
        n = region.size - IMAGE
    at = slot * region.size + IMAGE
    image = region.view(at, n)
    if image is None:
        image = bytearray(n)
        region.readinto(at, image)
    vfs.mount(vfs.VfsRom(image), place)
    words.append("--boards=%s/boards" % place)
    return machine is not None, True, words, state


def failed(error, config):
    """The release cannot even be imported: what was not on trial is from now on."""
    report(error)
    region, store, _ = _parts(config)
    state = read_state(store)
    if state and state[0] == state[1] < FROZEN:
        _keep(store, state[0], FROZEN, 1, state[3])
    if machine is None:
        sys.exit(3)
    sleep_ms(_REST_MS)
    machine.reset()


def opened(config="config.json"):
    """The Slots for who writes over a cable, while no release runs: spare is what is not gone back to. None where this
    image has no slots."""
    region, store, _ = _parts(config)
    if region is None:
        return None
    if read_state(store) is None:
        choose(region, store)
    state = read_state(store)
    return Slots(region, store, state[1] if state else FROZEN)
