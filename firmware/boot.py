"""The loader: starts the release that spot/boot.py chooses, on trial or not.

On a chip it is a part of the image's own release (/own/boot/loader.mpy), run by firmware/frozen/main.py. On a computer:
`micropython boot.py CONFIG.json [--lockstep]`, where the configuration names the folder of the `slots`; exit code 3
asks for a start afresh, as of main.py.

Its own modules are forgotten before those of the release are imported: both are called `spot`.
"""

import json
import sys

_OWN = "/own/boot"
_RELEASE = "/rom"
_TRIAL_MS = 900000  # a release ends its own trial after 600 s
_REST_S = 5  # time for Ctrl-C over the serial line
_timer = []


def _forget():
    for name in list(sys.modules):
        if name.split(".")[0] == "spot":
            del sys.modules[name]


def _base():
    """What the image says of itself: its number, as a word for main.py."""
    try:
        with open(_OWN[:-4] + "release.json") as file:
            return ["--base=%d" % json.load(file)["base"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _watch(machine, state):
    """Ends a trial that its release neither confirms nor ends, whatever is wrong with it: a reset counts as a start.
    state: the file of the store with the slots' state."""

    def late(timer):
        try:
            with open(state, "rb") as file:
                raw = file.read(10)  # 8 octets of the store's, then the slot on trial, and the one to go back to
        except OSError:
            return
        if raw[8:9] != raw[9:]:
            machine.reset()

    how = {"mode": machine.Timer.ONE_SHOT, "period": _TRIAL_MS, "callback": late}
    try:
        _timer.append(machine.Timer(-1, **how))
    except ValueError:  # an ESP32 has four, and no driver takes the last one
        _timer.append(machine.Timer(3, **how))


def _rest(error):
    """Nothing of the loader's own may leave a chip without its device: it is tried afresh."""
    import time

    from spot.port import machine, report

    if machine is None:
        raise error
    report(error)
    time.sleep(_REST_S)
    machine.reset()


def main(arguments):
    """Chooses, mounts at /rom, and runs. Returns only on a chip, when the firmware has ended: for the REPL."""
    options = [a for a in arguments if a[:2] == "--"]
    config = ([a for a in arguments if a[:2] != "--"] + ["config.json"])[0]
    if _OWN in sys.path:  # before what a copy of files may have left in the file system
        sys.path.remove(_OWN)
        sys.path.insert(0, _OWN)
    try:
        from spot import boot
        from spot.port import machine

        on_chip, mounted, words, state = boot.prepare(config, _RELEASE)
        if on_chip:
            words += _base()
            if state:
                _watch(machine, state)
    except Exception as error:
        _rest(error)
    del boot, machine
    sys.argv[:] = ["main", config] + options + words
    if not mounted:  # a computer's own release is the source beside this file
        import main as source

        sys.exit(source.main(sys.argv[1:]))
    _forget()
    if _OWN in sys.path:
        sys.path.remove(_OWN)
    sys.path.insert(0, _RELEASE)
    try:
        __import__("main")  # a release's main.mpy runs when it is imported
    except SystemExit:
        if not on_chip:
            raise
    except Exception as error:  # of the import: the firmware itself ends otherwise
        _forget()
        sys.path.remove(_RELEASE)
        sys.path.insert(0, _OWN)
        from spot.boot import failed

        failed(error, config)


if __name__ == "__main__":
    main(sys.argv[1:])
