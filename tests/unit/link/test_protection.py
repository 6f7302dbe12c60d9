"""COSE between an association and its link: which directions it covers, under which keys, and what gets through."""

import pytest

from spot.app import _Way
from spot.codes import CH_ALARM, CH_CMD, CH_LINK, CH_PRICE, CH_STATUS
from spot.log import Log
from spot.protection import Protection
from spot.wire.context import Context
from spot.wire.cose import Cose, CoseError
from spot.wire.keyring import Keyring

SECRET, NEW = bytes(range(16)), bytes(range(16, 32))
PAIRING = {"secret": SECRET.hex(), "salt": bytes(8).hex(), "id": "01", "emd": "00"}
BOOT = 7
BODY = b"\x07limit"


class Store(dict):
    writes = 0

    def put(self, name, value):
        self.writes += 1
        self[name] = bytes(value)


def device(words):
    keyring = Keyring(PAIRING, Store(), "keys", Log())
    return Protection(keyring, BOOT, words), keyring


def emd(secret=SECRET, generation=None):
    return Cose(Context(secret, bytes(8), b"\x00", b"\x01", generation), BOOT, device=False)


def run(function, channel, body):
    out = bytearray(1100)
    return bytes(out[: function(channel, body, len(body), out)])


@pytest.mark.parametrize(("words", "up", "down"), [("both", True, True), ("up", True, False), ("down", False, True)])
def test_each_direction_is_what_the_configuration_says(words, up, down):
    protection, _ = device(words)
    sealed = run(protection.seal, CH_STATUS, BODY)
    assert (sealed != BODY) == up
    if up:
        assert run(emd().open, "status", sealed) == BODY
        with pytest.raises(CoseError):
            run(emd().open, "alarm", sealed)  # on another channel
    command = run(emd().seal, "cmd", BODY)
    if down:
        assert run(protection.open, CH_CMD, command) == BODY
        for bad in (BODY, command, command[:-1], command[:-1] + b"x"):  # plain, again, short, changed
            with pytest.raises(CoseError):
                run(protection.open, CH_CMD, bad)
    else:
        assert run(protection.open, CH_CMD, BODY) == BODY


def test_a_start_without_a_number_of_its_own_takes_nothing():
    """The store is full: this start has the number of the next one, and of the one before."""
    keyring = device("both")[1]
    protection = Protection(keyring, None, "both")
    with pytest.raises(CoseError, match="boot"):
        run(protection.open, CH_CMD, run(emd().seal, "cmd", BODY))
    assert run(emd().open, "status", run(protection.seal, CH_STATUS, BODY)) == BODY
    assert run(Protection(keyring, None, "up").open, CH_CMD, BODY) == BODY


def test_broadcasts_of_a_group_pass_as_they_are():
    protection, _ = device("both")
    assert run(protection.open, CH_PRICE, b"\x11prices") == b"\x11prices"


def test_what_does_not_fit_is_refused_and_not_cut():
    protection, _ = device("up")
    with pytest.raises(CoseError):
        protection.open(CH_CMD, bytes(20), 20, bytearray(10))


def test_offered_keys_are_taken_and_used_from_the_emds_first_use_on():
    protection, keyring = device("both")
    assert not keyring.offer(1, NEW)
    old, new = emd(), emd(NEW, b"\x01")
    assert run(old.open, "link", run(protection.seal, CH_LINK, BODY)) == BODY
    assert run(protection.open, CH_CMD, run(old.seal, "cmd", BODY)) == BODY
    assert run(protection.open, CH_CMD, run(new.seal, "cmd", BODY)) == BODY
    assert run(new.open, "link", run(protection.seal, CH_LINK, BODY)) == BODY
    with pytest.raises(CoseError):
        run(protection.open, CH_CMD, run(old.seal, "cmd", BODY))


def test_what_is_urgent_finds_a_number_without_a_write():
    """Whatever was sent before: numbers are reserved behind messages, never before one that is urgent."""
    store, sent = Store(), []
    keyring = Keyring(PAIRING, store, "keys", Log())
    way = _Way(lambda channel, buf, n, urgent=False: sent.append((bytes(buf[:n]), urgent)) or True, Log())
    way.guard(Protection(keyring, BOOT, "both"))
    there = emd()
    for _ in range(300):
        assert way.send(CH_STATUS, BODY, len(BODY))
        before = store.writes
        assert way.send(CH_ALARM, BODY, len(BODY), False, True)
        assert store.writes == before
        assert [urgent for _, urgent in sent] == [False, True]
        assert run(there.open, "status", sent[0][0]) == run(there.open, "alarm", sent[1][0]) == BODY
        sent.clear()
    assert store.writes > 2
