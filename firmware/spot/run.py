"""The loop: drives one App from the port's clock and its links. The only async code beside link/.

A *pace* says what time it is and when to go on: `RealPace` is the chip's own clock; the lock-step pace of boards/unix
is granted by the simulator. It has `deliver`, `link_up`, `link_down` for the links (`port(at)` has them for link number
`at`), and `async run()`; `run` gives it its `links`.

What raises and should not have (a driver, the agent, a callback) is logged with its traceback and costs one turn of
that part alone: the button and the trips work on while the agent fails. A part that raises turn after turn makes the
loop raise Restart: only a fresh start can help. Starts that do not help come less and less often, since each may click
a relay.
"""

from .codes import ABSENT
from .guard import helped, keep_crash
from .port import asyncio, const, gc, ticks_add, ticks_diff, ticks_ms

_SLICE_MS = const(25)  # the longest the loop sleeps: an over-current must not wait longer for its trip
_COLLECT_MS = const(10000)
_GOODBYE_MS = const(500)  # for the broker to take the last word
_LINK_REST_MS = 5000  # after the link raised what is no LinkError. Not const, nor the next: a test shortens them
_IN_A_ROW = 10  # seconds of failing turns, one after the other, before a fresh start
_DOUBLINGS = const(7)  # 10 s, 20 s … 21 min, while starts do not help
_GOOD_S = const(3600)  # without a failure for so long: the start helped
WANTED = "wanted"  # what a Restart says that was asked for
_TURN_S = const(60)  # between steps at most, where a watchdog looks on
_NAMES = ("run.device", "run.agent", "run.poll")
_DEVICE, _AGENT, _POLL = range(3)


class Restart(Exception):
    """The device cannot go on as it is; whoever started it ends it in order and starts it afresh."""


class Turns:
    """Gives device and agent of an App their turns. `taken` counts those of each part that have come to an end: what a
    watchdog looks at, beside the links' `turns`; `done` those in which nothing raised."""

    def __init__(self, app):
        self._app = app
        self._log = app.log
        self._parts = (app.device.step, app.agent.step, app.poll)  # bound once: a turn takes no heap
        self._failing_s = [-1, -1, -1]  # since when each part has raised at every turn
        self._failed_s = 0
        self.done = 0
        self.taken = [0, 0, 0]
        self.starts = app.starts.failures
        if self.starts:
            self._log.warn("run.started_afresh", self.starts)

    def step(self, now_s):
        """As App.step, but it raises nothing but Restart."""
        app = self._app
        if app.restart_s != ABSENT and now_s >= app.restart_s:
            raise Restart(WANTED)
        app.begin(now_s)
        wait = self._turn(_DEVICE, now_s)
        other = self._turn(_AGENT, now_s)
        if self._failing_s[_DEVICE] < 0 and self._failing_s[_AGENT] < 0:
            self.done += 1
            if self.starts and now_s - self._failed_s >= _GOOD_S:
                self.starts = 0
                helped(app.store)
        return app.due(wait, other)

    def poll(self, now_s):
        """As App.poll."""
        return self._turn(_POLL, now_s)

    def _turn(self, part, now_s):
        try:
            result = self._parts[part](now_s)
        except Exception as error:
            self._raised(part, now_s, error)
            result = 1  # of seconds, or: a step is due
        else:
            self._failing_s[part] = -1
        self.taken[part] += 1
        return result

    def _raised(self, part, now_s, error):
        if isinstance(error, MemoryError):
            gc.collect()
        self._failed_s = now_s
        since = self._failing_s
        if since[part] < 0:
            since[part] = now_s
            self._log.failure(_NAMES[part], error, now_s)
            return
        self._log.debug(_NAMES[part], now_s)  # counted; the same again each second would flush the log
        if now_s - since[part] >= _IN_A_ROW << min(self.starts, _DOUBLINGS):
            self._log.error("run.restart", self.starts, now_s)
            keep_crash(self._app, now_s, _NAMES[part], self.starts + 1)
            raise Restart(_NAMES[part])


class Port:
    """What one link calls of a pace."""

    def __init__(self, pace, at):
        self._pace = pace
        self._at = at

    def deliver(self, channel, buf, n):
        self._pace.deliver(channel, buf, n, self._at)

    def link_up(self, session_present):
        self._pace.link_up(session_present, self._at)

    def link_down(self):
        self._pace.link_down(self._at)


class RealPace:
    """Real time: a device on a wall clock."""

    def __init__(self, app):
        self.app = app
        self.turns = Turns(app)
        self.links = ()
        self.dog = None  # watchdog.Watchdog

    def port(self, at):
        """deliver, link_up and link_down for link number `at`."""
        return Port(self, at)

    def now(self):
        """Monotonic seconds since boot."""
        return self.app.clock.tick(ticks_ms())

    def deliver(self, channel, buf, n, at=0):
        """A message from a link: worked on at once, so that a command reaches the relay without waiting for the
        loop."""
        self.app.receive(self.now(), channel, buf, n, at)

    def link_up(self, session_present, at=0):
        self.app.link_up(self.now(), session_present, at)

    def link_down(self, at=0):
        self.app.link_down(self.now(), at)

    async def run(self):
        """Steps the app until it has to start afresh (Restart)."""
        app, turns, dog = self.app, self.turns, self.dog
        collected = ticks_ms()
        while True:
            now_s = self.now()
            due_s = now_s + turns.step(now_s)
            if dog is not None:
                due_s = min(due_s, now_s + _TURN_S)
            count = app.received
            while now_s < due_s and app.received == count:
                await asyncio.sleep_ms(_SLICE_MS)
                now_s = self.now()
                fresh = turns.poll(now_s)
                if dog is not None:
                    dog.look(ticks_ms())
                if fresh:
                    break
            if ticks_diff(ticks_ms(), collected) > _COLLECT_MS:
                collected = ticks_ms()
                gc.collect()


async def _carry(link, log):
    """A link's task. Its own failures it takes as they come; what it did not expect costs a pause."""
    while True:
        try:
            await link.run()
            return
        except Exception as error:
            log.failure("run.link", error)
            await asyncio.sleep_ms(_LINK_REST_MS)


async def _until_the_end(work, ended, errors):
    try:
        await work
    except Exception as error:
        errors.append(error)
    ended.set()


def busy(links):
    """True while a link that is up has something on its way."""
    for link in links:
        if link.pending and link.is_up:
            return True
    return False


async def run(app, links, pace, companion=None):
    """Runs one device, its links (a list, or the one) and its loop, until the pace or the companion (a coroutine, where
    there is one) ends; then an orderly end. Raises Restart when only that can help, and what the companion raised."""
    if not isinstance(links, list):
        links = [links]
    pace.links = links
    ended, errors = asyncio.Event(), []
    tasks = [asyncio.create_task(_carry(link, app.log)) for link in links]
    for work in (pace.run(), companion):
        if work is not None:
            tasks.append(asyncio.create_task(_until_the_end(work, ended, errors)))
    try:
        await ended.wait()
    finally:
        try:
            app.goodbye(pace.now())
        except Exception as error:
            app.log.failure("run.goodbye", error)
        until = ticks_add(ticks_ms(), _GOODBYE_MS)
        while busy(links) and ticks_diff(until, ticks_ms()) > 0:
            await asyncio.sleep_ms(5)
        for link in links:
            link.close()
        await asyncio.sleep_ms(_SLICE_MS)  # so do the links' own
        for task in tasks:
            task.cancel()
        try:
            app.close()
        except Exception as error:
            app.log.failure("run.close", error)
    if errors:
        raise errors[0]
