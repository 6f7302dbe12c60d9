"""The `spot` command: one table of sub-commands, each loaded only when it is called.

A module in the table has either a Typer `app` (one command or several) or a function `main` with Typer
parameters. What it raises as `UserError` becomes one line and exit code 2 (`SetupError`: 1), and so does what the
system says of a file (no permission, no space); Ctrl-C is 130.
"""

import contextlib
import importlib
import os
import sys

import typer
from typer.core import TyperCommand, TyperGroup

from spot_host.errors import UserError

# name: (module, one line of help)
COMMANDS = {
    "run": ("spot_host.commands.run", "A day in half a minute: firmware, EMD, prices and a grid limit, end to end."),
    "emd": ("spot_host.commands.emd", "The reference EMD: run it, watch devices, send commands."),
    "coap": ("spot_host.commands.coap", "Read, observe, write and discover CoAP resources of devices."),
    "sim": ("spot_host.commands.sim", "Run a scenario file in the simulator."),
    "provision": ("spot_host.commands.provision", "Identities of devices: certificates, secrets, labels, exports."),
    "group": ("spot_host.commands.group", "Broadcasts signed offline (LMS): keys, signing, looking."),
    "release": ("spot_host.commands.release", "Firmware releases: keys, building, signing (HSS/LMS), looking."),
    "update": ("spot_host.commands.update", "A fleet's firmware, through the EMD: canaries, pace, halt."),
    "boards": ("spot_host.commands.boards", "Which boards there are, what they have, and the next command."),
    "flash": ("spot_host.commands.flash", "Firmware, configuration and keys onto a board on a cable."),
    "console": ("spot_host.commands.console", "What a board on a cable prints."),
    "log": ("spot_host.commands.log", "A board's log ring and crash record, over the cable."),
    "backup": ("spot_host.commands.backup", "Save a board's configuration, keys and store."),
    "restore": ("spot_host.commands.restore", "Bring a backup back."),
    "wipe": ("spot_host.commands.wipe", "Erase a board's configuration, keys and store."),
    "check": ("spot_host.commands.check", "Check a board.json or a device's config.json before it is on a device."),
    "device": ("spot_host.commands.device", "An enrolled device on this computer, with a load behind its pins."),
    "calibrate": ("spot_host.commands.calibrate", "Adjust a device's meter to a reference load, over the network."),
    "decode": ("spot_host.commands.decode", "Explain a SPOT message in words, or say what is wrong with it."),
    "slipmux": ("spot_host.commands.slipmux", "A board on a cable as a CoAP server on this computer."),
    "doctor": ("spot_host.commands.doctor", "Show which tools are here and what mends the rest."),
}


def load(name: str):
    """Import the sub-command `name` and return its command object. Raises UserError if it is not installed."""
    module_name, summary = COMMANDS[name]
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if exc.name == module_name:
            raise UserError(f"`spot {name}` is not part of this installation") from exc
        raise UserError(f"`spot {name}` needs the Python package {exc.name}: run `make setup`") from exc
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command()(module.main)
    command = typer.main.get_command(app)
    command.name = name
    command.help = command.help or summary
    return command


class _Lazy(TyperGroup):
    """A group that lists its commands from the table and imports only the one that is called."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1], callback=lambda: None)

    def resolve_command(self, ctx, args):
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(command.name), rest


app = typer.Typer(cls=_Lazy, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _root():
    """SPOT: devices, EMD and simulator for flexible electric loads."""


def main(arguments: list[str] | None = None) -> None:
    """Run `spot` with `arguments` (default: of the process) and exit with its code."""
    try:
        app(args=arguments, prog_name="spot")
    except UserError as exc:
        print(f"spot: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    except OSError as exc:
        if isinstance(exc, BrokenPipeError):  # the reader (head, less) went away
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        if exc.filename is None:  # nothing that whoever typed it could mend
            raise
        print(f"spot: {exc.filename}: {exc.strerror}", file=sys.stderr)
        sys.exit(UserError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


if __name__ == "__main__":
    main()
