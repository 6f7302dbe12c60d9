"""Octets of a .mpy file (version 6) that nothing reads, taken out of it:

- the names of a function's parameters, where nobody passes one by name: MicroPython looks at them in such a call alone
  (py/bc.c; for a traceback it steps over as many numbers and finds no lines, as -O3 leaves none);
- `__module__` and `__qualname__`, which the body of each class begins with; each class saves two entries of a
  dictionary on the heap as well.

A function keeps its own name: tracebacks tell it. Format: py/persistentcode.c, py/bc.h of MicroPython.
"""

_BYTECODE, _NATIVE, _VIPER, _ASSEMBLER = range(4)
_STRINGS = (5, 6, 7, 8)  # kinds of objects that have octets: text, bytes, int, float; the first two end with a zero
_TUPLE = 10
_LOAD_NAME, _LOAD_STRING, _STORE_NAME = 0x11, 0x10, 0x16
_MODULE, _NAME, _QUALNAME, _STAR, _SELF = 22, 23, 26, 5, 137  # numbers of names that every MicroPython has
_NOT_PASSED = (_STAR, _SELF)  # by name; the first: a parameter that a function within uses too
_BY_NAME = 0x0A  # flags: takes any name, or has defaults of what is passed by name alone


class MpyError(ValueError):
    """No file of the version that is known here."""


class _Reader:
    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def take(self, n):
        self.at += n
        if self.at > len(self.octets):
            raise MpyError("torn")
        return self.octets[self.at - n : self.at]

    def uint(self):
        value = 0
        while True:
            octet = self.take(1)[0]
            value = value << 7 | octet & 127
            if octet < 128:
                return value


def _uint(value):
    out = [value & 127]
    while value := value >> 7:
        out.append(value & 127 | 128)
    return bytes(reversed(out))


def stripped(octets, by_name):
    """The file without them. by_name: names of parameters that somebody passes by name, or may; such a function stays.

    MpyError for another version of the format.
    """
    reader = _Reader(octets)
    if reader.take(2) != b"M\x06" or reader.take(2)[0] & 0x40:
        raise MpyError("not version 6, or with flags of an architecture")
    n_names, n_objects = reader.uint(), reader.uint()
    names = [_name(reader) for _ in range(n_names)]
    for _ in range(n_objects):
        _skip_object(reader)
    head = octets[: reader.at]
    out = head + _code(reader, names, by_name)
    if reader.at != len(octets):
        raise MpyError("more than one piece of code")
    return out


def _name(reader):
    """One of the file's names; the number of one that MicroPython has."""
    n = reader.uint()
    return n >> 1 if n & 1 else reader.take((n >> 1) + 1)[:-1].decode()


def _skip_object(reader):
    kind = reader.take(1)[0]
    if kind in _STRINGS:
        reader.take(reader.uint() + (kind < 7))
    elif kind == _TUPLE:
        for _ in range(reader.uint()):
            _skip_object(reader)


def _code(reader, names, by_name):
    kind_and_size = reader.uint()
    kind, data = kind_and_size & 3, reader.take(kind_and_size >> 3)
    after = reader.at
    if kind == _BYTECODE:
        data = _function(data, names, by_name)
    elif kind == _NATIVE:
        reader.uint()
    else:
        flags = reader.uint()
        if kind == _ASSEMBLER or flags & 0x70:  # sections that only a linker writes
            raise MpyError("native code of a kind that is not known here")
    out = _uint(len(data) << 3 | kind_and_size & 7) + data + reader.octets[after : reader.at]
    if kind_and_size & 4:
        n = reader.uint()
        out += _uint(n) + b"".join(_code(reader, names, by_name) for _ in range(n))
    return out


def _function(data, names, by_name):
    """The byte code of one function or class body."""
    reader = _Reader(data)
    parameters, named = _parameters(reader)
    signature = data[: reader.at]
    info, cells, shift = 0, 0, 0
    while True:  # of py/bc.h, MP_BC_PRELUDE_SIZE_DECODE
        octet = reader.take(1)[0]
        cells |= (octet & 1) << shift
        info |= (octet >> 1 & 63) << 6 * shift
        shift += 1
        if octet < 128:
            break
    start = reader.at
    reader.uint()  # its own name
    kept = reader.at
    passed = [names[reader.uint()] for _ in range(parameters)]
    rest = data[start + info :]
    if start + info != reader.at:
        raise MpyError("with numbers of lines")
    named = named or any(name in by_name or isinstance(name, int) and name not in _NOT_PASSED for name in passed)
    own = data[start : reader.at if named else kept]
    return signature + _sizes(len(own), cells) + own + rest[:cells] + _body(rest[cells:], names)


def _parameters(reader):
    """How many a function has, and whether some go by name: py/bc.h, MP_BC_PRELUDE_SIG_DECODE."""
    octet = reader.take(1)[0]
    positional, by_name, flags, shift = octet & 3, 0, 0, 0
    while octet & 128:
        octet = reader.take(1)[0]
        positional |= (octet & 4) << shift
        by_name |= (octet & 8) >> 3 << shift
        flags |= (octet & 64) >> 6 << shift
        shift += 1
    return positional + by_name, by_name > 0 or flags & _BY_NAME != 0


def _sizes(info, cells):
    out = bytearray()
    while True:
        octet = info & 63
        info >>= 6
        octet = octet << 1 | cells & 1
        cells >>= 1
        out.append(octet | (128 if info or cells else 0))
        if not info and not cells:
            return bytes(out)


def _body(code, names):
    reader = _Reader(code)
    for wanted, name in ((_LOAD_NAME, _NAME), (_STORE_NAME, _MODULE), (_LOAD_STRING, None), (_STORE_NAME, _QUALNAME)):
        if code[reader.at : reader.at + 1] != bytes([wanted]):
            return code
        reader.take(1)
        found = names[reader.uint()]
        if name is not None and found != name:
            return code
    return code[reader.at :]
