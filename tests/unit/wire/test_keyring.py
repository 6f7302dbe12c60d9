"""Keys by generation: rotation without a gap, revocation by pairing anew, power cuts at every write."""

import pytest

from spot import codes
from spot.log import Log
from spot.store import Store
from spot.wire.context import ContextError
from spot.wire.keyring import Keyring
from spot.wire.oscore import OscoreError
from spot_sim.flash import MemoryFs, PowerCut

from .oscore_rig import End, message, shown

PAIRING = {"secret": "00" * 16, "salt": "11" * 8, "id": "01", "emd": "00", "generation": 0}
NEW, NEWER = b"n" * 16, b"N" * 16
EMD_PAIRING = {**PAIRING, "id": PAIRING["emd"], "emd": PAIRING["id"]}


def ring(fs, pairing=PAIRING, **options):
    return Keyring(pairing, Store(fs, log=Log(4)), "oscore", Log(16), **options)


def state(keys):
    return [(c.secret, c.id_context) for c in keys.contexts], keys.contexts.index(keys.current)


OLD_ONLY = [(bytes(16), None)], 0
BOTH = [(bytes(16), None), (NEW, b"\x01")], 0
NEW_ONLY = [(NEW, b"\x01")], 0


def test_a_rotation_without_a_gap():
    """Old, both (and sent under the old one), new: in RAM and after a restart at each step."""
    fs = MemoryFs()
    keys = ring(fs)
    assert state(keys) == state(ring(fs)) == OLD_ONLY
    assert keys.offer(1, NEW) == codes.REASON_NONE
    assert state(keys) == state(ring(fs)) == BOTH
    keys.used(keys.current)
    assert state(keys) == BOTH
    keys.used(keys.contexts[1])
    assert state(keys) == state(ring(fs)) == NEW_ONLY and keys.generation == 1
    assert keys.offer(2, NEWER) == codes.REASON_NONE
    keys.used(keys.contexts[1])
    assert state(keys) == state(ring(fs)) == ([(NEWER, b"\x02")], 0)


def test_a_store_that_was_erased_repeats_no_number_where_keys_are_renewed():
    """The pairing file is the same; what was sent under it is nowhere. Appendix B.2 gives keys that were never used."""
    emd = End(*ring(MemoryFs(), EMD_PAIRING).contexts)
    seen, fs = set(), MemoryFs()
    for start in range(4):
        if start != 2:
            fs.files.clear()
        device = End(*ring(fs, renew=True).contexts)
        echo = ()
        for _ in range(3):
            wire, binding = device.request(message(2, echo, b"x"))
            context = device.context
            key = context.id_context, context.seq
            assert key not in seen and context.id_context is not None, "no number under the bare secret"
            seen.add(key)
            try:
                assert emd.take(wire)[0].endswith(b"x")
                break
            except OscoreError as error:
                answer = emd.respond(message(error.code, ((252, error.echo),) if error.echo else ()), emd.last)
            response = shown(device.response(answer, binding))
            echo = [option for option in response[1] if option[0] == 252]
        else:
            raise AssertionError("not through")
    assert len({id_context for id_context, _ in seen}) == 6  # two for each erased store


def test_both_ends_talk_all_the_time():
    """Messages both ways at every step, with the keys that each end sends under."""
    device_keys, emd_keys = ring(MemoryFs()), ring(MemoryFs(), EMD_PAIRING)
    device, emd = End(*device_keys.contexts), End(*emd_keys.contexts)

    def talk():
        for one, its, other, others in ((device, device_keys, emd, emd_keys), (emd, emd_keys, device, device_keys)):
            wire, _ = one.request(message(2, (), b"x"), its.current)
            _, binding = other.take(wire)
            others.used(binding.context)
            for end, keys in ((device, device_keys), (emd, emd_keys)):
                end.oscore.contexts[:] = keys.contexts

    talk()
    for keys in (device_keys, emd_keys):
        assert keys.offer(1, NEW) == codes.REASON_NONE
    device.oscore.contexts[:], emd.oscore.contexts[:] = device_keys.contexts, emd_keys.contexts
    talk()
    assert device_keys.generation == emd_keys.generation == 0
    old = emd_keys.current
    late, _ = emd.request(message(2, (), b"late"), old)
    wire, _ = emd.request(message(2, (), b"x"), emd_keys.contexts[1])
    device_keys.used(device.take(wire)[1].context)
    device.oscore.contexts[:] = device_keys.contexts
    talk()
    assert device_keys.generation == emd_keys.generation == 1
    with pytest.raises(OscoreError):
        device.take(late)


@pytest.mark.parametrize("generation, secret, reason", [
    (0, NEW, codes.REASON_STALE_REVISION), (2, NEW, codes.REASON_STALE_REVISION), (1, NEW[:15], codes.REASON_MALFORMED),
    (1, bytes(16), codes.REASON_MALFORMED), (-1, NEW, codes.REASON_STALE_REVISION),
])
def test_offers_that_are_refused(generation, secret, reason):
    fs = MemoryFs()
    keys = ring(fs)
    before = dict(fs.files)
    assert keys.offer(generation, secret) == reason
    assert state(keys) == OLD_ONLY and fs.files == before


def test_the_last_generation():
    keys = ring(MemoryFs(), {**PAIRING, "generation": 255})
    assert keys.offer(256, NEW) == codes.REASON_STALE_REVISION


def test_an_offer_again_and_another_instead():
    """The same one is answered as before and writes nothing; another secret takes the place of the first."""
    fs, told = MemoryFs(), []
    keys = ring(fs, on_change=lambda context, added: told.append((context.secret, added)))
    keys.offer(1, NEW)
    operations = fs.operations
    context = keys.contexts[1]
    assert keys.offer(1, NEW) == codes.REASON_NONE and fs.operations == operations and keys.contexts[1] is context
    assert keys.offer(1, NEWER) == codes.REASON_NONE
    assert state(keys) == state(ring(fs)) == ([(bytes(16), None), (NEWER, b"\x01")], 0)
    keys.used(keys.contexts[1])
    assert told == [(NEW, True), (NEW, False), (NEWER, True), (bytes(16), False)]


def test_a_full_store_changes_nothing():
    fs = MemoryFs()
    keys = ring(fs)
    fs.capacity = 0
    assert keys.offer(1, NEW) == codes.REASON_STORE_FULL and state(keys) == OLD_ONLY
    fs.capacity = None
    keys.offer(1, NEW)
    fs.capacity = 0
    keys.used(keys.contexts[1])
    both_new_ones = BOTH[0], 1
    assert state(keys) == both_new_ones, "both are taken; the peer has our answer, and may drop the old ones"
    assert state(ring(fs)) == BOTH, "a restart knows nothing of it"
    fs.capacity = None
    keys.used(keys.contexts[1])
    assert state(keys) == NEW_ONLY


def test_keys_that_the_peer_disowns_give_way_to_the_offered_ones_and_back():
    keys = ring(MemoryFs())
    keys.turn()
    assert state(keys) == OLD_ONLY
    keys.offer(1, NEW)
    for current in (1, 0, 1):
        keys.turn()
        assert state(keys) == (BOTH[0], current)
    keys.used(keys.current)
    assert state(keys) == NEW_ONLY


def test_a_store_that_is_full_at_the_first_start():
    """The device starts, but carries nothing out, since a restart would forget that it did; it sends nothing until
    there is room, and then from number 0."""
    fs = MemoryFs(capacity=0)
    keys = ring(fs)
    wire, _ = End(*ring(MemoryFs(), EMD_PAIRING).contexts).request(message(2, (), b"switch"))
    with pytest.raises(OscoreError) as refused:
        End(*keys.contexts).take(wire)
    assert refused.value.protected and refused.value.echo
    with pytest.raises(ContextError):
        keys.current.take_piv()
    keys.used(keys.current)
    fs.capacity = None
    assert keys.current.take_piv() == 0
    again = ring(fs)
    assert not again.current.lost and again.current.take_piv() == 256


@pytest.mark.parametrize("replaces", [True, False], ids=["rename replaces", "rename does not replace"])
@pytest.mark.parametrize("torn", [0, 9, 30])
@pytest.mark.parametrize("act, before, after", [("offer", OLD_ONLY, BOTH), ("use", BOTH, NEW_ONLY)])
def test_a_cut_at_every_write_leaves_the_old_keys_or_the_new_ones(act, before, after, torn, replaces):
    """And no number is used twice under one key, whichever."""
    seen = []
    for cut in range(30):
        fs = MemoryFs(replaces=replaces)
        keys = ring(fs)
        used = {(keys.current.secret, keys.current.take_piv())}
        if act == "use":
            keys.offer(1, NEW)
        fs.cut_after, fs.torn = cut, torn
        through = False
        try:
            if act == "offer":
                keys.offer(1, NEW)
            else:
                keys.used(keys.contexts[1])
            through = True
        except PowerCut:
            pass
        fs.cut_after = None
        again = ring(fs)
        assert state(again) in (before, after)
        assert not through or state(again) == after
        seen.append(state(again) == after)
        for context in again.contexts:
            assert not context.lost
            pair = context.secret, context.take_piv()
            assert pair not in used
            used.add(pair)
        if through:
            break
    assert cut >= 3 and seen[0] is False and seen[-1] is True


@pytest.mark.parametrize("torn", [0, 9])
def test_a_cut_at_the_first_start(torn):
    for cut in range(12):
        fs = MemoryFs()
        fs.cut_after, fs.torn = cut, torn
        used = set()
        for _ in range(3):
            try:
                keys = ring(fs)
                assert not keys.current.lost
                piv = keys.current.take_piv()
                assert piv not in used
                used.add(piv)
            except PowerCut:
                pass
            fs.cut_after = None


def test_a_store_that_lost_the_numbers_and_not_the_keys():
    fs = MemoryFs()
    ring(fs).current.take_piv()
    del fs.files["store/oscore_0"]
    keys = ring(fs)
    assert keys.current.lost
    with pytest.raises(ContextError):
        keys.current.take_piv()


def test_pairing_anew_revokes_what_was_before():
    """Rotated keys, the offered ones too, go with a new secret in the file; numbers go on in either slot."""
    fs = MemoryFs()
    keys = ring(fs)
    used = [(keys.current.secret, keys.current.take_piv())]
    keys.offer(1, NEW)
    fresh = ring(fs, {**PAIRING, "secret": "22" * 16})
    assert state(fresh) == ([(b"\x22" * 16, None)], 0)
    back = ring(fs)
    assert state(back) == OLD_ONLY
    used.append((back.current.secret, back.current.take_piv()))
    assert len(set(used)) == 2 and not back.current.fresh


def test_a_pairing_that_was_never_used_runs_out():
    """Once the peer has been heard it does not, not even after a restart."""
    fs = MemoryFs()
    pairing = {**PAIRING, "until": 1767225600}
    keys = ring(fs, pairing)
    assert not keys.expired(1767225600) and keys.expired(1767225601)
    keys.used(keys.current)
    assert not keys.expired(1767225601) and not ring(fs, pairing).expired(1767225601)
    operations = fs.operations
    keys.used(keys.current)
    assert fs.operations == operations
    assert not ring(MemoryFs()).expired(1 << 40)


@pytest.mark.parametrize("change", [{"secret": "00" * 15}, {"secret": None}, {"salt": "x"}, {"id": "00"}, {"emd": 5},
                                    {"generation": 256}, {"generation": -1}, {"id": "00" * 8}, {"generation": "1"}])
def test_a_pairing_that_is_none(change):
    with pytest.raises(ValueError):
        ring(MemoryFs(), {**PAIRING, **change})
