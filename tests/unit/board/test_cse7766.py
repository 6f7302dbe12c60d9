"""The CSE7766 driver against a chip simulated from the data sheet, octet by octet, and frames recorded from chips."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.board.cse7766 import CSE7766
from spot.codes import ABSENT
from spot_sim.chips.cse7766 import CSE7766Chip
from tests.unit.board.meters import Appliance, Clock, Mains, NoTrip, Wire, run


def rig(watts=1000, **options):
    clock, load, mains, trip = Clock(), Appliance(watts), Mains(), NoTrip()
    chip = CSE7766Chip(clock, load, mains)
    meter = CSE7766(chip, trip, **options)
    return clock, load, mains, chip, meter, trip


def frames(watts, count=3):
    chip = CSE7766Chip(Clock(), Appliance(watts), Mains())
    return [chip.frame() for _ in range(count + 2)][2:]


# as HLW8032 chips sent them, with 4 x 470 kOhm over 1 kOhm
RECORDED = [
    # state F2: too little power for its register; 188,800 / 1,618 x 1.88 = 219.37 V; 67 mA without power: noise
    ("F25A02E18000065200 3EA803A6C84F9AE85E790B61000127", 21937, 0, 0),
    # no mains at all: 187,600 / 313,376 x 1.88 = 1.12 V
    ("F25A02DCD004C82000 3E4E037CA64E2BB8B98ABB610001DC", 112, 0, 0),
    # FA: neither voltage nor power
    ("FA5A02EEC8FEFF0100 3F6600000051 2188FADB290100 0054", 0, ABSENT, 0),
]


@pytest.mark.parametrize(("text", "voltage_10mv", "current_ma", "power_w"), RECORDED)
def test_frames_recorded_from_chips(text, voltage_10mv, current_ma, power_w):
    frame = bytes.fromhex(text.replace(" ", ""))
    wire, trip = Wire(), NoTrip()
    meter = CSE7766(wire, trip, calibration=(5319, 10000, 5319))
    wire.waiting = frame * 3
    assert meter.sample(1)
    assert meter.voltage_10mv == pytest.approx(voltage_10mv, abs=2) and meter.current_ma == current_ma
    assert meter.power_w == power_w and not meter.fault


def test_a_frame_worked_out_by_hand():
    # 188,800 / 821 = 229.96 V; 16,040 / 1,604 = 10 A; 5,217,000 / 2,268 = 2,300.26 W
    body = bytes.fromhex("02e180 000335 003ea8 000644 4f9ae8 0008dc 71 0002".replace(" ", ""))
    frame = b"\x55\x5a" + body + bytes((sum(body) & 0xFF,))
    wire, trip = Wire(), NoTrip()
    meter = CSE7766(wire, trip)
    wire.waiting = frame * 2
    assert meter.sample(1) and (meter.voltage_10mv, meter.current_ma) == (22996, 10000)
    assert (meter.power_dw, meter.power_w, meter.frequency_mhz) == (23003, 2300, ABSENT)
    assert meter.energy_export_wh == ABSENT
    assert trip.seen == [(10000, 2300, 22996)], "the first frame only says which coefficients to expect"


@pytest.mark.parametrize("watts", [1, 7, 100, 999, 2300, 3680, 5000])
@pytest.mark.parametrize("volts", [23000, 25300, 19800, 11500])
def test_the_values_of_the_simulated_chip_come_back(watts, volts):
    clock, load, mains, chip, meter, _ = rig(watts)
    mains.volts_10mv = volts
    assert run(clock, meter, 2) == 2
    assert meter.power_w == pytest.approx(watts, rel=1e-3, abs=0.5)
    assert meter.voltage_10mv == pytest.approx(volts, rel=1e-3)  # a cycle is 600 to 1,600 µs
    assert meter.current_ma == pytest.approx(watts * 100000 / volts, rel=1e-3, abs=1)


def test_power_that_ends_falls_with_the_time_since_the_latest_pulse_and_is_zero_after_half_a_minute():
    clock, load, _, _, meter, _ = rig(2000)
    run(clock, meter, 10)
    load.draw(clock.now_s, 0)
    shown = []
    for _ in range(40):
        run(clock, meter, 1)
        shown.append(meter.power_dw)
    assert shown[0] == 20004 or shown[0] <= 52 + 1, shown
    assert shown == sorted(shown, reverse=True) and shown[4] <= 14 and shown[30] == 0
    assert meter.current_ma == 0 and not meter.fault


def test_a_power_register_that_is_said_not_to_be_complete_is_not_kept_for_ever():
    wire = Wire()
    meter = CSE7766(wire, NoTrip())
    wire.waiting = frames(2000)[0] * 2
    meter.sample(1)
    stale = bytearray(frames(2000)[0])
    stale[20] &= ~0x10
    stale[23] = sum(stale[2:23]) & 0xFF
    shown = []
    for now_s in range(2, 40):
        wire.waiting = bytes(stale)
        assert meter.sample(now_s)
        shown.append(meter.power_dw)
    assert shown[2] <= 27 and shown[10] <= 5 and shown[29:] == [0] * 9, "52 dWs a pulse"


def test_energy_over_a_day_within_a_thousandth_and_never_backwards():
    clock, load, _, _, meter, _ = rig(0)
    before = 0
    for hour in range(24):
        load.draw(clock.now_s, (hour % 4) * 700)
        run(clock, meter, 3600, 60 if hour % 2 else 15)
        assert meter.energy_wh >= before
        before = meter.energy_wh
    assert meter.energy_wh == pytest.approx(6 * (0 + 700 + 1400 + 2100), rel=1e-3)


def test_cf_wraps_and_its_overflow_bit_counts_on_over_a_silence():
    clock, _, _, chip, meter, _ = rig(3600)
    run(clock, meter, 5)
    start_wh = meter.energy_wh
    run(clock, meter, 3600)  # 690 pulses a second: 38 overflows
    assert meter.energy_wh - start_wh == pytest.approx(3600, abs=2)
    start_wh = meter.energy_wh
    chip.dead = True
    run(clock, meter, 150)  # more than one overflow
    chip.dead = False
    run(clock, meter, 1)
    assert meter.energy_wh - start_wh == pytest.approx(151, abs=2)


def test_a_restart_of_the_chip_costs_at_most_what_it_had_not_sent():
    clock, _, _, chip, meter, _ = rig(2000)
    run(clock, meter, 400)
    before_wh = meter.energy_wh
    chip.restart()
    run(clock, meter, 400)
    assert before_wh + 220 <= meter.energy_wh <= before_wh + 224 and not meter.fault


@pytest.mark.parametrize("chunk", [1, 2, 5, 23])
def test_short_reads_are_put_together(chunk):
    clock, _, _, chip, meter, _ = rig()
    chip.chunk = chunk
    assert run(clock, meter, 3) == 3 and meter.power_w == 1000


@pytest.mark.parametrize("lost", [1, 2, 5, 17])
def test_octets_that_never_come_cost_a_frame_or_two(lost):
    clock, load, _, chip, meter, trip = rig()
    run(clock, meter, 2)
    load.draw(clock.now_s, 2000)
    chip.lose = lost
    errors = meter.errors
    run(clock, meter, 1)
    assert meter.power_w == 2000 and meter.errors - errors <= 6
    assert {sample[1] for sample in trip.seen} <= {0, 1000, 2000}


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_noise_before_a_frame_is_never_believed_and_never_in_the_way_for_long(noise):
    clock, load, _, chip, meter, trip = rig(1234)
    chip.noise = noise
    run(clock, meter, 4)
    assert meter.power_w == 1234
    assert {sample[1] for sample in trip.seen} <= {0, 1234}


@given(at=st.integers(0, 23), bit=st.integers(0, 7), watts=st.integers(0, 4000))
@settings(max_examples=400, deadline=None)
def test_no_single_bit_is_believed_as_another_value(at, bit, watts):
    first, second, third = frames(watts)
    wire, trip = Wire(), NoTrip()
    meter = CSE7766(wire, trip)
    wire.waiting = first + second + third
    meter.sample(1)
    good = set(trip.seen)
    damaged = bytearray(frames(watts + 30)[0])
    damaged[at] ^= 1 << bit
    wire.waiting = bytes(damaged)
    meter.poll()
    assert set(trip.seen) == good, "nothing of the damaged frame"
    wire.waiting = frames(watts + 30)[0] * 3
    assert meter.sample(1) and meter.power_w == pytest.approx(watts + 30, abs=2)


@pytest.mark.parametrize("state", [0xAA, 0xF1, 0xFB, 0x54, 0x00])
def test_a_chip_that_says_it_is_not_in_order_is_not_believed(state):
    clock, _, _, chip, meter, trip = rig()
    chip.state = state
    run(clock, meter, 6)
    assert meter.fault and trip.seen == [] and meter.voltage_10mv == ABSENT


def test_a_state_that_is_not_in_order_counts_from_the_second_time_on():
    wire, trip = Wire(), NoTrip()
    meter = CSE7766(wire, trip)
    good = frames(1000)
    none = bytearray(good[0])
    none[0] = 0xF2
    wire.waiting = good[0] * 2 + bytes(none)
    meter.sample(1)
    assert meter.power_w == 1000
    wire.waiting = bytes(none) * 2
    meter.sample(2)
    assert meter.power_w == 0


def test_coefficients_that_change_are_taken_when_they_stay():
    wire = Wire()
    meter = CSE7766(wire, NoTrip())
    wire.waiting = frames(1000)[0] * 3
    meter.sample(1)
    other = bytearray(frames(1000)[0])
    other[2:5] = (100_000).to_bytes(3, "big")
    other[23] = sum(other[2:23]) & 0xFF
    wire.waiting = bytes(other)
    meter.poll()
    assert meter.voltage_10mv == pytest.approx(23000, abs=20)
    wire.waiting = bytes(other)
    meter.poll()
    assert meter.voltage_10mv == pytest.approx(12180, abs=10)


def test_five_misses_are_a_fault_and_good_frames_end_it():
    clock, _, _, chip, meter, _ = rig()
    run(clock, meter, 2)
    chip.dead = True
    run(clock, meter, 4)
    assert not meter.fault
    run(clock, meter, 1)
    assert meter.fault and meter.voltage_10mv == ABSENT and meter.power_w == 1000
    chip.dead = False
    run(clock, meter, 1)
    assert not meter.fault and meter.voltage_10mv != ABSENT


def test_registers_that_stand_still_are_a_fault():
    clock, _, _, chip, meter, _ = rig(1000)
    run(clock, meter, 10)
    chip.stuck = True
    run(clock, meter, 10)
    assert meter.fault
    chip.stuck = False
    run(clock, meter, 1)
    assert not meter.fault


def test_no_load_may_stand_still_for_long():
    clock, _, _, chip, meter, _ = rig(0)
    run(clock, meter, 3600, 10)
    assert not meter.fault and meter.power_w == 0 and meter.energy_wh == 0


def test_each_frame_reaches_the_trip_between_two_samples():
    wire, trip = Wire(), NoTrip()
    meter = CSE7766(wire, trip)
    low, high = frames(100)[0], frames(3000)[0]
    wire.waiting = low * 2
    meter.sample(0)
    wire.waiting = high[:10]
    meter.poll()
    assert len(trip.seen) == 1
    wire.waiting = high[10:]
    meter.poll()
    assert len(trip.seen) == 2 and trip.seen[-1][1] == 3000
    assert meter.sample(1)


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(None)), max_size=40), st.integers(0, 3000))
@settings(max_examples=100, deadline=None)
def test_whatever_the_wire_says_nothing_breaks_and_energy_never_runs_backward(chunks, watts):
    clock, load, _, chip, meter, _ = rig(watts)
    wire = meter._uart = Wire()
    before = 0
    for chunk in chunks:
        clock.now_s += 1
        wire.waiting += bytes(chip.frame()) if chunk is None else chunk
        meter.sample(clock.now_s)
        assert meter.energy_wh >= before
        before = meter.energy_wh


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_frames_of_any_content_with_a_right_sum_break_nothing(data):
    clock, wire, trip = Clock(), Wire(), NoTrip()
    meter = CSE7766(wire, trip)
    before = 0
    for _ in range(20):
        body = data.draw(st.binary(min_size=21, max_size=21))
        frame = bytes((data.draw(st.sampled_from([0x55, 0xF2, 0xFE, 0xF0, 0xAA])), 0x5A)) + body
        wire.waiting += (frame + bytes((sum(body) & 0xFF,))) * 3
        clock.now_s += 1
        meter.sample(clock.now_s)
        assert meter.energy_wh >= before and meter.power_w >= 0
        before = meter.energy_wh


def test_a_reference_load_corrects_the_calibration():
    clock, _, _, _, meter, _ = rig(1000)
    run(clock, meter, 2)
    shown = meter.voltage_10mv, meter.current_ma, meter.power_dw
    found = meter.adjust(shown, (ABSENT, 4500, 10300))
    assert found[0] == 10000 and meter.use(found)
    run(clock, meter, 1)
    assert meter.power_dw == pytest.approx(10300, abs=3) and meter.current_ma == pytest.approx(4500, abs=3)
    counted_wh = meter.energy_wh
    run(clock, meter, 3600)
    assert meter.energy_wh - counted_wh == pytest.approx(1030, abs=1)
