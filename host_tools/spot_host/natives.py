"""The firmware's functions in machine code, in the flash of the base.

MicroPython executes bytecode where it lies, but copies machine code of a .mpy file to the heap: 6 kB of it. So the base
has these functions frozen in (firmware/frozen/spot_natives.py, written by `python -m spot_host.image --names`), under
names that are made of their own text. A release puts those that it finds there in the place of its own, whose memory is
then free again; where one is not the same to the letter, or there is no such base, it has its own. So neither has to
fit the other.
"""

import ast
import hashlib

MODULE = "spot_natives"
_TYPES = {"ptr8", "ptr16", "ptr32", "int", "uint", "bool", "object"}  # of viper, which are no names of the module
_HEAD = '''\
# Frozen into a chip's own image: the firmware's functions in machine code, which would lie on the heap otherwise.
# Written by `python -m spot_host.image --names`; spot_host/natives.py says why. ruff: noqa
'''
_TAKE = '''
def take(into, names):
    here = globals()
    for pair in names.split():
        name, own = pair.split(":")
        if own in here:
            into[name] = here[own]
'''


def found(text: str) -> dict:
    """{name in the module `text`: (name in the base, source there)} of its functions in machine code that read nothing
    of their module."""
    out = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and [ast.unparse(one) for one in node.decorator_list] == [
                "micropython.viper"]:
            source = _normal(node)
            if source:
                own = "n" + hashlib.sha256(source.encode()).hexdigest()[:8]
                out[node.name] = own, source.replace("def f(", f"def {own}(", 1)
    return out


def taking(text: str) -> str:
    """The module `text`, which at its end takes what the base has of its functions."""
    pairs = " ".join(f"{name}:{own}" for name, (own, _) in sorted(found(text).items()))
    if not pairs:
        return text
    return f'{text}try:\n    __import__("{MODULE}").take(globals(), "{pairs}")\nexcept ImportError:\n    pass\n'


def frozen(texts) -> str:
    """The module that goes into the base, for these modules of firmwares."""
    sources = dict(pair for text in texts for pair in found(text).values())
    return _HEAD + _TAKE + "".join("\n\n" + sources[own] + "\n" for own in sorted(sources))


def _normal(node):
    """The function under the name f with its own names in the order in which they come; "": it reads others."""
    node = ast.parse(ast.unparse(node)).body[0]
    if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
        node.body = node.body[1:]
    own = {arg.arg for arg in node.args.args}
    own |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    names = {}
    for part in ast.walk(ast.Module([node.args, *node.body], [])):
        if isinstance(part, ast.arg):
            part.arg = names.setdefault(part.arg, f"a{len(names)}")
        elif isinstance(part, ast.Name) and part.id in own:
            part.id = names.setdefault(part.id, f"a{len(names)}")
        elif isinstance(part, ast.Name) and part.id not in _TYPES or isinstance(part, ast.Attribute):
            return ""
    node.name = "f"
    return ast.unparse(node)
