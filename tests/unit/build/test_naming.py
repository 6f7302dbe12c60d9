"""Short names, case by case, and the order in which a file names things."""

import ast

import pytest

from spot_host import naming
from spot_host.errors import UserError


def text(tree):
    return ast.unparse(ast.fix_missing_locations(tree))


def renamed(source, *guests):
    tree = ast.parse(source)
    names = naming.Names([tree], [ast.parse(guest) for guest in guests])
    assert text(tree) == text(ast.parse(source))  # as it was
    return text(names.renamed(tree))


# (sentence, what goes in, what comes out)
CASES = (
    ("a private name is short everywhere",
     "class C:\n    def _f(self):\n        self._x = _g(self._x)\n        return self._f\ndef _g(): pass",
     "class C:\n    def a(self):\n        self.b = Aa(self.b)\n        return self.a\ndef Aa(): pass"),
    ("the most used first", "_b = _a = _a", "Ab = Aa = Aa"),
    ("a private name that it only uses is a library's", "asyncio.core._io_queue.x = _f",
     "asyncio.core._io_queue.x = _f"),
    ("a public name stays", "class C:\n    name = 1\n    __slots__ = ()", "class C:\n    name = 1\n    __slots__ = ()"),
    ("a name in a string stays", "x._f = x._g = 1\ngetattr(x, '_f')", "x._f = x.a = 1\ngetattr(x, '_f')"),
    ("also as a part of a path", "x._f = 1\nprint('x._f')", "x._f = 1\nprint('x._f')"),
    ("also in a list to be split", "x._f = 1\n'_e _f'.split()", "x._f = 1\n'_e _f'.split()"),
    ("a sentence says no names", "x._f = 1\nprint('see _f, there')", "x.a = 1\nprint('see _f, there')"),
    ("a short name that is used is left out", "_f = Aa\nx.Ab = 'Ac'", "Ad = Aa\nx.Ab = 'Ac'"),
    ("global", "def f():\n    global _n\n    _n = 1", "def f():\n    global Aa\n    Aa = 1"),
    ("an import", "from x import y as _y\n_y()", "from x import y as Aa\nAa()"),
    ("a parameter becomes a letter", "def f(self, one, two=2):\n    return one + self.two",
     "def f(self, a, b=2):\n    return a + self.two"),
    ("one that is passed by name stays", "def f(one, two):\n    return two\nf(1, two=2)",
     "def f(a, two):\n    return two\nf(1, two=2)"),
    ("a letter that the function uses is left out", "def f(one):\n    return a + x.b + one",
     "def f(c):\n    return a + x.b + c"),
    ("within it too", "def f(one):\n    def g(two):\n        return one + two\n    return g",
     "def f(a):\n    def g(b):\n        return a + b\n    return g"),
    ("a lambda and a comprehension", "def f(one):\n    return lambda two: [two for x in one]",
     "def f(a):\n    return lambda b: [b for x in a]"),
    ("a default is of the function around it", "one = 1\ndef f(one=one):\n    def g(one=one):\n        return one",
     "Aa = 1\ndef f(a=Aa):\n    def g(a=a):\n        return a"),
    ("nonlocal", "def f(one):\n    def g():\n        nonlocal one\n        one = 1",
     "def f(a):\n    def g():\n        nonlocal a\n        a = 1"),
    ("with a class in it a parameter stays", "def f(one):\n    class C:\n        two = one\none = 1",
     "def f(one):\n    class C:\n        a = one\nAa = 1"),
    ("a function's own variables stay: a .mpy does not name them", "def _f():\n    _x = _y = 1\n    return _x\n_y = 1",
     "def Ab():\n    _x = _y = 1\n    return _x\nAa = 1"),
    ("parameters of viper code", "def f(buf: ptr8, n: int) -> int:\n    return ptr8(n)[buf[0]]",
     "def f(a: ptr8, n: int) -> int:\n    return ptr8(n)[a[0]]"),
    ("what stands at the top", "def begin(): pass\nclass Thing: pass\nTABLE = [Thing, begin]\nTABLE",
     "def Ac(): pass\nclass Ab: pass\nAa = [Ab, Ac]\nAa"),
    ("also where another file takes it", "def begin(): pass\ndef f():\n    from spot.part import begin as go, begin",
     "def Aa(): pass\ndef f():\n    from spot.part import Aa as go, Aa as begin"),
    ("attributes and methods", "class C:\n    limit = 1\n    def allow(self):\n        self.heat = self.limit.heat",
     "class C:\n    b = 1\n    def c(self):\n        self.a = self.b.a"),
    ("not what a library has too", "def run(): pass\nx.send = x.ticks_ms = 1",
     "def run(): pass\nx.send = x.ticks_ms = 1"),
    ("nor what it only uses", "x.allow(limit)", "x.allow(limit)"),
    ("nor something from outside", "def begin(): pass\nfrom x import begin", "def begin(): pass\nfrom x import begin"),
    ("nor a parameter passed by name", "def begin(): pass\nf(begin=1)", "def begin(): pass\nf(begin=1)"),
    ("nor what a string says", "def begin(): pass\n'begin'", "def begin(): pass\n'begin'"),
    ("nor what the compiler knows", "ptr8 = None\nptr8", "ptr8 = None\nptr8"),
    ("nor an exception, nor what derives from another program's class",
     "class Bad(ValueError): pass\nclass Worse(Bad): pass\nclass Tape(umqtt.Client): pass\nclass Good(Base): pass\n"
     "class Base: pass", "class Bad(ValueError): pass\nclass Worse(Bad): pass\nclass Tape(umqtt.Client): pass\n"
     "class Ab(Aa): pass\nclass Aa: pass"),
    ("a long integer that is used often", "".join(f"a[{i}] = f(-70000)\n" for i in range(24)),
     "Aa = -70000\n" + "".join(f"a[{i}] = f(Aa)\n" for i in range(24))),
    ("one that is used seldom stays", "a[0] = a[1] = -70000", "a[0] = a[1] = -70000"),
    ("a short one stays", "a = [" + "60, " * 99 + "60]", "a = [" + "60, " * 99 + "60]"),
    ("in a tuple of constants it costs nothing", "a = (" + "70000, " * 99 + "-70000)",
     "a = (" + "70000, " * 99 + "-70000)"),
    ("in viper code it is in the code", "@micropython.viper\ndef f():\n    return [" + "70000, " * 99 + "1]",
     "@micropython.viper\ndef f():\n    return [" + "70000, " * 99 + "1]"),
    ("what is no small integer on a chip stays", "a = [" + "1 << 30, " * 99 + "1073741824]",
     "a = [" + "1 << 30, " * 99 + "1073741824]"),
    ("with **options a name in a string stays", "def f(one, two): pass\nf(**{'one': 1})",
     "def f(one, a): pass\nf(**{'one': 1})"),
)


@pytest.mark.parametrize("source, wanted", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_names(source, wanted):
    assert renamed(source) == text(ast.parse(wanted))


# (sentence, what goes in, what comes out)
SHARED = (
    ("what two classes have is called the same, and what one has is not",
     "class C:\n    def _f(self):\n        self._x = self._y = 1\nclass D:\n    def _g(self):\n        self._z = 1",
     "class C:\n    def a(self):\n        self.b = self.c = 1\nclass D:\n    def a(self):\n        self.b = 1"),
    ("one name of two classes is apart from those of both",
     "class C:\n    def f(self):\n        self._x = self._x = self._y = 1\n"
     "class D:\n    def f(self):\n        self._x = self._z = 1",
     "class C:\n    def f(self):\n        self.a = self.a = self.b = 1\n"
     "class D:\n    def f(self):\n        self.a = self.b = 1"),
    ("a class and what it derives from are one, and so are two that a third derives from",
     "class C:\n    def f(self):\n        self._x = 1\nclass D:\n    def f(self):\n        self._y = 1\n"
     "class E(D, C):\n    def f(self):\n        self._z = 1",
     "class C:\n    def f(self):\n        self.a = 1\nclass D:\n    def f(self):\n        self.b = 1\n"
     "class E(D, C):\n    def f(self):\n        self.c = 1"),
    ("also what is read from elsewhere: that is an object of one that has it",
     "class C:\n    def f(self, other):\n        self._x = other._x\nclass D:\n    def f(self):\n        self._y = 1",
     "class C:\n    def f(self, a):\n        self.a = a.a\nclass D:\n    def f(self):\n        self.a = 1"),
    ("what is put there from elsewhere is not shared",
     "class C:\n    def f(self, other):\n        self._x = other._x = 1\n"
     "class D:\n    def f(self):\n        self._y = 1",
     "class C:\n    def f(self, a):\n        self.a = a.a = 1\nclass D:\n    def f(self):\n        self.b = 1"),
    ("what is added to is there already",
     "class C:\n    def f(self, other):\n        self._x = 1\n        other._x += 1\n"
     "class D:\n    def f(self):\n        self._y = 1",
     "class C:\n    def f(self, a):\n        self.a = 1\n        a.a += 1\n"
     "class D:\n    def f(self):\n        self.a = 1"),
    ("a function has the name of an attribute",
     "class C:\n    def f(self):\n        self._x = self._y = 1\ndef _f(): pass\ndef _g(): pass",
     "class C:\n    def f(self):\n        self.a = self.b = 1\ndef Aa(): pass\ndef Ab(): pass"),
    ("what a function calls so is nothing to an attribute",
     "class C:\n    def f(self):\n        self._x = self._x\ndef f():\n    _x = 1\n    f(_x)",
     "class C:\n    def f(self):\n        self.a = self.a\ndef f():\n    _x = 1\n    f(_x)"),
    ("what stands at the top of a class is its family's",
     "class C:\n    _x = 1\n    def f(self):\n        return self._x\nclass D:\n    _y = _z = 1",
     "class C:\n    a = 1\n    def f(self):\n        return self.a\nclass D:\n    a = b = 1"),
    ("a function within a method has the method's self",
     "class C:\n    def f(self):\n        self._x = 1\n        return lambda: self._x",
     "class C:\n    def f(self):\n        self.a = 1\n        return lambda: self.a"),
    ("but not with a parameter of that name", "class C:\n    def f(self):\n        self._y = 1\n"
     "        def g(self):\n            self._x = 1\nclass D:\n    _z = 1",
     "class C:\n    def f(self):\n"
     "        self.b = 1\n        def g(self):\n            self.a = 1\nclass D:\n    b = 1"),
    ("nor when it is bound again",
     "class C:\n    def f(self):\n        self = 1\n        self._x = 1\nclass D:\n    _z = 1",
     "class C:\n    def f(self):\n        self = 1\n        self.a = 1\nclass D:\n    b = 1"),
    ("nor in what has no self",
     "class C:\n    @staticmethod\n    def f(c):\n        c._x = 1\nclass D:\n    _z = 1",
     "class C:\n    @staticmethod\n    def f(c):\n        c.a = 1\nclass D:\n    b = 1"),
    ("a class within a method has a self of its own", "class C:\n    def f(self):\n        class D:\n"
     "            def f(self):\n                self._x = 1\n        self._y = 1", "class C:\n    def f(self):\n"
     "        class D:\n            def f(self):\n                self.a = 1\n        self.a = 1"),
    ("a letter that is some attribute's name is left out", "class C:\n    a = 1\n    def f(self):\n        self._x = 1",
     "class C:\n    a = 1\n    def f(self):\n        self.b = 1"),
)


@pytest.mark.parametrize("source, wanted", [case[1:] for case in SHARED], ids=[case[0] for case in SHARED])
def test_attributes_share_names(source, wanted):
    assert renamed(source) == text(ast.parse(wanted))


def test_when_the_letters_run_out_they_are_called_as_functions_are():
    wide = "".join(f"        self._x{i:02} = 1\n" for i in range(26))
    lines = renamed(f"def _f(): pass\nclass C:\n    def f(self):\n{wide}").splitlines()
    assert lines[0] == "def Aa():" and lines[-3:] == [f"        self.{name} = 1" for name in ("z", "Aa", "Ab")]


def test_an_attribute_does_not_hide_what_its_class_reads():
    """In the body of a class a name is looked up there first. `_f` may be `Aa` elsewhere, not here."""
    wide = "".join(f"        self._x{i:02} = self._x{i:02} = 1\n" for i in range(24))
    source = f"def _g(): pass\ndef g():\n    _g()\n    _g()\nclass C:\n    x = {{}}\n    def _f(self):\n{wide}"
    assert "    def Aa(self):" in renamed(source.format("2")) and "    x = 2" in renamed(source.format("2"))
    reads = renamed(source.format("_g()"))
    assert "    def Ab(self):" in reads and "    x = Aa()" in reads


def test_a_name_of_a_class_and_of_the_function_around_it_is_refused():
    with pytest.raises(UserError, match="_x"):
        renamed("def f(_x):\n    class C:\n        _x = _x")


def test_what_a_script_binds_is_not_shared():
    two = "class C:\n    def f(self):\n        self._x = 1\nclass D:\n    def f(self):\n        self._y = 1"
    assert renamed(two).count("self.a = 1") == 2
    assert renamed(two, "c._x = 1").count("self.a = 1") == 1
    names = naming.Names([ast.parse(two)])
    assert text(names.guest(ast.parse("print(c._x, c._y)"))) == "print(c.a, c.a)"
    for script in ("c._x = 1", "class E:\n    _x = 1", "class E:\n    def _x(self): pass", "c.a = 1"):
        with pytest.raises(ValueError, match="_x|a is a name"):
            names.guest(ast.parse(script))
    own = "a = _x = 1\n\ndef _y(_x):\n    global _z\n    return _x\nimport _w"  # no attributes
    assert text(names.guest(ast.parse(own))) == text(ast.parse(own))


def test_a_name_is_never_one_that_a_script_uses():
    assert renamed("_f = 1", "x.Aa = 1\nAb = 'Ac'") == "Ad = 1"
    assert renamed("_f = 1", "getattr(x, '_f')") == "_f = 1"
    assert renamed("def f(one): pass", "f(one=1)") == "def f(one):\n    pass"


def test_short_names_do_not_run_out_early_and_are_no_words():
    names = list(naming.short_names())
    assert len(names) == len(set(names)) > 7000
    assert names[:2] == ["Aa", "Ab"] and {len(name) for name in names[:936]} == {2}
    assert not any(name.isalpha() for name in names if len(name) > 2)


NAMES = naming.Names([ast.parse("x._f = x._f\ndef f(one): pass\ndef begin(): pass")])


def test_a_script_beside_it_gets_the_names():
    assert text(NAMES.guest(ast.parse("y._f = y._other"))) == "y.a = y._other"
    assert text(NAMES.guest(ast.parse("from spot import begin\nimport spot\nspot.begin"))) == (
        "from spot import Aa as begin\nimport spot\nspot.Aa")


@pytest.mark.parametrize("script", ["x.Aa = 1", "getattr(x, '_f')", "f(one=1)"])
def test_a_script_that_cannot_be_meant_is_refused(script):
    with pytest.raises(ValueError, match="Aa|_f|one"):
        NAMES.guest(ast.parse(script))


def test_the_most_used_names_come_first_and_nothing_is_run():
    many = "\n".join(f"    x.n{i}" for i in range(300))
    tree = naming.most_used_first(ast.parse(f"seen = [0]\ndef f(x):\n    x.often.often = seen[0].often\n{many}\nf\nf"))
    names = text(tree.body[0].body[0]).split(".")
    # The first of all is not looked at: MicroPython compiles nothing of what is never run, but numbers attributes.
    assert set(names[1:4]) == {"often", "seen", "f"} and len(names) == 127 and names[0] in names[1:]
    assert not any(name.startswith("<") for name in names)
    space = {}
    exec(compile(tree, "", "exec"), space)
    assert space["seen"] == [0]


def test_a_file_with_few_names_is_left_alone():
    assert text(naming.most_used_first(ast.parse("x = y.z"))) == "x = y.z"
