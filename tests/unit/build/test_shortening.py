"""What says the same in fewer octets."""

import ast

import pytest

from spot_host import shortening

CASES = (
    ("if a is not None: b", "if not a is None: b"),
    ("if not a is not b: c", "if not not a is b: c"),
    ("while a and (b not in c or d): e", "while a and (not b in c or d): e"),
    ("x = [a for b in c if d not in e]", "x = [a for b in c if not d in e]"),
    ("x = 1 if a is not b else 2", "x = 1 if not a is b else 2"),
    ("x = a is not b", "x = a is not b"),
    ("if a is not b is c: d", "if a is not b is c: d"),
    ("if f(a is not b): c", "if f(a is not b): c"),
    ("raise a from None", "raise a"),
)


@pytest.mark.parametrize("source, wanted", CASES)
def test_conditions(source, wanted):
    tree = ast.parse(source)
    shortening.shorten([tree])
    assert ast.unparse(tree) == ast.unparse(ast.parse(wanted))


@pytest.mark.parametrize("condition", [
    "a is not b", "not a is not b", "a and (b not in c or d)", "a not in c is not b"])
def test_what_it_says_is_the_same(condition):
    tree = ast.parse(f"x = 1 if {condition} else 2")
    shortening.shorten([tree])
    values, outcomes = (None, 0, 1, (1,)), set()
    for i in range(64):
        names = {"a": values[i & 3], "b": values[i >> 2 & 3], "d": values[i >> 4], "c": (1, None)}
        after = dict(names)
        exec(compile(tree, "", "exec"), {}, after)
        assert after["x"] == (1 if eval(condition, names) else 2)
        outcomes.add(after["x"])
    assert outcomes == {1, 2}
