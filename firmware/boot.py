"""The loader: starts the release that spot/boot.py chooses, on trial or not.

On a chip it is a part of the image's own release (/own/boot/loader.mpy), run by firmware/frozen/main.py. On a computer:
`micropython boot.py CONFIG.json [--lockstep]`, where the configuration names the folder of the `slots`; exit code 3
asks for a start afresh, as of main.py.

Its own modules are forgotten before those of the release are imported: both are called `spot`.
"""

import sys

_OWN = "/own/boot"
_RELEASE = "/rom"


def _forget():
    for name in list(sys.modules):
        if name.split(".")[0] == "spot":
            del sys.modules[name]


def main(arguments):
    """Chooses, mounts at /rom, and runs. Returns only on a chip, when the firmware has ended: for the REPL."""
    options = [a for a in arguments if a[:2] == "--"]
    config = ([a for a in arguments if a[:2] != "--"] + ["config.json"])[0]
    from spot import boot

    on_chip, mounted, words = boot.prepare(config, _RELEASE)
    del boot
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
