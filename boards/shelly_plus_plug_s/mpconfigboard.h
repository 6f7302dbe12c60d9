// Made from board.json: python -m spot_host.board_pages
#define MICROPY_HW_BOARD_NAME "SPOT shelly_plus_plug_s"
#define MICROPY_HW_MCU_NAME "ESP32"
#define MICROPY_VFS_ROM (1)
#define MICROPY_PY_BLUETOOTH (0)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "spot"
