"""The loop: drives one App from the port's clock and its link. The only async code beside link/.

A *pace* says what time it is and when to go on: `RealPace` is the chip's own clock; the lock-step pace of boards/unix is granted by the simulator.
"""

from .port import asyncio, gc, ticks_diff, ticks_ms

_SLICE_MS = 50  # the longest the loop sleeps: a button must not wait longer
_COLLECT_MS = 10_000


class RealPace:
    """Real time: a device on a wall clock."""

    def __init__(self, app):
        self.app = app

    def now(self):
        """Monotonic seconds since boot."""
        return self.app.clock.tick(ticks_ms())

    def deliver(self, channel, buf, n):
        """A message from the link: worked on at once, so that a command reaches the relay without waiting for the loop."""
        self.app.receive(self.now(), channel, buf, n)

    async def run(self, stop):
        """Steps the app until `stop()` is true."""
        app = self.app
        collected = ticks_ms()
        while not stop():
            now_s = self.now()
            due_s = now_s + app.step(now_s)
            count = app.received
            while not stop():
                await asyncio.sleep_ms(_SLICE_MS)
                app.poll(self.now())
                if app.received != count or self.now() >= due_s:
                    break
            if ticks_diff(ticks_ms(), collected) > _COLLECT_MS:
                collected = ticks_ms()
                gc.collect()


async def run(app, link, pace, stop):
    """Runs one device: its link and its loop, until `stop()` is true; then an orderly end."""
    carrier = asyncio.create_task(link.run())
    try:
        await pace.run(stop)
    finally:
        link.close()
        carrier.cancel()
        app.close()
