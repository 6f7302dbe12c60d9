"""Which names may be called the same: a .mpy carries each name once, in four octets or more, and each use of one that
is not among the first 127 takes an octet more.

A name at the top of a file and an attribute never meet: one is looked up in a file, the other in an object. Nor do two
attributes that no object has both of. An object has what its class says: what its methods put into their first
parameter, and what stands in the class, with all that derive from it and all that it derives from: a family. Wherever
`other.name` stands, `other` is an object of a family that has the name, or the program would not run. What is put into
an object from elsewhere (`other.name = …`) belongs to every family.

The names of a function's own variables are not in a .mpy.
"""

import ast
import collections

from . import syntax
from .errors import UserError

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Roles:
    """What the names of some files stand for.

    attributes: {name: families that have it}, of those that no other puts into an object; others: attributes that any
    family may have; globals: names at the top of a file, or taken from another; bodies: {name of those: families in
    whose classes' bodies it is read}; locals: ids of the nodes (ast.Name, functions, classes, handlers of exceptions)
    that are called by a function's own names, and aliases of imports there; members: of those called by a class's.
    """

    def __init__(self, trees):
        classes = [node for tree in trees for node in syntax.walk(tree) if isinstance(node, ast.ClassDef)]
        self._heads = {node.name: node.name for node in classes}  # two of one name are taken for one
        for node in classes:
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in self._heads:
                    self._heads[self._head(base.id)] = self._head(node.name)
        self.attributes, self.others, self.globals = collections.defaultdict(set), set(), set()
        self.bodies, self.locals, self.members = collections.defaultdict(set), set(), set()
        for tree in trees:
            seen = _Seen(self)
            for node in tree.body:
                seen.visit(node)
        for name in self.others:
            self.attributes.pop(name, None)

    def _head(self, name):
        while self._heads[name] != name:
            name = self._heads[name]
        return name


class _Seen(ast.NodeVisitor):
    """Goes through a file with what is around: the functions' own names, innermost last; the family and the names of
    the class whose body it is in, if it is; the first parameter of the method, and its family."""

    def __init__(self, roles):
        self._roles = roles
        self._inner = ()  # for each function around: its own names
        self._body = None  # (family, names bound in it) of the class whose body this is
        self._self = None  # (name, family)

    def _name(self, node, name):
        """A name that stands by itself: bound, read or declared."""
        if self._body and name in self._body[1]:
            if any(name in own for own in self._inner):
                raise UserError(f"{name} is a name of a class's and of the function's around it")
            self._roles.attributes[name].add(self._body[0])
            self._roles.members.add(id(node))
        elif any(name in own for own in self._inner):
            self._roles.locals.add(id(node))
        else:
            self._roles.globals.add(name)
            if self._body:
                self._roles.bodies[name].add(self._body[0])

    def visit_Name(self, node):
        self._name(node, node.id)

    def visit_ClassDef(self, node):
        self._name(node, node.name)
        for part in (*node.bases, *node.keywords, *node.decorator_list):
            self.visit(part)
        outer = self._body, self._self
        family = self._roles._head(node.name)
        self._body, self._self = (family, _bound(node.body)), None
        for part in node.body:
            self.visit(part)
        self._body, self._self = outer

    def visit_FunctionDef(self, node):
        self._name(node, node.name)
        for part in node.decorator_list:
            self.visit(part)
        family = self._body and self._body[0]
        own = self._self
        if family:
            first = node.args.args[0].arg if node.args.args and all(map(_keeps_self, node.decorator_list)) else None
            own = (first, family) if first else None
        self._function(node.args, node.body, own, bool(family))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        self._function(node.args, [node.body], self._self, False)

    def _function(self, arguments, body, own, method):
        """own: what is its `self`: that of the method around, unless it has a parameter of that name."""
        for part in (*arguments.defaults, *arguments.kw_defaults):  # worked out outside
            if part is not None:
                self.visit(part)
        names = {a.arg for a in syntax.walk(arguments) if isinstance(a, ast.arg)}
        bound = _bound(body)
        if own and (own[0] in bound or own[0] in names and not method):
            own = None
        outer = self._inner, self._body, self._self
        self._inner, self._body, self._self = (*self._inner, names | bound), None, own
        for part in body:
            self.visit(part)
        self._inner, self._body, self._self = outer

    def visit_ListComp(self, node):
        first = node.generators[0].iter  # worked out outside
        self.visit(first)
        outer = self._inner, self._body
        targets = [n for g in node.generators for n in syntax.walk(g.target)]
        self._inner, self._body = (*self._inner, {n.id for n in targets if isinstance(n, ast.Name)}), None
        for part in syntax.children(node):
            for inner in syntax.children(part) if isinstance(part, ast.comprehension) else (part,):
                if inner is not first:
                    self.visit(inner)
        self._inner, self._body = outer

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_Attribute(self, node):
        if not isinstance(node.ctx, ast.Load):
            if self._self and isinstance(node.value, ast.Name) and node.value.id == self._self[0]:
                self._roles.attributes[node.attr].add(self._self[1])
            else:
                self._roles.others.add(node.attr)
        self.visit(node.value)

    def visit_AugAssign(self, node):
        """`other.name += 1`: the object has it already."""
        if isinstance(node.target, ast.Attribute):
            self.visit(node.target.value)
        else:
            self.visit(node.target)
        self.visit(node.value)

    def visit_alias(self, node):
        self._name(node, node.asname or node.name.partition(".")[0])
        self._roles.globals.add(node.name)  # of the file that it comes from

    def visit_ExceptHandler(self, node):
        if node.name:
            self._name(node, node.name)
        self.generic_visit(node)

    def visit_Global(self, node):
        self._roles.globals |= set(node.names)

    def visit_Nonlocal(self, node):
        pass


def _bound(body):
    """Names that these statements bind, not those of functions, classes and comprehensions within."""
    bound, passed, waiting = set(), set(), [*body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            bound.add(node.name)
            continue
        if isinstance(node, (ast.Lambda, *_COMPREHENSIONS)):
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            passed |= set(node.names)
        waiting += syntax.children(node)
    return bound - passed


def attributes(trees):
    """Every name that stands for an attribute somewhere: as `x.name`, or at the top of a class."""
    out = set()
    for tree in trees:
        for node in syntax.walk(tree):
            if isinstance(node, ast.Attribute):
                out.add(node.attr)
            elif isinstance(node, ast.ClassDef):
                for part in node.body:
                    out |= {part.name} if isinstance(part, (*_FUNCTIONS, ast.ClassDef)) else {
                        n.id for n in syntax.walk(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return out


def _keeps_self(decorator):
    """Whether a method with this decorator has the object for its first parameter."""
    return isinstance(decorator, ast.Name) and decorator.id == "property" or (
        isinstance(decorator, ast.Attribute) and isinstance(decorator.value, ast.Name)
        and decorator.value.id == "micropython")
