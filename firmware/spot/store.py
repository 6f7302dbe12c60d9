"""What survives a power cut: named values, replaced whole, and journals of fixed-size records. Every octet is
checksummed.

A value is written beside the old one and renamed over it. littlefs and POSIX rename in one step; where a rename does
not replace (FAT) the old one is removed first, and the new one is found under its interim name after a cut.

Wear: a write costs littlefs at most two sector erases (data, metadata). The smallest file system we use, 848 KiB on a
Pico, has 212 sectors of 100,000 cycles: 10 million writes, of which LIFE_WRITES counts half, since levelling is not
perfect. BUDGET_PER_DAY makes that 27 years. Users today: energy checkpoint 96 a day, clock at most 5, 96
quarter-hours, a few events and commands each. Beyond the budget what can wait (energy checkpoints)
comes `thin` times less often; what must be kept (ledger, events, sequence numbers) is never refused.
"""

from .port import const, crc32, os, struct

BUDGET_PER_DAY = const(500)  # writes; beyond it `budget` warns, and `thin` says so
LIFE_WRITES = const(5000000)

_HEADER = struct.calcsize("<HHI")
_MAGIC = const(0x5A53)
_MAX_VALUE = const(8192)  # octets of one value
_TRAILER = const(12)  # octets after each record: seq, acknowledged, crc
_SEGMENT_BYTES = const(4096)  # a segment stays within one sector, so that an append rewrites one at most
_NEW = ".new"
_DAY_S = const(86400)
_EEXIST = const(17)
_THIN = const(8)
_UNKEPT = const(64)  # writes that the count of all writes ever may miss at a restart
WIPE = "wipe"  # its presence: a factory reset is under way


class StoreError(OSError):
    """Flash is full or failing: what was there before is still there."""


class _Os:
    """The system's files in the shape that Store wants."""

    open = staticmethod(open)
    rename = staticmethod(os.rename)
    remove = staticmethod(os.remove)
    listdir = staticmethod(os.listdir)
    mkdir = staticmethod(os.mkdir)
    stat = staticmethod(os.stat)


def _check_name(name):
    if not 0 < len(name) <= 20:
        raise ValueError("name: 1 to 20 characters, not %r" % name)
    for c in name:
        if not ("a" <= c <= "z" or "0" <= c <= "9" or c == "_"):
            raise ValueError("name: a-z, 0-9 and _, not %r" % name)


class Store:
    """Values and journals below the directory `root` of `fs`.

    fs: open, rename, remove, listdir, mkdir as in `os` (None: the system's). log: Log or None. `writes` and
    `bytes_written` count since boot; `thin`: how many times less often than usual to write what can wait.
    """

    def __init__(self, fs=None, root="store", log=None):
        self._fs = fs if fs is not None else _Os
        self._root = root
        self._log = log
        self.writes = 0
        self.bytes_written = 0
        self._day = 0
        self._day_writes = 0
        self._kept = 0  # writes that the record of wear holds
        self.thin = 1
        self._make_root()
        raw = self.get(WIPE)
        if raw is not None:
            try:
                self._wipe(raw)
            except OSError:
                pass  # logged; the next start goes on with it
        raw = self.get("wear")
        self._ever = int.from_bytes(raw, "big") if raw and len(raw) == 4 else 0

    def _make_root(self):
        path = ""
        for part in self._root.split("/"):
            path += part
            if path:
                try:
                    self._fs.mkdir(path)
                except OSError:
                    pass  # it is there, or the first write says what is wrong
            path += "/"

    def _path(self, file):
        return self._root + "/" + file

    def _count(self, n):
        self.writes += 1
        self.bytes_written += n

    def _fail(self, event, error):
        number = error.args[0] if error.args else 0
        if self._log is not None:
            self._log.error(event, number if isinstance(number, int) else 0)
        return StoreError(number, event)

    # --- values -----------------------------------------------------------------------------------------------------

    def _read(self, path):
        n = 0
        try:
            with self._fs.open(path, "rb") as file:
                head = file.read(_HEADER)
                if len(head) == _HEADER:
                    magic, n, crc = struct.unpack("<HHI", head)
                    if magic == _MAGIC and n <= _MAX_VALUE:
                        data = file.read(n + 1)  # MicroPython takes from the heap what is asked for, not what is there
                        if len(data) == n and crc == crc32(data):
                            return data
        except OSError:
            return None
        if self._log is not None:
            self._log.warn("store.damaged", n)
        return None

    def get(self, name):
        """The value of `name` as bytes, or None when there is none or it is damaged (then logged)."""
        _check_name(name)
        path = self._path(name)
        data = self._read(path)
        if data is None:
            data = self._read_quietly(path + _NEW)  # a cut before the rename, or a file system that cannot replace
        return data

    def put(self, name, data):
        """Replaces the value of `name` by `data` (at most 8,192 octets); after a cut the old or the new one is there.

        What is there already is not written again. Raises StoreError when the flash is full or fails: the old value
        stays.
        """
        _check_name(name)
        if len(data) > _MAX_VALUE:
            raise ValueError("value of more than 8192 octets")
        path = self._path(name)
        if self._read_quietly(path) == data:
            return
        new = path + _NEW
        fs = self._fs
        try:
            with fs.open(new, "wb") as file:
                file.write(struct.pack("<HHI", _MAGIC, len(data), crc32(data)))
                file.write(data)
        except OSError as error:
            self._remove(new)
            raise self._fail("store.full", error) from None
        try:
            try:
                fs.rename(new, path)
            except OSError as error:
                if not error.args or error.args[0] != _EEXIST:
                    raise
                fs.remove(path)  # FAT: a rename replaces nothing. From here to the next line `new` is the value
                fs.rename(new, path)
        except OSError as error:
            if self._read_quietly(path) is not None:
                self._remove(new)
            raise self._fail("store.rename", error) from None
        self._count(_HEADER + len(data))

    def _read_quietly(self, path):
        log, self._log = self._log, None
        try:
            return self._read(path)
        finally:
            self._log = log

    def _remove(self, path):
        try:
            self._fs.remove(path)
        except OSError:
            pass

    def delete(self, name):
        """Removes `name`; nothing happens when it is not there."""
        _check_name(name)
        path = self._path(name)
        self._remove(path + _NEW)  # first, or a cut would bring it back as the value
        self._remove(path)
        self._count(0)

    def names(self):
        """Names of all values, sorted."""
        found = []
        for file in self._fs.listdir(self._root):
            name = file[: -len(_NEW)] if file.endswith(_NEW) else file
            if "." not in name and name not in found:
                found.append(name)
        found.sort()
        return found

    def _wipe(self, meter):
        """Factory reset, asked for by a value of the name WIPE: erases what is the household's. What is the product's
        stays: the count of starts, which release runs, wear, calibration, the record `meter`, and the sequence numbers
        of keys: the provisioned key is used again, and no nonce may come again under it. After a power cut the next
        Store goes on with it."""
        fs = self._fs
        for file in list(fs.listdir(self._root)):
            name = file.split(".")[0]
            ours = name in ("boot", "wear", "calib", "latch", "slots", WIPE)
            if not (ours or name[:4] == "keys" and name[-2:] != "_k"):
                self._remove(self._path(file))
                self._count(0)
        self.put("meter", meter)
        self.delete(WIPE)

    # --- wear -------------------------------------------------------------------------------------------------------

    @property
    def spent(self):
        """Writes today: since boot, or since the latest full day of running."""
        return self.writes - self._day_writes

    def budget(self, now_s):
        """Writes left of today's budget, below 0 when it is spent (logged once a day); to be called now and then."""
        if now_s - self._day >= _DAY_S:
            self._day = now_s
            self._day_writes = self.writes
            self.thin = 1
            self._keep_wear()
        elif self.writes - self._kept >= _UNKEPT:
            self._keep_wear()
        left = BUDGET_PER_DAY - self.spent
        if left < 0 and self.thin == 1:
            self.thin = _THIN
            if self._log is not None:
                self._log.warn("store.budget", self.spent, BUDGET_PER_DAY)
        return left

    def _keep_wear(self):
        self._ever += self.writes - self._kept
        self._kept = self.writes
        try:
            self.put("wear", self._ever.to_bytes(4, "big"))
        except StoreError:
            pass  # logged there

    def wear(self):
        """Remaining life of the flash in 1/1000, from all writes ever."""
        used = self._ever + self.writes - self._kept
        return max(0, (LIFE_WRITES - used) // (LIFE_WRITES // 1000))

    # --- journals ---------------------------------------------------------------------------------------------------

    def journal(self, name, record_bytes, capacity):
        """The journal `name` (opened, or found as a power cut left it). See Journal."""
        _check_name(name)
        return Journal(self, name, record_bytes, capacity)


class Journal:
    """Numbered records of `record_bytes` octets, the latest `capacity` at least (up to a segment more).

    Records lie in segment files of one sector each, named by the number of their first record; each record carries
    its number, how far the reader had acknowledged when it was written, and a checksum. So an acknowledgement costs
    no write: after a restart only what was acknowledged since the latest append is offered again, under its old
    number. A torn record at the end is as if never written.

    `first`: number of the oldest record held and not acknowledged; `next`: number that the next record gets (first ==
    next: nothing is waiting); `lost`: records dropped unacknowledged for want of room, to be set to 0 by whoever has
    reported them.
    """

    def __init__(self, store, name, record_bytes, capacity):
        slot = record_bytes + _TRAILER
        if record_bytes < 1 or slot > _SEGMENT_BYTES:
            raise ValueError("record_bytes: 1 to %d" % (_SEGMENT_BYTES - _TRAILER))
        self._store = store
        self._prefix = name + "."
        self._bytes = record_bytes
        self.capacity = capacity
        self.segment = max(1, min(_SEGMENT_BYTES // slot, (capacity + 3) // 4))  # records in one file
        self._slot = bytearray(slot)
        self._starts = []  # number of the first record of each segment, ascending
        self._acked = -1  # highest acknowledged number
        self._torn = False  # the last segment must not be appended to
        self.next = 0
        self.lost = 0
        self._open()

    def _path(self, start):
        return self._store._path("%s%d" % (self._prefix, start))

    def _open(self):
        store = self._store
        n = len(self._prefix)
        for file in store._fs.listdir(store._root):
            if file[:n] == self._prefix and file[n:].isdigit():
                self._starts.append(int(file[n:]))
        self._starts.sort()
        while self._starts:
            start = self._starts[-1]
            count, whole = self._scan(start)
            if count < 0:  # it cannot be read at present, which is no reason to take it away: number on behind it
                self.next = start + self.segment
                self._torn = True
                break
            if count:
                self.next = start + count
                self._torn = not whole
                break
            store._remove(self._path(start))  # torn in its first record: never written
            self._starts.pop()
        if self._starts and self._starts[0] > self._acked + 1:
            if self.next - self._starts[0] >= self.capacity:
                self.lost = self._starts[0] - self._acked - 1
            else:  # room was not what it went for: it was acknowledged after the latest record was written
                self._acked = self._starts[0] - 1

    def _scan(self, start):
        """(records up to the last valid one, True if nothing is torn behind it); takes the acknowledgement from that
        one. (-1, False) when the file cannot be read."""
        slot = self._slot
        count = at = n = 0
        try:
            with self._store._fs.open(self._path(start), "rb") as file:
                while True:
                    n = file.readinto(slot)
                    if n != len(slot):
                        break
                    if self._good(start + at):
                        count = at + 1
                        self._acked = struct.unpack_from("<i", slot, self._bytes + 4)[0]
                    at += 1
        except OSError as error:
            self._store._fail("journal.unreadable", error)
            return -1, False
        return count, n == 0 and count == at

    def _good(self, seq):
        number, _, crc = struct.unpack_from("<iiI", self._slot, self._bytes)
        return number == seq and crc == crc32(memoryview(self._slot)[:-4])

    @property
    def first(self):
        if not self._starts:
            return self.next
        return max(self._acked + 1, self._starts[0])

    def __len__(self):
        return self.next - self.first

    def append(self, record):
        """Writes `record` (bytes-like of record_bytes octets); returns its number.

        Raises StoreError when the flash is full or fails: the journal is as before.
        """
        self.extend((record,))
        return self.next - 1

    def extend(self, records):
        """As append, several at once: one write for each segment that they fall into. After a StoreError `next` says
        how many there are."""
        for record in records:
            if len(record) != self._bytes:
                raise ValueError("record of %d octets, not %d" % (len(record), self._bytes))
        at = 0
        while at < len(records):
            fresh = self._torn or not self._starts or self.next - self._starts[-1] >= self.segment
            start = self.next if fresh else self._starts[-1]
            end = min(len(records), at + start + self.segment - self.next)
            self._write(start, fresh, records[at:end])
            at = end

    def _write(self, start, fresh, records):
        """Records into one segment; all of them or none."""
        slot = self._slot
        store = self._store
        seq = self.next
        try:
            with store._fs.open(self._path(start), "wb" if fresh else "ab") as file:
                for record in records:
                    slot[: self._bytes] = record
                    struct.pack_into("<ii", slot, self._bytes, seq, self._acked)
                    struct.pack_into("<I", slot, self._bytes + 8, crc32(memoryview(slot)[:-4]))
                    file.write(slot)
                    seq += 1
        except OSError as error:
            if fresh:
                store._remove(self._path(start))
            else:
                self._torn = True
            raise store._fail("store.full", error) from None
        store._count(len(slot) * len(records))
        self.next = seq
        if fresh:
            self._starts.append(start)
            self._torn = False
            self._trim()

    def _trim(self):
        """Removes segments that are acknowledged, or over the capacity: never the last, which carries the numbers
        on."""
        starts = self._starts
        while len(starts) > 1 and (starts[1] <= self._acked + 1 or self.next - starts[1] >= self.capacity):
            dropped = starts[1] - max(starts[0], self._acked + 1)
            if dropped > 0:
                self.lost += dropped
                if self._store._log is not None:
                    self._store._log.warn("journal.lost", dropped, starts[1])
            self._store._remove(self._path(starts[0]))
            starts.pop(0)

    def read(self, seq, buf):
        """Reads record `seq` into `buf`; returns its length, 0 when it is not held or damaged (then logged)."""
        if not self._starts or not self._starts[0] <= seq < self.next:
            return 0
        at = len(self._starts) - 1
        while self._starts[at] > seq:
            at -= 1
        start = self._starts[at]
        slot = self._slot
        n = 0
        try:
            with self._store._fs.open(self._path(start), "rb") as file:
                file.seek((seq - start) * len(slot))
                n = file.readinto(slot)
        except OSError:
            pass
        if n == len(slot) and self._good(seq):
            buf[: self._bytes] = memoryview(slot)[: self._bytes]
            return self._bytes
        if self._store._log is not None:
            self._store._log.warn("journal.damaged", seq)
        return 0

    def ack(self, upto):
        """All records up to number `upto` are delivered; kept with the next append."""
        if upto >= self.next:
            upto = self.next - 1
        if upto > self._acked:
            self._acked = upto
            self._trim()
