"""What was changed of the network since config.json was flashed: the Wi-Fi, and where the EMD is. On trial first, and
rolled back where the EMD is not reached. Told over CoAP, by the EMD, or in the window that the button opens.

Loaded with its first use: a change that is kept, the button, a request. `config.json` stays as it was flashed.

The value `net` of the store, replaced whole, so that each cut leaves what was or what is: JSON of `mark` (of what was
flashed: where that is another by now, the value is void), `state`, `count` (of starts in the trial), `why`, `now`
(settings that are good) and `next` (those on trial, or in waiting, or null). Settings: ssid, key, host, port; what they
leave out is as flashed.

A trial ends well when the station has joined under the new settings and the EMD was heard after that, over the first
link, while it knows the device. Else, after five minutes, or three starts, the old ones hold again. Settings in waiting
are tried when the old ones have not joined for a minute, and so are those that joined and found no EMD: a router that
gets its new password tomorrow, and an EMD that was away today, brick nothing.
"""

import json

from .config import associations
from .link.settings import split_uri
from .port import asyncio, const, gc, network, random_bytes, sha256, ticks_ms
from .wire.cbor import MAP, TEXT, Reader, Writer
from .wire.coap_numbers import (
    COAP_BAD_REQUEST,
    COAP_CHANGED,
    COAP_CONTENT,
    COAP_FORBIDDEN,
    COAP_GET,
    COAP_METHOD_NOT_ALLOWED,
    COAP_PUT,
    COAP_UNAVAILABLE,
)
from .wire.context import Context
from .wire.kdf import expand, hmac_sha256

_NAME = "net"
_GOOD = const(0)
_TRYING = const(1)
_WAITING = const(2)
_FAILED = const(3)
_WORDS = ("good", "trying", "waiting", "failed")
_TRIAL_S = 300  # not const, nor the next: a test shortens them
_STARTS = const(3)
_PATIENCE_S = 60
_SETTLE_S = 5  # a port may say for a moment that the old network is joined
_ANSWER_S = const(2)  # for the answer to a request to leave
_WINDOW_S = const(600)
_LAST_S = const(60)  # of a window in which settings have proved good: to be told so
_TURN_MS = const(25)
_PROVISIONING = const(2)  # of board/panel.py
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_ROLE = b"window"  # the other side's OSCORE id: no device's, no EMD's
# what a port's status says of an attempt that failed
_STATUS = (("STAT_WRONG_PASSWORD", "password"), ("STAT_NO_AP_FOUND", "no such network"))


def access(salt, secret, eui64):
    """(name, key) of the access point, as the label has them, and the secret of its OSCORE keys."""
    root = hmac_sha256(salt, secret)
    raw = int.from_bytes(expand(root, b"ap", 10), "big")
    key = ""
    for at in range(16):
        key += ("-" if at and not at & 3 else "") + _LETTERS[raw >> 75 - 5 * at & 31]
    return "SPOT-%02X%02X" % (eui64[6], eui64[7]), key, expand(root, _ROLE, 16)


def _wrong(found):
    """Why settings are not to be tried; "" where they may."""
    ssid, key, host = found.get("ssid"), found.get("key"), found.get("host")
    if ssid is None and host is None or (ssid is None) != (key is None):
        return "ssid and key, or host"
    if ssid is not None:
        if not 0 < len(ssid.encode()) <= 32 or "\0" in ssid:
            return "ssid"
        if not 8 <= len(key) <= 63:
            return "key"
        for c in key:
            if not " " <= c <= "~":
                return "key"
    if host is not None:
        if found.get("later") or not 0 < len(host) <= 64:
            return "host"
        for c in host:
            if not ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in "-._:"):
                return "host"
    if "port" in found and (host is None or not 0 < found["port"] < 65536):
        return "port"
    return ""


class Network:
    """The network of `app` (app.App), whose `config` it changes before links and Wi-Fi are made of it. Of the App it
    reads `station` (link.wifi.Wifi, or None), `links`, `ring` (wire.keyring.Keyring, or None) and `now()` (s)."""

    def __init__(self, app):
        self._app = app
        self._log = app.log
        self._store = app.store
        config = app.config
        self._wifi = config.get("wifi")
        one = associations(config)[0]
        self._section = section = one.get("mqtt") or one.get("coap") or {}
        self._insecure = section.get("insecure")
        self._flashed = dict(section)
        wifi = self._wifi or {}
        flashed = [wifi.get("ssid"), wifi.get("password")] + [section.get(name) for name in ("uri", "host", "port")]
        self._mark = "".join(["%02x" % octet for octet in sha256(json.dumps(flashed).encode())[:4]])
        self.state = _GOOD
        self.why = ""
        self._starts = 0
        self._now = {}
        self._next = None
        self._trying = self._pressed = self._joined = self._held = False
        self._go_s = self._base = self._window = self._task = None
        self._until_s = self._lost_s = self._settle_s = 0
        self._close_s = 0
        self._load()

    # --- what is kept

    def _load(self):
        raw = self._store.get(_NAME)
        if not raw:
            return
        try:
            found = json.loads(raw)
            state, starts, now, following = [found[name] for name in ("state", "count", "now", "next")]
            if found["mark"] != self._mark:
                self._log.info("net.flashed_anew")
                return
            for one in (now, following or {}):
                if one and _wrong(one) or state not in (0, 1, 2, 3):
                    raise ValueError
            self.why = found["why"] + ""
            self.state, self._starts, self._now, self._next = state, starts + 0, now, following
        except (ValueError, KeyError, TypeError, AttributeError):
            self._log.error("net.damaged")
            return
        if self.state == _TRYING:
            self._starts += 1
            if self._next is None or self._starts > _STARTS or not self._keep():
                self._end_trial("count")
            else:
                self._log.info("net.trying", self._starts)
                self._begin(0, False)
        if not self._trying:
            self._set(self._now)
        if self._trying or self._next is not None:
            self._go()

    def _keep(self):
        record = {"mark": self._mark, "state": self.state, "count": self._starts, "why": self.why, "now": self._now,
                  "next": self._next}
        try:
            self._store.put(_NAME, json.dumps(record).encode())
        except OSError:
            self._log.error("net.not_kept", self.state)
            return False
        return True

    # --- settings in use

    def _set(self, settings):
        """What links and Wi-Fi are made of."""
        config, section = self._app.config, self._section
        if self._wifi is not None:
            config["wifi"] = wifi = dict(self._wifi)
            if "ssid" in settings:
                wifi["ssid"], wifi["password"] = settings["ssid"], settings["key"]
        for name in ("uri", "host", "port"):
            if name in self._flashed:
                section[name] = self._flashed[name]
        host = settings.get("host")
        if host is not None and "uri" in section:
            scheme, _, port = split_uri(section["uri"])
            section["uri"] = "%s://%s:%d" % (scheme, "[%s]" % host if ":" in host else host, settings.get("port", port))
        elif host is not None:
            section["host"] = host
            if "port" in settings:
                section["port"] = settings["port"]

    def _use(self, settings, now_s):
        """Changes over: the Wi-Fi at once, the EMD's address by a start afresh, since links are made but once."""
        before = self._section.get("uri"), self._section.get("host"), self._section.get("port")
        self._set(settings)
        if before != (self._section.get("uri"), self._section.get("host"), self._section.get("port")):
            self._app.restart(now_s)
            self._app.received += 1  # the loop looks at the time anew
        else:
            self._join()

    def _join(self):
        """The station joins, with what the configuration says now."""
        wifi = self._app.station
        if wifi is not None:
            self._leave()
            self._held = False
            wifi.config = self._app.config["wifi"]
            wifi.task = asyncio.create_task(wifi.run())

    def _leave(self):
        wifi = self._app.station
        wifi.task.cancel()
        try:
            wifi.station.disconnect()
        except OSError:
            pass

    # --- the trial

    def _begin(self, now_s, use=True):
        self._go_s = self._base = None
        self._trying = True
        self._joined = False
        self.why = "no network"
        self._settle_s = now_s + _SETTLE_S
        self._until_s = now_s + (_TRIAL_S if self.state == _TRYING else _PATIENCE_S)
        if use:
            self._log.info("net.trying", self._starts)
            self._use(self._next, now_s)
        else:
            self._set(self._next)

    def _watch(self, now_s, joined):
        if now_s < self._settle_s:
            return
        app = self._app
        if not joined:
            self._look()
        elif self._base is None:
            self._base = self._heard()
            self._joined = True
            self.why = "EMD"
            if self.state != _TRYING:
                self._until_s = now_s + _TRIAL_S
        elif self._heard() > self._base:
            seat = app.agent.seats[0]
            if seat.up and seat.registration.joined:
                self._prove(now_s)
                return
        if now_s >= self._until_s:
            self._log.warn("net.rolled_back", self.state)
            self._end_trial(self.why)
            self._lost_s = now_s
            self._use(self._now, now_s)

    def _heard(self):
        """Messages of the first EMD so far."""
        links = self._app.links
        return links[0].received if links else 0

    def _look(self):
        """Why the station is not joined, as far as the port says."""
        try:
            status = self._app.station.station.status()
        except (OSError, ValueError):
            return
        for name, word in _STATUS:
            if status == getattr(network, name, None):
                self.why = word

    def _prove(self, now_s):
        before = self.state, self.why, self._now, self._next
        self.state, self.why, self._now, self._next = _GOOD, "", self._next, None
        if self._keep():
            self._trying = False
            self._log.info("net.good")
            self._close_s = min(self._close_s, now_s + _LAST_S)
        else:  # asked again at the next message of the EMD
            self.state, self.why, self._now, self._next = before
            self._base = self._heard()

    def _end_trial(self, why):
        """The old settings hold. Those that joined go on waiting, unless they were of another EMD."""
        self._trying = False
        if self.state == _TRYING:
            self.state = _FAILED
            self.why = why
            following, now = self._next or {}, self._now
            if not self._joined or (following.get("host"), following.get("port")) != (now.get("host"), now.get("port")):
                self._next = None
            self._keep()

    def step(self, now_s):
        """Does what is due; wants to be called once a second."""
        if self._go_s is not None and now_s >= self._go_s:
            self._begin(now_s)
        station = self._app.station
        joined = station is None or station.is_up
        if self._trying:
            self._watch(now_s, joined)
        elif joined or self._go_s is not None:
            self._lost_s = now_s
        elif self._next is not None and now_s - self._lost_s >= _PATIENCE_S:
            self._begin(now_s)

    # --- what is asked for

    def serve(self, now, q, at=0):
        """Resource `network`, for the EMD of association `at`, or who is in the window: GET says what there is, PUT
        brings settings. A change is the first EMD's to make, over what proves that it is that one."""
        if at or q.context is None and self._insecure:
            return COAP_FORBIDDEN
        if q.code == COAP_GET:
            q.reply(self._told())
            return COAP_CONTENT
        if q.code != COAP_PUT:
            return COAP_METHOD_NOT_ALLOWED
        try:
            found = {}
            reader = Reader(bytes(memoryview(q.buf)[q.at : q.at + q.n]))
            for _ in range(reader.read_map()):
                name = reader.read_text()
                if name not in ("ssid", "key", "host", "port", "later") or name in found:
                    raise ValueError
                found[name] = reader.read_uint() if name in ("port", "later") else reader.read_text()
            reader.finish()
            wrong = _wrong(found)
        except ValueError:
            wrong = "CBOR"
        if "ssid" in found and self._wifi is None or "host" in found and self._section.get("uri", "")[:8] == "slipmux:":
            wrong = "no such setting here"
        if wrong:
            q.reply(wrong.encode())
            return COAP_BAD_REQUEST
        if not self._ask(found, self._app.now()):
            return COAP_UNAVAILABLE
        return COAP_CHANGED

    def _ask(self, found, now_s):
        """Takes settings to try. False: the store refuses, and nothing has changed."""
        before = self.state, self._starts, self.why, self._next
        later = found.pop("later", 0)
        following = dict(self._now)
        if "host" in found:
            following.pop("port", None)
        following.update(found)
        self.state, self._starts, self.why, self._next = _WAITING if later else _TRYING, 0, "", following
        if following == self._now and not self._trying:
            self.state, self._next = _GOOD, None
        if not self._keep():
            self.state, self._starts, self.why, self._next = before
            return False
        self._log.info("net.asked", self.state)
        if self._trying and self.state != _TRYING:
            self._use(self._now, now_s)
        self._trying = False
        self._go_s = now_s + _ANSWER_S if self.state == _TRYING else None
        self._go()
        return True

    def _told(self):
        """CBOR of the state: no key, ever."""
        buf = bytearray(200)
        out = Writer(buf)
        wifi = self._app.config.get("wifi") or {}
        left = _TRIAL_S if self._go_s is not None else self._until_s - self._app.now() if self._trying else 0
        rows = (("why", self.why), ("left_s", max(left, 0)), ("next", (self._next or {}).get("ssid", "")),
                ("ssid", wifi.get("ssid", "")), ("state", _WORDS[self.state]))
        out.head(MAP, len(rows))
        for row in rows:
            for value in row:
                if value is row[1] and row[0] == "left_s":
                    out.uint(value)
                else:
                    value = value.encode()
                    out.head(TEXT, len(value))
                    out.raw(value)
        return bytes(buf[: out.n])

    # --- the window

    def press(self):
        """The button: opens the window, or closes it."""
        self._pressed = not self._pressed
        self._go()

    def _open(self, now_s):
        app = self._app
        ring = app.ring
        if ring is None or app.station is None:
            self._log.warn("net.no_window")
            return
        own = ring.current
        name, key, secret = access(own.salt, own.secret, app.identity.eui64)
        if not (app.station.is_up or self._trying):  # an attempt to join would take the radio off its channel
            self._leave()
            self._held = True
        gc.collect()  # a device on MQTT has not loaded CoAP yet
        from .link.coap import window

        context = Context(secret, own.salt, own.sender_id, _ROLE, random_bytes(8))
        self._window = window(name, key, context, "network", self.serve, self._log)
        self._close_s = now_s + _WINDOW_S
        self._log.info("net.window", 1)

    def _shut(self):
        window, self._window = self._window, None
        if window is not None:
            window.close()
            self._log.info("net.window", 0)
        if self._held:
            self._join()
        self._app._lamp()

    # --- time

    def _go(self):
        if self._task is None:
            self._task = asyncio.create_task(self.run())

    async def run(self):
        """Until nothing is on trial, in waiting, or open."""
        self._looked_s = -1
        try:
            while (self._pressed or self._trying or self._held or self._go_s is not None or self._next is not None
                   or self._window):
                try:
                    self._turn(self._app.now())
                except Exception as error:
                    self._log.failure("net.raised", error)
                    self._close_s = 0
                    await asyncio.sleep_ms(1000)
                await asyncio.sleep_ms(_TURN_MS if self._window else 1000)
        finally:
            self._task = None

    def _turn(self, now_s):
        if self._pressed:
            self._pressed = False
            if self._window:
                self._close_s = 0
            else:
                self._open(now_s)
        if self._window:
            if now_s >= self._close_s:
                self._shut()
            else:
                self._window.step(ticks_ms())
        elif self._held:  # it could not be opened
            self._join()
        if now_s != self._looked_s:
            self._looked_s = now_s
            self.step(now_s)
            led = self._app.board.led
            if self._window and led is not None and not self._app.starts.safe:
                led.mode(_PROVISIONING)  # a link that came or went has shown itself
