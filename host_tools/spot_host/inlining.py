"""The firmware's constants put where they are used: a source-to-source step before mpy-cross, which folds `const(…)`
within one file only.

A public constant that another module imports costs on the chip its name in both files, the import, and a look-up at
each use. Here the firmware is one program: the value takes the place of the name, the import goes, and the definition
goes when nobody needs it at run time. Behaviour stays. What is not certain is left as it is:

- a name that has any second binding in its file (assignment, parameter, loop variable, `global`, …) is not replaced;
- a definition, or an import, whose name stands in a string of the firmware (getattr, a table of names) or that is
  written from outside stays;
- only integers that are small ints on a 32-bit chip are replaced, so viper code takes them.

On the way: `IS_MICROPYTHON` is true, and the branches for the other runtime go; names that only the compiler reads
(`const`, `ptr8`, `micropython.viper`) are not imported; docstrings, `__all__` and `__repr__` go, and the words of
errors that never leave their layer (`_WORDLESS`).

Scripts that run beside a firmware built this way (board support, tests) go through `Program.guest`.
"""

import ast
import operator
from pathlib import PurePosixPath

from . import syntax

SMALLEST, LARGEST = -(1 << 30), (1 << 30) - 1  # small ints where a word has 32 bits
_PORT = "spot.port"
_FACT = "IS_MICROPYTHON"  # of the port: true wherever the outcome runs
_COMPILER_NAMES = {"const", "micropython", "ptr8", "ptr16", "ptr32", "uint"}
_EMITTERS = {"viper", "native", "bytecode"}
_BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_, ast.BitXor: operator.xor,
}
_UNARY = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert}


def literal(value):
    """The node of an integer; a negative number is an operator on a positive one, as the grammar has it."""
    if value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


class _Module:
    """One file: its tree, and what names are bound and read in it."""

    def __init__(self, name, text, is_package):
        self.name = name
        self.package = name if is_package else name.rpartition(".")[0]
        self.tree = _Dead().visit(ast.parse(text))
        self.values = {}  # name → expression of `NAME = const(expression)` and of `_NAME = integer`, at the top
        self.imports = {}  # local name → (module, name there), or (module, None) for a module itself
        self.bindings = {}  # name → how often it is bound, in any scope
        self.written = set()  # (local name, attribute) of `module.NAME = …`
        self._look()

    def resolve(self, node):
        """Absolute name of the module that a `from … import` names."""
        if not node.level:
            return node.module or ""
        parts = self.package.split(".")
        parts = parts[: len(parts) - node.level + 1]
        return ".".join(parts + ([node.module] if node.module else []))

    def _bind(self, name):
        self.bindings[name] = self.bindings.get(name, 0) + 1

    def _look(self):
        imported = {}
        for node in syntax.walk(self.tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                self._bind(node.id)
            elif isinstance(node, ast.arg):
                self._bind(node.arg)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self._bind(node.name)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                self._bind(node.name)
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                for name in node.names:
                    self._bind(name)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    source = (alias.name, None) if alias.asname else (alias.name.partition(".")[0], None)
                    imported.setdefault(alias.asname or source[0], set()).add(source)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    source = (self.resolve(node), alias.name)
                    imported.setdefault(alias.asname or alias.name, set()).add(source)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
                if isinstance(node.value, ast.Name):
                    self.written.add((node.value.id, node.attr))
        for name, sources in imported.items():  # the same import in two functions is one
            self.bindings[name] = self.bindings.get(name, 0) + len(sources)
            if len(sources) == 1:
                self.imports[name] = next(iter(sources))
        for node in self.tree.body:
            expression = _definition(node)
            if expression is not None:
                self.values[node.targets[0].id] = expression

    def single(self, name):
        return self.bindings.get(name) == 1


def _definition(node):
    """The expression of `NAME = const(expression)` or `_NAME = integer`, else None."""
    if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
        return None
    value = node.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "const":
        return value.args[0] if len(value.args) == 1 and not value.keywords else None
    if node.targets[0].id.startswith("_") and isinstance(value, (ast.Constant, ast.UnaryOp)):
        return value
    return None


class Program:
    """All modules of a firmware: {path below the firmware's folder ("spot/wire/cbor.py"): source text}."""

    def __init__(self, sources):
        self.modules = {}
        self._paths = {}
        for path, text in sources.items():
            pure = PurePosixPath(path)
            package = pure.name == "__init__.py"
            name = ".".join((pure.parent if package else pure.with_suffix("")).parts)
            self.modules[name] = _Module(name, text, package)
            self._paths[path] = name
        self._written = {
            (*self._target(module, alias), attribute)
            for module in self.modules.values() for alias, attribute in module.written
            if self._target(module, alias)
        }
        self._trees = {name: self._inlined(module) for name, module in self.modules.items()}
        self._needed = tuple(set() for _ in range(3))  # strings, attributes, imports: see _looked_up
        for name, tree in self._trees.items():
            for known, more in zip(self._needed, self._looked_up(self.modules[name], tree), strict=True):
                known |= more
        for name, tree in self._trees.items():
            self._prune(self.modules[name], tree, self._needed)

    def trees(self):
        """{module name: tree, transformed} of all modules."""
        return dict(self._trees)

    def packages(self):
        """Names of the modules that are packages."""
        return {name for name, module in self.modules.items() if module.package == name}

    def text(self, path):
        """The source of the module at `path`, transformed."""
        return ast.unparse(self._trees[self._paths[path]]) + "\n"

    def names(self, module_name):
        """Names that a module of the program still has at run time, and its sub-modules."""
        module = _Module(module_name, ast.unparse(self._trees[module_name]), False)
        inner = {name[len(module_name) + 1:] for name in self.modules if name.startswith(module_name + ".")}
        return set(module.bindings) | inner

    def guest(self, text, name="__main__"):
        """The source of a script that is no part of the firmware and runs beside it: the firmware's constants replaced.

        ValueError when it uses a constant in a way that needs it at run time.
        """
        module = _Module(name, text, False)
        tree = self._inlined(module)
        self._prune(module, tree, self._looked_up(module, tree))
        for node in syntax.walk(tree):
            if isinstance(node, ast.ImportFrom) and module.resolve(node) in self.modules:
                there = self.names(module.resolve(node))
                for alias in node.names:
                    if alias.name not in there:
                        raise ValueError(f"{name}: {module.resolve(node)} has no {alias.name} at run time")
        return ast.unparse(tree) + "\n"

    def value(self, module_name, name, seen=()):
        """The integer that `name` of a module always is, else None."""
        module = self.modules.get(module_name)
        if module is None or (module_name, name) in seen or not module.single(name):
            return None
        if (module_name, name) in self._written:
            return None
        seen = (*seen, (module_name, name))
        if name in module.values:
            value = self._evaluate(module, module.values[name], seen)
            return value if value is not None and SMALLEST <= value <= LARGEST else None
        if name in module.imports and module.imports[name][1]:
            return self.value(*module.imports[name], seen)
        return None

    def _evaluate(self, module, node, seen):
        if isinstance(node, ast.Constant):
            return node.value if type(node.value) is int else None
        if isinstance(node, ast.Name):
            return self.value(module.name, node.id, seen)
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            value = self._evaluate(module, node.operand, seen)
            return None if value is None else _UNARY[type(node.op)](value)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            left, right = self._evaluate(module, node.left, seen), self._evaluate(module, node.right, seen)
            return None if left is None or right is None else _BINARY[type(node.op)](left, right)
        return None

    def _target(self, module, local):
        """("spot.codes",) when the local name stands for that module of the program, else ()."""
        source = module.imports.get(local)
        if source is None or not module.single(local):
            return ()
        name = source[0] if source[1] is None else f"{source[0]}.{source[1]}"
        return (name,) if name in self.modules else ()

    def _inlined(self, module):
        tree = ast.parse(ast.unparse(module.tree))
        names = {}
        for name in set(module.imports) | set(module.values):
            if not module.single(name):
                continue
            if name in module.imports:
                origin, inner = module.imports[name]
                value = self.value(origin, inner) if inner else None
            else:
                value = self.value(module.name, name) if module.name in self.modules else None
            if value is not None:
                names[name] = value
        aliases = {name: self._target(module, name)[0] for name in module.imports if self._target(module, name)}
        return ast.fix_missing_locations(_Replace(self, names, aliases).visit(tree))

    def _looked_up(self, module, tree):
        """What a file still looks up at run time: strings, attributes, (module, name) of imports not replaced."""
        strings, attributes, imports = set(), set(), set()
        read = _names_read(tree)
        for node in syntax.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings.add(node.value)
            elif isinstance(node, ast.Attribute):
                attributes.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    local = alias.asname or alias.name
                    if local in read or not module.single(local):
                        source = module.resolve(node), alias.name
                        while source and source[1]:
                            imports.add(source)
                            passed_on = self.modules.get(source[0])
                            source = passed_on.imports.get(source[1]) if passed_on else None
        return strings, attributes, imports

    def _prune(self, module, tree, needed):
        """Drop from `tree` the imports and definitions that are not in `needed` and not read in the file itself."""
        read = _names_read(tree)
        silent = _only_for_the_compiler(tree)

        def kept(name):
            return name in needed[0] or name in needed[1] or (module.name, name) in needed[2]

        def import_stays(origin, alias):
            local = alias.asname or alias.name
            if not module.single(local) or kept(local):
                return True
            if origin == _PORT and local in silent:
                return False
            return local in read or self.value(origin, alias.name) is None

        class Drop(ast.NodeTransformer):
            def visit_ImportFrom(_, node):  # noqa: N805 - the outer self is not meant
                node.names = [alias for alias in node.names if import_stays(module.resolve(node), alias)]
                return node if node.names else None

            def visit_Assign(_, node):  # noqa: N805
                name = node.targets[0].id if isinstance(node.targets[0], ast.Name) else None
                if node not in tree.body or name is None or not module.single(name) or name in read or kept(name):
                    return node
                return None if self.value(module.name, name) is not None or _is_inert(node.value) else node

        Drop().visit(tree)
        for node in syntax.walk(tree):
            if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]


class _Replace(ast.NodeTransformer):
    """Values for names and for `module.NAME`."""

    def __init__(self, program, names, aliases):
        self._program, self._names, self._aliases = program, names, aliases

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load) and node.id in self._names:
            return literal(self._names[node.id])
        return node

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load) and node.value.id in self._aliases:
            value = self._program.value(self._aliases[node.value.id], node.attr)
            if value is not None:
                return literal(value)
        return self.generic_visit(node)


# Errors whose words only tests and host tools read.
_WORDLESS = ("CBORError",)


class _Dead(ast.NodeTransformer):
    """Drops what does nothing on a device: docstrings, `__all__`, the branches for the other runtime, words."""

    def visit_Call(self, node):
        node = self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _WORDLESS and node.args:
            node.args[0] = ast.Constant("")
        return node

    def visit_Name(self, node):
        return ast.Constant(True) if node.id == _FACT and isinstance(node.ctx, ast.Load) else node

    def visit_If(self, node):
        node = self.generic_visit(node)
        return node.body if isinstance(node.test, ast.Constant) and node.test.value is True else node

    def visit_ImportFrom(self, node):
        node.names = [alias for alias in node.names if alias.name != _FACT]
        return node if node.names else None

    def visit_Assign(self, node):
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets):
            return None
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id == _FACT:
            node.value = ast.Constant(True)
        return self.generic_visit(node)

    def _body(self, node):
        if getattr(node, "name", None) == "__repr__":
            return None
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        node = self.generic_visit(node)
        if not node.body and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _body


def _is_inert(node):
    """A tuple of literals, or what the port's one fact has become."""
    try:
        return isinstance(ast.literal_eval(node), tuple) or node.value is True
    except (AttributeError, ValueError):
        return False


def _names_read(tree):
    return {node.id for node in syntax.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _emitter(node):
    return (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "micropython"
            and node.attr in _EMITTERS)


def _only_for_the_compiler(tree):
    """Names of _COMPILER_NAMES that the running program never looks up in this file: MicroPython evaluates neither
    annotations nor its own decorators nor, in viper code, its types."""
    silent = set()
    for node in syntax.walk(tree):
        if isinstance(node, ast.Assign) and _definition(node) is not None and isinstance(node.value, ast.Call):
            silent.add(node.value.func)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                if _emitter(decorator):
                    silent.add(decorator.value)
            parts = [a.annotation for a in syntax.walk(node.args) if isinstance(a, ast.arg)] + [node.returns]
            if any(_emitter(d) and d.attr == "viper" for d in node.decorator_list):
                parts += [n.func for n in syntax.walk(node) if isinstance(n, ast.Call)]
            for part in parts:
                if part is not None:
                    silent |= {n for n in syntax.walk(part) if isinstance(n, ast.Name)}
    loud = {node.id for node in syntax.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node not in silent}
    return _COMPILER_NAMES - loud
