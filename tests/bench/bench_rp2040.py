"""The codec on the emulated RP2040 by its cycles, beside the C json on the same chip; and a whole plug there.

The emulator does not count misses of the flash cache: absolute times are lower bounds, and the same for both sides.

The plug (tests/rp2040/plug.py) has its code in ROMFS, as the product. It gets commands, each a new revision of the
running one, and its relay's pin is watched: rp2040.command_to_relay.ms from the plain body on,
rp2040.oscore_command_to_relay.ms from the protected datagram on; the longest of them, beside the median. collect: a
collection of garbage, which the loop does every ten seconds.
rp2040.gasp.ms: from the look that finds the mains gone to the protected last gasp at the transport; kept: what the
writes after it take, flash erased in 45 ms and programmed in 0.4 ms a page. The longest of a few.
rp2040.trip.ms (tests/rp2040/trips.py): from the last octet of an over-current frame at the UART until the relay's pin
falls, by its interrupt, in a loop that is otherwise idle; polled: without the interrupt; collect: in one that does
nothing but collect garbage; write: that writes flash without a break, each erase 45 ms without interrupts. The longest
of twelve.
The product by itself (tests/rp2040/cable.py), with its own main.py, watchdog, slots and slipmux cable:
rp2040.boot_to_registered.ms from power-on until the EMD has its registration; up: until the link is.
rp2040.cable_command_to_relay.ms: protected commands as the cable brings them, from their first octet at the USB port to
the relay's edge, the longest. rp2040.heap_free.percent is of this product after those commands and half a minute, its
memory walked as a collection would (tests/rp2040/census.py); told: what the product itself says of it (object 39, with
garbage); script: that of the plug beside a script, without main.py and a transport.
"""

import json
import tempfile
from pathlib import Path

from tests.rp2040 import board as boards
from tests.rp2040 import build, cable, census, plug, product, trips

_ROUNDS = 50
_COMMANDS = 8
_GASPS = 6
_HEAP_FREE = 39  # the object


def run(emit):
    """Measure on a fresh board; builds the image where it is missing. Raises SetupError, BoardError."""
    rig = build.set_up()
    code = (Path(__file__).parent / "codec_on_device.py").read_text()
    with tempfile.TemporaryDirectory() as name, boards.Board(rig, Path(name)) as board:
        script = Path(name) / "bench.py"
        script.write_text(f"ROUNDS = {_ROUNDS}\n{code}")
        board.load(boards.wire(script))
        times = json.loads(board.run(script, timeout=300))
    for name, json_call in (("telemetry_encode", "json_dumps"), ("command_decode", "json_loads")):
        emit(f"rp2040.{name}.us", round(times[f"{name}_us"], 1), "us", json=round(times[f"{json_call}_us"], 1))
    with tempfile.TemporaryDirectory() as name, boards.Board(rig, Path(name)) as board:
        board.load(plug.image())
        heap = _commands(emit, plug.Plug(board))
    with tempfile.TemporaryDirectory() as name, boards.Board(rig, Path(name)) as board:
        board.load(trips.image())
        _trips(emit, board)
    with tempfile.TemporaryDirectory() as name:
        flash = product.make(rig, Path(name))
        with boards.Board(rig, Path(name), flash=flash, held=True) as board:
            board.wire(*cable.wiring())
            _product(emit, cable.Cable(board), heap)


def _commands(emit, device):
    """Times of that plug; what is free of its heap, %."""
    device.start()
    device.join()
    device.settle(*device.turn(plain=device.body("off")))
    times = {False: [], True: []}
    for protected in times:
        for number in range(_COMMANDS):
            body = device.body("off" if number % 2 else "on")
            more = device.turn(device.request(body)[1]) if protected else device.turn(plain=body)
            times[protected].append(device.times[0][0] / 1000)  # TypeError: the relay was not moved
            device.settle(*more)
    gasps = []
    for _ in range(_GASPS):
        device.settle(ms=2000)
        gasps.append([us / 1000 for us in device.gasp()])
    device.settle(ms=2000)
    heap = device.heap()
    for protected, name in ((False, "rp2040.command_to_relay.ms"), (True, "rp2040.oscore_command_to_relay.ms")):
        found = sorted(times[protected])
        emit(name, round(found[-1], 1), "ms", median=round(found[len(found) // 2], 1),
             collect=round(heap["collect_us"] / 1000, 1))
    heard = [alarm for *_, alarm in device.core.storage.alarms if alarm["code"] == 1]
    if len(heard) != _GASPS:
        raise AssertionError(f"{len(heard)} of {_GASPS} last gasps heard")
    gone, kept = (round(max(column), 1) for column in zip(*gasps, strict=True))
    emit("rp2040.gasp.ms", gone, "ms", kept=kept)
    return 100 * (1 - heap["used"] / heap["heap"])


def _trips(emit, board):
    """The collecting loop has less time: it takes the host most."""
    rows = (("soft", "idle", trips.SECONDS), ("poll", "idle", trips.SECONDS), ("soft", "collect", 8),
            ("soft", "write", trips.SECONDS))
    idle, polled, collect, write = [round(max(trips.run(board, *row)[0]), 1) for row in rows]
    emit("rp2040.trip.ms", idle, "ms", polled=polled, collect=collect, write=write)


def _product(emit, cabled, script):
    registered = cabled.join()
    emit("rp2040.boot_to_registered.ms", round(1000 * registered), "ms", up=round(1000 * cabled.up_s))
    times = []
    for number in range(_COMMANDS):
        cabled.run(2)
        cabled.command("on" if number % 2 else "off")
        times.append(cabled.moved()[0])
    emit("rp2040.cable_command_to_relay.ms", round(max(times), 1), "ms",
         median=round(sorted(times)[len(times) // 2], 1))
    cabled.run(30)
    ask = cabled.core.read(cabled.now, cable.EUI, [_HEAP_FREE])
    cabled.run(10, lambda: ask.result is not None)
    heap = census.heap_of(cabled.board)
    emit("rp2040.heap_free.percent", round(100 * heap.free / heap.total, 1), "%",
         told=round(100 * ask.result["values"][_HEAP_FREE] / heap.total, 1), script=round(script, 1))
