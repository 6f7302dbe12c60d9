"""What every link does: connect, and after a failure say why once, wait with a growing pause, and connect again."""

from ..port import asyncio, random_bytes, ticks_add, ticks_diff, ticks_ms
from .backoff import Backoff
from .errors import LinkError, call
from .waiting import readable


class Link:
    """A subclass has `session`, `is_up` and `async _connection()`, which ends with a LinkError or, once `_closing`, in
    order. The session hears of that end before the application does.

    Config: `backoff_ms` (first, most), `stable_ms` (of connection, after which the back-off starts afresh).
    Every failure is one `log.warn("link.<cause>", detail)`, the causes of errors.CAUSES; `last_error` keeps the latest.
    """

    def __init__(self, config, on_up, on_down, log):
        self._config = config
        self._log = log
        self._on_up = on_up
        self._on_down = on_down
        self._backoff = Backoff(*config.get("backoff_ms", (1000, 60000)))
        self._task = None
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._closing = False
        self._was_up = False
        self._up_ms = 0
        self.last_error = None
        self.turns = 0  # grows as long as the link's task is alive, at least once a keepalive: for a watchdog

    @property
    def silence_ms(self):
        """For how long `turns` may stand still: a keepalive, the longest pause, and the deadlines of a connection."""
        config = self._config
        return config.get("keepalive", 60) * 2000 + config.get("backoff_ms", (1000, 60000))[1] + 120000

    @property
    def sent(self):
        """Messages that are done since the start: acknowledged or answered, or sent where there is no such thing."""
        return self.session.sent

    @property
    def received(self):
        """Messages handed to the application so far."""
        return self.session.received

    @property
    def pending(self):
        """Messages accepted by `send` that are not done yet."""
        return self.session.pending

    def subscribe_group(self, group):
        """Listen to a group's broadcasts as well."""
        self.session.subscribe_group(group)
        self._wake.set()

    def close(self):
        """Take leave of the peer and let `run` end."""
        self._closing = True
        self._wake.set()
        if self._task and not self.is_up:
            self._task.cancel()  # nobody to say it to

    async def run(self):
        """Keep the link up until `close`."""
        while not self._closing:
            try:
                self._task = asyncio.create_task(self._connection())
                await self._task
            except asyncio.CancelledError:
                if not self._closing:
                    raise
            except LinkError as error:
                self._failed(error)
            except MemoryError:
                self._failed(LinkError("memory"))
            finally:
                self._task = None
                self.session.end(ticks_ms())
                if self._was_up:
                    self._was_up = False
                    call(self._log, self._on_down)
            if not self._closing:
                await self._pause()

    def _came_up(self, session_present):
        self._was_up = True
        self._up_ms = ticks_ms()
        self._log.info("link.up", session_present)
        self._on_up(session_present)

    def _failed(self, error):
        self.last_error = error
        self._log.warn("link." + error.cause, error.detail)

    def _settle(self, now):
        """Start the back-off afresh once the connection has proved stable."""
        if (
            self._was_up
            and not self._backoff.is_fresh
            and ticks_diff(now, self._up_ms) >= self._config.get("stable_ms", 30000)
        ):
            self._backoff.reset()

    async def _pause(self):
        until = ticks_add(ticks_ms(), self._backoff.next(int.from_bytes(random_bytes(2), "little")))
        while not self._closing and ticks_diff(until, ticks_ms()) > 0:
            await self._sleep(ticks_diff(until, ticks_ms()))

    async def _sleep(self, ms):
        """Until woken, at most `ms`."""
        self.turns += 1
        try:
            await asyncio.wait_for_ms(self._wake.wait(), ms)
        except asyncio.TimeoutError:
            pass
        self._wake.clear()

    async def _watch(self, raw):
        """Wake the pump when the raw socket has something (a TLS object would be polled every millisecond); `_drained`
        is set when nothing is left to read."""
        while True:
            await readable(raw)
            self._wake.set()
            await self._drained.wait()
            self._drained.clear()
