"""The firmware's modules put into one: `spot/__init__.mpy` in place of some sixty files.

A .mpy file carries the names that it uses, and each import between modules is code: one file for all that a board needs
saves both, in the flash and in the heap. Every module's top-level names become names of the one module `spot`:

- an import of a bundled module, at the top or in a function, goes; its names are there already;
- `module.name` of an imported module becomes the name itself;
- a name that two modules define, that some function uses for a local of its own where it would be meant, or that is a
  builtin elsewhere, gets its module's name behind it: `_log__run`;
- a module comes after those that it imports; what only its functions import follows it.

Parts are loaded on demand, such as a link that few configurations name: modules that only functions import. Such a
module is a file of its own at its path, together with all that only it needs, and takes the rest `from spot import …`.
`main.py` keeps what stands under `if __name__ == "__main__"`.

- a function, class, constant or method whose name nobody reads, not even in a string, goes (a public method only when
  no library knows its name); so does a plain value that is written into an attribute of `self` which nobody reads;
- what of the bundle's only a part reads, goes into that part.

What this cannot do it refuses: a module used as a value or written to, an import of a name that is not there.
Scripts that run beside a bundle (tests, a board's support) go through `Bundle.guest`.
"""

import ast
import re

from . import library_names, syntax
from .errors import UserError

PACKAGE = "spot"
_PORT = "spot.port"
START = "__main__"  # what is left of main.py
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Names that mean something to the compiler wherever they stand: the port's alone, never changed.
RESERVED = {"const", "micropython", "ptr8", "ptr16", "ptr32", "uint"}


class Scope:
    """One scope of a file: names bound in it, and what its imports of the program's modules stand for."""

    def __init__(self, kind):
        self.kind = kind  # "module", "class", "function"
        self.bound = set()
        self.imports = {}  # local name → (module, name) or (module, None) for a module
        self.passed = set()  # names declared global or nonlocal


class Bundle:
    """Modules under new names: `files`, {name of the file's module: tree}: PACKAGE, START, and a file for each part.

    trees: {module name: tree}; packages: which of them are packages; parts: names of those to be files of their own
    (one that some module imports at its top goes where that goes); wanted: names that scripts beside it use. UserError
    for what cannot be bundled.
    """

    def __init__(self, trees, packages, parts=(), wanted=()):
        self._packages = packages
        self._trees = syntax.copied(trees)
        if "main" in trees:
            self._split_main()
        self._homes = self._homes_of(parts)  # module → the part that it is in
        self._scopes = {name: self._scope("module", name, tree.body) for name, tree in self._trees.items()}
        self._outside = {}  # (module, local name) → an import from outside of the program at the top, as text
        for name, tree in self._trees.items():
            for node in tree.body:
                for alias in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
                    if self._target(name, node, alias) is None:
                        self._outside[name, _local(alias)] = _import_text(node, alias)
        self._used = {name: self._uses(name) for name in self._trees}
        self._names = self._named()
        self._moved = {}  # new name → the part that it went into: _sink
        self.files = {}
        for name in self._ordered():
            self.files.setdefault(self._homes[name], []).append(name)
        self.files = {home: self._file(home, names) for home, names in sorted(self.files.items())}
        self._drop_unread(set(wanted))
        self._sink(set(wanted))

    def _split_main(self):
        """What stands under `if __name__ == "__main__"` becomes a file of its own."""
        main = self._trees["main"]
        blocks = [node for node in main.body if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)]
        if len(blocks) != 1:
            raise UserError("main.py has no block of its own under `if __name__ == ...`")
        main.body.remove(blocks[0])
        there = set(_bindings(main))
        read = {node.id for node in syntax.walk(blocks[0]) if isinstance(node, ast.Name)}
        names = [ast.alias(name) for name in sorted(read & there)]
        self._trees[START] = ast.Module([ast.ImportFrom("main", names, 0), *blocks[0].body], [])

    # Which file a module is in

    def _imports(self, name):
        """[(module that is imported, whether at the top)] of one module."""
        tree = self._trees[name]
        top = {id(node) for node in tree.body}
        for node in syntax.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    target = self._target(name, node, alias)
                    if target:
                        yield target[0], id(node) in top

    def _homes_of(self, parts):
        """{module: the part that it is in}: the innermost one without which nothing reaches it."""
        edges = {name: list(self._imports(name)) for name in self._trees}
        at_top = {target for name, found in edges.items() if name not in parts for target, top in found if top}
        parts = (set(parts) & set(self._trees)) - at_top

        def reached(without):
            seen, waiting = set(), [name for name in ("main", START) if name in self._trees] or list(self._trees)
            while waiting:
                name = waiting.pop()
                if name not in seen and name != without:
                    seen.add(name)
                    waiting += [target for target, _ in edges[name]]
            return seen

        every = reached(None)  # what nothing leads to is for scripts beside it: in the package
        needs = {part: every - reached(part) for part in sorted(parts)}  # what only it leads to, and itself
        homes = {}
        for name in self._trees:
            around = [part for part in needs if name in needs[part]]
            homes[name] = min(around, key=lambda part: len(needs[part])) if around else PACKAGE
        self._around = {part: {PACKAGE, *(other for other in needs if part in needs[other])} for part in needs}
        self._around[PACKAGE] = {PACKAGE}
        if START in self._trees:
            homes[START] = START
            self._around[START] = {PACKAGE, START}
        return homes

    def _file(self, home, names):
        """The tree of one file."""
        body, taken = [], {}
        for name in names:
            body += self._rewritten(name, taken)
        for there, new in sorted(taken.items(), reverse=True):
            body.insert(0, ast.ImportFrom(there, [ast.alias(name) for name in sorted(new)], 0))
        tree = ast.Module(body, [])
        _drop_repeated(tree)
        return tree

    def guest(self, tree, name="__main__"):
        """The tree of a script that is no part of the firmware, as it runs beside the bundle. ValueError when it uses
        what is not there at run time."""
        module = f"guest {name}"  # no module of the program has such a name
        self._trees[module] = tree
        try:
            self._scopes[module] = self._scope("module", module, tree.body)
            here = {name for tree in self.files.values() for name in _bindings(tree)}
            try:
                uses = self._uses(module)
                self._check_imports(tree, module, here)
            except UserError as error:
                raise ValueError(f"{name}: {error} at run time") from None
            dotted = {}
            for chain, node, field, origin, _ in uses:
                if origin and origin[0] != module:
                    if self._names[origin] not in here:
                        raise ValueError(f"{name}: {origin[0]} has no {origin[1]} at run time")
                    if field == "dotted":
                        dotted[id(node)] = f"{self.home(origin)}.{self._names[origin]}"
                        if _bound(chain, PACKAGE) or PACKAGE in chain[0].bound:
                            raise ValueError(f"{name}: {PACKAGE} is a name of its own here")
            tree = _Rewrite(self, module, dotted, outside=True).visit(tree)
        finally:
            del self._trees[module]
            self._scopes.pop(module, None)
        for home in sorted({text.rpartition(".")[0] for text in dotted.values()}):
            tree.body.insert(0, ast.Import([ast.alias(home)]))
        return ast.fix_missing_locations(tree)

    def _check_imports(self, tree, module, here):
        for node in syntax.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    meant = self._meant(module, node, alias)
                    if meant and meant[1] and self._names[self.origin(*meant)] not in here:
                        raise UserError(f"{meant[0]} has no {meant[1]}")

    # Who means what

    def _resolve(self, name, node):
        """Absolute name of the module that a `from … import` of the module `name` names."""
        if not node.level:
            return node.module or ""
        parts = name.split(".") if name in self._packages else name.split(".")[:-1]
        return ".".join(parts[: len(parts) - node.level + 1] + ([node.module] if node.module else []))

    def _target(self, name, node, alias):
        """(module, name) or (module, None) of the program that one alias of an import names, else None."""
        if isinstance(node, ast.Import):
            if alias.name in self._trees and not alias.asname:
                raise UserError(f"{name}: the import of {alias.name} as a module cannot be bundled")
            return (alias.name, None) if alias.name in self._trees else None
        origin = self._resolve(name, node)
        if f"{origin}.{alias.name}" in self._trees:
            return f"{origin}.{alias.name}", None
        return (origin, alias.name) if origin in self._trees else None

    def _meant(self, name, node, alias):
        """As `_target` when it is there without an import: in the same file, or in one that is loaded before."""
        target = self._target(name, node, alias)
        if target is None or name not in self._homes or self._homes[target[0]] in self._around[self._homes[name]]:
            return target
        if target[1] is None:
            raise UserError(f"{name}: the import of {target[0]} as a module cannot be bundled")
        return None

    def _scope(self, kind, name, body, arguments=None):
        scope = Scope(kind)
        if arguments is not None:
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
            scope.bound |= {a.arg for a in every if a}
        waiting, targets = list(body), set()
        while waiting:
            node = waiting.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                scope.bound.add(node.name)
                continue
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, _COMPREHENSIONS):
                for part in node.generators:
                    targets |= {id(n) for n in syntax.walk(part.target)}
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in targets:
                scope.bound.add(node.id)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                scope.bound.add(node.name)
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                scope.passed |= set(node.names)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    meant = self._meant(name, node, alias)
                    if meant is None:
                        scope.bound.add(_local(alias))
                    elif scope.imports.setdefault(_local(alias), meant) != meant:
                        raise UserError(f"{name}: {_local(alias)} is imported from two places")
            waiting += syntax.children(node)
        scope.bound -= scope.passed
        if scope.bound & set(scope.imports):
            raise UserError(f"{name}: {min(scope.bound & set(scope.imports))} is imported and assigned")
        return scope

    def origin(self, module, name, seen=()):
        """(module, name) where a top-level name is defined, through imports; (module, None) for a module."""
        scope = self._scopes[module]
        if name in scope.bound:
            return module, name
        if name in scope.imports and (module, name) not in seen:
            there, inner = scope.imports[name]
            return (there, None) if inner is None else self.origin(there, inner, (*seen, (module, name)))
        raise UserError(f"{module} has no {name}")

    def _uses(self, module):
        """[(chain of scopes, node, field of the node, origin or None for a builtin, name)] of the top-level names that
        are looked up, bound or declared in a file."""
        found = []

        def use(chain, node, field, name):
            for i in range(len(chain) - 1, -1, -1):
                scope = chain[i]
                if scope.kind == "class" and i != len(chain) - 1:
                    continue
                if name in scope.bound:
                    if i == 0:
                        found.append((chain, node, field, (module, name), name))
                    return
                if name in scope.imports:
                    there, inner = scope.imports[name]
                    origin = (there, None) if inner is None else self.origin(there, inner)
                    if origin[1] is None and field == "value":
                        origin = self.origin(origin[0], node.attr)
                        field = "dotted"
                    if origin[1] is None or field == "dotted" and not isinstance(node.ctx, ast.Load):
                        raise UserError(f"{module}: the module {name} is used as a value, or written to")
                    found.append((chain, node, field, origin, name))
                    return
            found.append((chain, node, field, None, name))

        def walk(node, chain):
            if isinstance(node, ast.Name):
                use(chain, node, "id", node.id)
                return
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                use(chain, node, "value", node.value.id)
                return
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                for i, name in enumerate(node.names):
                    use(chain[:1] if isinstance(node, ast.Global) else chain[:-1], node, i, name)
            elif isinstance(node, ast.Lambda):
                arguments(node.args, chain)
                walk(node.body, (*chain, self._scope("function", module, [node.body], node.args)))
                return
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                use(chain, node, "name", node.name)
                for part in node.decorator_list:
                    if not _for_the_compiler(part):
                        walk(part, chain)
                arguments(node.args, chain)
                inner = (*chain, self._scope("function", module, node.body, node.args))
                for part in node.body:
                    walk(part, inner)
                return
            elif isinstance(node, ast.ClassDef):
                use(chain, node, "name", node.name)
                for part in (*node.decorator_list, *node.bases, *node.keywords):
                    walk(part, chain)
                inner = (*chain, self._scope("class", module, node.body))
                for part in node.body:
                    walk(part, inner)
                return
            elif isinstance(node, _COMPREHENSIONS):
                scope = Scope("function")
                scope.bound = {n.id for g in node.generators for n in syntax.walk(g.target) if isinstance(n, ast.Name)}
                first = node.generators[0].iter
                walk(first, chain)
                for part in syntax.children(node):
                    for inner in syntax.children(part) if isinstance(part, ast.comprehension) else (part,):
                        if inner is not first:
                            walk(inner, (*chain, scope))
                return
            elif isinstance(node, ast.ExceptHandler) and node.name:
                use(chain, node, "name", node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    if self._meant(module, node, alias) is None:
                        use(chain, alias, "asname", _local(alias))
            for part in syntax.children(node):
                walk(part, chain)

        def arguments(node, chain):
            for part in (*node.defaults, *node.kw_defaults):
                if part is not None:
                    walk(part, chain)

        walk(self._trees[module], (self._scopes[module],))
        return found

    # What is called how

    def _key(self, origin):
        """What shares one name: a definition, or an import from outside that several files have."""
        return self._outside.get(origin, origin)

    def _named(self):
        """{(module, name): the name in the bundle}."""
        places = {}
        for module, scope in self._scopes.items():
            for name in scope.bound:
                places.setdefault(self._key((module, name)), []).append((module, name))
        uses = [use for found in self._used.values() for use in found]
        free = {name for _, _, _, origin, name in uses if origin is None}
        # The import of a part makes the last word of each package's name a name of the package around it.
        free |= {word for part in set(self._homes.values()) for word in part.split(".")[1:]}
        keys = {}
        for key, where in places.items():
            keys.setdefault(where[0][1], []).append(key)
        for name in RESERVED & set(keys):
            if {module for key in keys[name] for module, _ in places[key]} != {_PORT}:
                raise UserError(f"{name} is defined outside {_PORT}")
        qualified = {key for name, same in keys.items() for key in same
                     if (len(same) > 1 or name in free) and name not in RESERVED}
        while True:
            names = {}
            for key, where in places.items():
                module, name = min(where)
                new = f"{name}__{module.rpartition('.')[2]}" if key in qualified else name
                names.update(dict.fromkeys(where, new))
            hidden = {self._key(origin) for chain, _, _, origin, _ in uses if origin and _bound(chain, names[origin])}
            if hidden <= qualified:
                break
            qualified |= hidden
        seen = {}
        for place, new in names.items():
            if seen.setdefault(new, self._key(place)) != self._key(place):
                raise UserError(f"{place} and {seen[new]} would both be called {new}")
        return names

    def _ordered(self):
        """The modules, each after those that it imports at the top; what only a function imports comes after it."""
        order, entered = [], set()

        def enter(name):
            if name in entered:
                return
            entered.add(name)
            found = list(self._imports(name))
            for target, top in found:
                if top:
                    enter(target)
            order.append(name)
            for target, _ in found:
                enter(target)

        for name in sorted(self._trees, key=lambda name: (name != "main", name)):
            enter(name)
        return order

    # The new text

    def _drop_unread(self, wanted):
        kept = wanted | {new for (_, name), new in self._names.items() if name in wanted}
        while True:
            read = kept.union(*map(words, self.files.values()))
            attributes = kept.union(*map(_looked_up, self.files.values()))
            gone = []
            for tree in self.files.values():
                drop = _DropUnread(tree.body, read, attributes)
                drop.visit(tree)
                gone += drop.gone
            if not gone:
                return

    def home(self, origin):
        """The file that (module, name) is in."""
        return self._moved.get(self._names[origin], self._homes[origin[0]])

    def _sink(self, wanted):
        """Moves definitions that only parts read out of the package: to the one of these parts that the others come
        after. Not what scripts beside it use, nor what is bound or declared global more than once."""
        body = self.files[PACKAGE].body
        bound = [name for node in body for name in _bindings(ast.Module([node], []))]
        fixed = wanted | {new for (_, name), new in self._names.items() if name in wanted} | RESERVED
        for tree in self.files.values():
            fixed.update(name for node in syntax.walk(tree) if isinstance(node, ast.Global) for name in node.names)
        found = {}  # name → its definition
        for node in body:
            name = _movable(node)
            if name and name not in fixed and bound.count(name) == 1:
                found[name] = node
        reads = {id(node): _globals_read(node) for node in body}
        needed = {home: _taken(tree) for home, tree in self.files.items() if home != PACKAGE}
        needed.update({id(node): reads[id(node)] for node in body})  # by whom: a file, or a statement of the package
        going = True
        while going:
            going = False
            for name, node in reversed(found.items()):
                who = {by for by, names in needed.items() if name in names and by != id(node)}
                if name in self._moved or not who or not all(isinstance(by, str) for by in who):
                    continue
                home = [one for one in who if one != START and all(one in self._around[by] for by in who)]
                if home:
                    self._moved[name] = home[0]
                    needed[home[0]] |= needed.pop(id(node))
                    going = True
        self._move(found)

    def _move(self, found):
        """Carries out `_moved`: the definitions in `found` leave the package, the imports follow."""
        body = self.files[PACKAGE].body
        here = set(_bindings(self.files[PACKAGE]))
        gone = {id(found[name]) for name in self._moved}
        self.files[PACKAGE].body = [node for node in body if id(node) not in gone]
        for home, tree in self.files.items():
            if home == PACKAGE:
                continue
            came = [node for node in body if id(node) in gone and self._moved[_movable(node)] == home]
            own = {_movable(node) for node in came} | {
                name for node in tree.body if getattr(node, "module", None) != PACKAGE
                for name in _bindings(ast.Module([node], []))}
            wanted = _taken(tree) | set().union(*map(_globals_read, came))
            wanted = wanted & (here | set(self._moved)) - own - RESERVED
            rest = [node for node in tree.body if not _takes(node)]
            by_home = {}
            for name in sorted(wanted):
                by_home.setdefault(self._moved.get(name, PACKAGE), []).append(ast.alias(name))
            imports = [ast.ImportFrom(there, names, 0) for there, names in sorted(by_home.items())]
            tree.body = imports + came + rest

    def _rewritten(self, module, taken):
        """The statements of a module under the new names; taken: {file: names} that they need of others grows."""
        dotted = {}
        for _, node, field, origin, _ in self._used[module]:
            if origin is None:
                continue
            new = self._names[origin]
            if self._homes[origin[0]] != self._homes[module]:
                taken.setdefault(self._homes[origin[0]], set()).add(new)
            if field == "dotted":
                dotted[id(node)] = new
            elif field == "value":
                node.value.id = new
            elif isinstance(field, int):
                node.names[field] = new
            else:
                setattr(node, field, new)
        return _Rewrite(self, module, dotted).visit(self._trees[module]).body


def _takes(node):
    return isinstance(node, ast.ImportFrom) and node.module == PACKAGE and not node.level


def _taken(tree):
    """The names that a part's file takes from the package: at its top alone, under no other name."""
    return {alias.name for node in tree.body if _takes(node) for alias in node.names}


def _movable(node):
    """The name of a definition whose time does not matter: a function, a plain value, a class of such; else None."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id if _is_plain(node.value) else None
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.ClassDef) and all(_movable(part) or isinstance(part, ast.Pass) for part in node.body):
        return node.name
    return None


def _globals_read(node):
    return {n.id for n in syntax.walk(node) if isinstance(n, ast.Name)}


def _looked_up(tree):
    """Every name that may be that of an attribute which a file reads, and what a string names."""
    out = set(library_names.NAMES)
    for node in syntax.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            out.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            out.update(re.findall(r"\w+", node.value))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            if not (_of_self(node.target) and _is_plain(node.value)):  # it is to stay, and reads what was there
                out.add(node.target.attr)
        elif isinstance(node, ast.ClassDef):  # its body may read them by their names
            for part in node.body:
                if not isinstance(part, _FUNCTIONS):
                    out.update(n.id for n in syntax.walk(part) if isinstance(n, ast.Name))
    return out


def _of_self(attribute):
    return isinstance(attribute.value, ast.Name) and attribute.value.id == "self"


class _DropUnread(ast.NodeTransformer):
    """Drops from a file the definitions whose names are not in `read`, and from classes methods and what goes into
    attributes that are not in `attributes`; `gone` lists them."""

    def __init__(self, top, read, attributes):
        self._top, self._read, self.gone = {id(node) for node in top}, read, []
        self._attributes = attributes
        self._methods = {id(part) for node in top if isinstance(node, ast.ClassDef) for part in node.body}

    def _unread(self, node, name):
        private = name.startswith("_") and not name.startswith("__")  # others may be called by a library
        if name in self._read or not (private or id(node) in self._top):
            return False
        self.gone.append(name)
        return True

    def visit_FunctionDef(self, node):
        if id(node) in self._methods and not node.name.startswith("__") and node.name not in self._attributes:
            self.gone.append(node.name)
            return None
        if self._unread(node, node.name):
            return None
        node = self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def _block(self, node):
        node = self.generic_visit(node)
        if not node.body:
            node.body = [ast.Pass()]
        return node

    visit_If = visit_For = visit_While = visit_With = visit_Try = visit_ExceptHandler = _block

    def _forgotten(self, target):
        return isinstance(target, ast.Attribute) and _of_self(target) and target.attr not in self._attributes

    def visit_AugAssign(self, node):
        if self._forgotten(node.target) and _is_plain(node.value):
            self.gone.append(node.target.attr)
            return None
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        if self._unread(node, node.name):
            return None
        node = self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_Assign(self, node):
        gone = [target for target in node.targets if self._forgotten(target)]
        if gone and (len(gone) < len(node.targets) or _is_plain(node.value)):
            self.gone += [target.attr for target in gone]
            node.targets = [target for target in node.targets if target not in gone]
            if not node.targets:
                return None
        target = node.targets[0]
        if id(node) in self._top and len(node.targets) == 1 and isinstance(target, ast.Name) and _is_plain(node.value):
            return None if self._unread(node, target.id) else node
        return node


def _is_plain(node):
    """Literals and names: nothing happens when they are worked out."""
    plain = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Name, ast.Load, ast.UnaryOp, ast.unaryop)
    return all(isinstance(n, plain) for n in syntax.walk(node))


class _Rewrite(ast.NodeTransformer):
    """Drops the imports of what is in the bundle, and puts names for `module.name`. outside: in a script that is no
    part of the firmware, where the names are imported instead."""

    def __init__(self, bundle, module, dotted, outside=False):
        self._bundle, self._module, self._dotted, self._outside = bundle, module, dotted, outside

    def visit_Attribute(self, node):
        if id(node) in self._dotted:
            return ast.copy_location(ast.parse(self._dotted[id(node)], mode="eval").body, node)
        return self.generic_visit(node)

    def visit_Import(self, node):
        bundle, module = self._bundle, self._module
        meant = {alias: bundle._meant(module, node, alias) for alias in node.names}
        made = []
        for alias in node.names:
            target = meant[alias] or bundle._target(module, node, alias)
            if target and target[1] and (self._outside or not meant[alias]):
                origin = bundle.origin(*target)
                local, new = _local(alias), bundle._names[origin]
                name = ast.alias(new, local if local != new else None)
                made.append(ast.ImportFrom(bundle.home(origin), [name], 0))
        node.names = [alias for alias in node.names if not bundle._target(module, node, alias)]
        if isinstance(node, ast.ImportFrom):
            node.module, node.level = bundle._resolve(module, node), 0
        for alias in node.names:
            if alias.asname == alias.name:
                alias.asname = None
        return made + [node] if node.names else made or None

    visit_ImportFrom = visit_Import

    def _body(self, node):
        node = self.generic_visit(node)
        if not node.body:
            node.body = [ast.Pass()]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_If = visit_For = visit_With = _body
    visit_AsyncFor = visit_AsyncWith = visit_While = visit_Try = visit_ExceptHandler = _body


def _bindings(tree):
    """Names that the statements at the top of a file bind."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from map(_local, node.names)
        else:
            yield from (n.id for n in syntax.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load))


def words(tree):
    """Every name that a file reads, as a name, an attribute, an import or within a string."""
    out = set()
    for node in syntax.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            out.add(node.id)
        elif isinstance(node, ast.Attribute):
            out.add(node.attr)
        elif isinstance(node, ast.alias):
            out.add(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            out.update(re.findall(r"\w+", node.value))
    return out


def _drop_repeated(tree):
    """The second and later of equal imports at the top."""
    seen, kept = set(), []
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            node.names = [a for a in node.names if _import_text(node, a, True) not in seen]
            seen |= {_import_text(node, alias, True) for alias in node.names}
            if not node.names:
                continue
        kept.append(node)
    tree.body = kept


def _local(alias):
    return alias.asname or alias.name.partition(".")[0]


def _import_text(node, alias, whole=False):
    """One alias of an import as a statement; the same text is the same import."""
    alias = alias if whole else ast.alias(alias.name, alias.asname if isinstance(node, ast.Import) else None)
    if isinstance(node, ast.Import):
        return ast.unparse(ast.Import([alias]))
    return ast.unparse(ast.ImportFrom(node.module, [alias], node.level))


def _bound(chain, name):
    """Whether `name`, looked up at the end of the chain, would be found below the top."""
    return any(name in scope.bound for i, scope in enumerate(chain)
               if i and (scope.kind != "class" or i == len(chain) - 1))


def _for_the_compiler(decorator):
    return isinstance(decorator, ast.Attribute) and ast.unparse(decorator.value) == "micropython"
