# ruff: noqa: F821
# Made from board.json: python -m spot_host.board_pages
include("$(BOARD_DIR)/../../firmware/manifest.py")
require("umqtt.simple")  # of micropython-lib: it builds the packets of MQTT
