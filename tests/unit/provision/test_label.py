"""Labels: what the QR code says is read again, and nothing else is taken for one."""

import base64
import hashlib
import re

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_host import label
from spot_host.label import LabelError
from spot_host.pairing import Pairing
from tests.unit.provision.conftest import ONE

PAIRING = Pairing(bytes(range(16)), bytes(range(8)), b"\x05")
TEXT = "SPOT:1:Q5EAEAAAAAAAAAABIECUCACIAAAQEAYEAUDAOUAAAEBAGBAFAYDQQCIKBMGA2DQPAD3EEGI"


def made(content, check=None):
    octets = content if isinstance(content, bytes) else cbor2.dumps(content, canonical=True)
    octets += hashlib.sha256(octets).digest()[:2] if check is None else check
    return "SPOT:1:" + base64.b32encode(octets).decode().rstrip("=")


def test_version_1_is_these_characters():
    """What is printed once is read for ever."""
    assert label.text_of(ONE, PAIRING) == TEXT
    assert re.fullmatch(r"[0-9A-Z $%*+./:-]+", TEXT) and len(TEXT) <= 90  # QR's alphanumeric set; version 4-M
    assert label.parse(TEXT) == (ONE, PAIRING)


@given(eui=st.binary(min_size=8, max_size=8), secret=st.binary(min_size=16, max_size=16),
       salt=st.binary(min_size=8, max_size=8), id_=st.binary(min_size=1, max_size=3).filter(lambda b: b != b"\0"),
       generation=st.integers(0, 255), until=st.none() | st.integers(0, 2**32 - 1))
def test_what_is_printed_is_what_is_read(eui, secret, salt, id_, generation, until):
    pairing = Pairing(secret, salt, id_, generation=generation, until=until)
    for one in (pairing, None):
        text = label.text_of(eui.hex(), one)
        assert label.parse(text) == (eui.hex(), one)
        typed = " ".join(text.lower()[at:at + 5] for at in range(0, len(text), 5)) + "\n"
        assert label.parse(typed) == (eui.hex(), one)


@given(at=st.integers(7, len(TEXT) - 1), by=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_character_that_was_typed_wrongly_is_noticed(at, by):
    if TEXT[at] != by:
        with pytest.raises(LabelError):
            label.parse(TEXT[:at] + by + TEXT[at + 1:])


FULL = [bytes(8), b"\x05", b"\0", bytes(8), bytes(16), 0, None]


@pytest.mark.parametrize("text, says", [
    ("", "no label"), ("https://example.org/", "no label"), ("SPOT:", "no label"), ("SPOT:1", "no label"),
    ("SPOT:2:AAAA", "a label of version 2; this program reads version 1"), ("SPOT:1:", "check does not fit"),
    ("SPOT:1:0189", "letters and the digits 2 to 7"), ("SPOT:1:A", "letters and the digits"),
    (TEXT[:-8], "check does not fit"), ("SPOT:1:" + "A" * 400, "at most 200"),
    (made(FULL, b"\0\0"), "check does not fit"), (made([]), "something else"), (made([bytes(7)]), "something else"),
    (made({1: 2}), "something else"), (made(5), "something else"), (made(FULL[:6]), "something else"),
    (made(["x" * 8]), "something else"), (made([*FULL[:4], "s" * 16, 0, None]), "something else"),
    (made([*FULL[:4], bytes(15), 0, None]), "16 octets"), (made([*FULL[:5], 300, None]), "generation"),
    (made([*FULL[:1], b"\0", *FULL[2:]]), "differ"), (made(b"\x81\x58\x08" + bytes(8)), "something else"),
    (made(b"\xff"), "something else"), (made(b"\x9f"), "something else"),
])  # fmt: skip
def test_what_is_no_label_is_told(text, says):
    with pytest.raises(LabelError, match=says):
        label.parse(text)


@pytest.mark.parametrize("kind, begins", [(".svg", b"<svg"), (".pdf", b"%PDF"), (".png", b"\x89PNG")])
def test_a_label_is_drawn_for_its_owner_alone(tmp_path, kind, begins):
    pytest.importorskip("segno", reason="segno (pip install segno)")
    path = tmp_path / f"label{kind}"
    label.save(path, TEXT, ("02000000 00000001", "a < b & c"))
    assert path.read_bytes().startswith(begins) and path.stat().st_mode & 0o777 == 0o600
    if kind == ".svg":
        import xml.etree.ElementTree as tree

        words = [one.text for one in tree.fromstring(path.read_text()).iter() if one.tag.endswith("text")]
        assert words == ["02000000 00000001", "a < b & c"]


def test_the_drawn_code_is_the_text():
    segno = pytest.importorskip("segno", reason="segno (pip install segno)")
    code = segno.make(TEXT, error="m", micro=False, boost_error=False)
    assert (code.designator, code.mode) == ("4-M", "alphanumeric")
    assert label.terminal(TEXT).count("\n") >= 20
