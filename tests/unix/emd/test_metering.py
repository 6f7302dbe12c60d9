"""What a person reads of meters: alarms, log, intervals, calibration, from `spot` in the shell."""

import json
import subprocess
import sys
import time

import pytest

from spot_host.profile import definition as d
from tests.unix.emd.conftest import DEVICES, eventually
from tests.unix.emd.device import PahoDevice
from tests.unix.emd.test_emd import ready

ALARM = {name: code for code, name, _ in d.enum("Alarm").rows}
EUI = DEVICES[0]
LINES = [f"{n} i bench.line {n} 0" for n in range(25)]


class Meter(PahoDevice):
    """A device with a log of 25 lines of which the first three are gone, a crash record, and a meter that can be
    calibrated. refuse: the reason of its answer to `calibrate`."""

    refuse, asked, crashed = 0, 0, True
    shown = {2: 1990, 3: 22800, 4: 8600}  # noqa: RUF012 - power, voltage, current

    def obey(self, message):
        if message.name == "read_log":
            if message["record"] and not self.crashed:
                return [("answer", {"about": 27, "reason": 30, "ref": message["id"]})]
            lines = LINES if message["record"] == 0 else ["boot 3 utc 0 up 77 heap 9 run.agent", "ValueError: nonsense"]
            first = min(max(message["first"], 3 if message["record"] == 0 else 0), len(lines))
            part = lines[first : first + 6]
            return [("log", {"id": message["id"], "record": message["record"], "boot": 4, "first": first,
                             "next": first + len(part), "text": "".join(line + "\n" for line in part)})]
        if message.name == "calibrate":
            self.asked += 1
            if not self.refuse:
                self.shown = {2: message["power"] // 10, 3: message["voltage"], 4: 8600}
            return [("answer", {"about": 29, "reason": self.refuse, "ref": message["id"]})]
        if message.name == "read":
            values = [x for o in message["objects"] if o in self.shown for x in (o, self.shown[o])]
            return [("read_response", {"seq": self.next(), "id": message["id"], "time": message["issued"], "clock": 4,
                                       "values": values})]
        return super().obey(message)


@pytest.fixture
def meter(emd, broker):
    emd.config.write_text('time_zone = "Europe/Berlin"\n' + emd.config.read_text())
    emd.start()
    meter = Meter(broker, EUI, clean=True)
    try:
        eventually(lambda: ready(emd), what="the EMD at the broker")
        meter.register()
        eventually(lambda: meter.of("registered"), what="the registration")
        yield meter
    finally:
        meter.close()


def calibrate(emd, *words, code=0):
    got = subprocess.run(
        [sys.executable, "-m", "spot_host.cli", "calibrate", "0001", *words, "--db", str(emd.db)],
        env=emd.env(), capture_output=True, text=True, timeout=60)
    assert got.returncode == code, (got.returncode, got.stdout, got.stderr)
    return got.stdout + got.stderr


def test_alarms(emd, meter):
    now = int(time.time())
    meter.send("alarm", seq=meter.next(), time=now - 3700, code=ALARM["outage"], raised=1, value=3)
    eventually(lambda: "outage" in emd.cli("alarms", "--raised"), what="the outage")
    meter.send("alarm", seq=meter.next(), time=now - 3600, code=ALARM["restore"], raised=1, value=100)
    meter.send("alarm", seq=meter.next(), time=now, code=ALARM["over_current"], raised=1, value=18200, limit=16000)
    found = eventually(lambda: len((got := emd.json("alarms"))["alarms"]) == 3 and got, what="the alarms")
    assert found["raised"] == [{"device": EUI, "alarm": "over_current"}]
    text = emd.cli("alarms", "0001")
    assert f"raised now: {EUI} over_current" in text
    for words in ("mains lost (last gasp), heard", "mains back after 100 s", "over current raised: 18.200 A"):
        assert words in text, text


def test_log_and_crash_record(emd, meter):
    assert emd.cli("log", "0001").splitlines() == ["-- 3 lines are no longer there", *LINES[3:]]
    assert emd.cli("log", "0001", "--first", "20").splitlines() == LINES[20:]
    assert emd.json("log", "0001", "--first", "24")["lines"] == LINES[24:]
    assert emd.cli("log", "0001", "--crash").splitlines()[-1] == "ValueError: nonsense"
    meter.crashed = False
    assert emd.cli("log", "0001", "--crash").startswith(f"{EUI}: no crash record")


def test_intervals_and_registers_by_local_day(emd, meter):
    start = 1774738800 - 900  # a quarter to midnight before the 29th of March 2026 in Berlin
    series = {"import_series": [100] * 95, "quality": bytes([1] + [0] * 94)}
    meter.send("interval", seq=0, start=start, length=15, scale=0, **series)
    meter.send("registers", seq=meter.next(), time=start + 900, energy_import=123456, peak=2300, quality=8)
    eventually(lambda: emd.json("intervals", "0001", "--day", "2026-03-30")[0]["intervals"] == 2, what="the readings")
    (day,) = emd.json("intervals", "0001", "--day", "2026-03-29")
    assert (day["expected"], day["intervals"], day["missing"], day["import_wh"]) == (92, 92, [], 9200)
    assert [f["energy_import"] for f in day["midnight"]] == [123456]
    text = emd.cli("intervals", "0001", "--day", "2026-03-29", "--days", "2")
    assert "2026-03-28  1 of 96 intervals of 15 min, 100 Wh, 1 estimated" in text
    assert "2026-03-29  92 of 92 intervals of 15 min, 9,200 Wh" in text
    assert "03-29 00:00:00  register 123,456 Wh, peak 2300 W (power_cut)" in text


def test_a_read_names_its_event_and_what_is_not_there(emd, meter):
    text = emd.cli("read", "0001", "power", "frequency")
    assert "delivered as event " in text and "frequency" in text and "no value" in text


def test_calibration(emd, meter):
    text = calibrate(emd, "--voltage", "230.1", "--power", "2006.5")
    for words in ("calibrated, and kept", "voltage  showed 228.00 V, reference 230.10 V, shows 230.10 V",
                  "power    showed 1,990 W, reference 2,006 W, shows 2,006 W"):
        assert words in text, text
    meter.refuse = 6
    assert "more than 30 %" in calibrate(emd, "--voltage", "330", code=4)
    assert "what does the reference show" in calibrate(emd, code=2)
    assert "--voltage: not within" in calibrate(emd, "--voltage", "2", code=2)
    got = json.loads(calibrate(emd, "--voltage", "330", "--json", code=4))
    assert got["truth"] == {"voltage": 33000} and "after" in got
    assert meter.asked == 3
