"""Pairing secrets: what a device and its EMD derive the keys of OSCORE and COSE from, when no certificate does it.

`pairings.json` of a home (0600) is the EMD's side: {EUI-64: {"id", "emd", "salt", "protect", "keys": [{"generation",
"secret", "until"}, …]}}, octets in hex, and beside the devices "retired" (ids that are not given again) and "revoked"
(EUI-64s), oldest first. A device gets its own part of it as `pairing.json`. Only `spot emd` writes the file; a running
EMD reads it again when it changes, and keeps what it has seen of each generation in its database.
"""

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError

SECRET_OCTETS, SALT_OCTETS = 16, 8
EMD_ID = b"\x00"
MOST_GENERATIONS = 256  # one octet on the wire; after that a device is enrolled anew
PROTECT = ("none", "up", "down", "both")
_MOST_RETIRED = 255  # all ids of one octet
_MOST_REVOKED = 4096
_KEPT = 3  # generations in the file: a rotation may be asked for again before the device has followed the last


@dataclass(frozen=True)
class Pairing:
    """One generation of one device's secret. `until`: Unix s to which a secret that was never used is good, or None."""

    secret: bytes
    salt: bytes
    id: bytes
    emd: bytes = EMD_ID
    generation: int = 0
    until: int | None = None

    @property
    def id_context(self) -> bytes | None:
        """OSCORE's ID Context: absent in the first generation, else the generation in one octet."""
        return bytes((self.generation,)) if self.generation else None

    def record(self) -> dict:
        """What the device's `pairing.json` holds."""
        record = {
            "secret": self.secret.hex(),
            "salt": self.salt.hex(),
            "id": self.id.hex(),
            "emd": self.emd.hex(),
            "generation": self.generation,
        }
        if self.until is not None:
            record["until"] = self.until
        return record

    @classmethod
    def from_record(cls, raw: dict, where: str = "pairing.json") -> "Pairing":
        """The pairing in `raw`. Raises UserError that names the field at fault."""
        try:
            pairing = cls(
                bytes.fromhex(raw["secret"]),
                bytes.fromhex(raw["salt"]),
                bytes.fromhex(raw["id"]),
                bytes.fromhex(raw["emd"]),
                raw.get("generation", 0),
                raw.get("until"),
            )
        except KeyError as exc:
            raise UserError(f"{where}: {exc.args[0]} is missing") from exc
        except (ValueError, TypeError, AttributeError) as exc:
            raise UserError(f"{where}: secret, salt, id and emd are octets in hex: {exc}") from exc
        if len(pairing.secret) != SECRET_OCTETS or len(pairing.salt) != SALT_OCTETS:
            raise UserError(f"{where}: a secret has {SECRET_OCTETS} octets, a salt {SALT_OCTETS}")
        if not 1 <= len(pairing.id) <= 3 or len(pairing.emd) != 1 or pairing.id == pairing.emd:
            raise UserError(f"{where}: id has 1 to 3 octets, emd has one, and they differ")
        if type(pairing.generation) is not int or not 0 <= pairing.generation < MOST_GENERATIONS:
            raise UserError(f"{where}: generation is a whole number below {MOST_GENERATIONS}")
        if pairing.until is not None and type(pairing.until) is not int:
            raise UserError(f"{where}: until is Unix seconds")
        return pairing


def used_name(eui: str, pairing: Pairing, kind: str = "used") -> str:
    """The name under which an EMD keeps what it has seen of a secret: another secret never meets its state."""
    return f"{kind}/{eui}/{pairing.generation}/{hashlib.sha256(pairing.secret).hexdigest()[:16]}"


def write_secret(path: Path, content) -> None:
    """Replace `path` by JSON that only its owner can read, not even for a moment anyone else; whole or not at all."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def free_id(taken, after=b"", also=frozenset()) -> bytes:
    """The shortest, then lowest id that is not in `taken` or `also`, nor the EMD's. 1 octet for 255 devices, then 2, 3.
    after: one up to which all are known to be taken."""
    taken = taken if isinstance(taken, set) else set(taken)
    first = int.from_bytes(after, "big")
    for octets in range(max(1, len(after)), 4):
        for number in range(first, 1 << 8 * octets):
            id_ = number.to_bytes(octets, "big")
            if id_ != EMD_ID and id_ not in taken and id_ not in also:
                return id_
        first = 0
    raise UserError("no id is free for another device")


class Pairings:
    """The pairings of a home in the file `path`; an absent file is none. Raises UserError for a file that is broken."""

    def __init__(self, path):
        self.path = Path(path)
        self._devices = {}  # EUI: {"id", "emd", "salt", "protect", "keys"}
        self._retired, self._revoked = [], []  # ids in hex; EUIs
        self._low = b""  # up to this id all are taken
        self._known = None  # ids of _devices, where they were counted
        try:
            raw = json.loads(self.path.read_text())
            retired, revoked = raw.pop("retired", []), raw.pop("revoked", [])
            if not all(isinstance(word, str) and bytes.fromhex(word) for word in (*retired, *revoked)):
                raise TypeError
            for eui, entry in raw.items():
                self._generations(eui, entry)
                if entry.get("protect", "none") not in PROTECT:
                    raise UserError(f"{self.path}: {eui}: protect is one of {', '.join(PROTECT)}")
            self._devices, self._retired, self._revoked = raw, list(retired), list(revoked)
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise UserError(f"{self.path}: cannot be read: {exc.strerror}") from exc
        except (ValueError, AttributeError, TypeError, KeyError) as exc:
            text = isinstance(exc, (json.JSONDecodeError, UnicodeError))
            said = f"no JSON: {exc}" if text else "not what `spot emd enroll` writes"
            raise UserError(f"{self.path}: {said}; put back your copy of it") from exc

    def __iter__(self):
        return iter(self._devices)

    def __contains__(self, eui):
        return eui in self._devices

    def _generations(self, eui, entry):
        common = {name: entry[name] for name in ("id", "emd", "salt")}
        return [Pairing.from_record({**common, **key}, f"{self.path}: {eui}") for key in entry["keys"]]

    def generations(self, eui) -> list:
        """The Pairings of a device that are in the file, oldest first; UserError when it has none."""
        if eui not in self._devices:
            raise UserError(f"{eui}: no pairing in {self.path}; `spot emd enroll` makes one")
        return self._generations(eui, self._devices[eui])

    def protect(self, eui) -> str:
        """Which directions of this device's MQTT messages are protected with COSE: a word of PROTECT."""
        return self._devices.get(eui, {}).get("protect", "none")

    def add(self, eui, until: int | None = None, protect: str = "none") -> Pairing:
        """A new pairing for `eui`, in place of any that it had. Not yet on disk: `save`."""
        if protect not in PROTECT:
            raise UserError(f"--protect: {protect!r} is none of {', '.join(PROTECT)}")
        self.remove(eui)
        pairing = Pairing(
            secrets.token_bytes(SECRET_OCTETS), secrets.token_bytes(SALT_OCTETS), self._new_id(), until=until
        )
        self._put(eui, pairing, protect)
        return pairing

    def adopt(self, eui, pairing: Pairing, protect: str) -> bool:
        """Take a first generation that this device was given already; False when its id is another's by now."""
        id_ = pairing.id.hex()
        if pairing.generation or eui in self or id_ in self._retired or pairing.id in self._ids():
            return False
        self._put(eui, pairing, protect)
        return True

    def _put(self, eui, pairing, protect):
        record = pairing.record()
        key = {name: record.pop(name) for name in ("secret", "generation", "until") if name in record}
        self._devices[eui] = {**record, "protect": protect, "keys": [key]}
        self._ids().add(pairing.id)

    def _ids(self):
        if self._known is None:
            self._known = {bytes.fromhex(entry["id"]) for entry in self._devices.values()}
        return self._known

    def _new_id(self):
        """One that nobody has or had: what still runs under it would be taken for the new one, and told of as such.

        When all of one octet are used, the one that was given back longest ago.
        """
        taken = self._ids()
        id_ = self._low = free_id(taken, self._low, set(map(bytes.fromhex, self._retired)))
        if len(id_) > 1 and self._retired:
            id_ = next((old for old in map(bytes.fromhex, self._retired) if len(old) == 1 and old not in taken), id_)
        if id_.hex() in self._retired:
            self._retired.remove(id_.hex())
        return id_

    def rotate(self, eui) -> Pairing:
        """One more generation for `eui`; the older ones stay good until the EMD has seen it used. `save` follows."""
        newest = self.generations(eui)[-1]
        if newest.generation + 1 == MOST_GENERATIONS:
            raise UserError(f"{eui}: this was the last of {MOST_GENERATIONS} generations; revoke and enroll it anew")
        keys = self._devices[eui]["keys"]
        if len(keys) >= _KEPT and self._uses_no_newer(eui):
            raise UserError(f"{eui}: it has not followed the last {_KEPT - 1} rotations, and would be locked out")
        keys.append({"generation": newest.generation + 1, "secret": secrets.token_bytes(SECRET_OCTETS).hex()})
        del keys[:-_KEPT]
        return self.generations(eui)[-1]

    def _uses_no_newer(self, eui):
        """Whether the oldest generation that is kept is the newest that the EMD has seen in use."""
        try:
            marks = set(self.path.with_suffix(".used").read_text().split())
        except OSError:
            return False
        used = [used_name(eui, pairing) in marks for pairing in self.generations(eui)[-_KEPT:]]
        return used[0] and not any(used[1:])

    def remove(self, eui) -> bool:
        """Forget a device, also that it was revoked; False when it was not there."""
        entry = self._devices.pop(eui, None)
        if eui in self._revoked:
            self._revoked.remove(eui)
        if entry is None:
            return False
        self._low, self._known = b"", None
        self._retired = [*(id_ for id_ in self._retired if id_ != entry["id"]), entry["id"]][-_MOST_RETIRED:]
        return True

    def revoke(self, eui) -> None:
        """Forget a device, with a pairing or without, and remember that it was revoked. `save` follows."""
        self.remove(eui)
        self._revoked = [*self._revoked, eui][-_MOST_REVOKED:]

    @property
    def revoked(self) -> frozenset:
        """The EUIs of devices that were revoked and not enrolled again."""
        return frozenset(self._revoked)

    def save(self) -> None:
        """Write the file. Raises UserError when it cannot be."""
        try:
            beside = {"retired": self._retired, "revoked": self._revoked}
            write_secret(self.path, {**self._devices, **{name: words for name, words in beside.items() if words}})
        except OSError as exc:
            raise UserError(f"{self.path}: cannot be written: {exc.strerror}") from exc
