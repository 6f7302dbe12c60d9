"""SPOT's firmware: what a device runs, on MicroPython and, in the simulator, on CPython."""
