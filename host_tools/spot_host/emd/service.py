"""The running EMD: core, SQLite, MQTT and CoAP in one loop, and the requests that people make through the database."""

import json
import os
import sqlite3
import sys
import time

from filelock import FileLock, Timeout

from spot_host.emd import sqlite
from spot_host.emd.config import EmdConfig, events_from
from spot_host.emd.core import EmdCore
from spot_host.emd.keyrings import Keyrings
from spot_host.emd.ledger import KIND_NAMES, PENDING, REASON_NAMES, STATE_NAMES
from spot_host.emd.links import Links
from spot_host.emd.mqtt import MqttLink
from spot_host.emd.notes import Notes
from spot_host.emd.secure import Secure
from spot_host.emd.tariff import PriceSeries
from spot_host.errors import UserError

ALIVE_S = 5  # between two signs of life in the database
_NO_ANSWER = "the device did not answer"
_GATHER_S = 0.02  # sends that wait for the disk are gathered for so long
_POLL_S = 0.1
_KEEP_REQUESTS_S = 3600
_MOST_LINES = 2000  # of a log that one request brings
_KEYS_S = 1.0  # between two looks at the files of pairings and revocations
_REKEY_S = 60  # between two tries to give a device its next secret


class EmdService:
    """One EMD on its database, broker and CoAP ports. `run()` until `stop()`.

    clock: gives Unix seconds. say(now, EUI or None, event, detail): hears what people should know of.
    """

    def __init__(self, config: EmdConfig, clock=time.time, say=None):
        self.config, self._clock, self._stopped = config, clock, False
        self.storage = sqlite.SqliteStorage(config.database)
        self.notes = Notes()
        self.keyrings, self.watches = None, None
        mqtt = coap = secure = None
        if config.pairings or config.coap.host:
            note = lambda event, eui, detail: self.notes.add(event, eui, detail)  # noqa: E731
            self.keyrings = Keyrings(config.pairings or None, self.storage.keys, note, clock)
        if config.mqtt.host:
            mqtt = MqttLink(
                config.mqtt, config.utility, self._on_mqtt, self._broadcast, self._up, self._class_of, config.broadcasts
            )
        if config.coap.host:
            from spot_host.emd.coap import CoapLink  # aiocoap costs a quarter of a second: not without a use
            from spot_host.emd.coap_requests import Watches

            coap = CoapLink(config.coap, self.keyrings, self.notes)
            self.watches = Watches(coap)
        if mqtt is not None and self.keyrings is not None:
            secure = Secure(self.keyrings, self._boot_of, self.notes.add)
        self.link = Links(mqtt, coap, secure, self._receive, self._note)
        self.core = EmdCore(config, self.storage, self.link, self.now())
        if coap is not None:
            coap.shelf = self.core.updates.shelf
        if say is not None:
            self.storage.on_log = lambda at, key, event, detail: say(at, self._name(key), event, detail)
        self._round = self.now()  # the time of what is being read
        self._waiting = []  # (request id, until, function that gives the result or None, EUI or None)
        self._seen_version, self._poll_at, self._alive_at = None, 0.0, 0.0
        self._complained_at, self._prune_at, self._keys_at = -60.0, 0, 0.0
        self._noted, self._ways, self._revoked = False, None, None
        self._rekeys = {}  # EUI: (Ask of its next secret or None, when it is offered again)

    def now(self) -> int:
        return int(self._clock())

    def run(self) -> None:
        """Serve until `stop()`. Raises Unreachable when there is no broker at the start, UserError where another EMD
        runs on the same database: both would use the same sequence numbers under the same keys."""
        alone = FileLock(f"{self.config.database}.lock")
        try:
            alone.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{self.config.database}: another EMD runs on it") from None
        try:
            self._run()
        finally:
            alone.release()

    def _run(self):
        self._sign()
        try:
            self.link.connect()
            if self.link.mqtt is None:
                self._up()
            while not self._stopped:
                self.turn()
        finally:
            self.core.close(self.now())
            self.link.close()
            if self.link.secure is not None:
                self.link.secure.keep()
            self.storage.put("alive", {"pid": os.getpid(), "at": 0, "broker": False})
            self.storage.close()

    def stop(self, *_) -> None:
        """End the loop (also as a signal handler)."""
        self._stopped = True

    def turn(self) -> None:
        """One round: the network, what is due, people's requests."""
        end = time.monotonic() + _GATHER_S
        self._round = self.now()
        self.link.serve(_GATHER_S)
        while time.monotonic() < end and self.link.connected:
            self._round = self.now()
            self.link.serve(max(0.0, end - time.monotonic()))
        try:
            self._work(self.now())
        except sqlite3.Error as exc:  # a full disk, say: nothing is promised, and what must be kept waits in memory
            if time.monotonic() - self._complained_at > 60:
                self._complained_at = time.monotonic()
                print(
                    f"spot: {self.config.database}: {exc}; nothing is acknowledged until it works again",
                    file=sys.stderr,
                )

    def _work(self, now):
        if self.core.next_due <= now:
            self.core.step(now)
        if time.monotonic() >= self._poll_at:
            self._poll_at = time.monotonic() + _POLL_S
            self._requests(now)
            if time.monotonic() - self._alive_at > ALIVE_S:
                self._sign()
            if time.monotonic() >= self._keys_at:
                self._keys_at = time.monotonic() + _KEYS_S
                self._keys(now)
            if self._noted:  # a person may be looking
                self._noted = False
                self.storage.commit()
            if now >= self._prune_at:
                self._prune_at = now + 3600
                self.storage.prune(now - self.config.keep_days * 86400)

    def _sign(self):
        self._alive_at, now = time.monotonic(), self.now()
        report = self.core.report(now)
        for name in ("devices", "responses", "events"):  # these have tables of their own
            del report[name]
        sign = {"pid": os.getpid(), "at": now, "broker": self.link.listening, "report": report}
        self.storage.put("time_zone", self.config.time_zone)
        self.storage.put("alive", {**sign, "silent_s": self.config.association.heartbeat_timeout_s})
        ways = {eui: self._way(eui) for eui, row in self.core.devices.items() if row.registered}
        if ways != self._ways:
            self._ways = ways
            self.storage.put("ways", ways)
        revoked = sorted(eui for eui in self.core.devices if self._is_revoked(eui))
        if revoked != self._revoked:
            self._revoked = revoked
            self.storage.put("revoked", revoked)
        self.storage.commit()

    def _is_revoked(self, eui):
        return self.keyrings is not None and eui in self.keyrings.revoked

    def _way(self, eui):
        """Over what the device spoke last, as "mqtt+cose" or "coap+oscore"; None: not since the start."""
        way = self.link.way(eui)
        ring = self.keyrings.rings.get(eui) if self.keyrings is not None else None
        return "mqtt+cose" if way == "mqtt" and ring is not None and ring.protect != "none" else way

    def _keys(self, now):
        """Follow the files of pairings and revocations, and give rotated secrets to devices that have not seen them."""
        for eui, event, detail in self.notes.take():
            self._note(event, eui, detail)
            if event == "pairing_revoked":
                self.core.revoked(eui)
        if self.keyrings is None:
            return
        if self.link.secure is not None:
            self.link.secure.keep()
        if self.keyrings.reload():
            self._sign()
        if self.link.coap is not None:
            self.link.coap.refresh()
        for ring in list(self.keyrings.rings.values()):
            self._rekey(now, ring)

    def _rekey(self, now, ring):
        """Offer a device its next secret until it says that it has it; then the EMD sends under that."""
        eui, following, row = ring.eui, ring.waiting, self.core.devices.get(ring.eui)
        ask, again_at = self._rekeys.get(eui, (None, 0))
        if ask is not None and ask.result is not None:
            reason = ask.result["reason"]
            if reason == 0:
                self.keyrings.offered(eui, ask.values["generation"])
                self.core.beat(now, eui)  # under the new key: the device goes over to it
                following = ring.waiting
            elif reason is not None:
                self._note("rekey_refused", eui, REASON_NAMES.get(reason, str(reason)))
            ask = None
            self._rekeys[eui] = None, again_at
        if following is None:
            self._rekeys.pop(eui, None)
        elif ask is None and row is not None and row.registered and now >= again_at:
            ask = self.core.rekey(now, eui, following.generation, following.secret, _REKEY_S // 2)
            self._rekeys[eui] = ask, now + _REKEY_S

    def _note(self, event, eui, detail):
        row = self.core.devices.get(eui) if eui is not None else None
        self.storage.add_log(self.now(), row.key if row is not None else None, event, _named(eui, row, detail))
        self._noted = True

    def _boot_of(self, eui):
        row = self.core.devices.get(eui)
        return row.boot if row is not None else None

    def _on_mqtt(self, device, channel, body, device_class):
        self.link.from_mqtt(device, channel, body, device_class)

    def _receive(self, device, channel, body, device_class):
        return self.core.receive(self._round, device, channel, body, device_class)

    def _broadcast(self, channel, body):
        if self.core.receive_group(self.now(), channel, body) and self.link.coap is not None:
            self.link.coap.publish(self.config.group, channel, body)  # on MQTT it reached the devices by itself

    def _up(self):
        self.core.link_up(self.now())
        self._sign()

    def _name(self, key):
        return next((row.eui for row in self.core.devices.values() if row.key == key), None)

    def _class_of(self, device):
        return self.core.devices[device].device_class or "plug"

    # Requests

    def _requests(self, now):
        connection = self.storage.connection
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._seen_version:
            self._seen_version = version
            for id_, body in connection.execute(
                "SELECT id, body FROM request WHERE state = 'new' ORDER BY id"
            ).fetchall():
                connection.execute("UPDATE request SET state = 'taken', body = '' WHERE id = ?", (id_,))
                self._do(now, id_, body)
            connection.execute("DELETE FROM request WHERE at < ?", (now - _KEEP_REQUESTS_S,))
        still = []
        for id_, until, ready, device in self._waiting:
            result = ready()
            if result is None and self._is_revoked(device):  # meanwhile
                result = {"error": f"{device}: revoked", "code": 2}
            if result is None and time.monotonic() > until:
                result = {"error": getattr(ready, "late", _NO_ANSWER), "code": 5}
            if result is None:
                still.append((id_, until, ready, device))
            else:
                self._answer(id_, result)
        self._waiting = still

    def _do(self, now, id_, body):
        try:
            request = json.loads(body)
            wait_s = min(600.0, float(request.get("wait_s", 30)))
            device = None if request["do"].startswith("coap") else request.get("device")  # that says: not on CoAP now
            if self._is_revoked(device):
                raise UserError(f"{device}: revoked")
            ready = self._start(now, request, wait_s)
        except KeyError as exc:
            self._answer(id_, {"error": f"no registered device or field {exc}", "code": 2})
        except (UserError, ValueError, TypeError) as exc:
            self._answer(id_, {"error": str(exc), "code": 2})
        else:
            self._waiting.append((id_, time.monotonic() + wait_s, ready, device))

    def _start(self, now, request, wait_s):
        """Begin a request; a function that gives its result, None while there is none."""
        core, do = self.core, request["do"]
        if do == "command":
            values = {
                k: request[k]
                for k in ("value", "value2", "duration", "delay", "priority", "jitter", "after", "ramp")
                if request.get(k) is not None
            }
            command = core.command(now, request["device"], request["kind"], **values)

            def decided():
                return None if command.state == PENDING else command_result(command)

            decided.late = (
                f"{_NO_ANSWER}; command {command.id} is sent again until it ends: "
                f"`spot emd command {request['device']} revoke {command.id}` withdraws it"
            )
            return decided
        if do == "revoke":
            if not core.revoke(now, request["device"], request["id"]):
                raise ValueError(f"device {request['device']} has no live command {request['id']}")
            ledger = core.devices[request["device"]].ledger
            return lambda: {"ok": True} if request["id"] not in ledger.commands else None
        if do in ("read", "configure"):
            act = core.read if do == "read" else core.configure
            ask = act(now, request["device"], request["objects" if do == "read" else "values"], int(wait_s))

            return lambda: _answered(ask)
        if do == "log":
            return self._read_log(now, request, wait_s)
        if do == "calibrate":
            truth = {k: request[k] for k in ("voltage", "current", "power") if request.get(k) is not None}
            ask = core.calibrate(now, request["device"], request["seconds"], truth, int(wait_s))
            return lambda: _answered(ask)
        if do == "event":
            (event,) = events_from([request["event"]], "event")
            core.add_event(now, event)
            return lambda: {"ok": True, "id": event.id}
        if do == "withdraw":
            if not core.remove_event(now, request["id"]):
                raise ValueError(f"no event {request['id']}")
            return lambda: {"ok": True}
        if do == "signed":
            core.publish_signed(now, [bytes.fromhex(body) for body in request["bodies"]], request.get("group"))
            return lambda: {"ok": True}
        if do.startswith("update_"):
            return self._update(now, do[7:], request)
        if do == "prices":
            core.set_prices(now, PriceSeries(request["start"], request["interval_s"], tuple(request["values"])))
            return lambda: {"ok": True, "revision": core.price_revision}
        if do.startswith("coap") and self.watches is not None:
            return self.watches.start(request, wait_s)
        raise ValueError(f"{do}: no such request")

    def _update(self, now, do, request):
        """Campaigns of firmware: start, halt, resume, end."""
        updates, id_ = self.core.updates, request.get("id")
        if do == "start":
            campaign = updates.start(now, request["files"], request.get("pace") or {}, request.get("devices"))
        elif do == "halt":
            campaign = updates.halt(now, id_, str(request.get("why") or "by hand")[:200])
        elif do == "resume":
            campaign = updates.resume(now, id_, bool(request.get("retry")))
        elif do == "end":
            campaign = updates.end(now, id_)
        else:
            raise ValueError(f"{do}: no such request")
        result = {"ok": True, "id": campaign.id, "state": campaign.state, "devices": len(campaign.members)}
        return lambda: result

    def _read_log(self, now, request, wait_s):
        """All lines of a record from `first` on, asked for message by message."""
        device, record, lines = request["device"], request.get("record", 0), []
        ask = self.core.read_log(now, device, record, request.get("first", 0), int(wait_s))
        first, gap = request.get("first", 0), 0

        def ready():
            nonlocal ask, first, gap
            result = _answered(ask)
            if result is None or "error" in result:
                return result
            gap += max(0, result["first"] - first)
            # what a device writes goes to a terminal: no escape sequences
            lines.extend("".join(c if c.isprintable() else "?" for c in line) for line in result["text"].split("\n"))
            if not lines[-1]:
                lines.pop()
            nothing = result["next"] <= max(first, result["first"]) or not result["text"]
            first = result["next"]
            if nothing or len(lines) > _MOST_LINES:
                return {"ok": True, "boot": result["boot"], "lines": lines, "next": first, "lost": gap}
            ask = self.core.read_log(self.now(), device, record, first, int(wait_s))
            return None

        return ready

    def _answer(self, id_, result):
        self.storage.connection.execute(
            "UPDATE request SET state = 'done', result = ? WHERE id = ?", (json.dumps(result), id_)
        )


def _answered(ask):
    """What came of an Ask, None while nothing has."""
    if ask.result is None:
        return None
    if ask.result["reason"] is None:
        return {"error": _NO_ANSWER, "code": 5}
    if ask.result["reason"]:
        return {"error": f"refused: {REASON_NAMES.get(ask.result['reason'])}", "code": 4}
    return {"ok": True, **ask.result}


def _named(eui, row, detail):
    """A note about a device without a row says which it is."""
    return detail if eui is None or row is not None else f"{eui}: {detail}"


def command_result(command) -> dict:
    """What a device answered to a command, for a person: state, reason, effective start, power and duration."""
    result = {
        "ok": True,
        "id": command.id,
        "revision": command.revision,
        "kind": KIND_NAMES[command.kind],
        "state": STATE_NAMES[command.state],
        "reason": REASON_NAMES.get(command.reason, command.reason),
        "start": command.start,
        "power_w": command.power,
        "duration_s": command.effective_duration,
    }
    if result["state"] in ("rejected", "expired"):
        result.update(ok=False, error=f"the device refused: {result['reason']}", code=4)
    return result


class Reader:
    """The database of an EMD from another process: reads, and requests."""

    def __init__(self, path):
        if not os.path.exists(path):
            raise UserError(f"{path}: there is no such database; `spot emd run` makes it")
        self.path = path
        self.connection = sqlite.connect(path, read_only=True)

    def setting(self, name, default=None):
        row = self.connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else default

    def alive(self) -> dict | None:
        """The running EMD's last sign of life, None when it is older than three periods."""
        sign = self.setting("alive")
        return sign if sign and time.time() - sign["at"] < 3 * ALIVE_S else None

    def devices(self) -> list:
        """Records of all devices, in the order in which they came; `link`: over what each spoke last, or None;
        `revoked`: whether it was taken out."""
        ways, revoked = self.setting("ways") or {}, self.setting("revoked") or ()
        records = [json.loads(r) for (r,) in self.connection.execute("SELECT record FROM device ORDER BY key")]
        return [{**record, "link": ways.get(record["eui"]), "revoked": record["eui"] in revoked} for record in records]

    def rows(self, sql: str, *values) -> list:
        """Rows as dicts."""
        cursor = self.connection.execute(sql, values)
        names = [c[0] for c in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def request(self, body: dict, wait_s: float = 30.0) -> dict:
        """Ask the running EMD; its result. Raises Unreachable when none runs or none answers."""
        from spot_host.emd.mqtt import Unreachable

        if self.alive() is None:
            raise Unreachable(f"no EMD runs on {self.path}; start one: spot emd run CONFIG")
        try:
            cursor = self.connection.execute(
                "INSERT INTO request (at, body) VALUES (?, ?)", (time.time(), json.dumps({**body, "wait_s": wait_s}))
            )
        except sqlite3.Error as exc:
            raise Unreachable(f"{self.path}: {exc}") from exc
        end = time.monotonic() + wait_s + 5
        while time.monotonic() < end:
            row = self.connection.execute("SELECT result FROM request WHERE id = ?", (cursor.lastrowid,)).fetchone()
            if row is not None and row[0] is not None:
                return json.loads(row[0])
            time.sleep(0.05)
        raise Unreachable(f"the EMD on {self.path} does not answer")
