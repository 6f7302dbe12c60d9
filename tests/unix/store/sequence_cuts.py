"""Runs on MicroPython: sequence numbers and keys on littlefs whose power fails at every write and erase, in turn.

After each cut the device starts again, uses numbers, and is cut again: no number comes twice under one key. Prints one
line a scenario.
"""

from cutrig import Disk, Fs, fresh

from spot.log import Log
from spot.store import Store
from spot.wire.context import Context, ContextError
from spot.wire.keyring import Keyring

PAIRING = {"secret": "00" * 16, "salt": "11" * 8, "id": "01", "emd": "00"}
NEW = b"n" * 16


def take(context, used, count):
    """Use `count` numbers; each (key, number) once."""
    for _ in range(count):
        pair = context.secret, context.id_context, context.take_piv()
        if pair in used:
            raise AssertionError("twice: %r" % (pair,))
        used.add(pair)


def every_cut(name, prepare, act, check):
    """`prepare(store, used)` once; `act(store, used)` with the power cut at its 1st, 2nd, … operation until it gets
    through; then two lives more, the first of which is cut at the same place; `check(store)` of what is there."""
    disk = fresh()
    before = set()
    prepare(Store(Fs(disk), "s"), before)
    image = bytes(disk.data)
    at = 0
    seen = {}
    while True:
        disk = Disk(image)
        used = set(before)
        through = False
        for life in range(3):
            disk = Disk(disk.data)
            store = Store(Fs(disk), "s")
            if life < 2:
                disk.left = at
            try:
                (act if life == 0 else run_on)(store, used)
            except (ContextError, OSError):
                if not disk.dead:
                    raise
            if life == 0:
                through = not disk.dead
                outcome = check(Store(Fs(Disk(disk.data)), "s"))
                seen[outcome] = seen.get(outcome, 0) + 1
        if through:
            break
        at += 1
    if at == 0:
        raise AssertionError("%s: no operation was cut" % name)
    print("%s: %d cuts, %s" % (name, at, " ".join("%s %d" % row for row in sorted(seen.items()))))


def context(store, known=True):
    return Context(bytes(16), bytes(8), b"\1", b"\0", None, store, "seq", known)


def run_on(store, used):
    """The next life: whatever keys there are, with more numbers than a stride has."""
    if store.get("oscore_k") is None:
        made = context(store)
        if not made.lost:
            take(made, used, 300)
        return
    for made in ring(store).contexts:
        if made.lost:
            raise AssertionError("lost")
        take(made, used, 300)


def ring(store):
    return Keyring(PAIRING, store, "oscore", Log(4))


def offered(store, used):
    keys = ring(store)
    take(keys.current, used, 3)
    keys.offer(1, NEW)
    return keys


def change(store, used):
    keys = ring(store)
    keys.used(keys.contexts[1])
    take(keys.current, used, 5)


def offer(store, used):
    keys = ring(store)
    keys.offer(1, NEW)
    for made in keys.contexts:
        take(made, used, 5)


def generations(store):
    if store.get("oscore_k") is None:
        return "nothing"
    keys = ring(store)
    return "+".join(str(0 if c.id_context is None else c.id_context[0]) for c in keys.contexts)


def limit(store):
    raw = store.get("seq")
    return "none" if raw is None else "limit=%d" % int.from_bytes(raw[:4], "big")


def start(store, used):
    take(context(store, False), used, 300)


def begun(store, used):
    take(context(store, False), used, 3)


def adopt(store, used):
    made = context(store)
    take(made, used, 3)
    made.adopt(b"R" * 24)
    take(made, used, 3)


def main():
    every_cut("first numbers", lambda s, u: s.put("other", b"x"), start, limit)
    every_cut("next stride", begun, lambda s, u: take(context(s), u, 600), limit)
    every_cut("adopted keys", begun, adopt, lambda s: "new" if len(s.get("seq")) > 8 else "old")
    every_cut("first start", lambda s, u: s.put("other", b"x"), lambda s, u: take(ring(s).current, u, 300), generations)
    every_cut("offer", lambda s, u: take(ring(s).current, u, 3), offer, generations)
    every_cut("change", offered, change, generations)


main()
