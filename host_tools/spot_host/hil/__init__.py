"""Hardware in the loop: one pytest suite for simulated, emulated and real boards (docs/hil.md).

    plugin.py       options, markers, fixtures, logs of failing tests; pytest finds it by its entry point
    spec.py         what `--target` may say
    inventory.py    the file of boards on a bench, with what is wired to them
    instruments.py  what is wired: read-back of a relay, reference meter, power switch, button, load
    modbus.py       reading a meter over Modbus
    target.py       one target: EMD and device in the target's own time
    sim.py unix.py home.py  the targets: simulator, MicroPython process, real boards
    dut.py          what a test has in its hands
    record.py       what was said: packets, events, console
"""
