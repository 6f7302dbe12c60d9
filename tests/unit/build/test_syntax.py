"""The faster walk and copy are those of the standard library."""

import ast

import pytest

from spot_host import build, syntax

CONTEXTS = (ast.Load, ast.Store, ast.Del)
ODD = """
match x:
    case [C(a=1, b=[*rest]), {"k": v, **more}] as whole if v: pass
    case None | 1: pass
async def f(a, /, b: int = 1, *c, d=2, **e) -> t:
    async with g() as h, i: await j
    return [k async for k in l if m], f"{n!r:>{o}}", (yield p), lambda q=r: s
try: pass
except* (A, B) as z: del z.y[1:2:3]
finally:
    x: int = w if not v else -u
    if (t := 1) < 2 <= 3 and s: global_ = ...
"""


@pytest.fixture(scope="module")
def trees():
    return [ast.parse(text) for text in (ODD, *build.sources().values())]


def test_the_same_nodes_in_the_same_order_but_for_contexts(trees):
    for tree in trees:
        nodes = [node for node in ast.walk(tree) if not isinstance(node, CONTEXTS)]
        assert [id(node) for node in syntax.walk(tree)] == [id(node) for node in nodes]
        for node in nodes:
            parts = [part for part in ast.iter_child_nodes(node) if not isinstance(part, CONTEXTS)]
            assert [id(part) for part in syntax.children(node)] == [id(part) for part in parts]


def test_a_node_may_be_changed_once_it_is_handed_out():
    def seen(walk):
        out = []
        for node in walk(ast.parse("f(g(1), 2)\nh(3)")):
            if isinstance(node, ast.Call):
                node.args = []
            if not isinstance(node, CONTEXTS):
                out.append(type(node))
        return out

    assert seen(syntax.walk) == seen(ast.walk)


def test_a_copy_is_equal_and_shares_nothing(trees):
    before = {"a": trees[:2]}
    after = syntax.copied(before)
    dumped = [[ast.dump(tree, include_attributes=True) for tree in one["a"]] for one in (before, after)]
    assert dumped[0] == dumped[1]
    old = {id(node) for tree in before["a"] for node in syntax.walk(tree)}
    assert not old & {id(node) for tree in after["a"] for node in syntax.walk(tree)}
