"""A house and its heat pump: the load that a heat-pump controller switches, limits and shifts.

The machine has a controller of its own, as real ones do: a heating curve with some influence of the room,
degree-minutes that start and stop the compressor, a shortest run and pause, a ramp. What SPOT can touch are its inputs:
release, SG-Ready state, set-point offset, power limit, hot-water set-point. They take effect after the machine's
reaction time; a cut of the supply does at once. What came over a bus (`refresh`) is dropped when the bus has been
silent for `timeout_s`: the machine goes back to its own ways.

In humid cold its evaporator ices over while it runs; then it defrosts: the compressor runs the other way and takes heat
out of the flow for some minutes. A lock or a stop in the midst of that is counted in `broken_defrosts`.
"""

from . import heat_pump
from .hot_water import HotWater
from .load import Load, around
from .thermal import TwoNode

TICK_S = 60
SG_LOCK, SG_NORMAL, SG_RECOMMEND, SG_FORCE = 1, 2, 3, 4

_KWH_J = 3_600_000
_START_DM, _STOP_DM, _LEAST_DM = -60.0, 0.0, -120.0  # degree-minutes: start, stop, and no deficit counts for more
_ROOM_INFLUENCE = 4.0  # K of flow for each K that the room is off
_HOT_ROOM_K = 1.5  # above the set-point: the compressor rests
_RAISED_K = {3: 1.5, 4: 2.5}  # SG-Ready raises the room's set-point by so much
_WATER_RAISED_K = {3: 4.0, 4: 8.0}  # and the hot water's
_WATER_LOAD = 0.6  # share of the greatest power for hot water
_HEATING_LIMIT_C, _DAMPING_S = 15.0, 86400.0  # damped outdoor temperature above which only water is heated
_CIRCULATION_W, _STANDBY_W = 45, 9
_RAMP_SHARE = 0.2  # of the greatest power, upwards, a tick
_MASS_SHARE_SUN = 0.5
_ICE_C, _ICE_SPAN_K = 1.0, 7.0  # outdoor temperature at which most ice grows, and how far from it none does
_ICE_S = 2700  # of running at most ice, then it defrosts
_DEFROST_S, _DEFROST_K = 360, 9.0  # how long, and by how much the flow falls
_DEFROST_LOAD, _DEFROST_HEAT = 0.45, -0.8  # shares of the greatest power
_CIRCUIT_MAX_C = 68.0  # hot water


class House(Load):
    """A heated house; `power_w` and `energy_mj` are those of the heat pump.

    seeds, calendar; weather: Weather (shared by the houses of a street). model: a name of hplib's database, or
    HeatPumpData. heat_loss_w_k: transmission and ventilation. mass_kwh_k, air_kwh_k: heat capacities. setpoint_c: of
    the room. sun_m2: effective window area. gains_w: people and appliances. steps_w: total powers the machine can be
    limited to, () for any. hot_water: HotWater, True for one from the seed, None for none. min_run_s, min_pause_s: of
    the machine itself. defrosts: whether it does (what that costs on average is in hplib's figures already).
    timeout_s: of values that came over a bus. `spread` draws the house around these figures from the seed (0: exactly
    these).
    """

    def __init__(
        self,
        seeds,
        calendar,
        weather,
        model=heat_pump.DEFAULT_MODEL,
        heat_loss_w_k=170.0,
        mass_kwh_k=14.0,
        air_kwh_k=2.0,
        setpoint_c=20.5,
        sun_m2=4.0,
        gains_w=350.0,
        steps_w=(),
        min_run_s=600,
        min_pause_s=600,
        hot_water=True,
        spread=0.15,
        defrosts=False,
        timeout_s=900,
    ):
        data = heat_pump.load(model) if isinstance(model, str) else model
        super().__init__(data.electric_ref_w, power_factor=0.95, surge_ma=0 if data.regulated else 25_000)
        rng = seeds.stream("house")
        self.data, self.weather, self.setpoint_c = data, weather, setpoint_c
        self.steps_w = tuple(sorted(steps_w))
        self.min_run_s, self.min_pause_s = min_run_s, min_pause_s
        self.reaction_s = 5 + int(15 * rng.random())
        loss, mass = around(rng, heat_loss_w_k, spread), around(rng, mass_kwh_k, spread)
        self._emitter_w_k, self._mass_share, self.max_flow_c = (
            2.2 * loss,
            0.6,
            50.0,
        )  # a floor of 35 degC flow on a cold day
        h_mass = 6.0 * loss
        self.thermal = TwoNode(air_kwh_k * _KWH_J, mass * _KWH_J, loss, h_mass, setpoint_c + rng.random() - 0.5)
        self.hot_water = HotWater(seeds, calendar) if hot_water is True else hot_water
        self._curve = loss * (1 / self._emitter_w_k + self._mass_share**2 / h_mass)
        self._sun_m2, self._gains_w = around(rng, sun_m2, spread), around(rng, gains_w, spread)
        self._damped_c = weather.mean_temperature_c(
            -86400, 0, 3600
        )  # the day before: where an old house stands this morning
        need_w = max(0.0, loss * (setpoint_c - self._damped_c) - self._gains_w)
        self.thermal.mass_c = self.thermal.air_c + self._mass_share * need_w / h_mass
        aux_w = _CIRCULATION_W + _STANDBY_W
        self.power_max_w = round(data.electric_ref_w) + aux_w
        self.power_min_w = round(data.least_w(35.0)) + aux_w
        self.starts = self.run_s = 0
        self.heat_j = self.water_heat_j = (
            0.0  # into the house and into the hot water since second 0, settled at the last event
        )
        self.heating_water = False
        self.compressor = False
        self.thermal_w = self._water_w = self.cop = self._electric_w = 0.0  # thermal_w: into the house
        self._released, self._sg_state, self._offset_k, self._limit_w = True, SG_NORMAL, 0.0, None
        self._water_set_c = None
        self.defrosts, self.timeout_s = defrosts, timeout_s
        self.defrosting = False
        self.defrost_count = self.broken_defrosts = self.fallbacks = 0
        self._ice_s = 0.0
        self._defrost_end_s = 0
        self._refreshed_s = None  # the bus spoke last
        self._degree_minutes = _START_DM * rng.random()
        self._changed_s = -min_pause_s
        self._air_w = self._mass_w = 0.0
        self._at_s = self._controlled_s = 0
        self.flow_c = self.flow_set_c = self._circuit_c = setpoint_c
        self._outdoor_c = 0.0
        self._control(0)

    # What the controller of the pump can be told. Each takes effect after `reaction_s`.

    def set_released(self, now_s, released):
        """Whether the compressor may run."""
        self._input(now_s, "_released", bool(released))

    def set_sg_state(self, now_s, state):
        """SG-Ready: 1 lock, 2 normal, 3 recommend, 4 force."""
        if state not in (SG_LOCK, SG_NORMAL, SG_RECOMMEND, SG_FORCE):
            raise ValueError(f"SG-Ready has the states 1 to 4, not {state}")
        self._input(now_s, "_sg_state", state)

    def set_offset_k(self, now_s, offset_k):
        """Shift of the room set-point in K."""
        self._input(now_s, "_offset_k", offset_k)

    def set_limit_w(self, now_s, limit_w):
        """Most total electric power in W; None for no limit. Under the machine's least power it rests."""
        self._input(now_s, "_limit_w", limit_w)

    def set_hot_water_c(self, now_s, set_c):
        """Set-point of the hot water in degC; None for its own."""
        self._input(now_s, "_water_set_c", None if set_c is None else min(set_c, _CIRCUIT_MAX_C - heat_pump.SPREAD_K))

    def refresh(self, now_s):
        """The bus is alive: what came over it holds for another `timeout_s`."""
        self._refreshed_s = now_s

    def _input(self, now_s, name, value):
        if self._next_s <= now_s:
            self.advance(now_s)
        if getattr(self, name) != value:
            setattr(self, name, value)
            self._next_s = min(self._next_s, now_s + self.reaction_s)

    # What its sensors see

    def room_c(self, now_s):
        """Temperature of the room in degC."""
        return self._temperatures(now_s)[0]

    def mass_c(self, now_s):
        """Temperature of the building's mass (the screed) in degC."""
        return self._temperatures(now_s)[1]

    def outdoor_c(self, now_s):
        """Outdoor temperature in degC."""
        return self.weather.temperature_c(now_s)

    def hot_water_c(self, now_s):
        """Temperature of the hot water in degC at the last event, None without a tank."""
        if self._next_s <= now_s:
            self.advance(now_s)
        return None if self.hot_water is None else self.hot_water.temperature_c

    def return_c(self):
        """Return temperature in degC."""
        return self.flow_c - heat_pump.SPREAD_K if self.compressor else self.flow_c

    def heat_loss_w(self, now_s):
        """Heat that leaves the house now, in W."""
        return self.thermal.h_out * (self.room_c(now_s) - self._outdoor_c)

    def gains_w(self, now_s):
        """Heat from sun, people and appliances in the running tick, in W."""
        if self._next_s <= now_s:
            self.advance(now_s)
        return self._air_w + self._mass_w - self.thermal_w

    def _temperatures(self, now_s):
        if self._next_s <= now_s:
            self.advance(now_s)
        if now_s == self._at_s:
            return self.thermal.air_c, self.thermal.mass_c
        return self.thermal.after(now_s - self._at_s, self._outdoor_c, self._air_w, self._mass_w)

    # The machine

    def _change(self, at_s):
        seconds = at_s - self._at_s
        thermal = self.thermal
        thermal.air_c, thermal.mass_c = thermal.after(seconds, self._outdoor_c, self._air_w, self._mass_w)
        self._at_s = at_s
        self.heat_j += self.thermal_w * seconds
        if self.hot_water is not None:
            self.water_heat_j += self._water_w * seconds
            self.hot_water.step(at_s - seconds, at_s, self._water_w)
        if self.compressor:
            self.run_s += seconds
        if not self.heating_water and self._damped_c <= _HEATING_LIMIT_C:
            minutes = self._degree_minutes + (self._circuit_c - self.flow_set_c) * seconds / 60
            self._degree_minutes = min(max(minutes, _LEAST_DM), -_START_DM)
        self._control(at_s)

    def _supply(self, at_s):
        self._change(at_s)

    def _control(self, at_s):
        thermal = self.thermal
        if self._refreshed_s is not None and at_s - self._refreshed_s > self.timeout_s:
            self._refreshed_s = None
            if self._offset_k or self._limit_w is not None or self._water_set_c is not None:
                self._offset_k, self._limit_w, self._water_set_c = 0.0, None, None
                self.fallbacks += 1
        outdoor_c, sun_w_m2 = self.weather.at(at_s)
        self._outdoor_c = outdoor_c
        self._damped_c += (outdoor_c - self._damped_c) * (at_s - self._controlled_s) / _DAMPING_S
        self._controlled_s = at_s
        force = self._sg_state == SG_FORCE
        room_set_c = self.setpoint_c + self._offset_k + _RAISED_K.get(self._sg_state, 0.0)
        node_c = self._mass_share * thermal.mass_c + (1 - self._mass_share) * thermal.air_c
        half_k = heat_pump.SPREAD_K / 2
        wish_c = (
            room_set_c
            + self._curve * max(0.0, room_set_c - outdoor_c)
            + half_k
            + _ROOM_INFLUENCE * (room_set_c - thermal.air_c)
        )
        self.flow_set_c = flow_set_c = min(max(wish_c, 20.0), self.max_flow_c)

        most_w = self._most_w(flow_set_c) if self.closed and self._released and self._sg_state != SG_LOCK else 0.0
        hot = thermal.air_c > room_set_c + _HOT_ROOM_K or self._damped_c > _HEATING_LIMIT_C
        water = self._water_wanted()
        if self.compressor:
            done = not self.defrosting and not water and (hot or (self._degree_minutes >= _STOP_DM and not force))
            if not most_w or (done and at_s - self._changed_s >= self.min_run_s):
                self.compressor, self._changed_s = False, at_s
                if self.defrosting:
                    self.defrosting = False
                    self.broken_defrosts += 1
        elif most_w and at_s - self._changed_s >= self.min_pause_s:
            if water or (not hot and (self._degree_minutes <= _START_DM or force)):
                self.compressor, self._changed_s = True, at_s
                self.starts += 1
                self._surge_s = at_s
                self._electric_w = 0.0

        if self.defrosts and self.compressor:
            self._freeze(at_s, outdoor_c)
        self.heating_water = water and self.compressor and not self.defrosting
        self.thermal_w = self._water_w = self.cop = 0.0
        self._circuit_c = node_c
        if self.defrosting:
            wanted_w = _DEFROST_LOAD * self.data.electric_ref_w
            self._electric_w = self._ramped(at_s, wanted_w, min(self.data.least_w(flow_set_c), most_w), most_w)
            self.thermal_w = self._electric_w * _DEFROST_HEAT / _DEFROST_LOAD
            self.cop = _DEFROST_HEAT / _DEFROST_LOAD
            self.flow_c = node_c - _DEFROST_K
            self.power_mw = int(self._electric_w * 1000) + (_CIRCULATION_W + _STANDBY_W) * 1000
        elif self.heating_water:
            self._heat_water(outdoor_c, most_w, at_s)
        elif self.compressor:
            self._heat_house(outdoor_c, node_c, flow_set_c, most_w, at_s)
        else:
            self._electric_w = 0.0
            self.flow_c = node_c
            self.power_mw = _STANDBY_W * 1000 if self.closed else 0
        heat_w, sun_w = self.thermal_w, sun_w_m2 * self._sun_m2
        self._mass_w = self._mass_share * heat_w + _MASS_SHARE_SUN * sun_w
        self._air_w = (1 - self._mass_share) * heat_w + (1 - _MASS_SHARE_SUN) * sun_w + self._gains_w
        self._next_s = at_s - at_s % TICK_S + TICK_S

    def _freeze(self, at_s, outdoor_c):
        """Ice grows on the evaporator, and when there is too much it is thawed."""
        if self.defrosting:
            if at_s >= self._defrost_end_s:
                self.defrosting = False
                self._ice_s = 0.0
            return
        self._ice_s += TICK_S * max(0.0, 1.0 - abs(outdoor_c - _ICE_C) / _ICE_SPAN_K)
        if self._ice_s >= _ICE_S and at_s - self._changed_s >= TICK_S:
            self.defrosting = True
            self.defrost_count += 1
            self._defrost_end_s = at_s + _DEFROST_S

    def _water_wanted(self):
        tank = self.hot_water
        if tank is None:
            return False
        set_c = tank.setpoint_c if self._water_set_c is None else self._water_set_c
        set_c += _WATER_RAISED_K.get(self._sg_state, 0.0)
        return tank.temperature_c < (set_c if self.heating_water else set_c - tank.hysteresis_k)

    def _most_w(self, flow_c):
        """The most the compressor may draw under the limit; 0 when that is less than it can."""
        most_w, limit_w = self.data.electric_ref_w, self._limit_w
        if not self.data.regulated:
            most_w = self.data.nominal_w(self._outdoor_c, flow_c)
        if limit_w is None:
            return most_w
        if self.steps_w:
            limit_w = max((step for step in self.steps_w if step <= limit_w), default=0)
        limit_w -= _CIRCULATION_W + _STANDBY_W
        if limit_w < self.data.least_w(flow_c) or (not self.data.regulated and limit_w < most_w):
            return 0.0
        return min(most_w, limit_w)

    def _ramped(self, at_s, wanted_w, least_w, most_w):
        """The compressor's power on its way to what is wanted: up by a ramp, down at once."""
        ramp_w = self._electric_w + _RAMP_SHARE * self.data.electric_ref_w if at_s > self._changed_s else least_w
        return max(least_w, min(wanted_w, most_w, max(ramp_w, least_w)))

    def _heat_house(self, outdoor_c, node_c, flow_set_c, most_w, at_s):
        """What the flow set-point asks for, within modulation, limit and ramp."""
        data, emitter, half_k = self.data, self._emitter_w_k, heat_pump.SPREAD_K / 2
        if data.regulated:
            wanted_c = self.max_flow_c if self._sg_state == SG_FORCE else flow_set_c
            wanted_w = emitter * (wanted_c - half_k - node_c) / data.cop(outdoor_c, wanted_c)
            electric_w = self._ramped(at_s, wanted_w, min(data.least_w(flow_set_c), most_w), most_w)
        else:
            electric_w = most_w
        # heat = electric * COP(flow) with flow = node + heat / emitter + half the spread: linear, so solved at once
        base = data.cop_outdoor * outdoor_c + data.cop_base + data.cop_flow * (node_c + half_k)
        heat_w = max(electric_w, electric_w * base / (1 - electric_w * data.cop_flow / emitter))
        self._draw(electric_w, heat_w)
        self.thermal_w = heat_w
        self.flow_c = self._circuit_c = node_c + heat_w / emitter + half_k

    def _heat_water(self, outdoor_c, most_w, at_s):
        data, flow_c = self.data, self.hot_water.temperature_c + heat_pump.SPREAD_K
        wanted_w = _WATER_LOAD * data.electric_ref_w if data.regulated else most_w
        if self._sg_state == SG_FORCE:
            wanted_w = most_w
        electric_w = self._ramped(at_s, wanted_w, min(data.least_w(flow_c), most_w), most_w)
        heat_w = electric_w * data.cop(outdoor_c, flow_c)
        self._draw(electric_w, heat_w)
        self._water_w = heat_w
        self.flow_c = flow_c

    def _draw(self, electric_w, heat_w):
        self._electric_w, self.cop = electric_w, heat_w / electric_w
        self.power_mw = int(electric_w * 1000) + (_CIRCULATION_W + _STANDBY_W) * 1000
