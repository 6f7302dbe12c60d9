# ruff: noqa: F821
# Made from board.json: python -m spot_host.board_pages
# What is frozen into the image: what MicroPython needs to boot, and the loader's first step. The firmware, safe mode
# too, is in the ROMFS region: the image's own release, then the slots.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
require("umqtt.simple")  # builds the packets of MQTT
freeze("$(BOARD_DIR)/../../firmware/frozen")
