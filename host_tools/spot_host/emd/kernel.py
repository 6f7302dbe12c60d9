"""What every part of the core stands on: state, timers, and the way out, which may have to wait for the disk."""

import heapq

from spot_host.emd.accounting import Accounting
from spot_host.emd.carousel import Carousel
from spot_host.emd.firmware import Updates
from spot_host.emd.tariff import Tariff

HEARTBEAT, RESEND, ACK, PLAN, SPLIT, COMMIT, SETTLE, SIGNED, UPDATE = range(9)  # kinds of timers


class Kernel:
    """State and plumbing. `_outbox` holds what is sent once the storage has committed what it promises."""

    def __init__(self, config, storage, out, now):
        self.config, self.storage, self.out = config, storage, out
        self.devices, self.strangers, self.limits = {}, 0, {}
        self.tariff = Tariff()
        self.accounting = Accounting(self.tariff, now)
        self._accounted = storage.get("accounting")
        if self._accounted is not None:
            self.accounting.restore(self._accounted)
        self.series, self.price_revision = None, storage.get("price_revision", 0)
        self._ours = True  # the prices are published by this EMD, not taken from a broadcast
        self._timers, self._count, self._outbox, self._dirty = [], 0, [], []
        self._commit_due = self._plan_due = None
        self._epoch = None
        self.signed = Carousel(storage, out, lambda due, what: self._at(due, SIGNED, what))
        self.updates = Updates(storage, self.devices, self._send, self._offer_id, lambda: self._epoch,
                               lambda due: self._at(due, UPDATE, None), 2 * config.association.heartbeat_timeout_s)

    def _at(self, due, kind, what):
        self._count += 1
        heapq.heappush(self._timers, (due, self._count, kind, what))

    def _send(self, row, body, needs_commit=True):
        row.bytes_out += len(body)
        row.messages_out += 1
        if needs_commit:
            self._outbox.append((row, row.eui, "cmd", body))
        else:
            self.out.send(row.eui, "cmd", body)

    def _offer_id(self, row):
        """An id that no command of the device has, nor will have."""
        row.ledger.next_id += 1
        self._touched(row)
        return row.ledger.next_id - 1

    def _flush(self, now):
        if self.storage.durable:
            self._commit(now)
        outbox, self._outbox = self._outbox, []
        for row, name, channel, body in outbox:
            if row is None:
                self.out.publish(name, channel, body)
            else:
                self.out.send(name, channel, body)

    def _commit(self, now):
        dirty, self._dirty = self._dirty, []
        storage = self.storage
        for row in dirty:
            row.dirty = False
            storage.put_device(row.record())
            for command in row.ledger.take_changed():
                storage.put_command(row.key, command.record())
        accounted = self.accounting.record()
        if accounted != self._accounted:
            self._accounted = accounted
            storage.put("accounting", accounted)
        storage.commit()

    def _touched(self, row):
        if not row.dirty:
            row.dirty = True
            self._dirty.append(row)
