"""The sections of docs/bad-input.md on boards, files, releases and updates, from the tables that the tests run."""

from tests.sim.bad_input import board_table, cable_table, fleet_table, identity_table, release_table, update_table

_INTRO = """# Boards, files, releases and updates

What is typed wrong, plugged in wrong, or spoilt on the way, from the desk to the device. In every row of a command it
also holds, and is checked, that there is one line (where more follow, they list what there is, or are the way out),
that what is wrong with a file is said before a board is stopped, and that nothing is left half-made: each file of the
folder is as it was, and so is the board where it says so.

Exit codes of all commands: 2 what was typed or given is wrong; 3 the board does not fit, or no EMD runs; 4 the port; 5
the transfer broke; 6 not registered in time ([flashing](flashing.md), [updates](updates.md)).
"""

_PORTS = """`PTY` is a serial port. Which board is meant is never guessed. Run by
`tests/unit/flash/test_bad_input.py`; the board is not touched."""

_FILES = """Found before a port is opened: the port of these rows leads nowhere. Run by
`tests/unit/flash/test_bad_input.py`."""

_BOARD = """With a board behind `PORT`, played by MicroPython's unix port (`tests/unix/flash/test_bad_input.py`);
"then": in the lines that follow. "As before": octet for octet, and started anew. The cable is pulled at *every* stretch
of a transfer in `tests/unix/flash/test_files.py` and `test_slots.py`: the board starts the old firmware or the new one,
and the next `spot flash` goes on."""

_IDENTITY = """`spot provision show`, `device` and `export`, `spot check`, and `spot flash --config` say it in the
same words, behind the file's name; exit code 2, nothing is written or exported
(`tests/unit/provision/test_wrong_files.py`). Rows with * `spot flash` lets pass: a broker may have another authority
than its devices."""

_BOARDS = """`spot check boards/NAME/board.json`; exit code 2. The line goes on with what would be right
(`tests/unit/boards/test_boards.py`)."""

_RELEASES = """The same line for `spot release show`, `spot release verify`, `spot update start` and `spot flash
--release`, behind the file's name; exit code 2 (`tests/unit/release/test_bad_input.py`)."""

_TYPED = """Exit code 2 where nothing else is said. No signature and no sequence number is used up by any of them."""

_BEGINS = """`spot update start` to an EMD that runs; exit code 2. No campaign is begun, those that there are go on as
they were (`tests/unit/emd/test_firmware_bad_input.py`)."""

_ASKS = """What a device asks the EMD for by message while release and offer are right. "Counted": in `hostile` on the
device's row, as `spot emd devices` shows it. Not an octet of a release goes out but where a row says so, and who was
offered it goes on. Over CoAP the same: 4.04 to whoever was not offered it, 5.03 with a Max-Age above 8 KiB a second
(`tests/unit/emd/test_firmware_service.py`)."""

_OFFERS = """Answered so each time, told as `status rejected` once; the log has `update.refused`. Nothing is fetched,
nothing erased. Run by `tests/unit/update/test_bad_input.py`."""

_HEADS = """The offer is taken (`status received: none`), the head is fetched, in 8 pieces at most; then `status
rejected` with this reason. No octet of the image is asked for, no sector erased, the same offer is answered with the
reason from then on, also after a restart; and a good release is taken after it."""

_COURSES = """"Says": every status, in order. "Log": each event of a fault. "Runs": the release in the end, where the
device had 1 and was offered 2. In every row a good release is taken the day after.

Beyond the rows: every bit of a head is turned over, every octet is cut off, doubled or left out
(`tests/unit/update/test_suit.py`); offers, pieces, restarts, silence, full flash and power cuts come in any order,
heads are edited at random, and the load stays as it was (`tests/unit/update/test_any_order.py`); the power is cut at
every write and erase (`tests/unit/update/test_updater.py`, on MicroPython `tests/unix/update`, on the emulated chip
`tests/rp2040`)."""


def _row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _table(head, rows):
    return "\n".join([_row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]) + "\n"


def _code(text):
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _line(row):
    return _code(row.line) + (f", then {', '.join(map(_code, row.more))}" if row.more else "")


def _cable(rows, left=False):
    head = ("input", "typed: `spot` …", "says", "code", *(("the board",) if left else ()))
    return _table(head, [(row.what, _code(row.command), _line(row), str(row.code), *((row.left,) if left else ()))
                         for row in rows])


def _field(name, field, value):
    return f"{name}: `{field}` " + ("left out" if value is None else f"set to {_code(repr(value))}")


def _asked(row):
    counted = str(row.hostile) if row.hostile else "no"
    if row.served:
        return row.what, f"`piece` × {row.served}, then none", counted
    return row.what, _code(f"answer piece: {row.answer}") if row.answer else "none", counted


def sections():
    """The text, after which another section may follow."""
    out = [_INTRO]

    def add(title, note, table):
        out.extend((f"## {title}\n", note + "\n", table))

    add("At the cable: which port", _PORTS, _cable(cable_table.PORTS))
    add("At the cable: what is to be written", _FILES, _cable(cable_table.FILES))
    add("At the cable: the board", _BOARD, _cable(cable_table.BOARD, left=True))
    add("Certificates, keys and secrets of a device", _IDENTITY, _table(("input", "says"), [
        (row.what + (" *" if row.anybodys else ""), ", and ".join(
            _code(line.format("the home's CA")) for line in row.says)) for row in identity_table.ROWS]))
    add("Descriptions of boards", _BOARDS, _table(("input", "says"), [
        *((_field(*row[:3]), _code(row[3])) for row in board_table.BAD),
        *((f"partitions.csv: {_code(old)} → {_code(new)}", _code(says)) for (old, new), says in
          board_table.PARTITIONS)]))
    add("Files that are no releases", _RELEASES, _table(("input", "says"), [
        (row.what, _code(row.line)) for row in release_table.FILES]))
    add("Releases, keys and words", _TYPED, _table(("input", "typed: `spot` …", "says"), [
        (row.what, _code(row.command), _code(row.line) + (f" ({row.code})" if row.code != 2 else ""))
        for row in release_table.TYPED]))
    add("Campaigns that do not begin", _BEGINS, _table(("input", "says"), [
        (row.what, _code(row.line)) for row in fleet_table.BEGINS]))
    add("To the EMD: pieces of a release", _ASKS, _table(("asked for", "answer", "counted"), map(
        _asked, fleet_table.ASKS)))
    add("To the device: offers", _OFFERS, _table(("input", "answer"), [
        (row.what, _code(f"answer firmware_offer: {row.reason}")) for row in update_table.OFFERS]))
    add("To the device: heads of releases", _HEADS, _table(("input", "says"), [
        (row.what, _code(f"status rejected: {row.reason}")) for row in update_table.HEADS]))
    add("To the device: updates under way", _COURSES, _table(("input", "says", "log", "runs", "note"), [
        (row.what, ", then ".join(_code(f"status {one}") for one in row.told), ", ".join(map(_code, row.log)),
         str(row.runs), row.note) for row in update_table.COURSES]))
    return "\n".join(out)
