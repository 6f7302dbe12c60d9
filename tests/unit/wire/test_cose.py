"""COSE around bodies: other implementations read it, and nothing forged, replayed or redirected is let through."""

import hmac
import json
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.store import Store
from spot.wire import kdf
from spot.wire.context import Context
from spot.wire.cose import Cose, CoseError
from spot_sim.flash import MemoryFs

VECTORS = json.loads(Path(__file__).with_name("security.json").read_text())
SECRET, SALT = bytes(range(16)), b"saltsalt"
BODY = bytes(range(34))


def ends(mac=False, boot=7, device_id=b"\x01", emd_id=b"", id_context=None, store=None, device_boot=None):
    """(device, EMD)."""
    device = Context(SECRET, SALT, device_id, emd_id, id_context, store, "cose")
    return (Cose(device, boot if device_boot is None else device_boot, True, mac),
            Cose(Context(SECRET, SALT, emd_id, device_id, id_context), boot, False, mac))


def seal(end, channel="cmd", body=BODY):
    out = bytearray(len(body) + 60)
    return bytes(out[: end.seal(channel, body, len(body), out)])


def opened(end, octets, channel="cmd"):
    out = bytearray(1200)
    return bytes(out[: end.open(channel, octets, len(octets), out)])


def refused(end, octets, channel="cmd"):
    with pytest.raises(CoseError) as caught:
        opened(end, octets, channel)
    return caught.value.args[0]


# --- as others read it ---

def _hkdf(id, alg, kind, n):
    return HKDF(SHA256(), n, SALT, cbor2.dumps([id, None, alg, kind, n])).derive(SECRET)


def read_by_others(octets, mac, channel, boot, to):
    """The body, by cbor2 and cryptography alone, as the profile and RFC 9052 say it."""
    items = cbor2.loads(octets)
    protected, headers, body = items[:3]
    assert protected == b"" and set(headers) == {4, 6} and cbor2.dumps(items, canonical=True) == octets
    kid, piv = headers[4], headers[6]
    aad = cbor2.dumps([kid, to, piv, channel, boot])
    if mac:
        tomac = cbor2.dumps(["MAC0", b"", aad, body])
        assert hmac.digest(_hkdf(kid, 4, "COSE Key", 32), tomac, "sha256")[:8] == items[3]
        return body
    common = int.from_bytes(_hkdf(b"", 10, "COSE IV", 13), "big")
    nonce = common ^ len(kid) << 96 ^ int.from_bytes(kid, "big") << 40 ^ int.from_bytes(piv, "big")
    aad = cbor2.dumps(["Encrypt0", b"", aad])
    return AESCCM(_hkdf(kid, 10, "COSE Key", 16), 8).decrypt(nonce.to_bytes(13, "big"), body, aad)


@settings(deadline=None, max_examples=60)
@given(st.booleans(), st.booleans(), st.binary(max_size=1024),
       st.sampled_from([0, 23, 24, 255, 256, 65535, 65536, 1 << 30]),
       st.sampled_from([0, 255, 256, 65536, 1 << 24]), st.sampled_from(["cmd", "telemetry", "c" * 24]))
def test_other_implementations_read_it(mac, up, body, boot, piv, channel):
    device, emd = ends(mac, boot)
    sender, receiver = (device, emd) if up else (emd, device)
    sender.context.seq, sender.context._limit = piv, piv + 1
    octets = seal(sender, channel, body)
    assert read_by_others(octets, mac, channel, None if up else boot, b"" if up else b"\1") == body
    assert opened(receiver, octets, channel) == body


@pytest.mark.parametrize("row", VECTORS["mac0"], ids=lambda row: row[0])
def test_hmac_256_64_of_the_cose_examples(row):
    _, fails, _, key, tomac, tag = row
    assert (kdf.hmac_sha256(bytes.fromhex(key), bytes.fromhex(tomac))[:8].hex() == tag) is not fails


def test_no_key_serves_two_purposes():
    """OSCORE's and COSE's, of either algorithm, of either side, of two generations: all differ; so do the IVs."""
    keys = []
    for id_context in (None, b"\x01"):
        context = Context(SECRET, SALT, b"\x01", b"", id_context)
        for id in (b"\x01", b""):
            keys += [context.key(10, b"Key", 16, id), context.key(10, b"COSE Key", 16, id),
                     context.key(4, b"COSE Key", 32, id)[:16]]
        keys += [context.key(10, b"IV", 13, b""), context.key(10, b"COSE IV", 13, b"")]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("mac, octets", [(False, 21), (True, 22)])
def test_overhead(mac, octets):
    """With one octet of kid, a number of three octets, a body of 24 octets or more, as most commands are."""
    device, emd = ends(mac, emd_id=b"\x00")
    device.context.seq = emd.context.seq = 70000
    device.context._limit = emd.context._limit = 70001
    assert len(seal(device)) - len(BODY) == len(seal(emd)) - len(BODY) == octets


# --- what is not let through ---

@pytest.mark.parametrize("mac", [False, True])
def test_a_replay_a_redirection_a_reflection_and_a_message_of_before_the_restart(mac):
    device, emd = ends(mac)
    octets = seal(emd)
    assert refused(device, octets, "link") == "forged", "to another channel"
    assert refused(emd, octets) == "kid", "back to its sender"
    assert refused(ends(mac, device_id=b"\x02")[0], octets) == "forged", "to another device, if it had the secret"
    assert refused(ends(mac, boot=8)[0], octets) == "forged", "after a restart"
    assert opened(device, octets) == BODY
    assert refused(device, octets) == "replay"
    up = seal(device, "telemetry")
    assert opened(ends(mac, boot=99)[1], up, "telemetry") == BODY, "an EMD need not know the start of what comes up"
    assert opened(emd, up, "telemetry") == BODY and refused(emd, up, "telemetry") == "replay"


def test_a_device_whose_id_is_the_emds_is_none():
    with pytest.raises(ValueError):
        ends(device_id=b"", emd_id=b"")


@pytest.mark.parametrize("mac", [False, True])
def test_one_wrong_bit_anywhere(mac):
    device, emd = ends(mac)
    octets = seal(emd)
    for bit in range(8 * len(octets)):
        spoiled = bytearray(octets)
        spoiled[bit >> 3] ^= 1 << (bit & 7)
        assert refused(device, spoiled) in ("form", "kid", "forged")
    assert opened(device, octets) == BODY


@pytest.mark.parametrize("mac", [False, True])
def test_cut_and_lengthened(mac):
    device, emd = ends(mac)
    octets = seal(emd)
    for n in range(len(octets)):
        assert refused(device, octets[:n]) == "form"
    assert refused(device, octets + b"\0") == "form"


def _with(octets, **change):
    items = cbor2.loads(octets)
    protected, headers, rest = items[0], dict(items[1]), items[2:]
    protected = change.get("protected", protected)
    headers.update(change.get("headers", {}))
    return cbor2.dumps([protected, headers, *change.get("rest", rest)])


BAD = {
    "plain body": lambda o: BODY, "empty": lambda o: b"", "null": lambda o: b"\xf6",
    "tagged": lambda o: cbor2.dumps(cbor2.CBORTag(16, cbor2.loads(o))),
    "not deterministic": lambda o: b"\x98" + bytes([o[0] & 15]) + o[1:],
    "indefinite": lambda o: b"\x9f" + o[1:] + b"\xff",
    "another algorithm in the protected header": lambda o: _with(o, protected=b"\xa1\x01\x01"),
    "a critical header": lambda o: _with(o, headers={2: [99], 99: 1}),
    "a header more": lambda o: _with(o, headers={5: bytes(13)}),
    "a number with a leading zero": lambda o: _with(o, headers={6: b"\0\1"}),
    "no octets of number": lambda o: _with(o, headers={6: b""}),
    "a number of five octets": lambda o: _with(o, headers={6: b"\1\0\0\0\0"}),
    "a number beyond all": lambda o: _with(o, headers={6: b"\x40\0\0\0"}),
    "a number as an integer": lambda o: _with(o, headers={6: 1}),
    "no tag": lambda o: _with(o, rest=[b""] if o[0] == 0x83 else [BODY, b""]),
    "a truncated tag": lambda o: _with(o, rest=[*cbor2.loads(o)[2:-1], cbor2.loads(o)[-1][:-1]]),
    "a longer tag": lambda o: _with(o, rest=[*cbor2.loads(o)[2:-1], cbor2.loads(o)[-1] + b"\0"]),
    "far too long": lambda o: _with(o, rest=[bytes(1300)] if o[0] == 0x83 else [bytes(1300), bytes(8)]),
    "an unknown key": lambda o: _with(o, headers={4: b"\7"}),
}


@pytest.mark.parametrize("mac", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_bad_objects(name, mac):
    """Each is refused with CoseError and no other; the right one is let through afterwards."""
    device, emd = ends(mac)
    octets = seal(emd)
    assert refused(device, BAD[name](octets)) in ("form", "kid", "forged")
    assert opened(device, octets) == BODY


def test_one_kind_is_not_taken_for_the_other():
    """A device that wants secrecy takes no object that is only authenticated, and the other way round."""
    for mac in (False, True):
        assert refused(ends(mac)[0], seal(ends(not mac)[1])) == "form"


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=80), st.booleans())
def test_hostile_octets(octets, mac):
    assert refused(ends(mac)[0], octets) in ("form", "kid", "forged")


def test_the_window_takes_what_comes_out_of_order_once():
    device, emd = ends()
    wires = [seal(emd, body=bytes([i])) for i in range(40)]
    assert [opened(device, wires[i])[0] for i in (0, 3, 1, 39, 38, 8)] == [0, 3, 1, 39, 38, 8]
    for i in (0, 3, 39, 8, 7):
        assert refused(device, wires[i]) == "replay"


def test_the_emd_goes_on_from_the_number_that_it_kept():
    device, emd = ends()
    wires = [seal(device, "status") for _ in range(5)]
    for wire in wires[:3]:
        opened(emd, wire, "status")
    again = ends()[1]
    again.window.begin(emd.window.top)
    for wire in wires[:3]:
        assert refused(again, wire, "status") == "replay"
    assert opened(again, wires[3], "status") == BODY


def test_generations_have_kids_of_their_own():
    """So that an end that has two knows which to try; none opens what the other has sealed."""
    old, new = ends(), ends(id_context=b"\x01")
    octets = seal(new[1])
    assert cbor2.loads(octets)[1][4] == b"\x01"
    assert refused(old[0], octets) == "kid" and opened(new[0], octets) == BODY


def test_where_the_store_refuses_nothing_is_sealed():
    fs = MemoryFs(capacity=0)
    device = ends(store=Store(fs))[0]
    with pytest.raises(CoseError):
        seal(device)
    fs.capacity = None
    seal(device)


def test_no_room():
    device, emd = ends()
    octets = seal(emd)
    with pytest.raises(ValueError):
        emd.seal("cmd", BODY, len(BODY), bytearray(len(BODY) + 10))
    with pytest.raises(ValueError):
        device.open("cmd", octets, len(octets), bytearray(len(BODY) - 1))
    assert opened(device, octets) == BODY
