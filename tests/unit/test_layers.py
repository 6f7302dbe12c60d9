"""The house's layer rules (docs/architecture.md, "Who may know whom"), read off the imports of the firmware."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPOT = ROOT / "firmware" / "spot"

BASE = {"codes", "port"}
MAY = {
    "codes": {"port"},
    "port": set(),
    "wire": BASE | {"wire"},
    "device": BASE | {"device"},
    "agent": BASE | {"wire", "agent"},
    "link": BASE | {"link", "wire"},  # of wire the transports' part, never wire.profile: see below
    "board": BASE | {"board"},
    "store": BASE,
    "clock": BASE,
    "log": BASE,
    "config": BASE | {"board", "config_check", "board_check"},  # the checks are loaded when there is one to be done
    "config_check": BASE | {"agent", "device", "link", "config", "board_check"},  # their tables: what a file may say
    "board_check": BASE | {"board", "config_check"},
    "protection": BASE | {"wire"},
    "guard": BASE,
    "watchdog": BASE | {"guard"},
    "safe": BASE | {"device", "store", "config"},
    "app": BASE | {"wire", "device", "agent", "board", "store", "clock", "log", "config", "guard", "safe", "firmware"},
    "run": BASE | {"link", "clock", "log", "guard"},
    "slots": BASE,
    "boot": BASE | {"slots", "store"},
    "update": BASE | {"wire"},
    "firmware": BASE | {"wire", "agent", "update"},  # the joint between app and update
    "network": BASE | {"wire", "link", "config"},  # between app, Wi-Fi and CoAP
}
# What a part may import from outside spot: pure calculation only, but for link (umqtt) and port (everything).
OUTSIDE = {"array", "struct", "math", "binascii", "json", "errno", "micropython"}
OUTSIDE_OF = {"port": None, "boot": None, "board": OUTSIDE | {"_onewire"}, "link": OUTSIDE | {"umqtt"},
              "config": OUTSIDE, "config_check": OUTSIDE}


def _parts():
    for path in sorted(SPOT.rglob("*.py")):
        rel = path.relative_to(SPOT)
        if rel.name == "__init__.py" and len(rel.parts) == 1:
            continue
        yield pytest.param(path, rel.parts[0].removesuffix(".py"), id=str(rel))


def imports(path):
    """(level-resolved name of a spot part, or None; outside module, or None) for every import in the file."""
    here = ["spot", *path.relative_to(SPOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [(a.name, 0, []) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "", node.level, [a.name for a in node.names])]
        for name, level, inner in names:
            full = (here[: len(here) - level + 1] if level else []) + (name.split(".") if name else [])
            if full and full[0] == "spot":
                targets = [full[1]] if len(full) > 1 else inner
                for target in targets:
                    yield target, None, node.lineno
            elif full:
                yield None, full[0], node.lineno


PARTS = list(_parts())


@pytest.mark.parametrize("path, part", PARTS)
def test_a_part_imports_only_what_its_layer_may_know(path, part):
    assert part in MAY, "%s belongs to no layer: name it in MAY and in docs/architecture.md" % path.name
    for inside, outside, line in imports(path):
        where = "%s:%d" % (path.relative_to(ROOT), line)
        if inside is not None:
            assert inside in MAY[part], "%s: %s may not know %s" % (where, part, inside)
        else:
            allowed = OUTSIDE_OF.get(part, OUTSIDE)
            assert allowed is None or outside in allowed, "%s: %s may not import %s" % (where, part, outside)


@pytest.mark.parametrize("path, part", PARTS)
def test_only_port_asks_which_runtime_this_is(path, part):
    if part == "port":
        return
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            assert "ImportError" not in ast.dump(node.type), "%s:%d" % (path.name, node.lineno)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            assert node.attr not in ("modules", "implementation", "platform"), "%s:%d" % (path.name, node.lineno)


@pytest.mark.parametrize("path, part", PARTS)
def test_no_part_below_link_reads_a_clock(path, part):
    if part not in ("agent", "device", "wire"):
        return
    text = ast.dump(ast.parse(path.read_text()))
    for name in ("ticks_ms", "'sleep_ms'", "'time'"):
        assert "name=%s" % (name if name.startswith("'") else "'%s'" % name) not in text, "%s imports %s" % (path, name)


def test_no_link_knows_the_profile_and_no_checker_of_files_more_of_a_link_than_its_settings():
    for path in [*(SPOT / "link").glob("*.py"), SPOT / "config_check.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                module = (node.module or "").removeprefix("spot.")
                names = {(module + "." + alias.name).strip(".") for alias in node.names}
                assert not any("wire.profile" in name or "wire.fields" in name for name in names), path
                if path.name == "config_check.py" and module.startswith("link"):
                    assert names <= {"link.settings"}, names


def test_only_run_and_main_know_the_app():
    for path in SPOT.rglob("*.py"):
        for inside, _, line in imports(path):
            assert inside != "app" or path.name in ("main.py",), "%s:%d" % (path, line)
