# Frozen into a chip's own image, runs at each start but not in a raw REPL: the loader (firmware/boot.py), unless there
# is a file `hold`: then this one start ends at the REPL, without the device and without a watchdog.
def run():
    import os
    import sys

    for name in ("rp2", "machine"):  # MicroPython's start leaves them here: the first is a kilobyte of programs for PIO
        globals().pop(name, None)
    sys.modules.pop("rp2", None)
    try:
        os.remove("/hold")
    except OSError:
        import loader

        loader.main([])
    else:
        print("held: the device starts with the next reset")


run()
