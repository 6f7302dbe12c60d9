"""Short names for what only the firmware itself names, and an order of names that keeps the code short.

- A private name (`_name`, of an attribute, a method or a module) becomes two characters, a capital and a small letter
  or a digit (three if those run out): each name stands in the .mpy in full. One name becomes one short name everywhere.
- So do the names of attributes, methods, functions, classes and values that the firmware makes, unless a library has
  something of that name (library_names.py), or it is passed by name. A class that derives from one of another program,
  such as an exception, keeps its name: logs and tracebacks say it.
- Names of attributes that no object has both of, get the same short name (sharing.py), which may be that of a function
  as well, or a parameter's letter: they take no room of their own.
- A parameter that nobody passes by name becomes one letter: MicroPython keeps the names of parameters.
- An integer that takes many octets wherever it stands, such as ABSENT, becomes a name with that value.
- MicroPython numbers the names in the order in which a file uses them and takes one octet for each use of the first 127
  and two for the others. So the bundle begins with a statement that is never run and names the most used ones.

A name that stands in a string stays, since it may be looked up by it. A short name is never one that the firmware, or a
script given with it, uses anywhere; libraries do not name things so (a test asks those of MicroPython).
"""

import ast
import collections
import copy
import dis
import itertools
import keyword
import string

from . import library_names, sharing
from .bundling import PACKAGE, RESERVED, words
from .errors import UserError
from .inlining import LARGEST, SMALLEST, literal

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_ONE_OCTET = 127  # names with one octet for their number; the first is that of the file


class Names:
    """What is called how in a firmware. trees: those of its files, not changed; guests: of scripts beside it."""

    def __init__(self, trees, guests=()):
        trees = [*trees]
        everything = [*trees, *guests]
        used = collections.Counter(name for tree in everything for name in _identifiers(tree))
        quoted = set().union(*(_quoted(tree) for tree in everything))
        self._by_name = _passed_by_name(everything) | (quoted if any(map(_unpacks, everything)) else set())
        private = {name for tree in trees for name in _made(tree) if is_private(name)}
        wanted = (private | _own(trees)) - quoted - self._by_name
        wanted = sorted(wanted, key=lambda name: (-used[name], name))
        families = sharing.families(trees)
        outside = set().union(*map(_bound, guests))
        self._shared = {name for name in wanted if name in families} - outside
        self._free = (name for name in short_names() if name not in used and name not in quoted)
        self.short = dict(zip([name for name in wanted if name not in self._shared], self._free, strict=False))
        attributes = sharing.attributes(everything)
        letters = [c for c in string.ascii_lowercase if c not in attributes | quoted | library_names.NAMES]
        self._letters = set(letters)
        pool = letters + [short for name, short in self.short.items() if name not in attributes]
        taken = collections.defaultdict(set)  # family → the short names that its attributes have
        for name in wanted:
            if name in self._shared:
                given = set().union(*(taken[family] for family in families[name]))
                short = next((short for short in pool if short not in given), None)
                if short is None:
                    short = next(self._free)
                    pool.append(short)
                self.short[name] = short
                for family in families[name]:
                    taken[family].add(short)

    def renamed(self, tree):
        """A copy of one of the firmware's trees under the short names."""
        tree = copy.deepcopy(tree)
        _shorten_parameters(tree, self._by_name)
        return _name_integers(self._apply(tree), self._free)

    def guest(self, tree, name="__main__"):
        """A copy of the tree of a script beside it. ValueError when it cannot be meant as it stands."""
        taken = (set(self.short.values()) - self._letters) & set(_identifiers(tree))
        taken |= self._letters & sharing.attributes([tree])
        if taken:
            raise ValueError(f"{name}: {min(taken)} is a name that the build gives")
        quoted = _quoted(tree) & set(self.short)
        if quoted:
            raise ValueError(f"{name}: {min(quoted)} has another name at run time")
        shared = self._shared & _bound(tree)
        if shared:
            raise ValueError(f"{name}: {min(shared)} has the name of another attribute at run time")
        by_name = _passed_by_name([tree]) - self._by_name
        if by_name:
            raise ValueError(f"{name}: {min(by_name)} cannot be passed by name at run time")
        return self._apply(copy.deepcopy(tree))

    def _apply(self, tree):
        for node in ast.walk(tree):
            for field in ("id", "attr", "arg", "name", "asname"):
                if getattr(node, field, None) in self.short:
                    setattr(node, field, self.short[getattr(node, field)])
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                node.names = [self.short.get(name, name) for name in node.names]
        return tree


def short_names():
    """Aa, Ab … Z9, then Aa0 … Zz9: a capital, and no word."""
    for first, second in itertools.product(string.ascii_uppercase, string.ascii_lowercase + string.digits):
        yield first + second
    for parts in itertools.product(string.ascii_uppercase, string.ascii_lowercase, string.digits):
        yield "".join(parts)


def _made(tree):
    """Names that a file makes: others, such as a library's own private ones, are only used."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def _bound(tree):
    """Names that a script binds anywhere."""
    aliases = {a.asname or a.name for a in ast.walk(tree) if isinstance(a, ast.alias)}
    return aliases | set(_made(tree)) | {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler)}


def _own(trees):
    """Public names that the firmware makes and no library knows: at the top of files, in classes, of attributes."""
    own, kept = set(), RESERVED | library_names.NAMES
    classes = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = [ast.unparse(base) for base in node.bases]
            if isinstance(node, (ast.Module, ast.ClassDef)):
                for part in node.body:
                    if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                        own.add(part.name)
                    elif isinstance(part, ast.Assign):
                        own.update(target.id for target in part.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                own.add(node.attr)
            elif isinstance(node, ast.Import) or isinstance(node, ast.ImportFrom) and not _ours(node):
                kept |= {name for alias in node.names for name in (alias.name, alias.asname) if name}
    while True:  # classes whose line goes back to another program
        foreign = {name for name, bases in classes.items() if any(base not in classes for base in bases)}
        kept |= foreign
        if not foreign:
            break
        for name in foreign:
            del classes[name]
    return {name for name in own - kept if len(name) > 2 and not name.startswith("__")}


def _ours(node):
    return (node.module or "").partition(".")[0] == PACKAGE


def _name_integers(tree, free):
    """The tree with names for the integers that save octets so: once the value, and two octets for each use."""
    found = {}
    for slot, value in _integers(tree):
        found.setdefault(value, []).append(slot)
    first = []
    for value, slots in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        if SMALLEST <= value <= LARGEST and len(slots) * (_octets(value) - 2) > _octets(value) + 40:
            name = next(free)
            first.append(ast.Assign([ast.Name(name, ast.Store())], literal(value)))
            for node, field, index in slots:
                new = ast.Name(name, ast.Load())
                if index is None:
                    setattr(node, field, new)
                else:
                    getattr(node, field)[index] = new
    return ast.fix_missing_locations(ast.Module(first + tree.body, []))


def _integers(tree):
    """((node, field, index or None), value) of the integers that the code loads: not those within a constant tuple,
    nor in machine code."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
                ast.unparse(part).startswith("micropython.") for part in node.decorator_list):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "const":
            continue
        if isinstance(node, ast.Tuple) and not any(isinstance(n, (ast.Name, ast.Call)) for n in ast.walk(node)):
            continue
        for field, content in ast.iter_fields(node):
            for index, part in enumerate(content) if isinstance(content, list) else ((None, content),):
                if not isinstance(part, ast.AST):
                    continue
                value = integer(part)
                if value is not None:
                    yield (node, field, index), value
                else:
                    waiting.append(part)


def integer(node):
    """The value of an integer literal, else None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = integer(node.operand)
        return None if value is None else -value
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def _octets(value):
    """Octets of the code that loads a small integer in MicroPython's byte code."""
    if -16 <= value <= 47:
        return 1
    groups = 1
    while not -(1 << (7 * groups - 1)) <= value < 1 << (7 * groups - 1):
        groups += 1
    return 1 + groups


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def most_used_first(tree):
    """The tree with a first statement that numbers the names: those used most get the numbers of one octet."""
    text = ast.unparse(tree)
    counts = collections.Counter()
    waiting = [compile(text, "bundle", "exec")]
    while waiting:
        code = waiting.pop()
        waiting += [value for value in code.co_consts if hasattr(value, "co_code")]
        counts[code.co_name] += 1
        counts.update(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        for step in dis.get_instructions(code):
            if step.opcode in dis.hasname or step.opcode in dis.hasconst and isinstance(step.argval, str):
                counts[step.argval] += 1
    names = [name for name, _ in counts.most_common() if name.isidentifier() and not keyword.iskeyword(name)]
    few = len(names) < _ONE_OCTET  # all of them have one octet
    first = ast.Module([], []) if few else ast.parse("if []:\n    " + ".".join(names[: _ONE_OCTET - 1]))
    return ast.fix_missing_locations(ast.Module(first.body + tree.body, []))


def _identifiers(tree):
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            yield from node.names


def _quoted(tree):
    return words(ast.Module([node for node in ast.walk(tree) if isinstance(node, ast.Constant)], []))


def _passed_by_name(trees):
    return {node.arg for tree in trees for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}


def _unpacks(tree):
    """Whether a call has `**options`: their names are in strings."""
    return any(isinstance(node, ast.keyword) and node.arg is None for node in ast.walk(tree))


def _shorten_parameters(tree, by_name):
    """One letter for each parameter, changed in its function and in those within it alike."""
    for node in [n for n in ast.walk(tree) if isinstance(n, _FUNCTIONS)]:  # the outer ones first
        arguments = node.args
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        inside = [*every, *(n for part in body for n in ast.walk(part))]  # its defaults are of the function around it
        if any(isinstance(n, ast.ClassDef) for n in inside):
            continue
        if arguments.vararg or arguments.kwarg:
            continue
        known = set(_identifiers(node))
        free = iter([c for c in string.ascii_lowercase if c not in known])
        new = {}
        for argument in arguments.posonlyargs + arguments.args:
            if argument.arg != "self" and argument.arg not in by_name and len(argument.arg) > 1:
                letter = next(free, None)
                if letter is not None:
                    new[argument.arg] = letter
        for n in inside:
            if isinstance(n, ast.Name) and n.id in new:
                n.id = new[n.id]
            elif isinstance(n, ast.arg) and n.arg in new:
                n.arg = new[n.arg]
            elif isinstance(n, (ast.Global, ast.Nonlocal)):
                if isinstance(n, ast.Global) and set(n.names) & set(new):
                    raise UserError(f"{min(set(n.names) & set(new))} is a parameter and declared global below")
                n.names = [new.get(name, name) for name in n.names]
            elif isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ExceptHandler)):
                n.name = new.get(n.name, n.name)
            elif isinstance(n, ast.alias):
                if n.asname is None and n.name in new:
                    n.asname = n.name
                n.asname = new.get(n.asname, n.asname)
