"""Pairing secrets: how they are made, kept, rotated, expire and are revoked."""

import json
import os

import pytest

from spot.wire.keyring import Keyring
from spot_host.emd.keyrings import Keyrings
from spot_host.emd.sqlite import SqliteStorage
from spot_host.emd.storage import MemoryKeys
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder
from spot_host.pairing import Pairing, Pairings, free_id

ONE, TWO = "0200000000000001", "0200000000000002"


@pytest.fixture(scope="module")
def new_home(tmp_path_factory):
    """new_home(): a home of its own."""
    def make(coap_port=5683):
        return HomeFolder.create(tmp_path_factory.mktemp("home") / "house", "127.0.0.1", 8883, "home", coap_port)
    return make


def mode(path):
    return os.stat(path).st_mode & 0o777


def test_ids_are_short_and_unique_and_never_the_emds():
    taken = []
    for _ in range(300):
        taken.append(free_id(taken))
    assert len(set(taken)) == 300 and b"\0" not in taken
    assert [len(id_) for id_ in taken] == [1] * 255 + [2] * 45


def test_secrets_are_their_owners_alone_and_each_is_new(tmp_path):
    pairings = Pairings(tmp_path / "pairings.json")
    made = [pairings.add(f"{n:016x}") for n in range(50)]
    pairings.save()
    assert len({p.secret for p in made}) == len({p.salt for p in made}) == len({p.id for p in made}) == 50
    assert mode(tmp_path / "pairings.json") == 0o600
    again = Pairings(tmp_path / "pairings.json")
    assert [again.generations(f"{n:016x}") for n in range(50)] == [[p] for p in made]


def test_the_id_of_a_revoked_device_is_not_given_again(tmp_path):
    """What still runs under it would make the EMD accuse the next device."""
    path = tmp_path / "pairings.json"
    pairings = Pairings(path)
    first = pairings.add(ONE)
    pairings.revoke(ONE)
    pairings.save()
    pairings = Pairings(path)
    assert pairings.revoked == {ONE} and list(pairings) == []
    assert pairings.add(TWO).id != first.id
    assert pairings.add(ONE).id not in (first.id, pairings.generations(TWO)[0].id) and pairings.revoked == set()


def test_when_all_short_ids_are_used_the_one_given_back_longest_ago_comes_back(tmp_path):
    path = tmp_path / "pairings.json"
    pairings = Pairings(path)
    names = [f"{n:016x}" for n in range(1, 601)]
    ids = [pairings.add(name).id for name in names[:255]]
    for n in (7, 3, 5):
        pairings.revoke(names[n])
    pairings.save()
    pairings = Pairings(path)
    assert [pairings.add(name).id for name in names[255:258]] == [ids[7], ids[3], ids[5]]
    assert len(pairings.add(names[258]).id) == 2
    for name in list(pairings):
        pairings.revoke(name)
    given = []
    for name in names[259:]:  # one device that is replaced again and again
        given.append(pairings.add(name).id)
        pairings.revoke(name)
    assert len(set(given[:200])) == 200
    pairings.save()
    assert len(json.loads(path.read_text())["retired"]) == 255


def test_a_file_from_before_ids_were_retired_is_read(tmp_path):
    path = tmp_path / "pairings.json"
    pairings = Pairings(path)
    pairings.add(ONE)
    pairings.save()
    raw = json.loads(path.read_text())
    assert list(raw) == [ONE]  # as it was written before
    assert list(Pairings(path)) == [ONE] and Pairings(path).revoked == set()


GOOD = {"secret": "00" * 16, "salt": "01" * 8, "id": "01", "emd": "00", "generation": 0}


@pytest.mark.parametrize("change, says", [
    ({"secret": "00" * 15}, "16 octets"), ({"salt": ""}, "salt"), ({"secret": "zz" * 16}, "hex"),
    ({"id": "00"}, "differ"), ({"id": ""}, "1 to 3 octets"), ({"id": "01020304"}, "1 to 3 octets"),
    ({"emd": "0000"}, "emd has one"), ({"generation": 256}, "generation"), ({"generation": "0"}, "generation"),
    ({"until": "tomorrow"}, "until"), ({"secret": 5}, "hex"),
])  # fmt: skip
def test_a_pairing_that_is_none_is_refused_with_its_field(change, says):
    with pytest.raises(UserError, match=says):
        Pairing.from_record({**GOOD, **change})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"retired": 1}', '{"retired": ["x"]}', '{"revoked": [5]}',
                                  '{"0200000000000001": 1}', '{"0200000000000001": {"keys": []}}'])
def test_a_torn_file_is_refused(tmp_path, text):
    (tmp_path / "pairings.json").write_text(text)
    with pytest.raises(UserError, match="pairings.json: .*your copy"):
        Pairings(tmp_path / "pairings.json")


# --- enrolment

LINKS = [  # link, protect, the section, the scheme and port, files
    ("mqtt", "none", "mqtt", None, {"ca.der", "cert.der", "key.der"}),
    ("mqtt", "both", "mqtt", None, {"ca.der", "cert.der", "key.der", "pairing.json"}),
    ("coap", "none", "coap", "coap://127.0.0.1:5683", {"pairing.json"}),
    ("coap+tcp", "none", "coap", "coap+tcp://127.0.0.1:5683", {"pairing.json"}),
    ("coaps+tcp", "none", "coap", "coaps+tcp://127.0.0.1:5684", {"ca.der", "cert.der", "key.der"}),
]


@pytest.mark.parametrize("link, protect, section, uri, files", LINKS, ids=[f"{row[0]} {row[1]}" for row in LINKS])
def test_a_device_gets_what_its_link_needs_and_the_firmware_takes_it(new_home, link, protect, section, uri, files):
    from spot.config_check import load_config

    home = new_home()
    at = home.enroll(ONE, "unix", link, protect, until=1_800_000_000)
    config = load_config(str(at / "config.json"))
    assert ("mqtt" in config, "coap" in config) == (section == "mqtt", section == "coap")
    assert config[section].get("uri") == uri
    assert {path.name for path in at.iterdir()} == files | {"config.json"}
    paired = "pairing.json" in files
    assert (ONE in Pairings(home.folder / "pairings.json")) == paired
    assert ("pairing" in config[section]) == paired
    if paired:
        assert mode(at / "pairing.json") == mode(home.folder / "pairings.json") == 0o600
        said = json.loads((at / "pairing.json").read_text())
        assert said["until"] == 1_800_000_000 and len(said["secret"]) == 32

        class Store(dict):
            put = dict.__setitem__

        Keyring(said, Store(), "one", None)  # as the device does it
    if section == "mqtt" and protect != "none":
        assert config["mqtt"]["protect"] == protect


@pytest.mark.parametrize("link, protect, coap_port, says", [
    ("coaps", "none", 5683, "--link"), ("coap", "both", 5683, "--protect"), ("mqtt", "maybe", 5683, "--protect"),
    ("coap", "none", 0, "serves no CoAP"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_made(new_home, link, protect, coap_port, says):
    home = new_home(coap_port)
    with pytest.raises(UserError, match=says):
        home.enroll(ONE, "unix", link, protect)
    assert not (home.folder / "devices" / ONE).exists() and HomeFolder(home.folder).boards == {}


def test_rotate_and_revoke(new_home):
    home = new_home()
    at = home.enroll(ONE, "unix", "coap")
    home.enroll(TWO, "unix", "coap")
    before = json.loads((at / "pairing.json").read_text())
    assert [home.rotate(ONE) for _ in range(4)] == [1, 2, 3, 4]
    found = Pairings(home.folder / "pairings.json").generations(ONE)
    assert [p.generation for p in found] == [2, 3, 4] and len({p.secret for p in found}) == 3
    after = json.loads((at / "pairing.json").read_text())
    assert after["generation"] == 4 and after["secret"] != before["secret"] and after["id"] == before["id"]
    home.revoke(ONE)
    assert list(Pairings(home.folder / "pairings.json")) == [TWO]
    again = json.loads((home.enroll(ONE, "unix", "coap") / "pairing.json").read_text())
    assert again["secret"] not in (before["secret"], after["secret"]) and again["generation"] == 0
    with pytest.raises(UserError, match="no pairing"):
        Pairings(home.folder / "pairings.json").rotate("0200000000000009")


def test_there_are_256_generations(tmp_path):
    pairings = Pairings(tmp_path / "p.json")
    pairings.add(ONE)
    for _ in range(255):
        pairings.rotate(ONE)
    with pytest.raises(UserError, match="anew"):
        pairings.rotate(ONE)


# --- the EMD's side

def rings(path, keys, notes=None, clock=lambda: 1000):
    return Keyrings(path, keys, lambda *what: (notes if notes is not None else []).append(what), clock)


@pytest.fixture
def file(tmp_path):
    pairings = Pairings(tmp_path / "pairings.json")
    pairings.add(ONE)
    pairings.add(TWO, until=2000)
    pairings.save()
    return pairings


def test_the_emd_follows_the_file(file):
    notes, told = [], []
    keyrings = rings(file.path, MemoryKeys(), notes)
    keyrings.listeners.append(lambda eui, ring: told.append((eui, ring and len(ring.pairings))))
    assert not keyrings.reload()
    file.rotate(ONE)
    file.save()
    assert keyrings.reload() and told == [(ONE, 2)]
    file.remove(TWO)
    file.save()
    assert keyrings.reload() and told[1:] == [(TWO, None)] and notes == [
        ("pairing_revoked", TWO, "its keys are forgotten")]
    file.path.write_text("{")
    assert not keyrings.reload() and list(keyrings.rings) == [ONE]  # a torn file revokes nobody
    assert notes[-1][0] == "pairings_refused"


def test_an_expired_secret_is_refused_unless_it_was_used(file):
    now = [1000]
    keyrings = rings(file.path, MemoryKeys(), clock=lambda: now[0])
    (pairing,) = keyrings.rings[TWO].pairings
    assert keyrings.refusal(TWO, pairing) is None
    now[0] = 2001
    assert keyrings.refusal(TWO, pairing) == "pairing_expired"
    now[0] = 1999
    assert keyrings.used(TWO, pairing)
    now[0] = 1 << 31
    assert keyrings.refusal(TWO, pairing) is None


def test_the_next_generation_is_offered_taken_and_seen(file):
    keys, notes = MemoryKeys(), []
    keyrings = rings(file.path, keys, notes)
    first = keyrings.rings[ONE].pairings[0]
    second = file.rotate(ONE)
    file.save()
    keyrings.reload()
    assert keyrings.rings[ONE].waiting is None  # it has not even used the first
    keyrings.used(ONE, first)
    assert (keyrings.rings[ONE].waiting, keyrings.rings[ONE].sending) == (second, first)
    keyrings.offered(ONE, 1)
    assert (keyrings.rings[ONE].waiting, keyrings.rings[ONE].sending) == (None, second)
    assert keyrings.rings[ONE].pairings == [first, second]
    keyrings.used(ONE, second)
    assert keyrings.rings[ONE].pairings == [second] and [note[0] for note in notes] == ["key_rotated"]
    assert rings(file.path, keys).rings[ONE].pairings == [second]  # also after a restart


def test_a_database_that_is_gone_does_not_repeat_numbers(file, tmp_path):
    storage = SqliteStorage(tmp_path / "emd.sqlite")
    keyrings = rings(file.path, storage.keys)
    (pairing,) = keyrings.rings[ONE].pairings
    keyrings.used(ONE, pairing)
    storage.close()
    assert rings(file.path, SqliteStorage(tmp_path / "emd.sqlite").keys).refusal(ONE, pairing) is None
    assert rings(file.path, SqliteStorage(tmp_path / "other.sqlite").keys).refusal(ONE, pairing) == "pairing_state_lost"


def test_state_of_secrets_that_are_gone_goes(file, tmp_path):
    keys = MemoryKeys()
    keyrings = rings(file.path, keys)
    (pairing,) = keyrings.rings[ONE].pairings
    keyrings.used(ONE, pairing)
    keys.put({keyrings.state_name("oscore", ONE, pairing): {"next": 64}, f"peer/{ONE}": {"host": "::1", "port": 1}})
    file.remove(ONE)
    file.save()
    rings(file.path, keys)  # revoked while no EMD ran
    assert keys.names("") == []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_keys_are_kept(tmp_path, kind):
    path = tmp_path / "emd.sqlite"
    keys = MemoryKeys() if kind == "memory" else SqliteStorage(path).keys
    keys.put({"a/1": {"next": 1}, "a/2": {"next": 2}, "b/1": {"next": 3}})
    keys.put({"a/1": None, "a/2": {"next": 5}})
    assert sorted(keys.names("a/")) == ["a/2"] and keys.get("a/2") == {"next": 5} and keys.get("a/1") is None
    keys.get("a/2")["next"] = 9
    assert keys.get("a/2") == {"next": 5}
    if kind == "sqlite":  # durable without a commit of the storage
        assert SqliteStorage(path).keys.get("a/2") == {"next": 5}


def test_no_rotation_drops_the_key_that_a_device_uses(file):
    """It was off meanwhile, and would be locked out when it comes back."""
    keyrings = rings(file.path, MemoryKeys())
    first = keyrings.rings[ONE].pairings[0]
    assert keyrings.used(ONE, first)
    seconds = [file.rotate(ONE) for _ in range(2)]
    with pytest.raises(UserError, match="locked out"):
        file.rotate(ONE)
    file.save()
    keyrings.reload()
    assert keyrings.rings[ONE].pairings == [first, *seconds]
    assert keyrings.used(ONE, seconds[0])
    assert file.rotate(ONE).generation == 3
