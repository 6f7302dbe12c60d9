"""The house and its heat pump against physics: balances, time constants, hplib's own answers, the machine's inputs."""

import hashlib
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_sim.local_time import LocalCalendar
from spot_sim.physics import heat_pump
from spot_sim.physics.hot_water import HotWater
from spot_sim.physics.house import SG_FORCE, SG_LOCK, SG_NORMAL, SG_RECOMMEND, House
from spot_sim.physics.thermal import TwoNode
from spot_sim.physics.weather import Weather
from spot_sim.seeds import Seeds

DAY = 86400
WINTER = LocalCalendar("2024-02-01")
WEATHER = Weather(WINTER)


def house(**options):
    return House(Seeds(4).child("house", 1), WINTER, WEATHER, **options)


# Two nodes


def test_two_nodes_agree_with_a_plain_integration_and_close_their_energy_balance():
    node = TwoNode(2 * 3.6e6, 14 * 3.6e6, 170.0, 1000.0, 20.0)
    outdoor, air_w, mass_w = -5.0, 1500.0, 2500.0
    air, mass, lost_j = 20.0, 20.0, 0.0
    before = node.stored_j()
    for second in range(6 * 3600):
        lost_j += 170.0 * (air - outdoor)
        air_change = (170.0 * (outdoor - air) + 1000.0 * (mass - air) + air_w) / node.air_j_k
        mass_change = (1000.0 * (air - mass) + mass_w) / node.mass_j_k
        air, mass = air + air_change, mass + mass_change
        if second % 60 == 59:
            node.air_c, node.mass_c = node.after(60, outdoor, air_w, mass_w)
    assert node.air_c == pytest.approx(air, abs=1e-3)
    assert node.mass_c == pytest.approx(mass, abs=1e-3)
    put_in_j = (air_w + mass_w) * 6 * 3600
    assert abs(put_in_j - lost_j - (node.stored_j() - before)) < 0.001 * put_in_j


def test_two_nodes_come_to_rest_where_losses_balance_the_heat():
    node = TwoNode(2 * 3.6e6, 14 * 3.6e6, 170.0, 1000.0)
    air, mass = node.after(10**8, 0.0, 1000.0, 2400.0)
    assert 170 * air == pytest.approx(3400)
    assert 1000 * (mass - air) == pytest.approx(2400)


def test_one_long_step_is_many_short_ones():
    one, many = (TwoNode(2 * 3.6e6, 14 * 3.6e6, 170.0, 1000.0) for _ in range(2))
    one.air_c, one.mass_c = one.after(3600, -3.0, 500.0, 1000.0)
    for seconds in (1, 59, 600, 2940):
        many.air_c, many.mass_c = many.after(seconds, -3.0, 500.0, 1000.0)
    assert (one.air_c, one.mass_c) == pytest.approx((many.air_c, many.mass_c), abs=1e-9)


def test_a_house_without_heat_cools_with_its_time_constant():
    node = TwoNode(2 * 3.6e6, 14 * 3.6e6, 170.0, 1020.0)
    early = node.after(DAY, 0.0, 0.0, 0.0)[0]
    later = node.after(2 * DAY, 0.0, 0.0, 0.0)[0]
    assert later / early == pytest.approx(exp(-DAY / node.time_constant_s), rel=1e-3)
    assert 3 * DAY < node.time_constant_s < 6 * DAY


# The heat pump's data


@pytest.mark.parametrize("model", [heat_pump.DEFAULT_MODEL, "CTC EcoAir 610M"])
def test_the_heat_pump_gives_hplibs_own_answers(model):
    """hplib takes the return temperature and adds 5 K: 30 in is the 35 of our flow."""
    hplib = pytest.importorskip("hplib.hplib")
    theirs = hplib.HeatPump(hplib.get_parameters(model))
    ours = heat_pump.load(model)
    for outdoor in (-12.0, -7.0, 0.0, 2.0, 7.0, 12.0):
        for flow in (28.0, 35.0, 45.0, 52.0):
            answer = theirs.simulate(outdoor, flow - heat_pump.SPREAD_K, outdoor)
            assert answer["T_out"] == flow
            assert ours.cop(outdoor, flow) == pytest.approx(float(answer["COP"]), rel=1e-3)
            assert ours.nominal_w(outdoor, flow) == pytest.approx(float(answer["P_el"]), rel=1e-3)


def test_the_cop_is_plausible_and_falls_with_cold_and_with_the_flow_temperature():
    data = heat_pump.load()
    series = [data.cop(outdoor, 35.0) for outdoor in (7, 2, -7, -15)]
    assert series == sorted(series, reverse=True)
    assert 1.8 < series[3] and 2.0 < series[2] and series[0] < 5.5
    assert data.cop(2, 35) > data.cop(2, 45) > data.cop(2, 55) > 1.5


def test_every_air_pump_of_the_database_loads():
    names = heat_pump.models()
    assert len(names) > 300
    for name in names:
        data = heat_pump.load.__wrapped__(name)
        assert 300 < data.electric_ref_w < 50_000
    with pytest.raises(ValueError, match="hplib knows no heat pump"):
        heat_pump.load("Perpetuum")


# The house


def test_a_heated_house_keeps_its_room_and_its_heat_balance():
    """Losses, sun and gains are added up here; with the heat of the pump they must be what is stored."""
    home = house(spread=0.0)
    lost_j = gained_j = 0.0
    before = home.thermal.stored_j()
    last = home.room_c(0)
    for now_s in range(60, DAY + 1, 60):
        outdoor, heat = home._outdoor_c, home.thermal_w
        gains = 350.0 + 4.0 * WEATHER.irradiance_w_m2(home._at_s)
        assert home.gains_w(now_s - 1) == pytest.approx(gains)
        room = home.room_c(now_s)
        assert home.advance(now_s) is None
        lost_j += home.thermal.h_out * ((last + room) / 2 - outdoor) * 60
        gained_j += (gains + heat) * 60
        last = room
        assert 19.5 < room < 22.0
    assert home.heat_j > 40 * 3.6e6
    assert gained_j > home.heat_j
    assert abs(gained_j - lost_j - (home.thermal.stored_j() - before)) < 0.001 * gained_j


def test_the_tank_closes_its_balance_too():
    home = house()
    before = home.hot_water.temperature_c
    home.advance(7 * DAY)
    tank = home.hot_water
    stored_j = tank.capacity_j_k * (tank.temperature_c - before)
    assert abs(home.water_heat_j - tank.drawn_j - tank.lost_j - stored_j) < 0.001 * home.water_heat_j
    assert 3 < tank.drawn_j / 3.6e6 / 7 < 8
    assert 35 < tank.temperature_c < 56


def test_electric_and_thermal_power_agree_with_the_cop_and_the_energy_with_the_power():
    home = house()
    total_mj = 0
    seen = set()
    for now_s in range(0, DAY):
        total_mj += round(home.power_w(now_s) * 1000)
        if home.compressor and now_s % 600 == 0:
            compressor_w = home.power_w(now_s) - 54
            heat_w = home.thermal_w or home._water_w
            assert heat_w / compressor_w == pytest.approx(home.cop, rel=0.01)
            assert 2.0 < home.cop < 5.5
            assert home.flow_c > home.return_c() > 15
            seen.add(home.heating_water)
    assert total_mj == home.energy_mj(DAY)
    assert seen == {False, True}


def test_one_seed_is_one_trace():
    def digest(number):
        home = House(Seeds(4).child("house", number), WINTER, WEATHER)
        values = [(home.power_w(t), home.room_c(t), home.hot_water_c(t)) for t in range(0, DAY, 60)]
        return hashlib.sha256(repr(values).encode()).hexdigest()

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_how_often_one_looks_changes_nothing(data):
    acts = data.draw(
        st.lists(st.tuples(st.integers(0, DAY), st.sampled_from("supply sg offset limit".split())), max_size=8)
    )
    looks = data.draw(st.lists(st.integers(0, DAY), max_size=30))
    lazy, watched = house(), house()
    for number, (now_s, act) in enumerate(sorted(acts + [(t, "look") for t in looks])):
        for home in (lazy, watched):
            if act == "supply":
                home.set_supply(now_s, not home.closed)
            elif act == "sg":
                home.set_sg_state(now_s, number % 4 + 1)
            elif act == "offset":
                home.set_offset_k(now_s, number % 5 - 2)
            elif act == "limit":
                home.set_limit_w(now_s, (None, 800, 1500, 200)[number % 4])
        if act == "look":
            watched.room_c(now_s), watched.power_w(now_s)
            assert now_s < watched.next_change()
    assert lazy.energy_mj(DAY) == watched.energy_mj(DAY)
    assert lazy.room_c(DAY) == watched.room_c(DAY)


def running(home):
    """Advance until the compressor has run for a while on heating."""
    now_s = 0
    while not (home.compressor and not home.heating_water and home.run_s > 1800):
        now_s += 60
        home.advance(now_s)
    return now_s


def test_a_limit_holds_after_the_reaction_time_and_is_met_by_less_power():
    home = house(heat_loss_w_k=260.0)
    now_s = running(home)
    assert home.power_w(now_s) > 1000
    home.set_limit_w(now_s, 900)
    assert home.power_w(now_s) > 1000
    for later in range(now_s + home.reaction_s, now_s + 7200):
        assert home.power_w(later) <= 900
    assert home.power_w(later) > 500
    home.set_limit_w(later, None)
    assert home.power_w(later + 600) > 1000


def test_a_limit_under_the_least_power_stops_the_compressor():
    home = house()
    now_s = running(home)
    home.set_limit_w(now_s, 300)
    assert home.power_w(now_s + 60) < 20
    assert not home.compressor


def test_a_machine_with_steps_takes_the_step_below():
    home = house(heat_loss_w_k=260.0, steps_w=(700, 1400, 2600))
    now_s = running(home)
    home.set_limit_w(now_s, 1399)
    assert 500 < home.power_w(now_s + 1800) <= 700


@pytest.mark.parametrize("stop", ["lock", "release", "supply"])
def test_a_stopped_compressor_rests_and_the_house_cools_slowly(stop):
    home = house()
    now_s = running(home)
    before = home.room_c(now_s)
    if stop == "lock":
        home.set_sg_state(now_s, SG_LOCK)
    elif stop == "release":
        home.set_released(now_s, False)
    else:
        home.set_supply(now_s, False)
        assert home.power_w(now_s) == 0
    assert home.power_w(now_s + 60) < 20
    after = home.room_c(now_s + 7200)
    assert 0.05 < before - after < 2.0
    starts = home.starts
    home.set_sg_state(now_s + 7200, SG_NORMAL)
    home.set_released(now_s + 7200, True)
    home.set_supply(now_s + 7200, True)
    home.advance(now_s + 7200 + 120)
    assert home.compressor and home.starts == starts + 1


def test_the_machine_keeps_its_own_pause():
    home = house()
    now_s = running(home)
    home.set_sg_state(now_s, SG_LOCK)
    home.advance(now_s + 30)
    home.set_sg_state(now_s + 30, SG_NORMAL)
    home.advance(now_s + 580)
    assert not home.compressor
    home.advance(now_s + 30 + 600 + 120)
    assert home.compressor


def test_force_stores_heat_and_uses_more():
    plain, forced = house(), house()
    now_s = running(plain)
    running(forced)
    forced.set_sg_state(now_s, SG_FORCE)
    later = now_s + 3 * 3600
    assert forced.energy_wh(later) > plain.energy_wh(later) + 1500
    assert forced.room_c(later) > plain.room_c(later) + 0.3
    assert forced.hot_water_c(later) > 50
    recommended = house()
    running(recommended)
    recommended.set_sg_state(now_s, SG_RECOMMEND)
    assert plain.energy_wh(later) < recommended.energy_wh(later) < forced.energy_wh(later)


def test_an_offset_moves_the_room():
    plain, lowered = house(), house()
    now_s = running(plain)
    running(lowered)
    lowered.set_offset_k(now_s, -2.0)
    later = now_s + 10 * 3600
    assert lowered.energy_wh(later) < plain.energy_wh(later) - 1000
    assert lowered.room_c(later) < plain.room_c(later) - 0.7


def test_in_summer_only_water_is_heated():
    calendar = LocalCalendar("2024-07-10")
    home = House(Seeds(1), calendar, Weather(calendar))
    home.advance(3 * DAY)
    assert home.heat_j < 0.05 * home.water_heat_j
    assert home.water_heat_j > 9 * 3.6e6


def test_an_on_off_machine_runs_at_one_power():
    data = next(heat_pump.load(name) for name in heat_pump.models() if not heat_pump.load(name).regulated)
    home = house(model=data, hot_water=None)
    powers = {round(home.power_w(t)) for t in range(3600, DAY, 60)}
    assert 9 in powers and home.starts > 3
    assert min(power for power in powers if power > 9) > 0.6 * max(powers)
    assert home.hot_water_c(DAY) is None


def test_a_wrong_sg_state_is_refused():
    with pytest.raises(ValueError, match="1 to 4"):
        house().set_sg_state(0, 5)


def test_a_tank_that_nobody_heats_cools_to_the_room():
    tank = HotWater(Seeds(1), WINTER, litres_a_day=0)
    for now_s in range(0, 30 * DAY, 600):
        tank.step(now_s, now_s + 600, 0.0)
    assert tank.drawn_j == 0
    assert tank.temperature_c == pytest.approx(20.0, abs=1.0)


# Defrost, hot water, a bus that falls silent


def test_a_machine_defrosts_in_humid_cold_and_only_there():
    counts = {}
    for day, cold in (("2024-02-01", True), ("2024-07-20", False)):
        calendar = LocalCalendar(day)
        home = House(Seeds(4).child("house", 1), calendar, Weather(calendar), defrosts=True)
        ran_s = 0
        for now_s in range(60, 4 * DAY, 60):
            home.advance(now_s)
            if home.defrosting:
                assert home.compressor and -7 < home.outdoor_c(now_s) < 9 and home.thermal_w < 0
                assert home.flow_c < 22, "heat is taken out of the flow"
                ran_s += 60
        counts[cold] = home.defrost_count
        assert home.broken_defrosts == 0
        assert ran_s == pytest.approx(360 * home.defrost_count, abs=420)
    assert 4 <= counts[True] <= 60 and counts[False] == 0


def test_a_lock_in_a_defrost_breaks_it():
    home = house(defrosts=True)
    now_s = next(t for t in range(60, 10 * DAY, 60) if home.advance(t) or home.defrosting)
    home.set_sg_state(now_s, SG_LOCK)
    home.advance(now_s + 120)
    assert home.broken_defrosts == 1 and not home.compressor


def test_the_tank_follows_its_set_point_up_to_what_kills_legionella():
    home = house()
    home.set_hot_water_c(3600, 63.0)
    reached_s = next(t for t in range(3660, 5 * 3600, 60) if home.hot_water_c(t) >= 60)
    assert home.hot_water_c(reached_s + 1800) > 58
    home.set_hot_water_c(reached_s + 1800, None)
    assert max(home.hot_water_c(t) for t in range(reached_s + 30 * 3600, reached_s + 40 * 3600, 60)) < 49


def test_values_of_a_bus_that_falls_silent_time_out():
    home = house()
    for t in range(60, 7200, 60):
        home.refresh(t)
        if t == 3600:
            home.set_limit_w(t, 900)
            home.set_offset_k(t, -2.0)
        home.advance(t)
    assert home._limit_w == 900 and home.fallbacks == 0
    home.advance(7200 + 850)
    assert home._limit_w == 900
    home.advance(7200 + 1020)
    assert home._limit_w is None and home._offset_k == 0 and home.fallbacks == 1
