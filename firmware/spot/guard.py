"""Starts that do not last: counted in the record of starts, with the boot count; from some number on, safe mode.

The rule: a start that follows a failure (a watchdog's reset, or a life that left a record of its crash) counts 4, any
other 1, until a life has lasted five minutes. At 20 the device goes into safe mode: five failures in a row, or twenty
flickers of the mains (a person who tries the plug makes a few; a supply that breaks down when the relay closes goes
on). At 28, when safe mode failed twice, no driver is built either. A start costs one write, and one when it
lasts.
"""

from .codes import (
    ABSENT,
    ALARM_CRASH,
    ALARM_SAFE_MODE,
    RESET_POWER_ON,
    RESET_SOFT,
    RESET_WATCHDOG,
)
from .port import const, heap_free, struct

CRASH = "crash"  # in the store: starts in a row for a failure (an octet), then the text of the latest
_NAME = "boot"
_FORMAT = ">IBBBB"  # boot count, score, safe modes in a row, reset that is to be told, bites of the watchdog
_FAILED = const(4)
_SAFE = const(20)
_BARE = const(28)
_AGAIN = const(12)  # the score after safe mode: two failures more lead back
_LASTED_S = const(300)
_CARE_S = const(3600)
_STAY_S = const(600)  # in safe mode; doubled each time that it comes again
_DOUBLINGS = const(7)
_WEEK_S = const(604800)
_TEXT = const(640)


class Starts:
    """This start, and how those before it went. `boot`: its number; `counted`: the record took it; `safe`: 0, 1 (safe
    mode) or 2 (without drivers), at least what was asked for; `reset`: RESET_…, as it is to be told; `bites`: of the
    watchdog, ever; `failures`: starts in a row for a part that raised.
    """

    def __init__(self, store, reset, log, safe=0):
        self._store = store
        self._log = log
        raw = store.get(_NAME) or b""
        self.boot = int.from_bytes(raw[:4], "big") + 1
        self._score, self._modes, planned, self.bites = raw[4:8] if len(raw) == 8 else b"\0\0\0\0"
        self.reset = planned or reset
        crash = store.get(CRASH) or b""
        self.failures = crash[0] if crash else 0
        self.failed = False
        if planned:
            weight = 0
        elif crash[1:].startswith(b"boot %d " % (self.boot - 1)) or raw and reset == RESET_WATCHDOG:
            weight = _FAILED
            self.failed = True
            log.warn("start.after_failure", reset, self.failures)
            if reset == RESET_WATCHDOG:
                self.bites = min(255, self.bites + 1)
        else:
            weight = 1
        before = self._score
        # a mains that flickers on and on leads no further than safe mode, and not into a longer one
        self._score = min(255 if weight == _FAILED else max(before, _SAFE), before + weight)
        self.safe = max(safe, 2 if self._score >= _BARE else 1 if self._score >= _SAFE else 0)
        if self.safe:
            if weight == _FAILED or before < _SAFE:
                self._modes = min(255, self._modes + 1)
            log.error("start.safe", self._score, self._modes)
        self._until_s = _STAY_S << min(max(self._modes - 1, 0), _DOUBLINGS)
        self._lasted = self._begun = False
        self._plan = 0  # RESET_… of a start afresh that is to come
        self.counted = self._keep()

    def _keep(self):
        try:
            self._store.put(
                _NAME, struct.pack(_FORMAT, self.boot, self._score, self._modes, self._plan, self.bites)
            )
        except OSError:  # the device still serves; the next start has the same number
            self._log.error("boot.not_kept", self.boot)
            return False
        return True

    def plan(self, reset=RESET_SOFT, leave=False):
        """Before a start afresh that is wanted: the next one tells RESET_… `reset` and is no failure. leave: it is not
        in safe mode."""
        if leave:
            self._score = self._modes = 0
        self._plan = reset
        self._keep()

    def care(self, app, now_s):
        """What comes once in a while; returns when it wants to be called again."""
        agent = app.agent
        if not self._begun:
            self._begun = True
            if self.failed:
                agent.alarm(now_s, ALARM_CRASH, 1, self.failures, self.reset)
            if self.safe:
                agent.alarm(now_s, ALARM_SAFE_MODE, 1, self._modes)
                return self._until_s
            return _LASTED_S
        if self.safe:  # its time is over; a button or the EMD may have ended it before
            self._score = _AGAIN
            app.restart(now_s)
        elif not self._lasted:
            self._lasted = True
            if self.failed:
                agent.alarm(now_s, ALARM_CRASH, 0)
            if self._modes:
                agent.alarm(now_s, ALARM_SAFE_MODE, 0)
            self._score = self._modes = 0
            self._keep()
            if self.reset == RESET_POWER_ON:
                self._forget(app.clock.best(now_s))
            if app.on_lasted is not None:
                app.on_lasted()
        app.store.budget(now_s)
        return now_s + _CARE_S

    def _forget(self, utc):
        """What crashed more than a week ago is of no use after a power-on."""
        words = (self._store.get(CRASH) or b"").split(b" ", 4)
        try:
            if utc - int(words[3]) > _WEEK_S:
                self._store.delete(CRASH)
        except (IndexError, ValueError):
            pass


def keep_crash(app, now_s, where, count):
    """The record of a failure that ends this life: one write. app: App; where: a word; count: such starts in a row."""
    utc = app.clock.best(now_s)
    head = "boot %d utc %d up %d heap %d %s\n" % (
        app.starts.boot, 0 if utc == ABSENT else utc, now_s, heap_free(), where
    )
    put_crash(app.store, head + app.log.trace, count)


def put_crash(store, text, count):
    """As keep_crash, of a life that had no App."""
    _put(store, bytes((min(count, 255),)) + text.encode()[:_TEXT])


def helped(store):
    """The start after failures was of use: the next failure is the first one again. The record is there to be read."""
    raw = store.get(CRASH)
    if raw:
        _put(store, b"\0" + raw[1:])


def _put(store, raw):
    try:
        store.put(CRASH, raw)
    except OSError:
        pass  # logged there
