"""DS18B20 sensors on a 1-Wire bus, bit by bit: cases that run on CPython and on MicroPython."""

from board_rig import Clockwork, Notes, Seeded

from spot.board.board import Board
from spot.board.ds18b20 import FIELDS, make
from spot.board.onewire import make as make_bus
from spot.codes import ABSENT
from spot_sim.chips.onewire import Bus, DS18B20Chip, rom_of

A, B, C = rom_of(0x1234567890AB), rom_of(0x000000000001), rom_of(0xFFFFFFFFFFFE)


def text(rom):
    return "".join("%02x" % octet for octet in rom)


class Bench(Clockwork):
    """A bus on pin 9 with the chips that are given; roles: {name: ROM id or None for the only one}."""

    def __init__(self, chips, roles, period_s=2, resolution=12):
        super().__init__()
        self.log = Notes()
        self.wires = Bus()
        self.hardware.onewires[9] = self.wires
        self.board = Board(self.log)
        self.bus = make_bus({"pin": 9, "period_s": period_s}, self.hardware, self.board, self.hardware.ticks_ms, "b")
        self.board.buses["b"] = self.bus
        self.sensors = {}
        for name, rom in sorted(roles.items()):
            part = {"bus": "b", "rom": text(rom) if rom else "0" * 16, "resolution": resolution}
            self.sensors[name] = make(part, self.hardware, self.board, self.hardware.ticks_ms, name)
        self.chips = []
        for rom, celsius in chips:
            chip = DS18B20Chip(self.hardware, rom, celsius)
            self.chips.append(chip)
            self.wires.sensors.append(chip)

    def turn(self, stepping):
        before = self.wires.slots
        self.bus.poll()
        if stepping:
            for name in sorted(self.sensors):
                self.sensors[name].sample(self.now_s)
        assert self.wires.slots - before <= 19 * 8 * 2 + 200, "a turn is a transaction or two, not a whole cycle"

    def noise(self, seed, odds):
        """One bit in `odds` is wrong."""
        rng = Seeded(seed)
        self.wires.noise = lambda: rng.below(odds) == 0

    def values(self):
        return [self.sensors[name].value for name in sorted(self.sensors)]


def test_three_sensors_convert_at_once_and_each_role_gets_its_own():
    bench = Bench([(A, 21.5), (B, -10.125), (C, 63.0625)], {"flow": C, "outdoor": B, "room": A})
    bench.run(5)
    assert bench.values() == [6306, -1012, 2150]
    assert [chip.conversions for chip in bench.chips] in ([1] * 3, [2] * 3)
    assert bench.log.count("onewire.found") == 3 and not bench.log.count("onewire.unknown")
    assert sorted(bench.bus.found) == sorted([A, B, C])


def test_the_data_sheets_table_of_temperatures():
    """Table 1 of the data sheet, 85 °C apart."""
    for celsius, value in ((125, 12500), (25.0625, 2506), (10.125, 1013), (0.5, 50), (0, 0), (-0.5, -50),
                           (-10.125, -1012), (-25.0625, -2506), (-55, -5500)):
        bench = Bench([(A, celsius)], {"room": A})
        bench.run(4)
        assert bench.values() == [value], celsius


def test_85_at_power_on_is_dropped_until_something_else_came():
    bench = Bench([(A, 85.0)], {"flow": A})
    bench.run(20)
    assert bench.values() == [ABSENT] and bench.sensors["flow"].fault and bench.sensors["flow"].errors > 3
    bench.chips[0].celsius = 84.9375
    bench.run(4)
    assert bench.values() == [8494] and not bench.sensors["flow"].fault
    bench.chips[0].celsius = 85.0
    bench.run(4)
    assert bench.values() == [8500], "5 K from the one before: it may well be"


def test_85_after_a_gap_is_not_believed_for_what_was_long_ago():
    bench = Bench([(A, 84.0)], {"flow": A})
    bench.run(6)
    assert bench.values() == [8400]
    bench.chips[0].missing = True
    bench.run(40)
    bench.chips[0].missing = False
    bench.chips[0].celsius = 85.0
    bench.run(20)
    assert bench.values() == [ABSENT]


def test_a_brown_out_in_between_is_not_85_degrees():
    bench = Bench([(A, 21.0)], {"room": A})
    bench.run(6)
    chip = bench.chips[0]
    for _ in range(3):
        conversions = chip.conversions
        while chip.conversions == conversions:
            bench.tick()
        chip.brown_out()  # between its conversion and its reading
        bench.run(1)
        assert bench.values() == [2100]
    bench.run(6)
    assert bench.values() == [2100] and not bench.sensors["room"].fault


def test_resolution_is_written_where_the_sensor_has_another_and_undefined_bits_do_not_show():
    bench = Bench([(A, 21.5)], {"room": A}, resolution=9)
    chip = bench.chips[0]
    assert chip.bits == 12
    bench.run(4)
    assert chip.bits == 9 and bytes(chip.scratch[2:4]) == b"\x4b\x46", "TH and TL stay"
    chip.celsius = 21.9
    bench.run(4)
    assert bench.values() == [2150]
    chip.scratch[0] |= 7  # low bits are undefined at 9 bits
    conversions = chip.conversions
    chip.stuck = True
    while chip.conversions == conversions:
        bench.tick()
    bench.run(1)
    assert bench.values() == [2150]
    chip.stuck = False
    chip.brown_out()
    bench.run(6)
    assert chip.bits == 9, "written again after a brown-out"


def test_one_wrong_bit_is_read_again_and_noise_leaves_the_latest_value_for_three_conversions():
    bench = Bench([(A, 21.5)], {"room": A})
    bench.run(4)
    sensor = bench.sensors["room"]
    bench.chips[0].celsius = 23.5
    bench.wires.flip_after, bench.wires.flips = 20, 1
    bench.run(3)
    assert bench.values() == [2350] and sensor.errors <= 1
    bench.noise(1, 4)
    bench.run(3)
    assert bench.values() == [2350] and not sensor.fault
    bench.run(20)
    assert bench.values() == [ABSENT] and sensor.fault
    bench.wires.noise = None
    bench.run(8)
    assert bench.values() == [2350] and not sensor.fault


def test_noise_of_any_kind_never_makes_a_wrong_value():
    taken = 0
    for seed in range(12):
        bench = Bench([(A, 21.5), (B, 50.25)], {"flow": B, "room": A})
        bench.noise(seed, (3, 10, 40, 150)[seed % 4])
        for _ in range(20):
            bench.run(1)
            flow, room = bench.values()
            assert flow in (ABSENT, 5025) and room in (ABSENT, 2150), (seed, flow, room)
            taken += (flow != ABSENT) + (room != ABSENT)
    assert taken > 30, "and it does not take the sensors away altogether"


def test_a_bus_shorted_to_ground_has_no_zero_degrees():
    bench = Bench([(A, 21.5)], {"room": A})
    bench.run(4)
    bench.wires.shorted = True  # each octet 0, the checksum of which is 0, and a presence at every reset
    bench.run(12)
    assert bench.values() == [ABSENT] and bench.sensors["room"].fault
    bench.wires.shorted = False
    bench.run(8)
    assert bench.values() == [2150]


def test_a_short_from_the_start_finds_nobody():
    bench = Bench([(A, 21.5)], {"room": None})
    bench.wires.shorted = True
    bench.run(12)
    assert bench.values() == [ABSENT] and bench.bus.found == []


def test_a_missing_sensor_is_said_and_the_others_go_on():
    bench = Bench([(A, 21.5), (B, 5.0)], {"outdoor": B, "room": A})
    bench.run(4)
    bench.chips[1].missing = True
    bench.run(20)
    assert bench.values() == [ABSENT, 2150] and bench.sensors["outdoor"].fault and not bench.sensors["room"].fault
    assert bench.log.count("onewire.missing") == 1, "once, not with every conversion"
    bench.chips[1].missing = False
    bench.run(12)
    assert bench.values() == [500, 2150] and not bench.sensors["outdoor"].fault


def test_another_sensor_in_its_place_is_reported_and_never_used():
    bench = Bench([(A, 21.5), (B, 5.0)], {"outdoor": B, "room": A})
    bench.run(4)
    bench.wires.sensors[1] = DS18B20Chip(bench.hardware, C, 70.0)
    bench.run(30)
    assert bench.values() == [ABSENT, 2150]
    assert bench.log.count("onewire.unknown") == 1 and bench.log.count("onewire.missing") == 1
    event = bench.log.rows("onewire.unknown")[0]
    assert event[1] | event[2] << 24 == 0xFFFFFFFFFFFE, "its serial number stands in the log"


def test_two_sensors_that_change_places_keep_their_roles():
    """Roles are bound to ids: which end of the bus a sensor hangs at does not matter."""
    bench = Bench([(A, 21.5), (B, 5.0)], {"outdoor": B, "room": A})
    bench.run(4)
    bench.wires.sensors.reverse()
    bench.chips[0].celsius, bench.chips[1].celsius = 5.5, 21.0
    bench.run(4)
    assert bench.values() == [2100, 550], "and if they were carried to the other's place, each still says where it is"


def test_the_only_sensor_needs_no_id_and_two_have_no_value():
    bench = Bench([(A, 21.5)], {"room": None})
    bench.run(4)
    assert bench.values() == [2150]
    other = DS18B20Chip(bench.hardware, B, 60.0)
    bench.wires.sensors.append(other)
    bench.run(200)
    assert bench.values() == [ABSENT] and bench.log.count("onewire.ambiguous") >= 1
    bench.wires.sensors.remove(bench.chips[0])
    bench.run(20)
    assert bench.values() == [6000], "one again: the new one"


def test_one_without_an_id_beside_one_with_has_no_value():
    bench = Bench([(A, 21.5)], {"outdoor": A, "room": None})
    bench.run(6)
    assert bench.values() == [2150, ABSENT]


def test_a_sensor_that_lives_off_the_data_line_is_detected_and_nothing_is_converted():
    bench = Bench([(A, 21.5), (B, 5.0)], {"outdoor": B, "room": A})
    bench.chips[1].parasitic = True
    bench.run(12)
    assert bench.bus.parasitic and bench.log.count("onewire.parasitic") == 1
    assert bench.values() == [ABSENT, ABSENT] and bench.chips[0].conversions == 0
    bench.chips[1].parasitic = False
    bench.run(8)
    assert bench.values() == [500, 2150] and not bench.bus.parasitic


def test_a_search_finds_them_all_whatever_their_ids():
    rng = Seeded(5)
    for count in (0, 1, 2, 5, 8):
        roms = [rom_of(rng.below(1 << 24) << 24 | rng.below(1 << 24)) for _ in range(count)]
        if count > 1:
            roms[1] = rom_of(1 << 47 | 7)
            roms[0] = rom_of(7)  # differ in the last bit only
        bench = Bench([(rom, 20.0) for rom in roms], {"room": roms[0] if roms else A})
        bench.run(4)
        assert sorted(bench.bus.found) == sorted(roms), count


def test_noise_in_a_search_invents_nobody():
    for seed in range(8):
        bench = Bench([(A, 21.5), (B, 50.25)], {"room": A})
        bench.noise(seed, 60)
        bench.run(60)
        assert not [rom for rom in bench.bus.found or () if rom not in (A, B)]


def test_a_stuck_sensor_goes_on_with_its_latest_value_like_a_slow_room():
    """A sensor cannot tell by itself: the device that knows how fast a room moves has to."""
    bench = Bench([(A, 21.5)], {"room": A})
    bench.run(4)
    bench.chips[0].stuck = True
    bench.run(20)
    assert bench.values() == [2150]


def test_with_steps_a_minute_apart_and_no_polls_values_come_too():
    bench = Bench([(A, 21.5), (B, 5.0)], {"outdoor": B, "room": A}, period_s=10)
    for _ in range(12):
        bench.jump(60)
        bench.turn(True)
    assert bench.values() == [500, 2150]


def test_sampling_goes_on_over_the_wrap_of_the_ticks():
    bench = Bench([(A, 21.5)], {"room": A})
    bench.jump((1 << 30) // 1000 - 10)
    bench.run(4)
    bench.chips[0].celsius = 22.5
    bench.run(16)
    assert bench.values() == [2250]


def test_an_id_with_a_wrong_digit_is_refused_with_the_field():
    check = FIELDS[""]
    assert check({"rom": text(A)}) is None and check({"rom": "0" * 16}) is None
    wrong = text(A)[:5] + ("0" if text(A)[5] != "0" else "1") + text(A)[6:]
    assert check({"rom": wrong})[0] == "rom"
    assert check({"rom": text(rom_of(5, family=0x10))})[0] == "rom", "a DS18S20 has another format"
