"""The loop: drives one App from the port's clock and its link. The only async code beside link/.

A *pace* says what time it is and when to go on: `RealPace` is the chip's own clock; the lock-step pace of boards/unix
is granted by the
simulator. It has `deliver`, `link_up`, `link_down` for the link, and `async run()`.
"""

from .port import asyncio, const, gc, ticks_add, ticks_diff, ticks_ms

_SLICE_MS = const(50)  # the longest the loop sleeps: a button must not wait longer
_COLLECT_MS = const(10000)
_GOODBYE_MS = const(500)  # for the broker to take the last word


class RealPace:
    """Real time: a device on a wall clock."""

    def __init__(self, app):
        self.app = app
        self.link = None

    def now(self):
        """Monotonic seconds since boot."""
        return self.app.clock.tick(ticks_ms())

    def deliver(self, channel, buf, n):
        """A message from the link: worked on at once, so that a command reaches the relay without waiting for the
        loop."""
        self.app.receive(self.now(), channel, buf, n)

    def link_up(self, session_present):
        self.app.link_up(self.now(), session_present)

    def link_down(self):
        self.app.link_down(self.now())

    async def run(self):
        """Steps the app for ever."""
        app = self.app
        collected = ticks_ms()
        while True:
            now_s = self.now()
            due_s = now_s + app.step(now_s)
            count = app.received
            while now_s < due_s and app.received == count:
                await asyncio.sleep_ms(_SLICE_MS)
                now_s = self.now()
                if app.poll(now_s):
                    break
            if ticks_diff(ticks_ms(), collected) > _COLLECT_MS:
                collected = ticks_ms()
                gc.collect()


async def run(app, link, pace, companion=None):
    """Runs one device, its link and its loop, until the pace or the companion (a coroutine, where there is one) ends;
    then an orderly end."""
    carrier = asyncio.create_task(link.run())
    loop = asyncio.create_task(pace.run())
    try:
        await (loop if companion is None else companion)
    finally:
        app.goodbye(pace.now())
        until = ticks_add(ticks_ms(), _GOODBYE_MS)
        while link.pending and link.is_up and ticks_diff(until, ticks_ms()) > 0:
            await asyncio.sleep_ms(5)
        link.close()
        await asyncio.sleep_ms(_SLICE_MS)  # so does the link's own
        loop.cancel()
        carrier.cancel()
        app.close()
