"""What a device is and says, whatever it runs on: registration, readings, log, time; hostile octets, button, trips."""

import random

import pytest

from spot_host.profile import codec
from spot_host.profile.cddl import validator


def test_it_registers_with_what_it_can_do(dut):
    capability = dut.capability
    assert capability.profile_name in ("plug", "heat_pump") and capability.firmware
    assert capability.power_max > capability.standby >= 0
    assert capability.serves("interval") and capability.saves_by("off")


def test_all_that_it_says_is_in_the_profile(dut):
    dut.command("off", duration=10).end(40)
    packets = [p for p in dut.target.record.since_mark("packets") if p.way == "up"]
    assert packets
    for packet in packets:
        validator().check(packet.body)


def test_telemetry_comes_at_its_interval_with_time(dut):
    first, second = dut.reading(), dut.reading()
    assert second["seq"] > first["seq"]
    assert abs(second["time"] - dut.now) <= 5
    assert 18_000 <= second["voltage"] <= 26_000 if second.get("voltage") else True


@pytest.mark.hil("reference_meter")
def test_its_power_is_that_of_the_reference(dut):
    dut.run(5)
    reading, reference_w = dut.reading(), dut.reference_w
    assert abs(reading["power"] - reference_w) <= max(5, 0.03 * reference_w)


@pytest.mark.hil("load", "reference_meter")
def test_its_power_follows_the_load(dut, faults):
    for watts in (300, 1500):
        faults.load(watts)
        dut.wait_for(lambda w=watts: abs(dut.reading()["power"] - w) <= max(5, 0.03 * w), 30, f"a reading of {watts} W")


def test_objects_can_be_read(dut):
    got = dut.read("relay", "power", "energy_import", "uptime", "boots", "heap_free")
    assert got["relay"] == 1 and got["uptime"] > 0 and got["boots"] >= 1
    assert got.get("heap_free", 1 << 20) > 10_000  # the simulator has none


def test_the_log_can_be_read(dut):
    text = dut.log()
    assert "board.built" in text


def test_time_is_set_and_kept(dut):
    clock = dut.read("clock")["clock"]
    assert abs(clock - dut.now) <= 3
    boot = dut.row.boot
    dut.restart()
    assert dut.row.boot > boot and abs(dut.read("clock")["clock"] - dut.now) <= 3


HOSTILE = {
    "nothing": b"",
    "no array": b"\xff" * 40,
    "an array without an end": b"\x9f\x06\x01\x02",
    "deep": b"\x81" * 200,
    "longer than it says": b"\x86\x06\x01",
    "a text of four gigabytes": b"\x82\x06\x7a\xff\xff\xff\xff",
    "a type that does not exist": b"\x82\x18\x1e\x00",
    "a command without a duration": b"\x86\x06\x00\x01\x00\x05\x02",
    "a negative limit": codec.encode("heartbeat", {"epoch": 0, "digest": 0})[:-1],
}


def test_hostile_octets_change_nothing(dut, emd):
    rng = random.Random(5)
    boot = dut.row.boot
    noise = [rng.randbytes(rng.randrange(1, 120)) for _ in range(20)]
    sent = codec.encode("heartbeat", {"epoch": emd.core.epoch, "digest": 0, "time": dut.now})
    bent = [bytes([*sent[:i], sent[i] ^ 1 << rng.randrange(8), *sent[i + 1:]]) for i in range(len(sent))]
    for body in (*HOSTILE.values(), *noise, *bent):
        emd.raw(body)
    dut.run(10)
    assert dut.closed and dut.row.boot == boot and dut.is_so("controlled")
    dut.command("off", duration=60).wait("started", 10)
    dut.wait_for("open", 2)


@pytest.mark.hil("button")
def test_the_button_overrides_a_set_point(dut, faults):
    issued = dut.command("off", duration=600)
    dut.wait_for("open", 2)
    faults.press()
    dut.wait_for("closed", 5)
    issued.wait("opted_out", 10)
    dut.wait_for("override", 30)
    faults.press()
    dut.wait_for("open", 5)


@pytest.mark.hil("load")
def test_over_current_opens_the_contact_and_is_told(dut, faults):
    faults.load(5000)
    dut.wait_for("open", 5)
    dut.wait_for(lambda: "over_current" in dut.alarms or "over_power" in dut.alarms, 30, "the alarm")
    faults.load(100)
    dut.command("on", duration=60)
    dut.run(10)
    assert not dut.closed, "a command took back a trip"
    if "button" in dut.target.features:
        faults.press()  # takes the trip back
        dut.wait_for(lambda: not dut.is_so("tripped") and "over_current" not in dut.alarms, 60, "the trip's end")
        faults.press()  # and closes
        dut.wait_for("closed", 10)
