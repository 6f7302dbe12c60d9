"""Whatever comes in whatever order, the guards hold: hypothesis drives a plug and a heat pump through made-up days."""

from hypothesis import given, settings
from hypothesis import strategies as st

from spot.codes import ABSENT, DECIDER_LIMIT, DECIDER_SET_POINT, KIND_BOOST, KIND_OFF, KIND_ON, KIND_SG_READY
from tests.unit.device.rig import plug, pump

MIN_ON, MIN_OFF, GRACE = 20, 40, 15

plug_events = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.one_of(
            st.tuples(st.just("ask"), st.sampled_from([ABSENT, KIND_OFF, KIND_ON])),
            st.tuples(st.just("limit"), st.sampled_from([ABSENT, 0, 500, 1500, 3000])),
            st.tuples(st.just("draw"), st.sampled_from([0, 400, 1000, 2000, 5000])),
            st.tuples(st.just("press"), st.just(0)),
            st.tuples(st.just("volts"), st.sampled_from([23000, 28000, 15000])),
        ),
    ),
    max_size=15,
)


@settings(max_examples=30, deadline=None)
@given(plug_events)
def test_a_plug_keeps_its_times_its_trips_and_the_household_s_choice(events):
    bench = plug({"min_on_s": MIN_ON, "min_off_s": MIN_OFF, "limit_grace_s": GRACE}, start_s=100)
    kind = limit_w = ABSENT
    was, since, over = bench.contact.closed, bench.now_s, 0

    def look():
        nonlocal was, since
        latch = bench.board.trip.latch
        closed = bench.contact.closed
        if closed != was:
            if closed:
                assert bench.now_s - since >= MIN_OFF, "minimum off time"
                assert bench.device.choice, "no command closes what the household switched off"
            else:
                assert latch or bench.now_s - since >= MIN_ON, "minimum on time, but for a trip"
            was, since = closed, bench.now_s
        assert not (closed and latch), "a tripped plug is open"

    for wait, (what, value) in events:
        if what == "ask":
            kind = value
        elif what == "limit":
            limit_w = value
        elif what == "draw":
            bench.load.draw(bench.now_s, value)
        elif what == "volts":
            bench.mains.volts_10mv = value
        else:
            bench.press()
        look()
        bench.ask(kind, limit_w=limit_w, decider=DECIDER_SET_POINT)
        look()
        for _ in range(wait):
            over = over + 1 if was and limit_w != ABSENT and bench.load.watts > limit_w else 0
            assert over <= MIN_ON + GRACE + 2, "above the limit for no longer than guards and grace allow"
            bench.run(1)
            look()


MIN_RUN, MIN_PAUSE, BLOCK, REST = 60, 90, 300, 120

pump_events = st.lists(
    st.tuples(
        st.integers(1, 150),
        st.one_of(
            st.tuples(st.just("ask"), st.sampled_from([ABSENT, KIND_OFF, KIND_ON, KIND_BOOST])),
            st.tuples(st.just("sg"), st.integers(1, 4)),
            st.tuples(st.just("limit"), st.sampled_from([ABSENT, 0, 1000, 2000, 5000])),
            st.tuples(st.just("room"), st.sampled_from([1500, 2100, 2500, ABSENT])),
            st.tuples(st.just("stop"), st.just(0)),
        ),
    ),
    max_size=15,
)


@settings(max_examples=30, deadline=None)
@given(pump_events)
def test_a_compressor_gets_its_run_and_its_pause_and_no_lock_lasts_too_long(events):
    bench = pump(
        {"min_run_s": MIN_RUN, "min_pause_s": MIN_PAUSE, "max_block_s": BLOCK, "block_pause_s": REST, "sg_hold_s": 0,
         "starts_per_hour": 20}, watts=0, board="sim_heat_pump",
    )
    kind = value = limit_w = ABSENT
    running, since, locked, locked_s = False, 0, False, 0  # boot is a stop
    for wait, (what, argument) in events:
        if what == "ask":
            kind, value = argument, ABSENT
        elif what == "sg":
            kind, value = KIND_SG_READY, argument
        elif what == "limit":
            limit_w = argument
        elif what == "room":
            bench.room.value = argument
        elif running:
            running, since = False, bench.now_s  # its own thermostat
        for _ in range(wait):
            bench.load.draw(bench.now_s, 2000 if running else 20)
            bench.ask(kind, value, limit_w=limit_w, decider=DECIDER_LIMIT)
            bench.run(1)
            now_locked = bench.contacts.state == 1
            if now_locked and not locked and running:
                assert bench.now_s - since >= MIN_RUN, "locked before its minimum run was over"
            if locked and not now_locked and not running:
                assert bench.now_s - since >= MIN_PAUSE, "released before its minimum pause was over"
            locked_s = locked_s + 1 if now_locked else 0
            assert locked_s <= BLOCK + MIN_PAUSE, "locked for too long"
            if bench.room.value == 1500 and not running and bench.now_s - since > MIN_PAUSE + 1:
                assert not now_locked, "locked in the cold"
            locked = now_locked
            if running and locked:
                running, since = False, bench.now_s
            elif not running and not locked and bench.now_s - since >= MIN_PAUSE and bench.now_s % 7 == 0:
                running, since = True, bench.now_s
