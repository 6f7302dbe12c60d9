"""Which pairing secrets the EMD takes: each device's generations, first use, expiry, rotation, revocation.

The secrets come from `pairings.json`, which another process may change at any time; what was seen of them is kept in
the storage's `keys`, by (EUI, generation, digest of the secret), so that a new secret never meets an old state.
"""

import os
import sqlite3
import threading
import time
from pathlib import Path

from spot_host.errors import UserError
from spot_host.pairing import Pairings, used_name

REFUSALS = {  # by event: what a person is told, and what mends it
    "pairing_state_lost": "its sequence numbers are not in this database; `spot emd revoke` and `enroll` it anew",
    "pairing_expired": "its secret was not used in time; `spot emd revoke` and `enroll` it anew",
}


class Ring:
    """One device's good generations: `pairings`, oldest first; `seen`: the newest that the device has used, or None.

    offered: the generation that the device has said it took. A device goes on under the old one until it hears its EMD
    under the new one, so from then on the EMD sends under that, and still takes both.
    """

    __slots__ = ("eui", "pairings", "seen", "offered", "protect", "record")

    def __init__(self, eui, pairings, seen, protect):
        self.eui, self.seen, self.protect, self.offered = eui, seen, protect, None
        self.pairings = [p for p in pairings if seen is None or p.generation >= seen]
        self.record = [(p.record(), protect) for p in pairings]

    @property
    def sending(self):
        """The Pairing for what goes to the device."""
        return next((p for p in self.pairings if p.generation == self.offered), self.pairings[0])

    @property
    def waiting(self):
        """The next Pairing that the device has not taken yet, though it uses an older one; None: there is none."""
        if self.seen is None:
            return None
        return next((p for p in self.pairings if p.generation > max(self.seen, self.offered or 0)), None)


class Keyrings:
    """The rings of one home.

    path: of pairings.json, or None for those given by `set`. keys: storage.keys. note(event, eui, detail): hears what a
    person should know. changed(eui, ring or None): a device's keys are new, fewer, or gone.
    """

    def __init__(self, path, keys, note=lambda event, eui, detail: None, clock=time.time):
        self.path = Path(path) if path else None
        self.keys, self._note, self._clock = keys, note, clock
        self.rings, self.listeners = {}, []
        self.revoked = frozenset()  # EUIs, also of those that had certificates alone
        self._lock, self._stamp = threading.RLock(), None
        self._marks = self.path.with_suffix(".used") if self.path else None
        self._marked = set(self._marks.read_text().split()) if self._marks and self._marks.exists() else set()
        self.reload()

    def state_name(self, kind: str, eui: str, pairing) -> str:
        """The name of the record of `kind` about this secret in storage.keys."""
        return used_name(eui, pairing, kind)

    def reload(self) -> bool:
        """Read the file if it changed; True when it did. A broken file is noted and changes nothing."""
        if self.path is None:
            return False
        try:
            state = self.path.stat()
            stamp = state.st_mtime_ns, state.st_size, state.st_ino
        except OSError:
            stamp = None
        if stamp == self._stamp:
            return False
        try:
            pairings = Pairings(self.path)
        except UserError as exc:
            if self._stamp is None and not self.rings:
                raise
            self._stamp = stamp
            self._note("pairings_refused", None, str(exc))
            return False
        self._stamp, self.revoked = stamp, pairings.revoked
        self.set({eui: pairings.generations(eui) for eui in pairings}, {eui: pairings.protect(eui) for eui in pairings})
        return True

    def set(self, generations: dict, protect: dict | None = None) -> None:
        """Hold these: {EUI: [Pairing, …] oldest first}. Who is not among them is revoked: all state of it is dropped.

        Revocation is absolute: a device that is enrolled again has another secret, and begins anew.
        """
        with self._lock:
            gone = [eui for eui in self.rings if eui not in generations]
            for eui, pairings in generations.items():
                seen = self._seen(eui, pairings)
                ring = Ring(eui, pairings, seen, (protect or {}).get(eui, "none"))
                old = self.rings.get(eui)
                if old is None or old.record != ring.record:
                    if old is not None and ring.seen == old.seen:
                        ring.offered = old.offered
                    self.rings[eui] = ring
                    self._tell(eui, ring)
            for eui in gone:
                del self.rings[eui]
                self._tell(eui, None)
            self._forget()
            for eui in gone:
                self._note("pairing_revoked", eui, "its keys are forgotten")

    def _forget(self):
        """Delete the state of secrets that are no longer held, also of those that went while no EMD ran."""
        alive = {self.state_name("", eui, p) for eui, ring in self.rings.items() for p in ring.pairings}
        dead = {
            name: None
            for name in self.keys.names("")
            if (name[name.index("/") :] not in alive if name.count("/") == 3 else name.split("/")[-1] not in self.rings)
        }
        if dead:
            self.keys.put(dead)

    def _seen(self, eui, pairings):
        """The highest generation that was used; None when that was with other secrets, or never."""
        return max((p.generation for p in pairings if self.keys.get(self.state_name("used", eui, p))), default=None)

    def _tell(self, eui, ring):
        for listener in self.listeners:
            listener(eui, ring)

    def refusal(self, eui: str, pairing) -> str | None:
        """Why a secret is not good now: the name of an event; None when it is good.

        A secret whose use is marked beside pairings.json, but not in the database, has lost its sequence numbers:
        to go on with it would repeat them.
        """
        name = self.state_name("used", eui, pairing)
        if self.keys.get(name):
            return None
        if name in self._marked:
            return "pairing_state_lost"
        return "pairing_expired" if pairing.until is not None and self._clock() > pairing.until else None

    def offered(self, eui: str, generation: int) -> None:
        """The device has said that it took this generation."""
        with self._lock:
            ring = self.rings.get(eui)
            if ring is not None:
                ring.offered = generation
                self._tell(eui, ring)

    def used(self, eui: str, pairing) -> bool:
        """The device has proven that it has this generation. Drops the older ones. False when it could not be kept."""
        with self._lock:
            ring = self.rings.get(eui)
            if ring is None or pairing not in ring.pairings:
                return False
            if ring.seen is not None and pairing.generation <= ring.seen:
                return True
            name = self.state_name("used", eui, pairing)
            try:
                self.keys.put({name: {"at": int(self._clock())}})
                self._mark(name)
            except (sqlite3.Error, OSError):
                return False
            rotated, ring.seen = ring.seen is not None, pairing.generation
            ring.pairings = [p for p in ring.pairings if p.generation >= pairing.generation]
            self._tell(eui, ring)
        if rotated:
            self._note("key_rotated", eui, f"generation {pairing.generation} is in use, older ones are refused")
        return True

    def _mark(self, name):
        if self._marks is not None and name not in self._marked:
            with open(self._marks, "a") as file:
                file.write(name + "\n")
                file.flush()
                os.fsync(file.fileno())
            self._marked.add(name)
