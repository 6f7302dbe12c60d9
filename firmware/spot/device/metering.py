"""Energy and switching counts that survive a restart, in integers.

The meter counts Wh since boot; the base is kept. A checkpoint is written at most every 15 minutes and only if something
moved (every two hours where the day's writes are spent), so a power cut costs at most what one checkpoint interval
held: what follows is marked `estimated` until the next one. Where the board announces the power cut (`failing`), one
more checkpoint holds everything, and nothing is estimated.
"""

from ..codes import ABSENT
from ..port import const, struct

CHECKPOINT_S = const(900)
_NAME = "meter"
_FORMAT = "<IIIIIB"  # import Wh, export Wh, relay switches, load starts, peak W, clean end
_FAILS = const(100)  # checkpoints of a day for announced power cuts: a mains that flickers must not wear the flash
_DAY_S = const(86400)
_MOST = const(0x3FFFFFFF)  # of any count


class Counters:
    """`energy_wh`, `export_wh`, `switches`, `starts`: since the first boot, never less than before. `peak_w`: whoever
    takes it sets it back. `estimated`: the latest power cut may have cost some of them. `blind_s`: when the meter was
    last silent, or not to be believed (ABSENT: not since boot).
    """

    def __init__(self, store, log):
        self._store = store
        self._log = log
        self._at_s = 0
        self._tick_s = 0  # when the energy last moved on
        self._fails = 0
        self._fails_s = 0
        self.energy_wh = self.export_wh = self.switches = self.starts = self.peak_w = 0
        self.estimated = False
        self.blind_s = ABSENT
        self.failed = False  # the latest checkpoint could not be written
        self._clean = 0  # the record in flash says that nothing came after it
        raw = store.get(_NAME)
        if raw is not None and len(raw) == struct.calcsize(_FORMAT):
            values = struct.unpack(_FORMAT, raw)
            if max(values) < _MOST:  # else another firmware has kept something else there
                self.energy_wh, self.export_wh, self.switches, self.starts, self.peak_w, self._clean = values
            self.estimated = not self._clean
        self._base_wh = self._kept_wh = self.energy_wh
        self._base_export_wh = self._kept_export_wh = self.export_wh
        self._base_switches = self._kept_switches = self.switches
        if self._clean:
            self._keep(0)

    def count(self, now_s, meter_wh, relay_switches, export_wh):
        """Takes the counts since boot; ABSENT export: not measured."""
        energy_wh = self._base_wh + meter_wh
        if energy_wh > self.energy_wh:
            self.energy_wh = energy_wh
            self._tick_s = now_s
        if export_wh > self.export_wh - self._base_export_wh:  # ABSENT is less than any
            self.export_wh = self._base_export_wh + export_wh
        self.switches = self._base_switches + relay_switches

    def update(self, now_s, meter_wh, relay_switches, export_wh=0):
        """As `count`, and writes a checkpoint when one is due. True when one was due."""
        self.count(now_s, meter_wh, relay_switches, export_wh)
        if self._clean and self.energy_wh > self._kept_wh:
            self._keep(0)  # the mains came back within the hold-up: the end was none
        if now_s - self._at_s < CHECKPOINT_S * self._store.thin:
            return False
        self._at_s = now_s
        self._store.budget(now_s)
        if (
            self.energy_wh != self._kept_wh
            or self.switches != self._kept_switches
            or self.export_wh != self._kept_export_wh
        ):
            self._keep(0)
        self.estimated = False
        return True

    def failing(self, now_s, power_w):
        """The mains has failed and the hold-up time runs: the one write that keeps everything, the part of a Wh that
        the meter has begun included, as far as it can be told from the power."""
        if now_s - self._fails_s >= _DAY_S:
            self._fails_s = now_s
            self._fails = 0
        self._fails += 1
        if self._fails > _FAILS:
            return
        counted = self.energy_wh
        if power_w > 0:
            rest_ws = power_w * min(2 * (now_s - self._tick_s) + 1, 7200) // 2
            if rest_ws >= 1800:  # half a Wh: at most one more, or what was announced and did not come counts twice
                self.energy_wh += 1
        self._keep(1)
        self.energy_wh = counted

    def products(self):
        """The record as a factory reset leaves it: without the household's energy, with the relay's wear."""
        return struct.pack(_FORMAT, 0, 0, self.switches, self.starts, 0, 1)

    def close(self):
        """An orderly end: nothing is lost and nothing estimated after it."""
        self._keep(1)

    def _keep(self, clean):
        try:
            self._store.put(
                _NAME,
                struct.pack(
                    _FORMAT, self.energy_wh, self.export_wh, self.switches, self.starts, self.peak_w, clean
                ),
            )
            self._kept_wh = self.energy_wh
            self._kept_export_wh = self.export_wh
            self._kept_switches = self.switches
            self._clean = clean
            self.failed = False
        except OSError:  # flash full or failing: counting goes on in RAM, the device raises the alarm
            self.failed = True
            self._log.error("meter.not_kept", self.energy_wh)
