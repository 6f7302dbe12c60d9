"""The bodies of tests/sim/bad_input/test_spoiled.py, on MicroPython with a small heap: all of them refused,
nothing moved."""

from spot_host.profile import codec
from spot_host.profile import definition as d
from tests.conftest import ROOT
from tests.sim.bad_input.corpus import bodies, refused, spoiled

NOON = 1765537200
EPOCH = 17000
_CHANNELS = {name: code for code, name, *_ in d.CHANNELS}
_KIND = {name: code for code, name, _ in d.enum("Kind").rows}


def test_every_message_cut_and_turned(mpy, tmp_path):
    cmd = _CHANNELS["cmd"]
    first = [
        codec.encode("registered", {"reason": 0, "boot": 1, "epoch": EPOCH, "time": NOON, "failsafe_limit": 1000}),
        codec.encode("heartbeat", {"epoch": EPOCH, "time": NOON, "digest": 0, "clock": 4}),
        codec.encode(
            "command",
            {
                "epoch": EPOCH,
                "id": 1,
                "revision": 0,
                "priority": 5,
                "kind": _KIND["limit"],
                "issued": NOON,
                "delay": 0,
                "duration": 7200,
                "value": 3000,
            },
        ),
    ]
    lines = [f"{cmd} {body.hex()}" for body in first] + ["joined"]
    given = {}
    for name, _, channel, body in bodies("down", EPOCH, NOON):
        bad = [b for b in spoiled(body) if refused(b)]
        given[name] = len(bad)
        lines += [f"{_CHANNELS[channel]} {b.hex() or '-'}" for b in bad] + [name]
    corpus = tmp_path / "bodies"
    corpus.write_text("\n".join(lines) + "\n")
    out = mpy(ROOT / "tests/unix/app/spoiled_on_device.py", ROOT / "boards", tmp_path / "store", corpus, heap="700k")
    rows = {words[0]: [int(n) for n in words[1:]] for words in (line.split() for line in out.splitlines())}
    assert rows.pop("joined")[3] == 1  # it took what was right
    assert set(rows) == set(given) and sum(given.values()) > 3000
    for name, (count, ignored, edges, changed, _, _) in rows.items():
        assert (count + ignored, edges, changed) == (given[name], 0, 0), name


def test_floods_of_rare_requests_cost_no_flash_and_no_heap(mpy, tmp_path):
    """Lines of the log, and calibrations of which one runs: the code for them is loaded on demand, once."""
    cmd = _CHANNELS["cmd"]
    lines = [f"{cmd} " + codec.encode("registered", {"reason": 0, "boot": 1, "epoch": EPOCH, "time": NOON}).hex()]
    n = 0
    for turn in range(8):
        for _ in range(100):
            n += 1
            asked = {"epoch": EPOCH, "id": n, "issued": NOON}
            for name, values in (("read_log", {"record": 0, "first": n % 50}), ("read_log", {"record": 1, "first": 0}),
                                 ("calibrate", {"seconds": 300, "voltage": 23000 + n})):
                lines.append(f"{cmd} " + codec.encode(name, {**asked, **values}).hex())
        lines.append(f"turn{turn}")
    corpus = tmp_path / "bodies"
    corpus.write_text("\n".join(lines) + "\n")
    out = mpy(ROOT / "tests/unix/app/spoiled_on_device.py", ROOT / "boards", tmp_path / "store", corpus, heap="700k")
    rows = [[int(n) for n in line.split()[1:]] for line in out.splitlines()]
    assert len(rows) == 8 and {row[0] for row in rows} == {100}  # there is no crash record
    writes, heap = [row[4] for row in rows[1:]], [row[5] for row in rows[1:]]
    assert len(set(writes)) == 1, writes
    assert max(heap) - min(heap) <= 300, heap
