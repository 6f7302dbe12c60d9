"""What host tools know of boards beyond what a device reads: the further fields of a board.json, and the chips.

One table each: the check (spot_host.boards), the JSON Schema (spot_host.board_schema) and the pages
(spot_host.board_pages) are made from them. A rule is one of spot.config_check's.
"""

from typing import NamedTuple

SECTOR = 4096  # octets that a flash erases at once
REGIONS = 3  # of the ROMFS region: the image's own release, then slots A and B
NAME_MOST = 24  # characters of a board's name
LINKS = ("mqtt", "coap", "slipmux")  # ways to an EMD: MQTT, CoAP over a network, CoAP on a cable

_BYTES = (4096, 64 << 20)
FIELDS = {
    "mcu": ("rp2040", "rp2350", "esp32", "esp32s3", "unix", "sim"),
    "march": ("armv6m", "armv7emsp", "xtensawin", "x64", "bytecode"),
    "image": "object",
    "flash_bytes": _BYTES,
    "heap_bytes": (65536, 64 << 20),
    "links": LINKS,  # a list of them
    "wifi": "switch",
}
IMAGE = {
    "board": 32,
    "variant": 32,
    "hardware": 40,
    "micropython": "version",
    "base": (1, 255),
    "romfs_bytes": (REGIONS * SECTOR, 16 << 20),
    "storage_bytes": (64 << 10, 64 << 20),
}
NEEDED = ("mcu", "march", "image", "flash_bytes", "heap_bytes", "links", "wifi", "isolated", "notes")
IMAGE_NEEDED = ("micropython", "base", "romfs_bytes")
CHIP_NEEDED = ("worst_gap_ms", "watchdog_ms")  # of a board with a chip
CHIP_IMAGE_NEEDED = ("board", "storage_bytes")

# field: what it means; the tables of boards/README.md and the texts of the schema
MEANING = {
    "name": "the folder's name",
    "model": "what the device registers as its model (24 characters)",
    "device": "what the load is: `plug` or `heat_pump`",
    "notes": "one sentence for people: what the board is",
    "isolated": "true only if no conductor of the electronics is connected to the mains. Serial tools and bench tests "
                "refuse a board that does not say so",
    "relay_hold": "true if the relay keeps its state over a reset (latching, or pads that hold): a warm restart does "
                  "not click it",
    "ratings": "`power_w`, `current_ma` (plug): the trips when the device's settings do not say less; `relay_cycles`: "
               "for the remaining relay life",
    "worst_gap_ms": "longest time that the control loop may stand still (a flash erase): part of the trip time",
    "watchdog_ms": "after which the chip's watchdog bites; above `worst_gap_ms`",
    "hold_up_ms": "how long the board runs after its power-fail input's edge, at full load",
    "parts": "role → driver and its pins; under `buses` and `sensors` by name. The drivers and their fields: "
             "[docs/drivers](../docs/drivers/README.md)",
    "mcu": "the chip; its pins, UARTs and timers are checked against it",
    "march": "what mpy-cross compiles for; `bytecode` where nothing native runs",
    "flash_bytes": "size of the flash",
    "heap_bytes": "about what MicroPython's heap can hold beside the network, for people and for `spot boards`",
    "links": "ways to an EMD that this board has: `mqtt`, `coap`, `slipmux` (CoAP on a cable: isolated boards only)",
    "wifi": "true if it has a radio",
    "image": "what its own image is made of, see below",
    "image.board": "MicroPython's board that the image is built from, and whose stock image runs for development",
    "image.variant": "that board's variant, if any",
    "image.hardware": "the module or kit that it is built on, for people; left out for a product that comes wired",
    "image.micropython": "least version of MicroPython, \"1.25\"",
    "image.base": "number of the image below the releases; a release names the least that it needs",
    "image.romfs_bytes": "of the region with the image's own release and the slots A and B, a third each",
    "image.storage_bytes": "of the file system with configuration, keys and store",
}


class Chip(NamedTuple):
    """What a chip can do. pins: GPIOs that a part may have; inputs: those that cannot drive; pulled: those that have
    pull-ups; analog: those that a thermistor may have; uarts: number → (TX pins, RX pins) or None where any pin will
    do; timers: numbers of machine.Timer; minds: GPIO → what to mind; code_least: octets of flash that the interpreter
    with the frozen safe mode takes at least; flasher: the tool for the base image."""

    title: str
    march: str
    boards: tuple
    pins: frozenset
    inputs: frozenset
    analog: frozenset
    uarts: dict
    timers: range
    minds: dict
    code_least: int
    flasher: str
    limits: tuple


_ANY = None
_RP2_UARTS = {0: ({0, 12, 16}, {1, 13, 17}), 1: ({4, 8, 20}, {5, 9, 21})}
_RP2_PINS = frozenset((*range(23), 26, 27, 28))
_ERASE = "A sector's erase stops the chip, interrupts too: 45 ms is typical, 400 ms the worst (NOR flash data " \
         "sheets). An update erases one sector in each quiet moment."
_RADIO_HEAP = "mbedTLS takes its memory from MicroPython's heap: plan one TLS session; a second EMD over CoAP with " \
              "OSCORE."
_HANDSHAKE = "While a TLS session is being set up, nothing else runs for the worst gap; a trip waits as well. CoAP " \
             "with OSCORE has no such gap."
_RP2_UDP = "MicroPython 1.25 holds one UDP datagram for this radio and drops the next until it is read: CoAP repeats " \
           "it. From 1.26 on it does not."
_ESP_HEAP = "The heap grows into what Wi-Fi and mbedTLS leave (16 + 4 KiB a TLS session, 15 KiB more in its " \
            "handshake): plan one TLS session."
_STOCK = "On MicroPython's stock image the firmware is files in the heap: for development, with one link."

CHIPS = {
    "rp2040": Chip("RP2040", "armv6m", ("RPI_PICO", "RPI_PICO_W"), _RP2_PINS, frozenset(), frozenset((26, 27, 28)),
                   _RP2_UARTS, range(-1, 0), {}, 384 << 10, "picotool", (_ERASE, _STOCK)),
    "rp2350": Chip("RP2350", "armv7emsp", ("RPI_PICO2", "RPI_PICO2_W"), _RP2_PINS, frozenset(),
                   frozenset((26, 27, 28)), _RP2_UARTS, range(-1, 0),
                   {}, 384 << 10, "picotool", (_ERASE, _STOCK)),
    "esp32": Chip("ESP32", "xtensawin", ("ESP32_GENERIC",),
                  frozenset((0, 2, 4, 5, 9, 10, *range(12, 24), 25, 26, 27, *range(32, 40))) - {20},
                  frozenset(range(34, 40)), frozenset(range(32, 40)), {1: _ANY, 2: _ANY}, range(4),
                  {0: "low at a reset starts the boot loader", 2: "must not be high at a reset into the boot loader",
                   5: "pulses at a reset", 9: "free only where the flash is in the chip's case (ESP32-U4WDH)",
                   10: "free only where the flash is in the chip's case (ESP32-U4WDH)",
                   12: "high at a reset: wrong flash voltage, no boot", 14: "pulses at a reset",
                   15: "pulses at a reset", 16: "not on modules with PSRAM", 17: "not on modules with PSRAM"},
                  1536 << 10, "esptool", (_ERASE, _ESP_HEAP, _STOCK)),
    "esp32s3": Chip("ESP32-S3", "xtensawin", ("ESP32_GENERIC_S3",),
                    frozenset((*range(19), 21, *range(35, 43), 45, 46)), frozenset((46,)), frozenset(range(1, 11)),
                    {1: _ANY, 2: _ANY}, range(4),
                    {0: "low at a reset starts the boot loader", 3: "chooses the JTAG at a reset",
                     45: "chooses the flash voltage at a reset", 46: "chooses the boot loader's output at a reset",
                     35: "not on modules with octal PSRAM", 36: "not on modules with octal PSRAM",
                     37: "not on modules with octal PSRAM"},
                    1536 << 10, "esptool", (_ERASE, _ESP_HEAP, _STOCK)),
}

# Timer that MicroPython takes for the idle interrupt of a UART ("irq": 1), by chip.
UART_TIMER = {"esp32": 0, "esp32s3": 0}

# What a radio adds to the limits of a chip.
RADIO_LIMITS = {"rp2040": (_HANDSHAKE, _RADIO_HEAP, _RP2_UDP), "rp2350": (_HANDSHAKE, _RP2_UDP),
                "esp32": (_HANDSHAKE,), "esp32s3": (_HANDSHAKE,)}
# march of what is no chip
MARCHES = {"unix": ("x64", "bytecode"), "sim": ("bytecode",)}
