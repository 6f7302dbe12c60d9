"""Signed broadcasts on the device: parts in any order, one revision at a time, and a bounded cost for hostile ones."""

import itertools
import sys
from pathlib import Path

import pyhsslms
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot import codes
from spot.agent import signed as module
from spot.agent.association import check_plan
from spot.agent.signed import PER_HOUR, STALE_S, Signed, parse_key
from spot.agent.times import NEVER
from spot.log import Log
from spot.wire.profile import ProfileError
from spot_host import signing
from spot_host.profile.codec import encode
from spot_host.profile.examples import EXAMPLES

BODIES = {name: encode(kind, values) for name, kind, _, values in EXAMPLES}
PRICE, GRID = BODIES["price96"], BODIES["grid_state"]
PRIVATE = pyhsslms.LmsPrivateKey(lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4)
PUBLIC = PRIVATE.publicKey().serialize()
LEAVES = itertools.count()
HOUR = 3600


def sign(revision, body, private=PRIVATE, text=None):
    """The messages of an object; the test key's leaves are used over and over, which only a test may do."""
    private.q = next(LEAVES) % 32
    private.ots_priv[private.q]._signatures_remaining = 1
    public = private.publicKey().serialize()
    return signing.split(public, revision, body, private.sign(text or signing.signed_text(revision, body)))


class Kept:
    """A store of one process: what is kept, how often, and whether flash takes anything."""

    def __init__(self):
        self.values, self.writes, self.full = {}, 0, False

    def get(self, name):
        return self.values.get(name)

    def put(self, name, data):
        if self.full:
            raise OSError(28)
        self.values[name] = bytes(data)
        self.writes += 1


class Device:
    def __init__(self, kept=None):
        self.kept = kept or Kept()
        self.log = Log(64)
        self.got = []
        self.order = []
        self.now_s = 1000
        self.start()

    def start(self):
        self.signed = Signed(PUBLIC, self.kept, self.log, self._deliver)

    def _deliver(self, now_s, buf, n):
        self.got.append(bytes(buf[:n]))
        self.order.append(self.kept.writes)

    def give(self, *bodies):
        """Takes these bodies; True when a verification has begun."""
        for body in bodies:
            self.signed.receive(self.now_s, body, len(body))
        return self.signed.due_s <= self.now_s

    def run(self):
        """Steps until nothing is due; how many turns that took."""
        turns = 0
        while self.signed.due_s <= self.now_s:
            self.now_s += 1
            self.signed.step(self.now_s)
            turns += 1
        return turns

    def take(self, *bodies):
        self.give(*bodies)
        self.run()
        return len(self.got)


@pytest.fixture
def device():
    return Device()


def spoil(body, at=-100):
    octets = bytearray(body)
    octets[at] ^= 1
    return bytes(octets)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_parts_in_any_order(device, order):
    parts = sign(1, PRICE)
    for i in order[:-1]:
        assert not device.give(parts[i])
    assert device.give(parts[order[-1]])
    assert device.run() > 3  # in slices, one a turn
    assert device.got == [PRICE]
    assert device.signed.revision == 1


def test_parts_repeated_and_resent(device):
    parts = sign(1, PRICE)
    device.take(parts[0], parts[0], parts[2], parts[0], parts[2], parts[1], parts[1])
    assert device.got == [PRICE]
    assert device.take(*parts, *parts) == 1  # the carousel goes on: no news
    assert device.kept.writes == 1


def test_the_cost_of_a_turn_is_bounded(device):
    """No step does more hashes than a slice."""
    device.give(*sign(1, PRICE))
    while device.signed._verifier is not None:
        verifier = device.signed._verifier
        left = verifier.left
        device.signed.step(device.now_s)
        assert left - verifier.left <= module.SLICE


def test_revisions_rise_strictly(device):
    five = sign(5, PRICE)
    assert device.take(*five) == 1
    assert device.take(*sign(4, GRID)) == 1
    assert device.take(*sign(5, GRID)) == 1
    assert device.take(*sign(6, GRID)) == 2
    assert device.take(*five) == 2
    assert device.kept.writes == 2


def test_the_revision_survives_a_restart_and_is_written_once(device):
    parts = sign(7, PRICE)
    device.take(*parts)
    device.start()
    assert device.signed.revision == 7
    assert device.take(*parts) == 1
    assert device.kept.writes == 1


def test_another_key_begins_anew(device):
    device.take(*sign(7, PRICE))
    device.kept.values["signed"] = bytes(8) + device.kept.values["signed"][8:]
    device.start()
    assert device.signed.revision == -1


def test_delivered_first_and_kept_then(device):
    """A power cut between the two repeats the delivery, and loses nothing."""
    device.take(*sign(1, PRICE))
    assert device.order == [0] and device.kept.writes == 1


def test_flash_is_full(device):
    device.kept.full = True
    parts = sign(1, PRICE)
    assert device.take(*parts) == 1
    assert device.take(*parts) == 1  # known until the reboot
    assert any(name == "signed.not_kept" for name in device.log.counts)
    device.start()
    device.kept.full = False
    assert device.take(*parts) == 2


def test_a_newer_revision_displaces(device):
    old, new = sign(1, PRICE), sign(2, GRID)
    device.give(old[0], old[1])
    device.take(*new)
    assert device.got == [GRID]
    assert device.take(old[2]) == 1


def test_an_older_one_does_not_displace_until_the_newer_is_stale(device):
    """Whoever sends one part of the highest revision there is holds up the others for STALE_S, not for ever."""
    fake = sign(2**30 - 2, GRID)
    device.give(fake[0])
    true = sign(1, PRICE)
    assert device.take(*true) == 0
    device.now_s += STALE_S
    assert device.take(*true) == 1


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_spoilt_part_is_refused_and_a_true_one_then_taken(device, part):
    parts = sign(1, PRICE)
    wrong = list(parts)
    wrong[part] = spoil(parts[part])
    assert device.take(*wrong) == 0
    assert device.signed.failures == 1
    assert device.signed.revision == -1 and device.kept.writes == 0
    assert device.log.counts["signed.refused"] == 1
    assert device.take(*parts) == 1


def test_a_spoilt_part_is_mended_by_its_repetition(device):
    parts = sign(1, PRICE)
    device.give(spoil(parts[0]), parts[1])
    assert device.take(parts[0], parts[2]) == 1
    assert device.signed.failures == 0


def test_verifications_an_hour_are_bounded(device):
    parts = sign(1, PRICE)
    wrong = [*parts[:2], spoil(parts[2])]
    turns = 0
    for _ in range(PER_HOUR + 20):
        device.give(*wrong)
        turns += device.run() > 0
    assert turns == device.signed.failures == PER_HOUR
    assert device.log.counts["signed.too_many"] == 20
    assert device.take(*parts) == 0  # the true one has to wait as well
    device.now_s += HOUR
    assert device.take(*parts) == 1


def test_nothing_is_taken_while_it_verifies(device):
    """What is under verification cannot be changed by parts that come in meanwhile."""
    parts, newer = sign(1, PRICE), sign(2, GRID)
    device.give(*parts)
    device.signed.step(device.now_s)
    device.give(*newer, spoil(parts[0]), spoil(parts[2]))
    device.run()
    assert device.got == [PRICE]
    assert device.take(*newer) == 2


@pytest.mark.parametrize("name", ["price24", "carbon", "weather", "grid_state"])
def test_all_broadcasts(device, name):
    assert device.take(*sign(1, BODIES[name])) == 1
    assert device.got == [BODIES[name]]


@pytest.mark.parametrize("name", ["command_on", "registered", "rekey", "signed", "time_given"])
def test_a_signature_makes_no_command_of_a_broadcast(device, name):
    """The signer may say prices; it may not switch. What it signed is used up, and never verified again."""
    parts = sign(1, BODIES[name])
    assert device.take(*parts) == 0
    assert device.log.counts["signed.inside"] == 1
    assert device.signed.revision == 1
    assert not device.give(*parts)


def test_another_signer(device):
    other = pyhsslms.LmsPrivateKey(lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4)
    assert not device.give(*sign(1, PRICE, other))  # another key's id: not even looked at
    public = PUBLIC[8:16]
    forged = [body.replace(other.I[:8], public) for body in sign(1, PRICE, other)]
    assert device.take(*forged) == 0 and device.signed.failures == 1


@pytest.mark.parametrize("text", [
    PRICE, b"SPOT signed" + PRICE, b"SPOT signed\0\0\0\2" + PRICE, b"SPOT signeD\0\0\0\1" + PRICE,
    signing.signed_text(1, PRICE) + b"\0",
], ids=["no label", "no revision", "another revision", "another label", "longer"])
def test_what_is_signed_is_label_revision_and_body(device, text):
    assert device.take(*sign(1, PRICE, text=text)) == 0
    assert device.signed.failures == 1


def part(**values):
    return encode("signed", {"key": PUBLIC[8:16], "revision": 1, "part": 0, "parts": 3, "octets": bytes(960), **values})


@pytest.mark.parametrize(("values", "position"), [
    ({"part": 3}, 2), ({"part": 1, "parts": 1, "octets": b"x"}, 2), ({"octets": bytes(959)}, 4), ({"octets": b"x"}, 4),
])
def test_parts_that_cannot_be(device, values, position):
    with pytest.raises(ProfileError) as caught:
        device.give(part(**values))
    assert caught.value.position == position


@pytest.mark.parametrize("octets", [1, 100, 959])
def test_an_object_shorter_than_a_signature(device, octets):
    assert not device.give(part(parts=1, octets=bytes(octets)))
    assert device.log.counts["signed.short"] == 1
    assert device.signed.due_s == NEVER


def test_as_many_parts_as_there_are(device):
    """Four full parts fit the buffer to the octet; what is in them is no signature."""
    assert device.give(*(part(part=i, parts=4) for i in range(4)))
    device.run()
    assert device.signed.failures == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 4), st.integers(1, 960)), max_size=40))
def test_any_sequence_of_parts_is_survived(sequence):
    """Random parts of random revisions: bounded memory, no error but ProfileError, nothing delivered; the true object
    is taken afterwards."""
    device = Device()
    size = len(device.signed._buf)
    for revision, number, parts, octets in sequence:
        body = part(revision=revision, part=number, parts=parts, octets=bytes(octets))
        try:
            device.give(body)
        except ProfileError:
            continue
        device.run()
    assert device.got == [] and len(device.signed._buf) == size
    device.now_s += HOUR
    assert device.take(*sign(9, PRICE)) == 1


def test_keys():
    assert parse_key(PUBLIC.hex()) == PUBLIC
    for text in ("", "00", PUBLIC.hex()[:-2], PUBLIC.hex() + "00", "zz" * 56, "0" + PUBLIC.hex()[1:-1]):
        with pytest.raises(ValueError):
            parse_key(text)


# --- in the agent ---------------------------------------------------------------------------------------------------


def rig(**config):
    """A joined device whose signer is PRIVATE (agent_rig.py)."""
    sys.path.insert(0, str(Path(__file__).parent))
    from agent_rig import Rig

    return Rig(config={"signed_key": PUBLIC.hex(), **config}).join()


def broadcast(r, bodies, channel=codes.CH_SIGNED):
    for body in bodies:
        r.raw(body, channel)
    for _ in range(40):
        r.run(1)


def test_the_agent_takes_a_signed_price_as_its_own():
    r = rig()
    broadcast(r, sign(1, PRICE))
    assert r.agent.policy.revision == 1
    assert r.store.get("signed") == PUBLIC[8:16] + b"\0\0\0\1"
    r.boot()
    assert r.agent.seats[0].signed.revision == 1 and r.agent.policy.revision == 1


@pytest.mark.parametrize("channel", [codes.CH_PRICE, codes.CH_CMD, codes.CH_SIGNED])
def test_with_a_key_an_unsigned_price_is_refused_wherever_it_comes_from(channel):
    r = rig()
    r.take()
    broadcast(r, [PRICE], channel)
    assert r.agent.policy.revision == codes.ABSENT
    assert [values[:2] for values in r.take(codes.T_ANSWER)] == [[codes.T_PRICE, codes.REASON_UNPROTECTED]]


def test_without_a_key_a_signed_one_is_ignored_and_an_unsigned_one_taken():
    r = rig(signed_key="")
    ignored = r.agent.ignored
    broadcast(r, sign(1, PRICE))
    assert r.agent.ignored == ignored + 3
    assert r.agent.policy.revision == codes.ABSENT
    broadcast(r, [PRICE], codes.CH_PRICE)
    assert r.agent.policy.revision == 1


def test_the_agent_answers_parts_that_cannot_be():
    r = rig()
    r.take()
    broadcast(r, [part(part=3)])
    assert [values[:2] for values in r.take(codes.T_ANSWER)] == [[codes.T_SIGNED, codes.REASON_OUT_OF_RANGE]]


class Keys:
    def __init__(self, reason):
        self.reason, self.offered = reason, []

    def offer(self, generation, secret):
        if self.reason is None:
            raise OSError(28)
        self.offered.append((generation, secret))
        return self.reason


REKEY = {"id": 884, "generation": 1, "secret": bytes(range(16))}


@pytest.mark.parametrize(("keys", "reason"), [
    (None, codes.REASON_NOT_SUPPORTED), (Keys(codes.REASON_NONE), codes.REASON_NONE),
    (Keys(codes.REASON_STALE_REVISION), codes.REASON_STALE_REVISION), (Keys(None), codes.REASON_STORE_FULL),
], ids=["unprotected", "yes", "no", "flash is full"])
def test_rekey_is_offered_and_answered(keys, reason):
    r = rig()
    r.agent.seats[0].keys = keys
    r.take()
    r.raw(encode("rekey", {"epoch": r.epoch, **REKEY}))
    assert [values[:3] for values in r.take(codes.T_ANSWER)] == [[codes.T_REKEY, reason, 884]]
    assert keys is None or keys.offered == ([] if keys.reason is None else [(1, bytes(range(16)))])


def test_rekey_of_another_epoch_or_from_a_group_is_not_offered():
    r = rig()
    keys = r.agent.seats[0].keys = Keys(codes.REASON_NONE)
    r.take()
    r.raw(encode("rekey", {"epoch": r.epoch + 1, **REKEY}))
    r.raw(encode("rekey", {"epoch": r.epoch, **REKEY}), codes.CH_SIGNED)
    broadcast(r, sign(1, encode("rekey", {"epoch": r.epoch, **REKEY})))
    assert keys.offered == []
    assert [values[1] for values in r.take(codes.T_ANSWER)] == [codes.REASON_WRONG_EPOCH, codes.REASON_MALFORMED]


@pytest.mark.parametrize("key", ["", "00", 5, None, "zz" * 56, PUBLIC.hex()[:-2], "00000009" + PUBLIC.hex()[8:]])
def test_a_configured_key_that_is_none(key):
    assert check_plan({"signed_key": key})[0] == "signed_key"
    assert check_plan({"signed_key": PUBLIC.hex(), "jitter": 5}) is None
