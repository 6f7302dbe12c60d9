// Made from board.json: python -m spot_host.board_pages
#define MICROPY_HW_BOARD_NAME "SPOT pico_w_heat_pump"
#define MICROPY_HW_ROMFS_BYTES (768 * 1024) // the image's own release, slot A, slot B
#define MICROPY_HW_FLASH_STORAGE_BYTES (384 * 1024) // configuration, keys, store

#define MICROPY_PY_NETWORK 1
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "spot"
#define CYW43_USE_SPI (1)
#define CYW43_LWIP (1)
#define CYW43_GPIO (1)
#define CYW43_SPI_PIO (1)
#define MICROPY_HW_PIN_EXT_COUNT CYW43_WL_GPIO_COUNT
int mp_hal_is_pin_reserved(int n);
#define MICROPY_HW_PIN_RESERVED(i) mp_hal_is_pin_reserved(i)
