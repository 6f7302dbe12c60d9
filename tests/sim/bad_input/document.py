"""Writes docs/bad-input.md from the tables that the tests run.

python -m tests.sim.bad_input.document [--check]
"""

import sys

from tests.conftest import ROOT
from tests.sim.bad_input import firmware_sections, sensor_table, start, table, wire_sections

PAGE = ROOT / "docs" / "bad-input.md"

_HEAD = """# Bad input

Made by `make gen` from tests/sim/bad_input. Do not edit.

What the firmware and the EMD do with input that is broken, hostile, out of order or out of time. The table is the
test: each row runs
against the real firmware and the real EMD in `tests/sim/bad_input`, under a virtual clock, with a second device
beside it. What the load
does is measured at the contact behind the relay, not taken from what the firmware says.

In every row it also holds, and is checked, that

- nothing was lost: each status, alarm and interval reading that the device numbered reaches the EMD, exactly once;
- what is refused leaves the receiver's memory as it was: plan, ledger, digest, mode, prices and relay of the
device; the EMD's row,
  commands and readings;
- the second device and its row at the EMD are untouched, and both devices are controlled as before in the end;
- whatever either side says in answer is valid by docs/spot.cddl.

Beyond the rows: each example of each message (docs/profile.md) is cut at every octet and has every single bit
turned over, on its way to
the device and to the EMD (`test_spoiled.py`; on MicroPython `tests/unix/app/test_spoiled.py`). What one decoder
refuses the other
refuses; nothing crashes, and what is refused moves nothing. Noise, and bodies made to exhaust memory, are in
`tests/unit/emd/test_hostile.py`
and `tests/unit/wire`.

"Load" says what the contact does in the half hour after the input: times in s since it came.

| what | where |
|---|---|
| messages of SPOT, to the device and to the EMD | below |
| CoAP, OSCORE, COSE, streams, signatures | [below the body](#below-the-body-coap-oscore-cose-streams-signatures) |
| meters and thermometers | [values from sensors](#values-from-sensors) |
| config.json and board.json, on the device | [at the start](#at-the-start-the-configuration) |
| boards, ports, certificates, releases, updates | [boards, files, releases and updates]\
(#boards-files-releases-and-updates) |
"""

_WIRE_HEAD = """# Below the body: CoAP, OSCORE, COSE, streams, signatures

Each row runs with the firmware's own link (its endpoint, its security, its transport) and a whole device behind it, or
with the EMD's own server on ports of this machine (`test_wire.py`). Each end's keys are the other's: what the table
shows as protected has been decrypted.

"Answer" is what goes back on the wire; quoted behind a code, the diagnostic text. "Log" is every event of the link and
the wire that the input caused, with its count, and no other event came. "Cost" is what it took: octets that went back;
*remembered* requests, uploads, observers that the device holds now; *decryptions* (one pass of AES-CCM), *derivations*
(a context's keys, some 8 ms on an RP2040), *verifications* (a signature), operations on flash. What is not named was
not taken: the tables were as they had been.

In every row it also holds, and is checked, that the second device is untouched, that nothing was lost, that nothing was
raised that nobody expected, and that both devices are controlled as before in the end; where the load says
"unchanged", plan, ledger, mode, prices and relay were what they had been, too.

Beyond the rows: every protected message of the golden vectors and every kind of CoAP message is cut at every octet, and
has every octet changed, on its way to either side (`test_spoiled_wire.py`); `tests/interop/fuzz` looks for more.
"""

_EMD_NOTE = """
Bad bodies are counted on the row of the device that sent them (`hostile`, with the last error), answered at most
once in five seconds,
and not logged one by one: `spot emd devices` shows them. "Log" is the EMD's own log.
"""

_SENSOR_HEAD = """# Values from sensors

Each row runs with the real drivers in front of simulated chips, at the level of bytes, bits, pulses and registers, and
a whole device and the EMD behind them (`test_sensors.py`). "Says" are the alarms that reach the EMD while it lasts and
after; a sensor's fault names the object. "Reads" are the readings meanwhile, in the units of docs/profile.md. "Load" is
the contact, in s since it began; a row that says that the EMD has locked or limited the device has that lock or limit
in it.

In every row it also holds, and is checked, that no trip came of it and nothing was shed, that energy did not go back,
that everything is read again as before within the time after its end (100 s, where nothing else is said), and that
nothing was lost on the way to the EMD. What a missing sensor means for its role is in docs/plug.md and at the head of
`firmware/spot/device/heat_pump.py`; what each driver refuses is in docs/drivers.
"""

_START_NOTE = """
A configuration that is wrong ends the process with exit code 2 and one line; nothing is built before it is right,
and no pin has moved.
"""

_WHOLE_NOTE = """
What is right by itself and wrong with the rest: pins, buses, sensors, register maps, the board's times and ratings, the
settings among themselves (the table `ORDER` in `firmware/spot/device/settings.py`) and against the board. The same end:
exit code 2, one line, no pin has moved and no file was made (`test_whole.py`; on MicroPython
`tests/unix/app/test_start.py`). A chip goes on with the copy of its latest good configuration, else in safe mode.
"""


def _row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _grouped(words):
    """The answers in order, repetitions counted."""
    out = []
    for word in words:
        if out and out[-1][0] == word:
            out[-1][1] += 1
        else:
            out.append([word, 1])
    return ", then ".join("`%s`" % word + (" × %d" % n if n > 1 else "") for word, n in out)


def _answer(row):
    if row.answer is None:
        return "`status received: none` or `status rejected: ledger_full`"
    return _grouped(row.answer) or "none"


def _load(row):
    return ", ".join(f"{what} at {at}" for at, what in row.load) or "unchanged"


def page():
    """The whole page."""
    out = [_HEAD]
    for side, title, rows in table.SECTIONS:
        out.append(f"## {title}\n")
        if side == "emd":
            out.append(_EMD_NOTE.strip() + "\n")
        out.append(_row(("input", "answer", "log", "load", "note")))
        out.append("|---|---|---|---|---|")
        for row in rows:
            log = f"`{row.log}`" if row.log else ("counted" if side == "emd" and row.counted else "")
            out.append(_row((row.what, _answer(row), log, _load(row), row.note)))
        out.append("")
    out.append(_WIRE_HEAD)
    for section in wire_sections.SECTIONS:
        out.append(f"## {section.title}\n")
        if section.note:
            out.append(section.note + "\n")
        out.append(_row(("input", "answer", "log", "cost", "load", "note")))
        out.append("|---|---|---|---|---|---|")
        for row in section.rows:
            log = ", ".join(f"`{event}`" + (f" × {n}" if n > 1 else "") for event, n in row.log.items())
            answer = _grouped(row.answer) or "none"
            if row.said:
                answer = (answer + ", and " if row.answer else "") + _grouped(row.said)
            out.append(_row((row.what, answer, log, row.cost, _load(row), row.note)))
        out.append("")
    out.append(_SENSOR_HEAD)
    for title, rows in sensor_table.SECTIONS:
        out.append(f"## {title}\n")
        out.append(_row(("input", "says", "reads", "load", "note")))
        out.append("|---|---|---|---|---|")
        for row in rows:
            reads = ", ".join("%s %s" % (name.replace("_", " "), "none" if value is None else f"{value:,}")
                              for name, value in (row.reads or {}).items())
            out.append(_row((row.what, _grouped(row.said) or "nothing", reads, _load(row), row.note)))
        out.append("")
    out.append("## At the start: the configuration\n")
    out.append(_START_NOTE.strip() + "\n")
    out.append(_row(("input", "line")))
    out.append("|---|---|")
    out.extend(_row((row.what, f"`{row.line}`")) for row in start.ROWS)
    out.append("\n## At the start: the configuration as a whole\n")
    out.append(_WHOLE_NOTE.strip() + "\n")
    out.append(_row(("input", "line")))
    out.append("|---|---|")
    out.extend(_row((row.what, f"`{row.line}`")) for row in start.WHOLE)
    out.append("\n" + firmware_sections.sections().rstrip("\n"))
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text() != page())
    PAGE.write_text(page())
