"""`python3 -m spot_host.toolchain [setup|doctor|python|runtimes|…]`: what `make` calls for every set-up."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python gets one line instead of a traceback
    sys.exit("Python 3.11 or later is needed, this is %d.%d; set PYTHON=python3.12 or the like" % sys.version_info[:2])


def main(arguments) -> int:
    """Run the named step; 0, or 1 after one line that says what is wrong. 130 after Ctrl-C."""
    from spot_host.errors import UserError

    from . import cache, doctor, libcoap, lint, python_env, runtimes, say, typecheck

    def programs():
        runtimes.set_up()
        libcoap.set_up()

    def setup():
        python_env.set_up()
        programs()

    steps = {
        "setup": setup,
        "python": python_env.set_up,
        "runtimes": programs,
        "doctor": doctor.main,
        "compile": lint.main,
        "types": typecheck.main,
        "forget": cache.forget,
    }
    name = arguments[0] if arguments else "setup"
    if name not in steps:
        say.line(f"unknown step {name}: one of {', '.join(steps)}")
        return 2
    try:
        return steps[name]() or 0
    except UserError as exc:
        say.line(say.colour("31", "set-up: ") + str(exc))
        return exc.exit_code
    except OSError as exc:
        say.line(say.colour("31", "set-up: ") + cache.explain(exc))
        return 1
    except KeyboardInterrupt:
        say.line("stopped; nothing half-made was left. The same command goes on from here.")
        return 130


def _leave_own_environment() -> None:
    """Go on with the Python that `.venv` was made from, where somebody has activated `.venv`."""
    import os

    from . import paths

    if os.path.realpath(sys.prefix) == os.path.realpath(paths.VENV):
        python = os.path.realpath(sys.executable)
        os.execv(python, [python, "-m", "spot_host.toolchain", *sys.argv[1:]])


if __name__ == "__main__":
    import signal

    _leave_own_environment()

    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:]))
