"""The step before mpy-cross, case by case: what goes in, what comes out."""

import ast

import pytest

from spot_host import build
from spot_host.inlining import Program

CODES = "from spot.port import const\nA = const(7)\nLOW = const(-(1 << 4) + 1)\nBIG = const(1 << 30)\nROWS = (1, 2)\n"
PORT = "from micropython import const\nptr8 = None\ndef sha(x):\n    return x\n"


def transformed(text, codes=CODES, path="spot/here.py", **others):
    """The module after the step, in a program with `spot.codes`, `spot.port` and others."""
    sources = {"spot/port.py": PORT, "spot/codes.py": codes, path: text}
    sources.update({"spot/%s.py" % name: other for name, other in others.items()})
    program = Program(sources)
    return program.text(path).strip(), program


def same(text, wanted):
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(wanted)), text


# (sentence, what goes in, what comes out)
CASES = (
    ("a constant becomes its value and its import goes", "from spot.codes import A\nx = [A]", "x = [7]"),
    ("so it does under another name", "from spot.codes import A as B\nx = [B]", "x = [7]"),
    ("from a relative import", "from .codes import A\nx = [A]", "x = [7]"),
    ("through the module", "from spot import codes\nx = [codes.A]", "from spot import codes\nx = [7]"),
    ("what is no constant stays imported", "from .codes import A, ROWS\nx = [A, ROWS]",
     "from .codes import ROWS\nx = [7, ROWS]"),
    ("an expression of constants is worked out", "from .codes import LOW\nx = [LOW]", "x = [-15]"),
    ("a negative value keeps its place in an expression", "from .codes import LOW\nx = [LOW ** 2]", "x = [(-15) ** 2]"),
    ("more than a small int of a 32-bit chip stays", "from .codes import BIG\nx = [BIG]",
     "from .codes import BIG\nx = [BIG]"),
    ("default arguments", "from .codes import A\ndef f(x=A, *, y=A):\n    return x",
     "def f(x=7, *, y=7):\n    return x"),
    ("keywords of calls are names of something else", "from .codes import A\nx = f(A=A)", "x = f(A=7)"),
    ("attributes may be names of something else: the import stays", "from .codes import A\nx = [self.A, A]",
     "from .codes import A\nx = [self.A, 7]"),
    ("an import within a function", "def f():\n    from .codes import A\n    return A", "def f():\n    return 7"),
    ("a function of which nothing is left", "def f():\n    from .codes import A", "def f():\n    pass"),
    ("a class's own constant", "from .codes import A\nclass C:\n    LIMIT = A", "class C:\n    LIMIT = 7"),
    ("a name that is assigned stays", "from .codes import A\nA = A + 1", "from .codes import A\nA = A + 1"),
    ("a name that is global somewhere stays", "from .codes import A\ndef f():\n    global A\n    A = 3\nx = [A]",
     "from .codes import A\ndef f():\n    global A\n    A = 3\nx = [A]"),
    ("a parameter of that name: all stays", "from .codes import A\nx = [A]\ndef f(A):\n    return A",
     "from .codes import A\nx = [A]\ndef f(A):\n    return A"),
    ("a loop variable of that name: all stays", "from .codes import A\nx = [A for A in y]",
     "from .codes import A\nx = [A for A in y]"),
    ("a caught exception of that name: all stays", "from .codes import A\ntry:\n    f(A)\nexcept E as A:\n    pass",
     "from .codes import A\ntry:\n    f(A)\nexcept E as A:\n    pass"),
    ("a name in a string stays imported", "from .codes import A\nx = [A, globals()['A']]",
     "from .codes import A\nx = [7, globals()['A']]"),
    ("in __all__ it is no use, and __all__ goes", "from .codes import A\n__all__ = ('A', 'f')\nx = [A]", "x = [7]"),
    ("viper keeps its decorator and annotations; what the compiler reads is not imported",
     "from .codes import A\nfrom .port import micropython, ptr8, sha\n@micropython.viper\n"
     "def f(buf: ptr8, n: int) -> int:\n    return ptr8(n)[0] + buf[A]\nx = sha",
     "from .port import sha\n@micropython.viper\n"
     "def f(buf: ptr8, n: int) -> int:\n    return ptr8(n)[0] + buf[7]\nx = sha"),
    ("native too", "from .port import micropython\n@micropython.native\ndef f(n):\n    return n",
     "@micropython.native\ndef f(n):\n    return n"),
    ("but ptr8 is looked up in ordinary code", "from .port import ptr8\nx = ptr8", "from .port import ptr8\nx = ptr8"),
    ("and so are other functions of micropython", "from .port import micropython\nmicropython.heap_lock()",
     "from .port import micropython\nmicropython.heap_lock()"),
    ("docstrings go", '"""Why."""\ndef f():\n    """What."""\nclass C:\n    """Who."""\n    x = 1',
     "def f():\n    pass\nclass C:\n    x = 1"),
    ("strings that are used stay", "def f():\n    return 'text'", "def f():\n    return 'text'"),
    ("its own constants too, the private ones without const()",
     "from .port import const\nB = const(3)\n_C = 4\n_D = const(B + 2)\nx = [B, _C, _D]", "x = [3, 4, 5]"),
    ("a private one that is counted up stays", "_C = 4\n_C += 1\nx = [_C]", "_C = 4\n_C += 1\nx = [_C]"),
    ("a public integer without const() may be replaced from outside: stays", "LIMIT = 4\nx = [LIMIT]",
     "LIMIT = 4\nx = [LIMIT]"),
    ("a table that nobody reads goes", "_T = (1, 'a')\nx = 1", "x = 1"),
    ("a table that is made by a call stays", "_T = (f(),)\nx = 1", "_T = (f(),)\nx = 1"),
    ("a list that nobody reads by name stays: it may be the point", "t = [1]", "t = [1]"),
    ("the other runtime's branch goes",
     "from .port import IS_MICROPYTHON\nif IS_MICROPYTHON:\n    x = 1\nelse:\n    x = 2", "x = 1"),
)


@pytest.mark.parametrize("text, wanted", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_step(text, wanted):
    port = PORT + "import sys\nIS_MICROPYTHON = sys.implementation.name == 'micropython'\n"
    same(transformed(text, port=port)[0], wanted)


def test_definitions_that_nobody_looks_up_go():
    _, program = transformed("from .codes import A, ROWS\nx = [A, ROWS]")
    same(program.text("spot/codes.py"), "BIG = const(1 << 30)\nROWS = (1, 2)")


@pytest.mark.parametrize("use", ["x = getattr(y, 'A')", "x = y.A", "from .codes import A\nA += 1",
                                 "from .codes import A as B\nB += 1"])
def test_a_definition_that_somebody_may_look_up_stays(use):
    assert "A = const(7)" in transformed(use)[1].text("spot/codes.py")


def test_a_constant_that_another_module_changes_stays_everywhere():
    text, program = transformed("from .codes import A\nx = [A]", other="from . import codes\ncodes.A = 9")
    same(text, "from .codes import A\nx = [A]")
    assert "A = const(7)" in program.text("spot/codes.py")


def test_a_constant_passed_on_is_replaced_where_it_ends():
    text, program = transformed("from .middle import A\nx = [A]", middle="from .codes import A\ny = [A]")
    same(text, "x = [7]")
    same(program.text("spot/middle.py"), "y = [7]")


def test_a_constant_passed_on_stays_on_its_way_to_who_needs_the_name():
    text, program = transformed("from .middle import A\nA += 1", middle="from .codes import A\ny = [A]")
    same(text, "from .middle import A\nA += 1")
    same(program.text("spot/middle.py"), "from .codes import A\ny = [7]")
    assert "A = const(7)" in program.text("spot/codes.py")


def test_a_script_beside_the_firmware_gets_the_values_that_are_gone_there():
    _, program = transformed("x = 1")
    same(program.guest("from spot import codes\nfrom spot.codes import A, BIG\nprint(A, codes.LOW, BIG)"),
         "from spot import codes\nfrom spot.codes import BIG\nprint(7, -15, BIG)")


@pytest.mark.parametrize("script", ["from spot.codes import A\nA += 1", "from spot.codes import NONE\nprint(NONE)"])
def test_a_script_that_needs_what_is_gone_is_refused(script):
    with pytest.raises(ValueError, match="at run time"):
        transformed("x = 1")[1].guest(script)


def test_the_firmware_imports_no_name_that_is_gone():
    """Every `from spot… import` of the transformed firmware finds its name in the transformed module."""
    texts = build.sources()
    program = Program(texts)
    for path in texts:
        tree = ast.parse(program.text(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = next(name for name in build.imported(ast.Module([node], []), path))
                if module in program.modules:
                    assert {alias.name for alias in node.names} <= program.names(module), (path, module)
