"""The EMD's memory on disk: SQLite in WAL mode. What `commit` has returned for survives `kill -9`.

Writes are gathered in lists and reach the database in one short transaction, so that `spot emd` in another process can
always read, and write its requests.
"""

import json
import sqlite3
import threading

from spot_host.emd.ledger import FINAL
from spot_host.emd.storage import TELEMETRY_COLUMNS
from spot_host.errors import UserError

SCHEMA_VERSION = 1
_MOST_HELD = 200_000  # telemetry rows that wait for a disk that is full

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS device (key INTEGER PRIMARY KEY, eui TEXT UNIQUE NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS command (device INTEGER NOT NULL, id INTEGER NOT NULL, revision INTEGER NOT NULL,
  kind INTEGER NOT NULL, begin INTEGER NOT NULL, end INTEGER NOT NULL, state INTEGER NOT NULL, reason INTEGER NOT NULL,
  purpose TEXT, record TEXT NOT NULL, PRIMARY KEY (device, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS telemetry (device INTEGER NOT NULL, {", ".join(f"{c} INTEGER" for c in TELEMETRY_COLUMNS)});
CREATE INDEX IF NOT EXISTS telemetry_by_time ON telemetry (device, time);
CREATE TABLE IF NOT EXISTS interval (device INTEGER NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
  start INTEGER NOT NULL, minutes INTEGER NOT NULL, import_wh REAL NOT NULL, export_wh REAL, quality INTEGER NOT NULL,
  PRIMARY KEY (device, generation, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS status (device INTEGER NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (device, generation, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm (device INTEGER NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (device, generation, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reading (device INTEGER NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (device, generation, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registers (device INTEGER NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (device, generation, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, device INTEGER, event TEXT NOT NULL,
  detail TEXT);
CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS campaign (id INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS campaign_member (campaign INTEGER NOT NULL, eui TEXT NOT NULL, record TEXT NOT NULL,
  PRIMARY KEY (campaign, eui)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS release (resource TEXT PRIMARY KEY, octets BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS request (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, body TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'new', result TEXT);
CREATE TABLE IF NOT EXISTS key_state (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
"""

_TELEMETRY = f"INSERT INTO telemetry VALUES ({', '.join('?' * (len(TELEMETRY_COLUMNS) + 1))})"


def connect(path, read_only: bool = False, shared: bool = False) -> sqlite3.Connection:
    """Open the EMD's database; `shared`: for more than one thread. Raises UserError when it cannot be opened."""
    try:
        name = f"file:{_quoted(path)}?mode=rw" if read_only else f"file:{_quoted(path)}"
        connection = sqlite3.connect(name, uri=True, timeout=10, isolation_level=None, check_same_thread=not shared)
        connection.execute("PRAGMA busy_timeout=10000")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION) or (read_only and version == 0):
            raise UserError(f"{path}: not an EMD database of version {SCHEMA_VERSION} (it says {version})")
        return connection
    except sqlite3.DatabaseError as exc:
        raise UserError(f"{path}: not a usable EMD database: {exc}") from exc


def _quoted(path):
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


class SqliteKeys:
    """MemoryKeys on disk: the table `key_state`, through a connection of its own that any thread may use.

    A `put` is durable when it returns (a sequence number must be, before it is used). Raises sqlite3.Error if not.
    """

    def __init__(self, path):
        self._lock = threading.Lock()
        self._connection = connect(path, shared=True)
        self._connection.execute("PRAGMA synchronous=FULL")
        self._records = {n: json.loads(r) for n, r in self._connection.execute("SELECT name, record FROM key_state")}

    def get(self, name: str, default=None):
        record = self._records.get(name)
        return default if record is None else dict(record)

    def put(self, records: dict) -> None:
        with self._lock:
            run = self._connection
            run.execute("BEGIN IMMEDIATE")
            try:
                run.executemany(
                    "INSERT OR REPLACE INTO key_state VALUES (?,?)",
                    [(name, json.dumps(record)) for name, record in records.items() if record is not None],
                )
                run.executemany(
                    "DELETE FROM key_state WHERE name = ?", [(n,) for n, record in records.items() if record is None]
                )
                run.execute("COMMIT")
            except BaseException:
                if run.in_transaction:
                    run.execute("ROLLBACK")
                raise
            for name, record in records.items():
                if record is None:
                    self._records.pop(name, None)
                else:
                    self._records[name] = dict(record)

    def names(self, prefix: str) -> list:
        with self._lock:
            return [name for name in self._records if name.startswith(prefix)]

    def close(self) -> None:
        with self._lock:
            self._connection.close()


class SqliteStorage:
    """Storage of the core in the SQLite file `path`, made when it is not there. `full_sync`: for power cuts, too."""

    durable = True
    on_log = None  # a function that hears every note: (now, device key or None, event, detail)

    def __init__(self, path, full_sync: bool = True):
        self.path = path
        self.connection = connect(path)
        if full_sync:
            self.connection.execute("PRAGMA synchronous=FULL")
        try:
            self.connection.executescript(_SCHEMA + f"PRAGMA user_version={SCHEMA_VERSION};")
        except sqlite3.DatabaseError as exc:
            raise UserError(f"{path}: not a usable EMD database: {exc}") from exc
        self._settings = {n: json.loads(v) for n, v in self.connection.execute("SELECT name, value FROM setting")}
        self._new_settings, self._devices, self._commands, self._events = {}, {}, {}, {}
        self._telemetry, self._intervals, self._statuses, self._alarms, self._reads, self._log = [], [], [], [], [], []
        self._registers, self._campaigns, self._members, self._releases = [], {}, {}, {}
        self.add_telemetry = self._telemetry.append
        self.keys = SqliteKeys(path)

    def get(self, name, default=None):
        return self._settings.get(name, default)

    def put(self, name, value) -> None:
        self._settings[name] = self._new_settings[name] = value

    def load(self) -> list:
        """Devices with their live commands and the last 32 that are over."""
        result = []
        final = ",".join(str(s) for s in sorted(FINAL))
        for key, record in self.connection.execute("SELECT key, record FROM device ORDER BY key").fetchall():
            commands = [
                json.loads(r)
                for (r,) in self.connection.execute(
                    f"SELECT record FROM command WHERE device = ? AND (state NOT IN ({final}) OR id > "
                    "(SELECT max(id) FROM command WHERE device = ?) - 32) ORDER BY id",
                    (key, key),
                )
            ]
            result.append((json.loads(record), commands))
        return result

    def put_device(self, record: dict) -> None:
        self._devices[record["key"]] = record

    def put_command(self, key: int, record: dict) -> None:
        self._commands[(key, record["id"])] = record

    def add_interval(self, key, generation, seq, start, minutes, import_wh, export_wh, quality) -> None:
        self._intervals.append((key, generation, seq, start, minutes, import_wh, export_wh, quality))

    def add_status(self, key, generation, now, fields: dict) -> None:
        self._statuses.append((key, generation, fields["seq"], now, json.dumps(fields)))

    def add_alarm(self, key, generation, now, fields: dict) -> None:
        self._alarms.append((key, generation, fields["seq"], now, json.dumps(fields)))

    def add_read(self, key, generation, now, fields: dict) -> None:
        self._reads.append((key, generation, fields["seq"], now, json.dumps(fields)))

    def add_registers(self, key, generation, now, fields: dict) -> None:
        self._registers.append((key, generation, fields["seq"], now, json.dumps(fields)))

    def add_log(self, now, key, event, detail) -> None:
        self._log.append((now, key, event, detail))
        if self.on_log is not None:
            self.on_log(now, key, event, detail)

    def put_event(self, record: dict) -> None:
        self._events[record["id"]] = record

    def load_events(self) -> list:
        return [json.loads(r) for (r,) in self.connection.execute("SELECT record FROM event ORDER BY id")]

    def put_campaign(self, record: dict) -> None:
        self._campaigns[record["id"]] = record

    def put_campaign_member(self, id_: int, member: dict) -> None:
        self._members[(id_, member["eui"])] = dict(member)

    def put_release(self, resource: str, octets: bytes) -> None:
        self._releases[resource] = bytes(octets)

    def load_campaigns(self) -> list:
        run, members = self.connection.execute, {}
        for id_, record in run("SELECT campaign, record FROM campaign_member ORDER BY campaign, eui"):
            members.setdefault(id_, []).append(json.loads(record))
        return [(json.loads(r), members.get(id_, [])) for id_, r in run("SELECT id, record FROM campaign ORDER BY id")]

    def load_release(self, resource: str) -> bytes:
        return self.connection.execute("SELECT octets FROM release WHERE resource = ?", (resource,)).fetchone()[0]

    def commit(self) -> None:
        """One transaction with all that was written since the last. After an sqlite3.Error all is still held here."""
        run = self.connection
        if not (
            self._new_settings
            or self._devices
            or self._commands
            or self._events
            or self._campaigns
            or self._members
            or self._releases
            or self._telemetry
            or self._intervals
            or self._statuses
            or self._alarms
            or self._reads
            or self._registers
            or self._log
        ):
            return
        run.execute("BEGIN IMMEDIATE")
        try:
            many = run.executemany
            if self._telemetry:
                many(_TELEMETRY, self._telemetry)
            if self._intervals:
                many("INSERT OR IGNORE INTO interval VALUES (?,?,?,?,?,?,?,?)", self._intervals)
            for table, rows in (
                ("status", self._statuses),
                ("alarm", self._alarms),
                ("reading", self._reads),
                ("registers", self._registers),
            ):
                if rows:
                    many(f"INSERT OR IGNORE INTO {table} VALUES (?,?,?,?,?)", rows)
            if self._log:
                many("INSERT INTO log (at, device, event, detail) VALUES (?,?,?,?)", self._log)
            if self._new_settings:
                many(
                    "INSERT OR REPLACE INTO setting VALUES (?,?)",
                    [(n, json.dumps(v)) for n, v in self._new_settings.items()],
                )
            if self._devices:
                many(
                    "INSERT OR REPLACE INTO device VALUES (?,?,?)",
                    [(r["key"], r["eui"], json.dumps(r)) for r in self._devices.values()],
                )
            if self._commands:
                many(
                    "INSERT OR REPLACE INTO command VALUES (?,?,?,?,?,?,?,?,?,?)",
                    [_command(k, r) for (k, _), r in self._commands.items()],
                )
            if self._events:
                many(
                    "INSERT OR REPLACE INTO event VALUES (?,?)",
                    [(r["id"], json.dumps(r)) for r in self._events.values()],
                )
            if self._releases:
                many("INSERT OR REPLACE INTO release VALUES (?,?)", list(self._releases.items()))
            if self._campaigns:
                many(
                    "INSERT OR REPLACE INTO campaign VALUES (?,?)",
                    [(id_, json.dumps(r)) for id_, r in self._campaigns.items()],
                )
            if self._members:
                many(
                    "INSERT OR REPLACE INTO campaign_member VALUES (?,?,?)",
                    [(id_, eui, json.dumps(r)) for (id_, eui), r in self._members.items()],
                )
            run.execute("COMMIT")
        except BaseException:
            if run.in_transaction:
                run.execute("ROLLBACK")
            if len(self._telemetry) > _MOST_HELD:  # best effort: the rest is kept until the disk takes it
                del self._telemetry[: len(self._telemetry) // 2]
            raise
        for held in (
            self._new_settings,
            self._devices,
            self._commands,
            self._events,
            self._campaigns,
            self._members,
            self._releases,
            self._telemetry,
            self._intervals,
            self._statuses,
            self._alarms,
            self._reads,
            self._registers,
            self._log,
        ):
            held.clear()

    def prune(self, before: int) -> None:
        """Forget telemetry, notes, and commands that are over, from before Unix time `before`."""
        final = ",".join(str(s) for s in sorted(FINAL))
        with self.connection as run:
            run.execute("DELETE FROM telemetry WHERE time < ?", (before,))
            run.execute("DELETE FROM log WHERE at < ?", (before,))
            run.execute(f"DELETE FROM command WHERE end < ? AND state IN ({final})", (before,))

    def close(self) -> None:
        self.commit()
        self.keys.close()
        self.connection.close()


def _command(key, r):
    return (
        key,
        r["id"],
        r["revision"],
        r["kind"],
        r["issued"] + r["delay"],
        r["issued"] + r["delay"] + r["duration"],
        r["state"],
        r["reason"],
        r["purpose"],
        json.dumps(r),
    )
