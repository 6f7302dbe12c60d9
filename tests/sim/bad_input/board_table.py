"""Descriptions of boards and partition tables that are wrong, once, and what `spot check` says of them.

tests/unit/boards/test_boards.py runs them.
"""

# board, field, what it is set to (None: left out), how the line behind the file's name begins
BAD = [
    ("pico", "mcu", None, "mcu: must be given: the chip; its pins"),
    ("pico", "mcu", "esp8266", "mcu: must be one of rp2040, rp2350, esp32, esp32s3, unix, sim, not 'esp8266'"),
    ("pico", "march", "xtensawin", "march: must be armv6m with mcu rp2040, not 'xtensawin'"),
    ("unix", "march", "armv6m", "march: must be x64 or bytecode with mcu unix"),
    ("pico", "notes", None, "notes: must be given: one sentence for people"),
    ("pico", "isolated", None, "isolated: must be given: true only if no conductor"),
    ("pico", "isolated", "yes", "isolated: must be true or false, not 'yes'"),
    ("pico", "wifi", 1, "wifi: must be true or false, not 1"),
    ("pico", "flash_bytes", 2, "flash_bytes: must be an integer from 4096"),
    ("pico", "heap_bytes", "2M", "heap_bytes: must be an integer from 65536"),
    ("pico", "links", [], "links: must be a list of mqtt, coap, slipmux, not []"),
    ("pico", "links", ["http"], "links: must be a list of mqtt, coap, slipmux, not ['http']"),
    ("pico", "links", ["mqtt", "coap"], "links: must be slipmux alone: without wifi there is no coap and no mqtt"),
    ("pico_w_plug", "links", ["slipmux"], "links: must be without slipmux: the board is not isolated"),
    ("pico", "watchdog_ms", None, "watchdog_ms: must be given: after which the chip's watchdog bites"),
    ("pico", "watchdog_ms", 400, "watchdog_ms: must be an integer from 1000"),
    ("pico", "image", 5, "image: must be an object, not 5"),
    ("pico", "image.romfs_bytes", 524288, "image.romfs_bytes: must be a multiple of 12288"),
    ("pico", "image.romfs_bytes", 1572864, "image: must be smaller: romfs_bytes and storage_bytes leave"),
    ("pico", "image.storage_bytes", None, "image.storage_bytes: must be given"),
    ("pico", "image.storage_bytes", 65537, "image.storage_bytes: must be a multiple of 4096"),
    ("pico", "image.board", "ESP32_GENERIC", "image.board: must be one of RPI_PICO, RPI_PICO_W with mcu rp2040"),
    ("pico", "image.base", 0, "image.base: must be an integer from 1 to 255, not 0"),
    ("pico", "image.micropython", 1.25, "image.micropython: must be a version of MicroPython such as \"1.25\""),
    ("pico", "image.size", 5, "image.size: must be left out: it is none of base, board"),
    ("pico", "name", "Pico", "name: must be lower-case, of at most 24 characters"),
    ("pico", "colour", 5, "colour: must be left out: it is none of "),
    ("pico_w_plug", "parts.relay.pin", 25,
     "parts.relay.pin: must be a GPIO that a part may have on RP2040 (0-22, 26-28), not 25"),
    ("pico", "parts.meter.tx", 2, "parts.meter.tx: must be one of 0, 12, 16: 2 is no TX of UART 0"),
    ("pico", "parts.meter.rx", 5, "parts.meter.rx: must be one of 1, 13, 17: 5 is no RX of UART 0"),
    ("pico_w_heat_pump", "parts.sg_ready.timer", 1, "parts.sg_ready.timer: must be one of -1 on RP2040, not 1"),
    ("esp32_plug", "parts.relay.pin", 6, "parts.relay.pin: must be a GPIO that a part may have on ESP32"),
    ("esp32_plug", "parts.relay.pin", 34, "parts.relay.pin: must be a GPIO that can drive: 34 is an input only"),
    ("esp32_plug", "parts.button.pin", 39, "parts.button.pin: must be a GPIO with a pull-up, or pull \"none\": 39 has"),
    ("esp32_plug", "parts.meter.uart", 0, "parts.meter.uart: must be one of 1, 2 on ESP32, not 0"),
    ("esp32_plug", "image.board", "RPI_PICO", "image.board: must be one of ESP32_GENERIC with mcu esp32"),
    ("esp32_heat_pump", "parts.sg_ready.timer", -1, "parts.sg_ready.timer: must be one of 0-3 on ESP32, not -1"),
    ("esp32_heat_pump", "parts.buses.rs485.timer", None,
     "parts.buses.rs485.timer: must be given: ESP32 has no virtual timer to release de_pin"),
    ("esp32s3_heat_pump", "parts.led.pin", 27, "parts.led.pin: must be a GPIO that a part may have on ESP32-S3"),
    ("shelly_plus_plug_s", "parts.sensors.device.pin", 25,
     "parts.sensors.device.pin: must be an analog input (32-39), not 25"),
]

# what of boards/esp32_plug/partitions.csv is replaced by what, and how the line behind the file's name begins
PARTITIONS = [
    (("romfs,", "romfx,"), "romfs: must be data, 0x8f of 0xc0000 octets, as board.json says"),
    (("0x1e0000, 0x0c0000", "0x1d0000, 0x0c0000"), "romfs: must be from 0x1e0000 on, where the one before it ends"),
    (("0x010000, 0x1d0000", "0x011000, 0x1cf000"), "factory: must be aligned: offset to 0x10000"),
    (("0x2a0000, 0x160000", "0x2a0000, 0x170000"), "its end, 0x410000, is beyond the flash, 0x400000"),
    (("app,  factory", "data, factory"), "one application: releases are in the slots of romfs"),
    (("0x1e0000, 0x0c0000", "0x1e0000"), "romfs: must be name, type, subtype, offset, size"),
]
