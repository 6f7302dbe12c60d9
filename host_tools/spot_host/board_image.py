"""A board definition for MicroPython's own build, made from a board.json: `make BOARD_DIR=…/boards/NAME`.

The files are committed, so that such a build needs nothing of ours; a test holds them against this. boards/pico has
none: spot_host.image builds its image from MicroPython's definition and the same board.json.
"""

from .board_tables import SECTOR
from .boards import Board

WITHOUT = ("pico",)
_MADE = "Made from board.json: python -m spot_host.board_pages"

_MANIFEST = """\
# ruff: noqa: F821
# {made}
include("$(BOARD_DIR)/../../firmware/manifest.py")
{network}"""
_NETWORK = """\
require("umqtt.simple")  # of micropython-lib: it builds the packets of MQTT
"""

_RP2_H = """\
// {made}
#define MICROPY_HW_BOARD_NAME "SPOT {name}"
#define MICROPY_HW_ROMFS_BYTES ({romfs} * 1024) // the image's own release, slot A, slot B
#define MICROPY_HW_FLASH_STORAGE_BYTES ({storage} * 1024) // configuration, keys, store
"""
_RP2_RADIO_H = """\

#define MICROPY_PY_NETWORK 1
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "spot"
#define CYW43_USE_SPI (1)
#define CYW43_LWIP (1)
#define CYW43_GPIO (1)
#define CYW43_SPI_PIO (1)
#define MICROPY_HW_PIN_EXT_COUNT CYW43_WL_GPIO_COUNT
int mp_hal_is_pin_reserved(int n);
#define MICROPY_HW_PIN_RESERVED(i) mp_hal_is_pin_reserved(i)
"""
_RP2_CMAKE = """\
# {made}
set(PICO_BOARD "{pico}")
set(PICO_PLATFORM "{platform}")
{radio}set(MICROPY_FROZEN_MANIFEST ${{MICROPY_BOARD_DIR}}/manifest.py)
"""
_RP2_RADIO = """\
set(MICROPY_PY_LWIP ON)
set(MICROPY_PY_NETWORK_CYW43 ON)
"""
_PICO_BOARDS = {"RPI_PICO": "pico", "RPI_PICO_W": "pico_w", "RPI_PICO2": "pico2", "RPI_PICO2_W": "pico2_w"}

_ESP_H = """\
// {made}
#define MICROPY_HW_BOARD_NAME "SPOT {name}"
#define MICROPY_HW_MCU_NAME "{mcu}"
#define MICROPY_VFS_ROM (1)
#define MICROPY_PY_BLUETOOTH (0)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "spot"
{uart}"""
_ESP_CMAKE = """\
# {made}
set(IDF_TARGET {target})
# The partition table is beside this file, wherever that is.
file(WRITE ${{CMAKE_BINARY_DIR}}/sdkconfig.partitions
    "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\\"${{MICROPY_BOARD_DIR}}/partitions.csv\\"\\n")
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
{more}    ${{MICROPY_BOARD_DIR}}/sdkconfig.board
    ${{CMAKE_BINARY_DIR}}/sdkconfig.partitions
)
set(MICROPY_FROZEN_MANIFEST ${{MICROPY_BOARD_DIR}}/manifest.py)
"""
_ESP_SDKCONFIG = """\
# {made}
{sizes}CONFIG_PARTITION_TABLE_CUSTOM=y
CONFIG_BT_ENABLED=n
"""
_PARTITIONS = """\
# {made}
# romfs: the image's own release, slot A, slot B. vfs: configuration, keys, store.
# Name,   Type, SubType, Offset,   Size
"""
_FIRST = 0x9000  # after boot loader and table
_APP = 0x10000


def files(board: Board) -> dict[str, str]:
    """{file name in the board's folder: text}; nothing for unix, sim and pico."""
    if not board.is_chip or board.name in WITHOUT:
        return {}
    out = {"manifest.py": _MANIFEST.format(made=_MADE, network=_NETWORK if "mqtt" in board.links else "")}
    return {**out, **(_esp(board) if board.mcu.startswith("esp") else _rp2(board))}


def _rp2(board):
    header = _RP2_H.format(made=_MADE, name=board.name, romfs=board.image.romfs_bytes >> 10,
                           storage=board.image.storage_bytes >> 10)
    cmake = _RP2_CMAKE.format(made=_MADE, pico=_PICO_BOARDS[board.image.board], platform=board.mcu,
                              radio=_RP2_RADIO if board.wifi else "")
    return {"mpconfigboard.h": header + (_RP2_RADIO_H if board.wifi else ""), "mpconfigboard.cmake": cmake}


def _esp(board):
    plain = board.mcu == "esp32"
    uart = "" if plain else "#define MICROPY_HW_ENABLE_UART_REPL (1) // of kits with a USB-UART\n"
    unicore = "CONFIG_FREERTOS_UNICORE=y\n" if board.image.variant == "UNICORE" else ""
    size = board.flash_bytes >> 20
    sizes = unicore + "".join(f"CONFIG_ESPTOOLPY_FLASHSIZE_{n}MB={'y' if n == size else 'n'}\n"
                              for n in sorted({4, size}))
    return {
        "mpconfigboard.h": _ESP_H.format(made=_MADE, name=board.name, mcu=board.chip.title.replace("-", ""), uart=uart),
        "mpconfigboard.cmake": _ESP_CMAKE.format(made=_MADE, target=board.mcu,
                                                 more="" if plain else "    boards/sdkconfig.usb\n"),
        "sdkconfig.board": _ESP_SDKCONFIG.format(made=_MADE, sizes=sizes),
        "partitions.csv": _PARTITIONS.format(made=_MADE) + "".join(
            f"{name + ',':9} {kind + ',':5} {sub + ',':8} {offset:#08x}, {octets:#08x}\n"
            for name, kind, sub, offset, octets in _table(board)),
    }


def _table(board):
    """Rows (name, type, subtype, offset, octets): what is left below romfs and vfs is the application's."""
    storage = board.flash_bytes - board.image.storage_bytes
    romfs = storage - board.image.romfs_bytes
    assert romfs % SECTOR == 0
    return [("nvs", "data", "nvs", _FIRST, 0x6000), ("phy_init", "data", "phy", 0xF000, 0x1000),
            ("factory", "app", "factory", _APP, romfs - _APP),
            ("romfs", "data", "0x8f", romfs, board.image.romfs_bytes),
            ("vfs", "data", "fat", storage, board.image.storage_bytes)]
