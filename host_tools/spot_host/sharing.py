"""Which names of attributes may be called the same, since no object has both: a .mpy carries each name once, in four
octets or more, and each use of one that is not among the first 127 takes an octet more.

An attribute or method that is only ever reached through the first parameter of a method belongs to that method's
class, with all that derive from it and all that it derives from: a family. Two such names whose families differ cannot
meet. What is reached any other way (`other.name`), or is a name of something else as well, belongs to nobody here.
"""

import ast
import collections

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def families(trees):
    """{attribute or method: the families that have it}, of those that are reached within their families alone."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    heads = {node.name: node.name for node in classes}  # two of one name are taken for one

    def head(name):
        while heads[name] != name:
            name = heads[name]
        return name

    for node in classes:
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in heads:
                heads[head(base.id)] = head(node.name)
    seen = _Seen(head)
    for tree in trees:
        seen.visit(tree)
    return {name: found for name, found in seen.families.items() if name not in seen.elsewhere}


def attributes(trees):
    """Every name that stands for an attribute somewhere: as `x.name`, or at the top of a class."""
    out = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                out.add(node.attr)
            elif isinstance(node, ast.ClassDef):
                for part in node.body:
                    out |= {part.name} if isinstance(part, (*_FUNCTIONS, ast.ClassDef)) else {
                        n.id for n in ast.walk(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return out


class _Seen(ast.NodeVisitor):
    """`families`: {name: families that reach it through `self`}; `elsewhere`: names that mean something else too."""

    def __init__(self, head):
        self._head = head
        self._family = self._self = None
        self.families, self.elsewhere = collections.defaultdict(set), set()

    def visit_ClassDef(self, node):
        self.elsewhere.add(node.name)
        outer = self._family, self._self
        for part in (*node.bases, *node.keywords, *node.decorator_list):
            self.visit(part)
        for part in node.body:
            if isinstance(part, _FUNCTIONS):
                self._method(node, part)
                self._family, self._self = outer
            else:
                self.visit(part)

    def _method(self, owner, node):
        family = self._head(owner.name)
        self.families[node.name].add(family)
        for part in node.decorator_list:
            self.visit(part)
        self.visit(node.args)  # defaults are worked out outside
        first = node.args.args[0].arg if node.args.args and all(map(_keeps_self, node.decorator_list)) else None
        self._family, self._self = family, first
        self._body(node.body)

    def visit_FunctionDef(self, node):
        self.elsewhere.add(node.name)
        for part in node.decorator_list:
            self.visit(part)
        self._inner(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        self._inner(node.args, [node.body])

    def _inner(self, arguments, body):
        """A function within: its `self` is that of the method around it, unless it has a parameter of that name."""
        self.visit(arguments)
        outer = self._self
        if outer in {a.arg for a in ast.walk(arguments) if isinstance(a, ast.arg)}:
            self._self = None
        self._body(body)
        self._self = outer

    def _body(self, body):
        if any(isinstance(n, ast.Name) and n.id == self._self and not isinstance(n.ctx, ast.Load)
               for part in body for n in ast.walk(part)):
            self._self = None  # bound again
        for part in body:
            self.visit(part)

    def visit_arg(self, node):
        self.elsewhere.add(node.arg)

    def visit_Attribute(self, node):
        if self._self and isinstance(node.value, ast.Name) and node.value.id == self._self:
            self.families[node.attr].add(self._family)
        else:
            self.elsewhere.add(node.attr)
        self.visit(node.value)

    def visit_Name(self, node):
        self.elsewhere.add(node.id)

    def visit_alias(self, node):
        self.elsewhere |= {name for name in (node.name, node.asname) if name}

    def visit_keyword(self, node):
        self.elsewhere.add(node.arg)
        self.visit(node.value)

    def visit_ExceptHandler(self, node):
        self.elsewhere.add(node.name)
        self.generic_visit(node)

    def visit_Global(self, node):
        self.elsewhere |= set(node.names)

    visit_Nonlocal = visit_Global


def _keeps_self(decorator):
    """Whether a method with this decorator has the object for its first parameter."""
    return isinstance(decorator, ast.Name) and decorator.id == "property" or (
        isinstance(decorator, ast.Attribute) and isinstance(decorator.value, ast.Name)
        and decorator.value.id == "micropython")
