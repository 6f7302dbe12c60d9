"""The security context: RFC 8613's derivations, sequence numbers that never come back, the replay window."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.log import Log
from spot.store import Store
from spot.wire.context import PIV_MAX, Context, ContextError, Window
from spot_sim.flash import MemoryFs, PowerCut

VECTORS = json.loads(Path(__file__).with_name("security.json").read_text())
SECRET, SALT = bytes(range(16)), bytes(8)


def context(store=None, id_context=None, secret=SECRET, **options):
    return Context(secret, SALT, b"\x01", b"", id_context, store, "oscore", **options)


@pytest.mark.parametrize("row", VECTORS["contexts"], ids=lambda row: row["id"])
@pytest.mark.parametrize("server", [False, True])
def test_appendix_c(row, server):
    """Appendix C.1 to C.3: keys, common IV and the nonces of number 0, from both sides."""
    a, b = bytes.fromhex(row["sid"]), bytes.fromhex(row["rid"])
    own, peer = (b, a) if server else (a, b)
    id_context = None if row["idctx"] is None else bytes.fromhex(row["idctx"])
    made = Context(bytes.fromhex(row["secret"]), bytes.fromhex(row["salt"]), own, peer, id_context)
    assert made.key(10, b"Key", 16, a).hex() == row["skey"]
    assert made.key(10, b"Key", 16, b).hex() == row["rkey"]
    assert made.key(10, b"IV", 13, b"").hex() == row["civ"]
    nonce = bytearray(13)
    for sent, name in ((not server, "snonce0"), (server, "rnonce0")):
        made.bind(nonce, None, sent, 0)
        assert nonce.hex() == row[name]


@given(st.integers(0, PIV_MAX), st.binary(max_size=7), st.binary(max_size=7))
def test_nonce_and_additional_data(piv, own, peer):
    """Sections 5.2 and 5.4, written out another way."""
    if own == peer:
        with pytest.raises(ValueError):
            Context(SECRET, SALT, own, peer)
        return
    made = Context(SECRET, SALT, own, peer)
    short = piv.to_bytes(max(1, (piv.bit_length() + 7) // 8), "big")
    common = int.from_bytes(made.key(10, b"IV", 13, b""), "big")
    for sent, id in ((True, own), (False, peer)):
        nonce, aad = bytearray(13), bytearray(40)
        n = made.bind(nonce, aad, sent, piv)
        plain = bytes([len(id)]) + bytes(7 - len(id)) + id + piv.to_bytes(5, "big")
        assert int.from_bytes(nonce, "big") == common ^ int.from_bytes(plain, "big")
        inner = b"\x85\x01\x81\x0a" + bytes([0x40 + len(id)]) + id + bytes([0x40 + len(short)]) + short + b"\x40"
        assert aad[:n] == b"\x83\x68Encrypt0\x40" + bytes([0x40 + len(inner)]) + inner


def test_keys_of_two_directions_two_secrets_and_two_id_contexts_differ():
    keys = [made.key(10, kind, 16, id) for made in (context(), context(id_context=b""), context(id_context=b"\x01"),
                                                    context(secret=bytes(16))) for id in (b"\x01", b"")
            for kind in (b"Key", b"IV")]
    assert len(set(keys)) == len(keys)


# --- the replay window ---

@given(st.lists(st.integers(0, 120), max_size=200), st.integers(-1, 60))
def test_the_window_takes_each_number_once_and_none_that_is_32_below_the_highest(numbers, begin):
    window, taken, top = Window(), set(), begin
    if begin >= 0:
        window.begin(begin)
    for piv in numbers:
        wanted = piv > begin and piv not in taken and piv > top - 32
        assert window.seen(piv) is not wanted
        if wanted:
            window.accept(piv)
            taken.add(piv)
            top = max(top, piv)
        assert window.top == top


# --- sequence numbers ---

def test_numbers_go_on_behind_the_stride_after_a_restart():
    fs = MemoryFs()
    first = context(Store(fs))
    assert first.fresh and [first.take_piv() for _ in range(3)] == [0, 1, 2]
    second = context(Store(fs))
    assert not second.fresh and second.take_piv() == 256


def test_a_write_for_each_stride_and_no_other():
    store = Store(MemoryFs())
    made = context(store)
    assert [made.take_piv() for _ in range(1000)] == list(range(1000))
    assert store.writes == 4


def test_reserving_ahead_spares_the_write_in_the_hot_path():
    store = Store(MemoryFs())
    made = context(store)
    for _ in range(600):
        made.reserve()
        writes = store.writes
        made.take_piv()
        assert store.writes == writes
    assert store.writes == 3 and not made.reserve()
    assert context(store).take_piv() == 768


@pytest.mark.parametrize("replaces", [True, False], ids=["rename replaces", "rename does not replace"])
@pytest.mark.parametrize("torn", [0, 3, 9])
def test_no_number_twice_whatever_write_is_cut(replaces, torn):
    """Power goes at every operation on flash in turn, in lives of different length, again and again: the numbers of
    all lives together are all different, and what is used is always below what the next life starts from."""
    for cut in range(40):
        fs = MemoryFs(replaces=replaces)
        used = []
        for life in range(5):
            fs.cut_after = cut % 9 + life
            fs.torn = torn
            try:
                made = context(Store(fs, log=Log(4)), known=bool(used))
                if made.lost:
                    raise AssertionError("lost numbers that were reserved")
                for _ in range(300):
                    used.append(made.take_piv())
            except PowerCut:
                pass
            fs.cut_after = None
        assert len(set(used)) == len(used)


def test_a_store_that_refuses_stops_the_numbers_and_nothing_else():
    """Full flash: ContextError, no number; when there is room again they go on where they were."""
    fs = MemoryFs()
    made = context(Store(fs))
    for _ in range(256):
        made.take_piv()
    fs.capacity = 0
    for _ in range(3):
        with pytest.raises(ContextError):
            made.take_piv()
    fs.capacity = None
    assert made.take_piv() == 256
    assert context(Store(fs)).take_piv() == 512


def test_a_store_that_refuses_ahead_of_need_is_not_asked_over_and_over():
    """An idle loop calls reserve at every turn: one attempt for each number used, and none fails the caller."""
    fs = MemoryFs()
    made = context(Store(fs))
    for _ in range(200):
        made.take_piv()
    fs.capacity = 0
    operations = fs.operations
    for _ in range(50):
        assert not made.reserve()
    tried = fs.operations
    assert 0 < tried - operations < 5
    made.take_piv()
    assert not made.reserve() and fs.operations > tried
    fs.capacity = None
    made.take_piv()
    assert made.reserve() and context(Store(fs)).take_piv() == 512


def test_numbers_end_before_they_are_no_small_ints():
    store = Store(MemoryFs())
    store.put("oscore", (PIV_MAX - 300).to_bytes(4, "big") + context()._print)
    made = context(store)
    assert made.take_piv() == PIV_MAX - 300
    for _ in range(255):
        assert made.take_piv() < PIV_MAX
    for _ in range(2):
        with pytest.raises(ContextError):
            made.take_piv()


@pytest.mark.parametrize("spoil", [lambda fs: fs.files.clear(), lambda fs: fs.files["store/oscore"].reverse(),
                                   lambda fs: Store(fs).put("oscore", b"1234")])
def test_lost_numbers_are_noticed_where_the_keys_were_used(spoil):
    """Nothing goes out under them, and nothing is believed to be fresh."""
    fs = MemoryFs()
    context(Store(fs)).take_piv()
    spoil(fs)
    made = context(Store(fs), known=True)
    assert made.lost and not made.fresh
    with pytest.raises(ContextError):
        made.take_piv()
    assert not made.reserve()


def test_numbers_never_start_over_under_a_name():
    """The secret A, then B, then A again: its numbers are not used again, and its old messages are not fresh."""
    fs = MemoryFs()
    used = []
    for secret in (SECRET, bytes(16), SECRET):
        made = context(Store(fs), secret=secret)
        used += [(secret, made.take_piv()) for _ in range(3)]
        assert made.fresh is (len(used) == 3)
    assert len(set(used)) == 9


def test_an_adopted_id_context_survives_a_restart_and_not_a_new_secret():
    fs = MemoryFs()
    made = context(Store(fs), known=True)
    assert made.lost
    made.recover(lambda n: b"1" * n)
    assert made.id_context == b"1" * 8 and made.lost and made.take_piv() == 0 and not Store(fs).names()
    made.adopt(b"2" * 24)
    assert not made.lost
    key, piv = made.key(10, b"Key", 16, b"\x01"), made.take_piv()
    again = context(Store(fs), known=True)
    assert again.id_context == b"2" * 24 and again.hint == b"\x58\x18" + b"2" * 24 and again.shown
    assert again.key(10, b"Key", 16, b"\x01") == key and again.take_piv() > piv and not again.fresh
    assert context(Store(fs), secret=bytes(16)).id_context is None


@pytest.mark.parametrize("torn", [0, 5, 20])
def test_an_adoption_that_is_cut_leaves_keys_whose_numbers_are_unused(torn):
    """(id context, number) pairs of all lives are different."""
    for cut in range(8):
        fs = MemoryFs()
        used = set()
        for life in range(4):
            fs.cut_after, fs.torn = cut, torn
            try:
                made = context(Store(fs, log=Log(4)), known=True)
                if made.lost:
                    made.recover(lambda n, cut=cut, life=life: bytes([cut, life]) * (n // 2))
                    pair = made.id_context, made.take_piv()
                    assert pair not in used
                    used.add(pair)
                    made.adopt(bytes([cut, life]) * 12)
                for _ in range(2):
                    pair = made.id_context, made.take_piv()
                    assert pair not in used
                    used.add(pair)
            except PowerCut:
                pass
            fs.cut_after = None
