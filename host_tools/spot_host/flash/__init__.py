"""Flashing over a cable: what is on a board, what it is to get, and how that comes there so that it always boots.

errors: exit codes. ports: which port is meant. port: the raw REPL. probe: what is there, and whether it fits. base: the
MicroPython below. plan: what is to be sent. deploy: sends it. registration: waits for the device at its EMD. keep:
backup, restore, wipe. console: what a board prints.
"""
