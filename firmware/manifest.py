# ruff: noqa: F821
# What is frozen into an image: as little as MicroPython needs to boot and to find a release; all else is in ROMFS.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
freeze("frozen", ("boot.py", "main.py", "spot_natives.py"))
