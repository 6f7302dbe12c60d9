"""Modules put into one, case by case: what goes in, what the bundle does; what cannot be put in is refused."""

import ast

import pytest

from spot_host.bundling import Bundle
from spot_host.errors import UserError

MAIN = "import sys\nfrom spot.a import run\nif __name__ == '__main__':\n    sys.exit(run())\n"


def bundled(parts=(), wanted=(), main=MAIN, **texts):
    """The Bundle of `main`, `spot` and its modules."""
    texts = {"main": main, "spot": "", **{"spot." + name: text for name, text in texts.items()}}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    return Bundle(trees, {"spot"}, {"spot." + name for name in parts}, wanted)


def text(tree):
    return ast.unparse(ast.fix_missing_locations(tree))


def same(tree, wanted):
    assert text(tree) == text(ast.parse(wanted))


RUN = "def run():\n    return "

# (sentence, modules, the bundle)
CASES = (
    ("an imported module comes first, and the import goes", {"a": "from .b import f\n" + RUN + "f()",
     "b": "def f(): pass"},
     "import sys\ndef f(): pass\n" + RUN + "f()"),
    ("so does one that is imported by its whole name", {"a": "from spot.b import f\n" + RUN + "f()",
     "b": "def f(): pass"},
     "import sys\ndef f(): pass\n" + RUN + "f()"),
    ("another name for it is the name itself", {"a": "from .b import f as g\n" + RUN + "g()", "b": "def f(): pass"},
     "import sys\ndef f(): pass\n" + RUN + "f()"),
    ("what a module hands on is taken where it is made",
     {"a": "from .b import f\n" + RUN + "f()", "b": "from .c import f", "c": "def f(): pass"},
     "import sys\ndef f(): pass\n" + RUN + "f()"),
    ("module.name is the name", {"a": "from . import b\n" + RUN + "b.f()", "b": "def f(): pass"},
     "import sys\ndef f(): pass\n" + RUN + "f()"),
    ("also of a module that a function imports",
     {"a": "def run():\n    from . import b\n    return b.f()", "b": "def f(): pass"},
     "import sys\n" + RUN + "f()\ndef f(): pass"),
    ("what only a function imports follows, so that two may need each other",
     {"a": "def run():\n    from .b import f\n    return f()\nclass A: pass",
      "b": "from .a import A\nclass B(A): pass\ndef f(): return B"},
     "import sys\n" + RUN + "f()\nclass A: pass\nclass B(A): pass\ndef f(): return B"),
    ("a name of two modules gets their names", {"a": "from . import b\n_n = [1]\n" + RUN + "_n + b.f()",
     "b": "_n = [2]\ndef f(): return _n"},
     "import sys\n_n__b = [2]\ndef f(): return _n__b\n_n__a = [1]\n" + RUN + "_n__a + f()"),
    ("a local of that name is not it", {"a": "from . import b\n_n = [1]\n" + RUN + "_n + b.f(2)",
     "b": "_n = [2]\ndef f(_n): return _n\ndef g(): return _n\nf(g)"},
     "import sys\n_n__b = [2]\ndef f(_n): return _n\ndef g(): return _n__b\nf(g)\n_n__a = [1]\n"
     + RUN + "_n__a + f(2)"),
    ("a name that a function uses for its own gets its module's",
     {"a": "from . import b\ndef run(f):\n    return b.f(f)", "b": "def f(): pass"},
     "import sys\ndef f__b(): pass\ndef run(f):\n    return f__b(f)"),
    ("so does one that a class uses in its body",
     {"a": "from . import b\nclass C:\n    f = 1\n    x = b.f(f)\n" + RUN + "C", "b": "def f(): pass"},
     "import sys\ndef f__b(): pass\nclass C:\n    f = 1\n    x = f__b(f)\n" + RUN + "C"),
    ("but in its methods the class's names do not count",
     {"a": "from . import b\nclass C:\n    def f(self): return b.f()\n" + RUN + "C().f", "b": "def f(): pass"},
     "import sys\ndef f(): pass\nclass C:\n    def f(self): return f()\n" + RUN + "C().f"),
    ("a builtin's name gets its module's where another reads the builtin",
     {"a": "from . import b\n" + RUN + "open(b.open)", "b": "def open(): pass"},
     "import sys\ndef open__b(): pass\n" + RUN + "open(open__b)"),
    ("a variable of a comprehension is its own",
     {"a": "from . import b\n" + RUN + "[f for f in b.f] + [b.f for x in f]", "b": "f = [1]"},
     "import sys\nf__b = [1]\n" + RUN + "[f for f in f__b] + [f__b for x in f]"),
    ("global is declared under the new name",
     {"a": "from . import b\n_n = [1]\ndef run():\n    global _n\n    _n = b.f(_n)",
     "b": "_n = [2]\ndef f(x): return _n"},
     "import sys\n_n__b = [2]\ndef f(x): return _n__b\n_n__a = [1]\n"
     "def run():\n    global _n__a\n    _n__a = f(_n__a)"),
    ("a default of a parameter is looked up outside", {"a": "from .port import os\ndef run(os=os): return os",
     "port": "import os"},
     "import sys\nimport os\ndef run(os=os): return os"),
    ("an import from outside is made once", {"a": "import os\nfrom . import b\n" + RUN + "os, b.f()",
     "b": "import os\ndef f(): return os"},
     "import sys\nimport os\ndef f(): return os\n" + RUN + "(os, f())"),
    ("two from outside with one name are two", {"a": "from x import f\nfrom . import b\n" + RUN + "f, b.g()",
     "b": "from y import f\ndef g(): return f"},
     "import sys\nfrom y import f as f__b\ndef g(): return f__b\nfrom x import f as f__a\n" + RUN + "(f__a, g())"),
    ("what nobody reads goes, and what only that read",
     {"a": RUN + "1\ndef f(): return g()\ndef g(): pass\n_T = (1, 2)"},
     "import sys\n" + RUN + "1"),
    ("what a string names stays", {"a": RUN + "getattr(x, 'g')\ndef g(): pass"},
     "import sys\n" + RUN + "getattr(x, 'g')\ndef g(): pass"),
    ("a private method that nobody calls goes, a public one may be called by a library",
     {"a": "class C:\n    def _f(self): pass\n    def ioctl(self): pass\n    def __eq__(self, x): pass\n" + RUN + "C"},
     "import sys\nclass C:\n    def ioctl(self): pass\n    def __eq__(self, x): pass\n" + RUN + "C"),
    ("a value that is worked out stays", {"a": "_T = print()\n" + RUN + "1"}, "import sys\n_T = print()\n" + RUN + "1"),
    ("the compiler's names stay in viper code",
     {"a": "from .port import micropython, ptr8\n@micropython.viper\ndef run(b: ptr8):\n    return ptr8(b)",
      "port": "import micropython\nptr8 = None"},
     "import sys\nimport micropython\nptr8 = None\n@micropython.viper\ndef run(b: ptr8):\n    return ptr8(b)"),
)


@pytest.mark.parametrize("modules, wanted", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_bundle(modules, wanted):
    bundle = bundled(**modules).files["spot"]
    # `import sys` is main's: it comes last, which does not matter here
    first = [node for node in bundle.body if text(node) == "import sys"]
    same(ast.Module(first + [node for node in bundle.body if node not in first], []), wanted)


def test_main_keeps_what_it_is_called_for():
    same(bundled(a=RUN + "1").files["__main__"], "from spot import run, sys\nsys.exit(run())")


PARTS = {
    "a": "from .b import f\n_n = [1]\ndef run():\n    from .rare import R as Q\n    from .rare import S\n"
         "    return Q(f, _n, S).y()",
    "b": "def f(): pass\n_n = 2\nf(_n)",
    "rare": "from .b import f, _n\nfrom .own import g\nimport os\nclass R:\n    x = f(_n)\n    def y(self):\n"
            "        from .rarer import z\n        return z\ndef unread(): pass\nS = os",
    "own": "def g(): pass\ng()\n_n = [3]\n_n",
    "rarer": "from .own import g\nfrom .b import f\nimport os\ndef z(): return g, os, f",
}


def test_a_part_is_a_file_with_all_that_only_it_needs():
    files = bundled(parts=["rare", "rarer"], **PARTS).files
    assert list(files) == ["__main__", "spot", "spot.rare", "spot.rarer"]
    same(files["spot.rare"],
        "from spot import _n__b, f\ndef g(): pass\ng()\n_n__own = [3]\n_n__own\nimport os\nclass R:\n"
         "    x = f(_n__b)\n    def y(self):\n        from spot.rarer import z\n        return z\nS = os")
    same(files["spot.rarer"], "from spot import f\nfrom spot.rare import g\nimport os\ndef z(): return (g, os, f)")
    assert text(files["spot"]).endswith("    from spot.rare import R as Q\n    from spot.rare import S\n"
                                        "    return Q(f, _n__a, S).y()\nimport sys")


def test_what_several_parts_need_is_in_none_of_them():
    files = bundled(parts=["x", "y"], a="def run():\n    from .x import x\n    from .y import y\n    return x, y",
                    x="from .b import f\ndef x(): return f", y="from .b import f\ndef y(): return f",
                        b="def f(): pass").files
    assert "def f" in text(files["spot"]) and "def f" not in text(files["spot.x"])


def test_a_part_that_is_imported_at_the_top_is_none():
    assert list(bundled(parts=["b"], a="from .b import f\n" + RUN + "f", b="def f(): pass").files) == ["__main__",
        "spot"]


def test_a_name_that_the_import_of_a_part_would_replace():
    files = bundled(parts=["rare"], a="rare = 1\ndef run():\n    from .rare import f\n    return f, rare",
        rare="def f(): pass").files
    assert "rare__a = 1" in text(files["spot"])


@pytest.mark.parametrize("sentence, modules", [
    ("used as a value", {"a": "from . import b\n" + RUN + "b", "b": ""}),
    ("written to", {"a": "from . import b\ndef run():\n    b.x = 1", "b": "x = [0]"}),
    ("spot.b has no g", {"a": "from .b import g\n" + RUN + "g", "b": ""}),
    ("spot.b has no g", {"a": "from . import b\n" + RUN + "b.g", "b": ""}),
    ("f is imported and assigned", {"a": "from .b import f\nf = 1\n" + RUN + "f", "b": "f = 2"}),
    ("f is imported from two places", {"a": "from .b import f\nfrom .c import f\n" + RUN + "f", "b": "f = 2",
     "c": "f = 3"}),
    ("spot.b as a module", {"a": "import spot.b\n" + RUN + "spot", "b": ""}),
    ("const is defined outside spot.port", {"a": "def const(): pass\n" + RUN + "const"}),
    ("would both be called f__b", {"a": "from . import b\nf = 1\ndef f__b(): pass\n" + RUN + "b.f, f, f__b",
     "b": "f = 2"}),
])
def test_what_cannot_be_bundled_is_refused(sentence, modules):
    with pytest.raises(UserError, match=sentence):
        bundled(**modules)


def test_a_part_as_a_module_is_refused():
    with pytest.raises(UserError, match="spot.b as a module"):
        bundled(parts=["b"], a="def run():\n    from . import b\n    return b.f", b="def f(): pass")


def test_main_without_its_block_is_refused():
    with pytest.raises(UserError, match="block"):
        bundled(main="from spot.a import run\nrun()", a=RUN + "1")


MODULES = {"a": "from . import b\n_n = [1]\ndef run():\n    from .c import h\n    return _n, b.f(), h",
    "c": "def h(): pass", "b": "_n = [2]\ndef f(): return _n\ndef g(): pass"}


@pytest.mark.parametrize("script, wanted", [
    ("from spot.b import f\nf()", "from spot import f\nf()"),
    ("from spot.b import _n as m\nprint(m)", "from spot import _n__b as m\nprint(m)"),
    ("from spot import a, b\nprint(b._n, a._n)", "import spot\nprint(spot._n__b, spot._n__a)"),
    ("from spot import b\ndef f(): return b.f()", "import spot\ndef f(): return spot.f()"),
    ("import json\njson.f", "import json\njson.f"),
    ("from spot.c import h\nfrom spot import c\nc.h", "import spot.c\nfrom spot.c import h\nspot.c.h"),
])
def test_a_script_beside_it_gets_the_new_names(script, wanted):
    same(bundled(parts=["c"], **MODULES).guest(ast.parse(script)), wanted)


@pytest.mark.parametrize("script", ["from spot.b import g", "from spot import b\nb.g()", "from spot.b import none"])
def test_a_script_that_needs_what_is_gone_is_refused(script):
    with pytest.raises(ValueError, match="at run time"):
        bundled(**MODULES).guest(ast.parse(script))


def test_what_scripts_want_stays():
    same(bundled(wanted={"g"}, **MODULES).guest(ast.parse("from spot.b import g")), "from spot import g")


SINKING = {
    "a": "from .b import f\ndef run():\n    from .rare import r\n    from .other import o\n    return f(r, o)",
    "b": "def f(x, y): pass\n_TABLE = {1: g}\ndef g(): return _n, h()\n_n = [1]\n_m = [2]\ndef h(): return _m",
    "rare": "from .b import _TABLE, h\ndef r():\n    from .rarer import z\n    return _TABLE, h, z",
    "rarer": "from .b import h, k\ndef z(): return h, k()",
    "other": "from .b import k\ndef o(): return k",
}
SINKING["b"] += "\ndef k(): return _l\n_l = [3]"


def test_what_only_a_part_reads_goes_into_it():
    """And what only that needs; of two parts, one of which comes after the other, into the first."""
    files = bundled(parts=["rare", "rarer", "other"], **SINKING).files
    same(files["spot"], "def f(x, y): pass\ndef k(): return _l\n_l = [3]\ndef run():\n    from spot.rare import r\n"
                        "    from spot.other import o\n    return f(r, o)\nimport sys")
    same(files["spot.rare"], "_TABLE = {1: g}\ndef g(): return _n, h()\n_n = [1]\n_m = [2]\ndef h(): return _m\n"
                             "def r():\n    from spot.rarer import z\n    return _TABLE, h, z")
    same(files["spot.rarer"], "from spot import k\nfrom spot.rare import h\ndef z(): return h, k()")
    same(files["spot.other"], "from spot import k\ndef o(): return k")


@pytest.mark.parametrize("sentence, b", [
    ("it is changed", "x = 1\ndef f():\n    global x\n    x = 2"),
    ("it is bound twice", "x = 1\ndef f(): pass\nx = 2"),
    ("it is worked out", "x = print()\ndef f(): pass"),
    ("a class is built from what is worked out", "class x:\n    y = print()\ndef f(): pass"),
    ("the rest reads it, too", "x = 1\ndef f(): return x"),
])
def test_what_stays_though_a_part_reads_it(sentence, b):
    files = bundled(parts=["rare"], a="from .b import f\ndef run():\n    from .rare import r\n    return r, f",
                    b=b, rare="from .b import x\ndef r(): return x").files
    same(files["spot.rare"], "from spot import x\ndef r(): return x")


def test_scripts_find_what_went_into_a_part():
    parts = ["rare", "rarer", "other"]
    script = ast.parse("from spot.b import h\nfrom spot import b\nb.g")
    same(bundled(parts=parts, **SINKING).guest(script), "import spot.rare\nfrom spot.rare import h\nspot.rare.g")
    wanted = bundled(parts=parts, wanted={"h"}, **SINKING)
    same(wanted.guest(ast.parse("from spot.b import h")), "from spot import h")


def test_methods_and_attributes_that_nobody_reads():
    """A library may call what has the name of something in it; a string may name an attribute."""
    modules = {"a": "class C:\n    def __init__(self, x):\n        self.gone = 0\n        self.kept = self.gone = x\n"
                    "        self.gone = x()\n        if x:\n            self.gone += 1\n        x.gone = 1\n"
                    "        self.named = 2\n        self.most = self.other = 0\n"
                    "        self.most += x.y\n        x.other += 1\n    def never(self): self.gone = 3\n"
                    "    def read(self): pass\n    def lone(self): lone\n"
                    "    def given(self): pass\n    taken = property(given)\n"
                    "    def asked(self): return self.kept, self.taken, 'named'\n"
                    "def run(): return C().asked()"}
    same(bundled(**modules).files["spot"],
         "class C:\n    def __init__(self, x):\n        self.kept = x\n        self.gone = x()\n        if x: pass\n"
         "        x.gone = 1\n        self.named = 2\n        self.most = self.other = 0\n        self.most += x.y\n"
         "        x.other += 1\n    def read(self): pass\n"
         "    def given(self): pass\n    taken = property(given)\n"
         "    def asked(self): return self.kept, self.taken, 'named'\ndef run(): return C().asked()\nimport sys")
    assert "def never(self): pass" not in text(bundled(**modules).files["spot"])
    assert "self.gone += 1" in text(bundled(wanted={"gone"}, **modules).files["spot"])
