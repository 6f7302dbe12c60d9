"""The simulated machine: interrupts, analog inputs, I2C, 1-Wire primitives, timers and the watchdog on virtual time."""

import pytest

from spot_sim.hardware import Hardware


def test_an_edge_calls_the_handler_that_asked_for_it_at_its_own_microsecond():
    hardware = Hardware()
    seen = []
    pin = hardware.Pin(3, hardware.Pin.IN)
    pin.irq(lambda p: seen.append((p.value(), hardware.ticks_us())), hardware.Pin.IRQ_FALLING)
    hardware.call_in_us(1500, lambda: hardware.line(3).pulse(250))
    hardware.advance(1)
    assert seen == [(0, 1750)] and hardware.now_s == 1 and hardware.ticks_us() == 1_000_000
    pin.irq(None)
    hardware.line(3).pulse(250)
    hardware.advance(2)
    assert len(seen) == 1


def test_what_is_due_in_between_happens_in_its_order():
    hardware = Hardware()
    seen = []
    one_shot = hardware.Timer(-1)
    one_shot.init(period=5, mode=hardware.Timer.ONE_SHOT, callback=lambda t: seen.append(("once", hardware.now_ms)))
    beat = hardware.Timer(0)
    beat.init(period=4, mode=hardware.Timer.PERIODIC, callback=lambda t: seen.append(("beat", hardware.now_ms)))
    hardware.call_in_us(4500, lambda: seen.append(("event", hardware.now_us())))
    hardware.advance(0, 9)
    assert seen == [("beat", 4), ("event", 4500), ("once", 5), ("beat", 8)]


def test_a_reset_takes_interrupts_and_timers_away_and_leaves_the_pins():
    hardware = Hardware()
    seen = []
    hardware.Pin(3, hardware.Pin.OUT, value=1).irq(seen.append)
    hardware.Timer(0).init(period=4, callback=seen.append)
    hardware.restart()
    hardware.line(3).drive(0)
    hardware.advance(1)
    assert seen == [] and hardware.reset_cause() == hardware.WDT_RESET


def test_the_watchdog_bites_who_does_not_feed_it_and_a_meal_that_comes_late_does_not_help():
    hardware = Hardware()
    resets = []
    hardware.on_reset = lambda: resets.append(hardware.now_ms)
    dog = hardware.WDT(timeout=8000)
    for second in range(0, 40, 5):
        hardware.advance(second)
        dog.feed()
    assert hardware.watchdog_bites == 0
    hardware.advance(60)
    assert resets == [43000] and hardware.watchdog_bites == 1 and hardware.watchdog is None
    dog.feed()
    hardware.advance(80)
    assert hardware.watchdog_bites == 1, "the watchdog of a start that is over neither bites nor eats"
    dog = hardware.WDT(timeout=1000)
    hardware.now_ms += 1000  # time goes on in the middle of a step
    dog.feed()
    assert hardware.watchdog_bites == 2
    with pytest.raises(ValueError, match="8388"):
        hardware.WDT(timeout=8389)


def test_an_analog_input_reads_what_is_fitted():
    class Source:
        def read_u16(self):
            return 1234

    hardware = Hardware()
    hardware.adcs[26] = Source()
    assert hardware.ADC(hardware.Pin(26)).read_u16() == hardware.ADC(26).read_u16() == 1234
    assert hardware.ADC(27).read_u16() == 0


def test_i2c_speaks_to_the_chip_at_an_address_and_nobody_answers_at_another():
    class Chip:
        def __init__(self):
            self.memory, self.at = bytearray(range(256)), 0

        def write(self, octets):
            self.at = int.from_bytes(octets[:2], "big")
            self.memory[self.at : self.at + len(octets) - 2] = octets[2:]

        def read(self, n):
            return self.memory[self.at : self.at + n]

    hardware = Hardware()
    hardware.i2cs[0].chips[0x38] = Chip()
    bus = hardware.I2C(0, scl=hardware.Pin(1), sda=hardware.Pin(0), freq=100000)
    buf = bytearray(3)
    bus.readfrom_mem_into(0x38, 0x10, buf, addrsize=16)
    assert bytes(buf) == b"\x10\x11\x12" and bus.scan() == [0x38]
    bus.writeto_mem(0x38, 0x10, b"\xaa\xbb", addrsize=16)
    bus.writeto(0x38, b"\x00\x10")
    bus.readfrom_into(0x38, buf)
    assert bytes(buf) == b"\xaa\xbb\x12"
    with pytest.raises(OSError):
        bus.readfrom_mem_into(0x39, 0, buf)


def test_a_one_wire_pin_without_a_bus_reads_ones_and_shows_no_presence():
    hardware = Hardware()
    pin = hardware.Pin(9)
    assert not hardware.onewire.reset(pin) and hardware.onewire.readbyte(pin) == 0xFF
    assert hardware.onewire.crc8(b"\x02\x1c\xb8\x01\x00\x00\x00") == 0xA2  # the example of Maxim's application note 27
