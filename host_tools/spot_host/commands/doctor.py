"""`spot doctor`: what is installed, where, and what would mend what is missing."""

import typer

from spot_host.toolchain import doctor


def main():
    """Show each tool with its version, its place, and the line that mends what is missing."""
    raise typer.Exit(doctor.main())
