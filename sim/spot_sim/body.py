"""The physical side of one device: its load, the switch and inputs that firmware moves, the sensors that it reads.

A body knows no firmware. The simulator's own devices (device.py) and the processes in lock-step stand in front of the
same bodies.
"""

from spot_sim.physics.appliances import make
from spot_sim.physics.house import SG_NORMAL, House
from spot_sim.scenario import HEAT_PUMP


class Body:
    """One device's load and hands.

    spec: DeviceSpec; world: what has `mains` and `edge(body, now_s, name, value)`, called when an actuator moved.
    `edges` counts the movements, `switches` those of the relay.
    """

    def __init__(self, spec, seeds, calendar, weather, world):
        self.spec, self.name, self.eui, self.site = spec, spec.name, spec.eui, spec.site
        self.device_class = spec.device_class
        self._world, self._mains = world, world.mains
        own = seeds.child("device", spec.eui)
        if spec.kind == HEAT_PUMP:
            self.load = self.house = House(own, calendar, weather, **spec.load)
        else:
            self.load, self.house = make(spec.kind, own, calendar, **spec.load), None
        self.edges = self.switches = 0
        self.relay, self.sg_state, self.power_limit_w, self.offset_k100 = True, SG_NORMAL, None, None
        self.hot_water_k100 = None
        self.machine_silent = False  # the heat pump's own controller does not answer
        self.powered = True  # the mains at the device
        # kept by the world's accounts: power as it was counted last, and when to look again
        self.counted_mw = 0
        self.look_s = -1
        self.accounts = ()
        self.firmware = None  # the SimDevice in front of it

    # What is measured

    def power_w(self, now_s):
        """Power in W, a float."""
        return self.load.power_w(now_s)

    def energy_mj(self, now_s):
        """Energy since second 0 in mJ."""
        return self.load.energy_mj(now_s)

    def voltage_10mv(self, now_s):
        """Mains voltage in 10 mV."""
        return self._mains.voltage_10mv(now_s)

    def frequency_mhz(self, now_s):
        """Mains frequency in mHz."""
        return self._mains.frequency_mhz(now_s)

    def next_change(self):
        """When the power may change by itself."""
        return self.load.next_change()

    def room_c(self, now_s):
        """Room temperature in degC, None where there is no room."""
        return None if self.house is None else self.house.room_c(now_s)

    def sensors(self, now_s):
        """{name: 0.01 °C} of the temperatures that its controller sees."""
        house = self.house
        if house is None:
            return {}
        found = {
            "room": round(house.room_c(now_s) * 100),
            "outdoor": round(house.outdoor_c(now_s) * 100),
            "flow": round(house.flow_c * 100),
        }
        water_c = house.hot_water_c(now_s)
        if water_c is not None:
            found["hot_water"] = round(water_c * 100)
        return found

    # What firmware moves

    def set_relay(self, now_s, closed):
        """The contact of a plug's relay."""
        closed = bool(closed)
        if closed != self.relay:
            self.relay = closed
            self.switches += 1
            self.load.set_supply(now_s, closed and self.powered)
            self._edge(now_s, "relay", int(closed))

    def set_sg_state(self, now_s, state):
        """SG-Ready, 1 to 4."""
        if state != self.sg_state:
            self.sg_state = state
            self.switches += 1
            self.house.set_sg_state(now_s, state)
            self._edge(now_s, "sg", state)

    def set_power_limit(self, now_s, limit_w):
        """Limit of a heat pump's own controller in W, None for none."""
        if limit_w != self.power_limit_w:
            self.power_limit_w = limit_w
            self.house.set_limit_w(now_s, limit_w)
            self._edge(now_s, "limit", -1 if limit_w is None else limit_w)

    def set_offset(self, now_s, k100):
        """Shift of a heat pump's room set-point in 0.01 K, None for none."""
        if k100 != self.offset_k100:
            self.offset_k100 = k100
            self.house.set_offset_k(now_s, 0.0 if k100 is None else k100 / 100)
            self._edge(now_s, "offset", 0 if k100 is None else k100)

    def set_hot_water(self, now_s, c100):
        """Hot-water set-point of a heat pump in 0.01 °C, None for its own."""
        if c100 != self.hot_water_k100:
            self.hot_water_k100 = c100
            self.house.set_hot_water_c(now_s, None if c100 is None else c100 / 100)
            self._edge(now_s, "hot_water", 0 if c100 is None else c100)

    def set_mains(self, now_s, powered):
        """The mains at the device: without them nothing behind it runs."""
        self.powered = powered
        self.load.set_supply(now_s, powered and self.relay)
        self._edge(now_s, "mains", int(powered))

    def _edge(self, now_s, name, value):
        self.edges += 1
        self._world.edge(self, now_s, name, value)
