"""The set-up: Python packages, MicroPython, mosquitto and umqtt.simple, found or fetched.

Runs before there is a virtual environment (`PYTHONPATH=host_tools python3 -m spot_host.toolchain`), so it
needs the standard library only. Never root, never a change to the system: all that it writes is in the
checkout (`.venv`, `.toolchain`) and in the user's cache.
"""
