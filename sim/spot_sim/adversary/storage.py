"""The EMD's storage as a killed process leaves it: what was committed is there, the rest is not. It also tells whoever
watches what reaches the store.
"""

import json

from spot_host.emd.storage import MemoryStorage


class WatchedStorage(MemoryStorage):
    """A MemoryStorage that tells `watch`: interval(key, …), event_in(key, generation, seq, what, fields), note(key,
    event, detail)."""

    def __init__(self, watch):
        super().__init__(keep_telemetry=False)
        self._watch = watch

    def add_interval(self, key, generation, seq, *row):
        self._watch.interval(key, generation, seq, *row)
        self.intervals[key, generation, seq] = row

    def add_status(self, key, generation, now, fields):
        self._watch.event_in(key, generation, fields["seq"], "status", fields)

    def add_alarm(self, key, generation, now, fields):
        self._watch.event_in(key, generation, fields["seq"], "alarm", fields)

    def add_read(self, key, generation, now, fields):
        self._watch.event_in(key, generation, fields["seq"], "read", fields)

    def add_registers(self, key, generation, now, fields):
        self._watch.event_in(key, generation, fields["seq"], "registers", fields)

    def add_log(self, now, key, event, detail):
        self._watch.note(key, event, detail)

    def kill(self):
        """Nothing is lost: every write was through at once."""


class CrashStorage(WatchedStorage):
    """As SqliteStorage: writes wait for `commit`; `kill` loses those that it has not seen."""

    durable = True

    def __init__(self, watch):
        super().__init__(watch)
        self._pending = []
        self._settings = {}

    def get(self, name, default=None):
        return self._settings.get(name, self.settings.get(name, default))

    def put(self, name, value):
        self._settings[name] = value

    def load(self):
        return json.loads(json.dumps(super().load()))  # as from disk: nothing is shared with the life before

    def load_events(self):
        return json.loads(json.dumps(super().load_events()))

    def commit(self):
        pending, self._pending = self._pending, []
        for write, arguments in pending:
            write(*arguments)
        self.settings.update(self._settings)
        self._settings.clear()

    def kill(self):
        self._pending.clear()
        self._settings.clear()


def _later(name):
    through = getattr(WatchedStorage, name)

    def wait(self, *arguments):
        self._pending.append((through.__get__(self), arguments))

    return wait


for _name in ("put_device", "put_command", "add_interval", "add_status", "add_alarm", "add_read", "add_registers",
              "put_event"):
    setattr(CrashStorage, _name, _later(_name))
