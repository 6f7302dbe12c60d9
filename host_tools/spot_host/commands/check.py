"""`spot check`: what a device would say of a board.json or a config.json, before it is on a device."""

from pathlib import Path
from typing import Annotated

import typer

from spot_host.errors import UserError


def main(
    files: Annotated[
        list[Path], typer.Argument(help="board.json of boards, config.json of devices.", readable=False)
    ],
    another_ca: Annotated[
        bool, typer.Option("--another-ca", help="The broker's certificate is by another authority than the device's.")
    ] = False,
):
    """Check descriptions of boards and configurations of devices as a whole: file, field, and what would be right.

    Certificates, key and pairing that lie beside a config.json are looked at, too.
    """
    from spot.config import ConfigError, load_board
    from spot.config_check import check_device_config, check_fit
    from spot_host import boards as known
    from spot_host.provision.certificates import load_small, wrong_files
    from spot_host.toolchain import paths

    wrong = []
    for file in files:
        try:
            given = load_small(file)
            if isinstance(given, dict) and "parts" in given and "board" not in given and "eui64" not in given:
                folder = file.resolve().parent
                if given.get("name") != folder.name:
                    raise ConfigError(str(file), "name", "that of its folder, %r" % folder.name)
                load_board(folder.name, str(folder.parent))
                known.check(given, str(file))
                table = folder / "partitions.csv"
                if table.exists():
                    board = known.Board.load(folder.name, folder.parent)
                    known.check_partitions(board, table.read_text(encoding="utf-8"), str(table))
            else:
                check_device_config(given, str(file))
                boards = given.get("boards", str(paths.ROOT / "boards"))
                check_fit(load_board(given.get("board", "unix"), boards, file=str(file)), given, str(file))
                faults = _wrong_links(given, str(file))
                faults += wrong_files(given, file, another_ca=another_ca or _on_aws(given))
                wrong += map(str, faults)
                if faults:
                    continue
        except (ConfigError, UserError) as error:
            wrong.append(str(error))
        else:
            print(f"{file}: as it should be")
    if wrong:
        raise UserError("\n".join(wrong))


def _on_aws(config):
    """There the server's certificate is by another authority, always."""
    from spot.config import associations
    from spot_host.aws_policy import HOSTS

    return any(one.get("mqtt", {}).get("host", "").endswith(HOSTS) for one in associations(config))


def _wrong_links(config, file):
    """What the service that a link leads to does not take."""
    from spot.config import ConfigError, associations
    from spot_host.aws_policy import wrong_link

    found = []
    for at, one in enumerate(associations(config)):
        where = f"associations.{at}.mqtt" if "associations" in config else "mqtt"
        found += [ConfigError(file, f"{where}.{name}", want) for name, want in wrong_link(one.get("mqtt", {}))]
    return found
