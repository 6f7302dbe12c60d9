"""What `--target` may say, and which boards that means."""

from dataclasses import dataclass

from spot_host.errors import UserError

ARGUMENT = {  # word: what stands after its colon; "" where nothing does
    "sim": "",
    "unix": "",
    "serial": "a serial port, a pseudo-terminal, or socket://host:port",
    "ip": "the address of this computer that boards connect to",
}


@dataclass(frozen=True)
class Spec:
    """One target: `text` as it was asked for, `kind` (a word), `argument` (after the colon), `board`: its entry of the
    inventory (inventory.BoardOnBench) or None."""

    text: str
    kind: str
    argument: str = ""
    board: object = None

    def __str__(self):
        return self.text


def parse(text: str, words) -> Spec:
    """A Spec from `sim`, `serial:/dev/ttyACM0`, …; words: all that are known, with what stands after the colon.

    Raises UserError.
    """
    kind, colon, argument = text.partition(":")
    if kind not in words:
        raise UserError(f"--target: {text!r} is none of {', '.join(sorted(words))}, nor a board of the inventory")
    if words[kind] and not argument:
        raise UserError(f"--target: {kind}: needs {words[kind]}, as {kind}:…")
    if colon and not words[kind]:
        raise UserError(f"--target: {text!r}: {kind} takes nothing after it")
    return Spec(text, kind, argument)


def select(asked, boards, words, default=("sim",)) -> list:
    """The targets of a run. asked: texts of `--target`, each of them one or several with commas; boards: {name:
    BoardOnBench} of the inventory. Without anything asked: all boards of the inventory, else `default`.

    A board of the inventory is meant by its name, by "bench" (all of them) or by its target. Raises UserError.
    """
    by_target = {board.target.text: board for board in boards.values()}
    out = {}
    texts = [word for text in asked for word in text.split(",") if word]
    for text in texts or ["bench"] * bool(boards) or default:
        if text == "bench":
            if not boards:
                raise UserError("--target: bench: needs --inventory FILE")
            chosen = list(boards.values())
        else:
            board = boards.get(text) or by_target.get(text)
            chosen = [board] if board else [parse(text, words)]
        for one in chosen:
            spec = one if isinstance(one, Spec) else Spec(one.name, one.target.kind, one.target.argument, one)
            out[spec.text] = spec
    return list(out.values())
