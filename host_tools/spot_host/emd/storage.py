"""What the core asks of storage, and the storage that is a few Python lists (for the simulator and tests).

The order that makes a restart safe: the core writes, calls `commit`, and only then sends what promises something.
"""

TELEMETRY_COLUMNS = (
    "seq",
    "time",
    "power",
    "clock",
    "decider",
    "state",
    "voltage",
    "current",
    "energy_import",
    "frequency",
    "energy_export",
    "device_temperature",
    "room_temperature",
    "outdoor_temperature",
    "flow_temperature",
    "hot_water_temperature",
    "sg_state",
    "millis",
)


class MemoryKeys:
    """Small records by name, beside the core's data: what links must not forget of keys and sequence numbers.

    Unlike all else here they may be used from any thread, and what `put` returned for survives without a commit.
    """

    def __init__(self):
        self._records = {}

    def get(self, name: str, default=None):
        """A copy of the record, or `default`."""
        record = self._records.get(name)
        return default if record is None else dict(record)

    def put(self, records: dict) -> None:
        """Write records (plain dicts) by name, all or none of them; None deletes."""
        for name, record in records.items():
            if record is None:
                self._records.pop(name, None)
            else:
                self._records[name] = dict(record)

    def names(self, prefix: str) -> list:
        return [name for name in self._records if name.startswith(prefix)]


class MemoryStorage:
    """Keeps everything in lists and dicts; nothing survives the process. `keep_telemetry=False` only counts it."""

    durable = False  # sends need not wait for a commit

    def __init__(self, keep_telemetry: bool = True):
        self.settings, self.devices, self.commands = {}, {}, {}
        self.telemetry, self.intervals, self.statuses, self.alarms, self.reads = [], {}, [], [], []
        self.registers = []
        self.log, self.events, self.telemetry_count = [], {}, 0
        self.campaigns, self.releases = {}, {}
        self.keys = MemoryKeys()
        if not keep_telemetry:
            self.add_telemetry = self._count_telemetry

    def get(self, name, default=None):
        """A setting (plain values) or `default`."""
        return self.settings.get(name, default)

    def put(self, name, value) -> None:
        self.settings[name] = value

    def load(self) -> list:
        """[(device record, [command record, …])] of every known device."""
        return [
            (record, [c for (key, _), c in self.commands.items() if key == record["key"]])
            for record in self.devices.values()
        ]

    def put_device(self, record: dict) -> None:
        self.devices[record["key"]] = record

    def put_command(self, key: int, record: dict) -> None:
        self.commands[(key, record["id"])] = record

    def add_telemetry(self, row: tuple) -> None:
        """(device key, the columns above)."""
        self.telemetry.append(row)
        self.telemetry_count += 1

    def _count_telemetry(self, row):
        self.telemetry_count += 1

    def add_interval(self, key, generation, seq, start, minutes, import_wh, export_wh, quality) -> None:
        """One interval reading; a number that is there already stays as it is."""
        self.intervals.setdefault((key, generation, seq), (start, minutes, import_wh, export_wh, quality))

    def add_status(self, key, generation, now, fields: dict) -> None:
        self.statuses.append((key, generation, now, fields))

    def add_alarm(self, key, generation, now, fields: dict) -> None:
        self.alarms.append((key, generation, now, fields))

    def add_read(self, key, generation, now, fields: dict) -> None:
        self.reads.append((key, generation, now, fields))

    def add_registers(self, key, generation, now, fields: dict) -> None:
        """The registers of a local midnight."""
        self.registers.append((key, generation, now, fields))

    def add_log(self, now, key, event, detail) -> None:
        """What a person should be able to find later: refusals, resynchronisations, lapses."""
        self.log.append((now, key, event, detail))

    def put_event(self, record: dict) -> None:
        """A limit event with its accounting, by its id."""
        self.events[record["id"]] = record

    def load_events(self) -> list:
        return list(self.events.values())

    def put_campaign(self, record: dict) -> None:
        """An update of a fleet (emd.campaign), by its id."""
        self.campaigns.setdefault(record["id"], [None, {}])[0] = record

    def put_campaign_member(self, id_: int, member: dict) -> None:
        """A device of it, by its EUI."""
        self.campaigns.setdefault(id_, [None, {}])[1][member["eui"]] = dict(member)

    def put_release(self, resource: str, octets: bytes) -> None:
        self.releases[resource] = bytes(octets)

    def load_campaigns(self) -> list:
        """[(record, [member, …])]."""
        return [(record, list(members.values())) for record, members in self.campaigns.values() if record is not None]

    def load_release(self, resource: str) -> bytes:
        return self.releases[resource]

    def commit(self) -> None:
        """Everything written so far survives from now on."""
