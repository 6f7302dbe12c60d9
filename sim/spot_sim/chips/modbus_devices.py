"""What stands behind addresses of a Modbus line: an energy meter over a load, a heat pump over the physics of a house.
Their registers come from the same map files (boards/maps) as the drivers' do; the encoding is written here once more,
with floating point.
"""

import json
import struct
from pathlib import Path

from .modbus_slave import ADDRESS, VALUE, Refuse, Slave

MAPS = Path(__file__).resolve().parents[3] / "boards" / "maps"


def load_map(name):
    return json.loads((MAPS / f"{name}.json").read_text(encoding="utf-8"))


class MapSlave(Slave):
    """Registers of a map: `value(name)` gives a quantity in our unit, None for no value; `wrote(name, value)` takes
    one. What was written falls back to normal after the map's time, and by `brown_out()`.

    hardware: its `now_s` is the time. `stuck`: the registers stand still.
    """

    def __init__(self, address, name, hardware):
        super().__init__(address)
        self.map = load_map(name)
        self.hardware = hardware
        self._stuck = None
        self.writes = {row["name"]: row for row in self.map.get("writes", ())}
        self.raw = {name: self._normal(row) for name, row in self.writes.items()}
        self.written_s = {}

    def value(self, name):
        raise NotImplementedError

    def wrote(self, name, value):
        raise NotImplementedError

    # --- reading ----------------------------------------------------------------------------------------------------

    @property
    def stuck(self):
        return self._stuck is not None

    @stuck.setter
    def stuck(self, stuck):
        self._stuck = [self._table(function) for function in range(5)] if stuck else None

    def read(self, function, register, count):
        self.fall_back()
        table = self._stuck[function] if self.stuck else self._table(function)
        gap = self.map.get("gap", 0)
        found = []
        for at in range(register, register + count):
            if at not in table and (not gap or at > max(table, default=-1)):
                raise Refuse(ADDRESS)
            found.append(table.get(at, 0))
        return found

    def _table(self, function):
        table = {}
        for row in self.map["registers"]:
            if row["function"] == function:
                for at, word in enumerate(self._words(row, self.value(row["name"]))):
                    table[row["address"] + at] = table.get(row["address"] + at, 0) | word if "bit" in row else word
        for name, row in self.writes.items():
            if (1 if row["function"] == 5 else 3) == function and row.get("readable", True):
                table[row["address"]] = self.raw[name]
        return table

    def _words(self, row, value):
        kind = row["type"]
        if "bit" in row:
            return [int(bool(value)) << row["bit"]]
        if value is None:
            raw = row["absent"][0] if row.get("absent") else 0
        elif "values" in row:
            raw = next((int(raw) for raw, ours in row["values"].items() if ours == value), 0)
        else:
            mul, div = row.get("scale", (1, 1))
            raw = value * div / mul
        if kind == "float32":
            words = list(struct.unpack(">HH", struct.pack(">f", raw)))
        elif kind in ("int32", "uint32"):
            words = list(struct.unpack(">HH", (round(raw) & 0xFFFFFFFF).to_bytes(4, "big")))
        elif kind == "bit":
            words = [int(bool(raw))]
        else:
            words = [round(raw) & 0xFFFF]
        return words[::-1] if self.map.get("word_order") == "little" else words

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, function, register, values):
        for name, row in self.writes.items():
            if row["address"] == register and len(values) == 1 and function in (row["function"], *self._also(row)):
                self._take(name, row, values[0])
                return
        raise Refuse(ADDRESS)

    @staticmethod
    def _also(row):
        return () if row["function"] == 5 else (6, 16)

    def _take(self, name, row, raw):
        value = self.ours(row, raw)
        low, high = row.get("range", (-(1 << 31), 1 << 31))
        if value is None or not (low <= value <= high or value == row["normal"]):
            raise Refuse(VALUE)
        self.raw[name] = raw
        self.written_s[name] = self.hardware.now_s
        self.wrote(name, value)

    @staticmethod
    def ours(row, raw):
        if "values" in row:
            return next((int(state) for state, code in row["values"].items() if code == raw), None)
        if row["type"] == "int16" and raw & 0x8000:
            raw -= 0x10000
        mul, div = row.get("scale", (1, 1))
        return raw * mul // div

    @staticmethod
    def _normal(row):
        if "values" in row:
            return row["values"][str(row["normal"])]
        mul, div = row.get("scale", (1, 1))
        return row["normal"] * div // mul & 0xFFFF

    def fall_back(self):
        """What was not written again in its time is normal again. Called with each read; a simulation that reads
        nothing calls it."""
        for name, row in self.writes.items():
            if "timeout_s" in row and self.hardware.now_s - self.written_s.get(name, 0) >= row["timeout_s"]:
                self._reset(name, row)

    def brown_out(self):
        """The machine restarts: what is not kept in flash is normal again."""
        for name, row in self.writes.items():
            if not row["wears"]:
                self._reset(name, row)

    def _reset(self, name, row):
        normal = self._normal(row)
        if self.raw[name] != normal:
            self.raw[name] = normal
            self.wrote(name, row["normal"])


class MeterSlave(MapSlave):
    """An energy meter over a load (power_w(now_s), energy_mj(now_s), power_factor). mains: voltage_10mv(now_s) and
    frequency_mhz(now_s), or None for 230 V and 50 Hz. base_wh: what it had counted before."""

    def __init__(self, address, name, hardware, load, mains=None, base_wh=123456):
        super().__init__(address, name, hardware)
        self.load, self.mains, self.base_wh = load, mains, base_wh

    def value(self, name):
        now_s = self.hardware.now_s
        power_w = self.load.power_w(now_s)
        voltage_10mv = self.mains.voltage_10mv(now_s) if self.mains else 23000
        if name == "power_dw":
            return power_w * 10
        if name == "voltage_10mv":
            return voltage_10mv
        if name == "frequency_mhz":
            return self.mains.frequency_mhz(now_s) if self.mains else 50000
        if name == "current_ma":
            return abs(power_w) * 100_000 / (voltage_10mv * self.load.power_factor) if voltage_10mv else 0
        if name == "energy_wh":
            return self.base_wh + self.load.energy_mj(now_s) / 3_600_000
        return 0  # nothing is exported


class HeatPumpSlave(MapSlave):
    """A heat pump over the physics of a house (spot_sim.physics.house.House)."""

    def __init__(self, address, name, hardware, house):
        super().__init__(address, name, hardware)
        self.house = house
        self.error = 0
        self._limit_w, self._limited = None, True

    def value(self, name):
        house, now_s = self.house, self.hardware.now_s
        if name == "power_w":
            return house.power_w(now_s)
        if name == "compressor":
            return int(house.compressor)
        if name == "hot_water_active":
            return int(house.heating_water)
        if name == "defrost":
            return int(getattr(house, "defrosting", False))
        if name == "error":
            return self.error
        reads = {"flow": lambda _: house.flow_c, "return_flow": lambda _: house.return_c(), "room": house.room_c,
                 "hot_water": house.hot_water_c, "outdoor": house.outdoor_c}
        celsius = reads[name](now_s) if name in reads else None
        return None if celsius is None else round(celsius * 100)

    def wrote(self, name, value):
        house, now_s = self.house, self.hardware.now_s
        if name == "sg":
            house.set_sg_state(now_s, value)
        elif name == "offset":
            house.set_offset_k(now_s, value / 100)
        elif name == "hot_water_set":
            if house.hot_water is not None:
                set_c = getattr(house, "set_hot_water_c", None)
                if set_c is not None:
                    set_c(now_s, value / 100 if value else None)
        else:
            if name == "power_limit":
                self._limit_w = None if value == self.writes[name]["normal"] else value
            else:
                self._limited = bool(value)
            on = self._limited or "power_limit_on" not in self.writes
            house.set_limit_w(now_s, self._limit_w if on else None)
