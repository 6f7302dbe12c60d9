"""Energy and switching counts that survive a restart, in integers.

The meter counts Wh since boot; the base is kept. A checkpoint is written at most every 15 minutes and only if something
moved, so a power cut costs at most what one checkpoint interval held: what follows is marked `estimated` until the next
one.
"""

from ..port import const, struct

CHECKPOINT_S = const(900)
_NAME = "meter"
_FORMAT = "<IIIB"  # import Wh, relay switches, load starts, clean end


class Counters:
    """`energy_wh`, `switches`, `starts`: since the first boot. `estimated`: the latest power cut may have cost some of
    them.
    """

    def __init__(self, store, log):
        self._store = store
        self._log = log
        self._base_wh = 0
        self._base_switches = 0
        self._kept_wh = 0
        self._kept_switches = 0
        self._at_s = 0
        self.energy_wh = 0
        self.switches = 0
        self.starts = 0
        self.estimated = False
        self.failed = False  # the latest checkpoint could not be written
        raw = store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            self._base_wh, self._base_switches, self.starts, clean = struct.unpack(_FORMAT, raw)
            self.estimated = not clean
            self.energy_wh = self._kept_wh = self._base_wh
            self.switches = self._kept_switches = self._base_switches
            if clean:
                self._keep(0)

    def update(self, now_s, meter_wh, relay_switches):
        """Takes the counts since boot; writes a checkpoint when one is due."""
        self.energy_wh = self._base_wh + meter_wh
        self.switches = self._base_switches + relay_switches
        if now_s - self._at_s >= CHECKPOINT_S:
            self._at_s = now_s
            self._store.budget(now_s)
            if self.energy_wh != self._kept_wh or self.switches != self._kept_switches:
                self._keep(0)
            self.estimated = False

    def close(self):
        """An orderly end: nothing is lost and nothing estimated after it."""
        self._keep(1)

    def _keep(self, clean):
        try:
            self._store.put(_NAME, struct.pack(_FORMAT, self.energy_wh, self.switches, self.starts, clean))
            self._kept_wh = self.energy_wh
            self._kept_switches = self.switches
            self.failed = False
        except OSError:  # flash full or failing: counting goes on in RAM, the device raises the alarm
            self.failed = True
            self._log.error("meter.not_kept", self.energy_wh)
