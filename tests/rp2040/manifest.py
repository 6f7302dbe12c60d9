# ruff: noqa: F821
# What is frozen into the image: as little as MicroPython needs to boot and to run the firmware's loop.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
