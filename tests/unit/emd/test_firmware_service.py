"""Releases over CoAP with OSCORE, and `spot update` against the EMD that runs."""

import json
import time

import pytest
from aiocoap.numbers import codes
from aiocoap.optiontypes import BlockOption

from spot_host import cli
from spot_host.emd import firmware
from spot_host.emd.firmware import Shelf
from spot_host.profile import codec
from tests.unit.emd.coap_rig import EUIS, Rig
from tests.unit.emd.test_coap_service import ONE, home, wait  # noqa: F401 - home is a fixture
from tests.unit.emd.test_firmware import OCTETS, PRIVATE, plug, release

SHELF_NAME = "0123456789abcdef"


def block(number, exponent):
    return BlockOption.BlockwiseTuple(number, False, exponent)


@pytest.fixture
def rig():
    made = Rig(2)
    shelf = made.shelf = Shelf()
    made.link._front.shelf = shelf
    shelf.put(SHELF_NAME, OCTETS)
    shelf.grant(EUIS[0], SHELF_NAME)
    yield made
    made.close()


@pytest.mark.parametrize("exponent", [4, 5])
def test_block_by_block_it_is_the_release(rig, exponent):
    """In blocks of the very size that a device asks for: it takes no others."""
    device, octets, number = rig.device(1), b"", 0
    while len(octets) < len(OCTETS):
        got = device.get(f"/fw/{SHELF_NAME}", blocks=False, block2=block(number, exponent))
        if got.code == codes.SERVICE_UNAVAILABLE:
            assert got.opt.max_age == 1
            time.sleep(0.2)  # the rate is of this machine's clock
            continue
        assert got.code == codes.CONTENT and got.opt.block2[::2] == (number, exponent)
        octets += got.payload
        number += 1
        assert got.opt.block2.more == (len(octets) < len(OCTETS)) and got.opt.size2 == len(OCTETS)
    assert octets == OCTETS
    assert rig.shelf.heard == {EUIS[0]: len(OCTETS)}
    assert device.get(f"/fw/{SHELF_NAME}", blocks=False, block2=block(number, exponent)).code == codes.BAD_OPTION


@pytest.mark.parametrize("ask", ["another device", "another release", "a stranger", "post", "deeper", "none offered"])
def test_nobody_else_gets_it(rig, ask):
    device = rig.device(2 if ask == "another device" else 1, secure=ask != "a stranger")
    if ask == "none offered":
        rig.shelf.grant(EUIS[0], SHELF_NAME, False)
    path = {"another release": "/fw/0123456789abcdee", "deeper": f"/fw/{SHELF_NAME}/x"}.get(ask, f"/fw/{SHELF_NAME}")
    got = device.post(path[1:]) if ask == "post" else device.get(path, blocks=False, block2=block(0, 4))
    assert got.code == {"a stranger": codes.UNAUTHORIZED, "post": codes.METHOD_NOT_ALLOWED}.get(ask, codes.NOT_FOUND)
    assert OCTETS[:16] not in got.payload and rig.shelf.heard == {}


def test_a_device_that_asks_without_end_gets_so_much_a_second(rig):
    device, begin = rig.device(1), time.monotonic()
    answers = [device.get(f"/fw/{SHELF_NAME}", blocks=False, block2=block(0, 4)) for _ in range(150)]
    seconds = time.monotonic() - begin
    served = sum(len(a.payload) for a in answers if a.code == codes.CONTENT)
    assert served <= firmware.BURST + firmware.RATE * (seconds + 1)
    assert rig.shelf.slowed == sum(a.code == codes.SERVICE_UNAVAILABLE for a in answers)


def _spot(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return caught.value.code or 0, *capsys.readouterr()


def test_the_commands(home, capsys, tmp_path):  # noqa: F811 - the fixture
    emd = home.emd()
    device, db = home.device(emd), home.folder / "emd.sqlite"
    assert device.post("register", codec.encode("register", plug(ONE))).code == codes.CHANGED
    good, unsigned = tmp_path / "a.spotfw", tmp_path / "b.spotfw"
    good.write_bytes(OCTETS)
    unsigned.write_bytes(release(signed=False))
    hss = (b"\0\0\0\1" + PRIVATE.publicKey().serialize()).hex()

    assert _spot(capsys, "update", "status", "-d", db)[::2] == (
        2, "spot: there is no campaign: spot update start RELEASE\n")
    for arguments, text in (
        ([unsigned], "not signed"), ([tmp_path / "none"], "none: No such file"), ([good, "-k", "00" * 60], "no HSS"),
        ([good, "--device", "0200000000000099"], "no device"), ([good, good], "two releases for one board"),
    ):
        code, _, err = _spot(capsys, "update", "start", *arguments, "-d", db)
        assert code == 2 and text in err and err.count("\n") == 1, err

    wait(lambda: _ok(capsys, "update", "start", good, "-k", hss, "--model", "pico=Model P", "-d", db), "a campaign")
    offer = wait(lambda: next((codec.decode(b) for p, b in device.got if b[1] == 16), None), "the offer").values
    assert offer["digest"] and device.get(f"/fw/{offer['resource']}", blocks=False, block2=block(0, 4)).payload == (
        OCTETS[:256])
    said = {"seq": 0, "id": offer["id"], "revision": 0, "state": 2, "reason": 0}
    assert device.post("status", codec.encode("status", said)).code == codes.CHANGED

    def shown():
        code, out, _ = _spot(capsys, "update", "status", "--json", "-d", db)
        record = json.loads(out)
        return record if code == 0 and record["members"] and record["members"][0]["state"] == "fetching" else None

    record = wait(shown, "the status in the database")
    assert record["state"] == "canaries" and record["counts"] == {"fetching": 1}
    code, out, _ = _spot(capsys, "update", "status", "-d", db)
    assert code == 0 and ONE in out and "  canary" in out and "pico 1.5 (sequence 5)" in out
    code, out, _ = _spot(capsys, "update", "halt", "-d", db, "--why", "a look [red] first")
    assert code == 0 and "campaign 1 is halted" in out
    assert device.get(f"/fw/{offer['resource']}", blocks=False, block2=block(1, 4)).code == codes.NOT_FOUND
    code, out, _ = _spot(capsys, "update", "status", "-d", db)
    assert code == 0 and "a look [red] first" in out and "spot update resume" in out
    code, _, err = _spot(capsys, "update", "halt", "-d", db)
    assert code == 2 and "campaign 1 is halted: a look" in err
    assert _spot(capsys, "update", "resume", "-d", db, "--retry")[0] == 0
    failed = {"seq": 1, "id": offer["id"], "revision": 0, "state": 12, "reason": 49}
    assert device.post("status", codec.encode("status", failed)).code == codes.CHANGED

    def halted():
        out = _spot(capsys, "update", "list", "--json", "-d", db)[1]
        return json.loads(out)[0]["state"] == "halted"

    wait(halted, "the halt")
    out = _spot(capsys, "update", "status", "-d", db)[1]
    assert "digest" in out and "1 failed" in out
    assert _spot(capsys, "update", "list", "-d", db)[0] == 0
    code, out, _ = _spot(capsys, "update", "halt", "--end", "-d", db)
    assert code == 0 and "campaign 1 is ended" in out
    code, out, _ = _spot(capsys, "update", "start", good, "--device", ONE, "--json", "-d", db)
    assert code == 0 and json.loads(out)["id"] == 2
    emd.stop()
    code, _, err = _spot(capsys, "update", "halt", "-d", db)
    assert code == 3 and "no EMD runs" in err


def _ok(capsys, *arguments):
    return _spot(capsys, *arguments)[0] == 0
