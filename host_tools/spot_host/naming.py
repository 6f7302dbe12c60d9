"""Short names for what only the firmware itself names, and an order of names that keeps the code short.

- A private name (`_name`, of an attribute, a method or a module) becomes two characters, a capital and a small letter
  or a digit (three if those run out): each name stands in the .mpy in full. One name becomes one short name everywhere.
- So do the names of attributes, methods, functions, classes and values that the firmware makes, unless a library has
  something of that name (library_names.py), or it is passed by name. A class that derives from one of another program,
  such as an exception, keeps its name: logs and tracebacks say it.
- Names that never meet get the same short name (sharing.py): attributes that no object has both of, and what stands
  at the top of a file; attributes may have a parameter's letter too. They take no room of their own.
- A function's own variables are not in a .mpy: they stay.
- A parameter that nobody passes by name becomes one letter: MicroPython keeps the names of parameters.
- An integer that takes many octets wherever it stands, such as ABSENT, becomes a name with that value.
- MicroPython numbers the names in the order in which a file uses them and takes one octet for each use of the first 127
  and two for the others. So the bundle begins with a statement that is never run and names the most used ones.

A name that is a string, or a part of a dotted one, stays, since it may be looked up by it. A short name is never one
that the firmware, or a script given with it, uses anywhere; libraries do not name things so (a test asks those of
MicroPython).
"""

import ast
import collections
import dis
import itertools
import keyword
import re
import string

from . import library_names, sharing, syntax
from .bundling import PACKAGE, RESERVED
from .errors import UserError
from .inlining import LARGEST, SMALLEST, literal

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_MAKERS = {"UART", "I2C", "SPI", "config"}  # of machine and network: they take **options, and are not the firmware's
_ALL = object()  # every family
_ONE_OCTET = 127  # names with one octet for their number; the first is that of the file


class Names:
    """What is called how in a firmware. trees: those of its files, not changed; guests: of scripts beside it."""

    def __init__(self, trees, guests=()):
        trees = [*trees]
        everything = [*trees, *guests]
        used = collections.Counter(name for tree in everything for name in _identifiers(tree))
        quoted = set().union(*(_quoted(tree) for tree in everything))
        self.by_name = _passed_by_name(everything) | (
            quoted if any(map(_unpacks, everything)) else set())
        private = {name for tree in trees for name in _made(tree) if is_private(name)}
        wanted = (private | _own(trees)) - quoted - self.by_name - set().union(*map(_at_the_top, guests))
        roles = sharing.Roles(trees)
        outside = sharing.Roles(guests)
        outside = outside.others.union(outside.attributes)  # what they put into objects
        self._shared = {name for name in wanted if name in roles.attributes} - outside
        attributes = sharing.attributes(everything)
        letters = [c for c in string.ascii_lowercase if c not in attributes | quoted | library_names.NAMES]
        self._letters = set(letters)
        self._free = (name for name in short_names() if name not in used and name not in quoted)
        self.short = {}
        given = [_Given(letter, True) for letter in letters]
        for name in sorted(wanted, key=lambda name: (-used[name], name)):
            families = (roles.attributes[name] if name in self._shared else _ALL) if name in attributes else ()
            bodies = roles.bodies.get(name, ()) if name in roles.globals else None
            fits = next((one for one in given if one.fits(families, bodies)), None)
            if fits is None:
                fits = _Given(next(self._free))
                given.append(fits)
            fits.take(families, bodies)
            self.short[name] = fits.short

    def renamed(self, tree):
        """A copy of one of the firmware's trees under the short names."""
        tree = syntax.copied(tree)
        _shorten_parameters(tree, self.by_name)
        return _name_integers(self._apply(tree, sharing.Roles([tree]).locals), self._free)

    def guest(self, tree, name="__main__"):
        """A copy of the tree of a script beside it. ValueError when it cannot be meant as it stands."""
        taken = (set(self.short.values()) - self._letters) & set(_identifiers(tree))
        taken |= self._letters & sharing.attributes([tree])
        if taken:
            raise ValueError(f"{name}: {min(taken)} is a name that the build gives")
        quoted = _quoted(tree) & set(self.short)
        if quoted:
            raise ValueError(f"{name}: {min(quoted)} has another name at run time")
        roles = sharing.Roles([tree])
        shared = self._shared & roles.others.union(roles.attributes)
        if shared:
            raise ValueError(f"{name}: {min(shared)} has the name of another attribute at run time")
        by_name = _passed_by_name([tree]) - self.by_name
        if by_name:
            raise ValueError(f"{name}: {min(by_name)} cannot be passed by name at run time")
        tree = syntax.copied(tree)
        return self._apply(tree, {id(node) for node in syntax.walk(tree)} - sharing.Roles([tree]).members)

    def _apply(self, tree, own):
        """own: ids of the nodes whose names stay: what is looked up in no file and no object of the firmware."""
        new = self.short.get
        for node in syntax.walk(tree):
            if isinstance(node, ast.Attribute):
                node.attr = new(node.attr, node.attr)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    local = alias.asname or alias.name
                    if isinstance(node, ast.ImportFrom) and _ours(node):
                        alias.name = new(alias.name, alias.name)
                    local = local if id(alias) in own else new(local, local)
                    alias.asname = local if alias.asname or local != alias.name else None
            elif id(node) in own:
                pass
            elif isinstance(node, ast.Name):
                node.id = new(node.id, node.id)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)):
                node.name = new(node.name, node.name)
            elif isinstance(node, ast.Global):
                node.names = [new(name, name) for name in node.names]
        return tree


class _Given:
    """A short name and what is called so: families of attributes; bodies: families in whose classes' bodies the global
    of that name is read, None when there is no such global. A letter may be a parameter: it is no global."""

    def __init__(self, short, letter=False):
        self.short, self._letter = short, letter
        self._families, self._bodies = set(), None

    def fits(self, families, bodies):
        if bodies is not None and (self._letter or self._bodies is not None):
            return False
        if families is _ALL and self._families or families and self._families is _ALL:
            return False
        if families and families is not _ALL and not self._families.isdisjoint(families):
            return False
        for read, had in ((bodies, self._families), (self._bodies, families)):
            if read and (had is _ALL or not set(read).isdisjoint(had)):
                return False
        return True

    def take(self, families, bodies):
        self._families = _ALL if families is _ALL else self._families if self._families is _ALL else (
            self._families | set(families))
        self._bodies = self._bodies if bodies is None else bodies


def short_names():
    """Aa, Ab … Z9, then Aa0 … Zz9: a capital, and no word."""
    for first, second in itertools.product(string.ascii_uppercase, string.ascii_lowercase + string.digits):
        yield first + second
    for parts in itertools.product(string.ascii_uppercase, string.ascii_lowercase, string.digits):
        yield "".join(parts)


def _made(tree):
    """Names that a file makes: others, such as a library's own private ones, are only used."""
    for node in syntax.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def _at_the_top(tree):
    """Names that a script gives at its top: others may take them from there."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif not isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (n.id for n in syntax.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load))


def _own(trees):
    """Public names that the firmware makes and no library knows: at the top of files, in classes, of attributes."""
    own, kept = set(), RESERVED | library_names.NAMES
    classes = {}
    for tree in trees:
        for node in syntax.walk(tree):
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
        if isinstance(node, ast.Tuple) and not any(isinstance(n, (ast.Name, ast.Call)) for n in syntax.walk(node)):
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
    # What is never run is not compiled, but its attributes have their numbers by then.
    first = ast.Module([], []) if few else ast.parse("if []:\n    " + ".".join([names[0], *names[: _ONE_OCTET - 1]]))
    return ast.fix_missing_locations(ast.Module(first.body + tree.body, []))


def _identifiers(tree):
    for node in syntax.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            yield from node.names


def _quoted(tree):
    """What may be looked up by a string: one that is a name or a path of names, or a list of names to be split."""
    texts = [node.value for node in syntax.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    split = [node.value.value for node in syntax.walk(tree)
             if isinstance(node, ast.Attribute) and node.attr == "split" and isinstance(node.value, ast.Constant)]
    found = split + [text for text in texts if re.fullmatch(r"[\w.]+", text)]
    return {word for text in found for word in re.findall(r"\w+", text)}


def _passed_by_name(trees):
    return {node.arg for tree in trees for node in syntax.walk(tree) if isinstance(node, ast.keyword) and node.arg}


def _unpacks(tree):
    """Whether a call that may be of the firmware's own has `**options`, whose names are in strings. What a function was
    passed by name (`def f(**more)`) somebody has named."""
    more = {node.args.kwarg.arg for node in syntax.walk(tree) if isinstance(node, _FUNCTIONS) and node.args.kwarg}
    return any(isinstance(node, ast.Call) and getattr(node.func, "attr", None) not in _MAKERS
               and any(word.arg is None and getattr(word.value, "id", None) not in more for word in node.keywords)
               for node in syntax.walk(tree))


def _shorten_parameters(tree, by_name):
    """One letter for each parameter, changed in its function and in those within it alike."""
    for node in [n for n in syntax.walk(tree) if isinstance(n, _FUNCTIONS)]:  # the outer ones first
        arguments = node.args
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        # its defaults are of the function around it
        inside = [*every, *(n for part in body for n in syntax.walk(part))]
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
