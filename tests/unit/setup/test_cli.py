"""The root command: lazy, quick, and without a traceback for what the user can mend."""

import subprocess
import sys
import types

import pytest

from spot_host import cli
from spot_host.errors import SetupError, UserError


def _spot(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    return caught.value.code or 0, *capsys.readouterr()


@pytest.fixture
def probe(monkeypatch):
    """A sub-command `probe` whose behaviour the test chooses."""

    def install(**members):
        module = types.ModuleType("spot_host.commands.probe")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "probe", (module.__name__, "A probe."))

    return install


def test_help_lists_every_command_and_imports_none():
    code = (
        "import sys, contextlib, io\nfrom spot_host import cli\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out: cli.main(['--help'])\n"
        "print(all(name in out.getvalue() for name in cli.COMMANDS))\n"
        "print([m for m in sys.modules if m.startswith('spot_host.commands')])\n"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert got.stdout.split("\n")[:2] == ["True", "[]"], got.stderr


def test_a_function_main_gets_its_parameters(probe, capsys):
    def main(what: str, loud: bool = False):
        """Say it."""
        print(what.upper() if loud else what)

    probe(main=main)
    assert _spot(["probe", "hello", "--loud"], capsys)[:2] == (0, "HELLO\n")


def test_an_app_with_several_commands_is_a_group(probe, capsys):
    import typer

    app = typer.Typer()
    app.command("one")(lambda: print("first"))
    app.command("two")(lambda: print("second"))
    probe(app=app)
    assert _spot(["probe", "two"], capsys)[:2] == (0, "second\n")


@pytest.mark.parametrize(("error", "code"), [(UserError("no such day"), 2), (SetupError("no such day"), 1)])
def test_a_user_error_is_one_line_and_its_exit_code(probe, capsys, error, code):
    def main():
        raise error

    probe(main=main)
    assert _spot(["probe"], capsys) == (code, "", "spot: no such day\n")


def test_an_exit_code_passes_through(probe, capsys):
    import typer

    def main():
        raise typer.Exit(3)

    probe(main=main)
    assert _spot(["probe"], capsys)[0] == 3


def test_ctrl_c_is_130_without_a_traceback(probe, capsys):
    def main():
        raise KeyboardInterrupt

    probe(main=main)
    code, _, err = _spot(["probe"], capsys)
    assert code == 130 and "Traceback" not in err


def test_an_unknown_command_is_2_and_says_so(capsys):
    code, _, err = _spot(["probee"], capsys)
    assert code == 2 and "No such command" in err


def test_a_command_that_is_not_installed_says_so(monkeypatch, capsys):
    monkeypatch.setitem(cli.COMMANDS, "absent", ("spot_host.commands.absent", "Not there."))
    code, _, err = _spot(["absent"], capsys)
    assert (code, err) == (2, "spot: `spot absent` is not part of this installation\n")
