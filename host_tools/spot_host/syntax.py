"""Syntax trees, walked and copied as often as a build does it: the nodes of `ast.walk` in its order, but for contexts
(`ast.Load` and its like), and a copy as `copy.deepcopy` makes it, in a fraction of their time.
"""

import ast
import pickle

_NODE = ast.AST
_LEAVES = {"arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "level", "module", "simple",
           "type_comment"}  # fields with no node in them, but for contexts
_parts = {}


def _fields(kind):
    """The fields of a class of nodes that may hold nodes."""
    _parts[kind] = found = tuple(name for name in kind._fields if name not in _LEAVES)
    return found


def walk(tree):
    """As ast.walk, without contexts: the outer nodes first; a node's parts are found before it is handed out."""
    waiting = [tree]
    add, parts = waiting.append, _parts.get
    for node in waiting:
        has, kind = node.__dict__.get, type(node)
        for field in parts(kind) or _fields(kind):
            value = has(field)
            if type(value) is list:
                for part in value:
                    if isinstance(part, _NODE):
                        add(part)
            elif isinstance(value, _NODE):
                add(value)
        yield node


def children(node):
    """As ast.iter_child_nodes, without contexts."""
    has = node.__dict__.get
    kind = type(node)
    for field in _parts.get(kind) or _fields(kind):
        value = has(field)
        if type(value) is list:
            for part in value:
                if isinstance(part, _NODE):
                    yield part
        elif isinstance(value, _NODE):
            yield value


def copied(tree):
    """As copy.deepcopy, of a tree or of trees in lists and dicts."""
    return pickle.loads(pickle.dumps(tree, pickle.HIGHEST_PROTOCOL))
