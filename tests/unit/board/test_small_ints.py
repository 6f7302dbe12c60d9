"""What the metering drivers compute at each sample fits a small int of a 32-bit chip: beyond 2^30 it would be an object
on the heap. Each driver is rewritten so that every arithmetic result is looked at, and plays a history.
"""

import ast
import types
from pathlib import Path

import pytest

from spot.board import ade7953, bl0942, calibration, cse7766, hlw8012
from tests.unit.board import histories

SMALL = 1 << 30


class _Watch(ast.NodeTransformer):
    def visit_BinOp(self, node):  # noqa: N802 - ast's name
        self.generic_visit(node)
        return ast.copy_location(ast.Call(ast.Name("_seen", ast.Load()), [node, ast.Constant(node.lineno)], []), node)


def watched(module, found, **names):
    """The module, compiled anew; `found` collects (line, value) beyond the small ints."""
    tree = _Watch().visit(ast.parse(Path(module.__file__).read_text()))
    made = types.ModuleType(module.__name__)
    made.__package__ = module.__package__

    def seen(value, line):
        if found.looking and isinstance(value, int) and not -SMALL <= value < SMALL:
            found.append((module.__name__, line, value))
        return value

    made._seen = seen
    exec(compile(ast.fix_missing_locations(tree), module.__file__, "exec"), made.__dict__)
    made.__dict__.update(names)
    return made


class _Found(list):
    looking = False


def most(name):
    """A history with the largest loads that a plug can see, after a longer silence too."""
    original = histories._watts
    histories._watts = lambda seed, seconds: ((s, 4600 if s % 40 < 30 else -4600) for s in range(seconds))
    try:
        return getattr(histories, name)(seconds=80 if name != "hlw8012" else 20)
    finally:
        histories._watts = original


@pytest.mark.parametrize("module", [bl0942, cse7766, ade7953, hlw8012])
def test_no_sample_needs_a_long_integer(module, monkeypatch):
    found = _Found()
    base = watched(calibration, found)
    made = watched(module, found)
    name = module.__name__.rsplit(".", 1)[1]
    driver = {"bl0942": "BL0942", "cse7766": "CSE7766", "ade7953": "ADE7953", "hlw8012": "HLW8012"}[name]
    # the rewritten driver on the rewritten base
    body = {key: value for key, value in vars(getattr(made, driver)).items() if key not in ("__dict__", "__weakref__")}
    made.__dict__["Meter"] = base.Meter
    made.__dict__[driver] = type(driver, (base.Meter,), body)
    monkeypatch.setattr(module, "make", made.make)

    original = histories._History.step

    def step(self, kind):
        found.looking = len(self.steps) > 5  # after the first frames: coefficients and factors are made once
        original(self, kind)

    monkeypatch.setattr(histories._History, "step", step)
    original_built = histories._History.built

    def built(self):
        found.looking = False
        return original_built(self)

    monkeypatch.setattr(histories._History, "built", built)
    for history in (getattr(histories, name)(**({"seconds": 30} if name == "hlw8012" else {})), most(name)):
        assert len(history["steps"]) > 50
    assert found == []
