"""Keys and releases: no leaf and no sequence number is ever used twice unnoticed, whatever is cut or copied."""

import json
import multiprocessing
import os
import shutil
import sys
from types import SimpleNamespace

import pytest

from spot_host import cli, release, signing, signing_key, suit
from spot_host.device_files import Order
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder

BORN = 1_790_000_000
WEEK = 7 * 86400
IMAGE = b"\xd2\xcd\x31" + bytes(5000)


@pytest.fixture
def folder(tmp_path):
    release.generate(tmp_path / "key", 5, BORN)
    return tmp_path / "key"


@pytest.fixture(autouse=True)
def board(monkeypatch):
    """A board of our own, so that the real ones may change."""
    made = SimpleNamespace(march="armv6m", model="P", image=SimpleNamespace(base=1, slot_bytes=4096 + 8192))

    def load(name):
        if name != "pico":
            raise UserError(f"no board {name}")
        return made

    monkeypatch.setattr(release, "Board", SimpleNamespace(load=load))
    return made


def image_of(board, version, sequence, keys):
    return IMAGE + json.dumps([board, version, sequence, keys]).encode()


def build(folder, sequence=None, now=BORN, **more):
    return release.build("pico", "1.0", folder, sequence, image_of=image_of, now=now, **more)


def leaf_of(octets):
    return int.from_bytes(suit.read(octets).signature[4:8], "big")


def test_a_release_holds_what_was_asked_for(folder):
    made = suit.read(build(folder))
    key = release.ReleaseKey(folder)
    suit.verify(made, key.hss)
    assert (made.manifest.sequence, made.manifest.version, made.manifest.march) == (release.FIRST, "1.0", "armv6m")
    assert json.loads(made.image[len(IMAGE):]) == ["pico", "1.0", release.FIRST, [key.hss.hex()]]
    assert (folder / "public.hex").read_text().strip() == key.hss.hex() and len(key.hss) == 60


def test_the_next_key_comes_with_a_release(folder, tmp_path):
    after = release.generate(tmp_path / "next", 5, BORN)
    made = suit.read(build(folder, next_keys=[after.hss, after.hss]))
    assert json.loads(made.image[len(IMAGE):])[3] == [release.ReleaseKey(folder).hss.hex(), after.hss.hex()]


def test_sequence_numbers_rise_and_come_once(folder):
    numbers = [suit.read(build(folder, given)).manifest.sequence for given in (None, None, 7, None)]
    assert numbers == [2, 3, 7, 8]
    for again in (1, 7, 8):
        with pytest.raises(UserError, match=f"number {again} was used; the latest is 8"):
            build(folder, again)
    assert suit.read(build(folder)).manifest.sequence == 9


def test_a_week_uses_up_a_leaf(folder):
    assert [leaf_of(build(folder, now=BORN + n)) for n in (0, 1, 9 * WEEK, 9 * WEEK, 3 * WEEK)] == [0, 1, 9, 10, 11]
    with pytest.raises(UserError, match="used up"):
        build(folder, now=BORN + 40 * WEEK)


def test_what_fails_before_the_signature_uses_up_nothing(folder, board):
    def fails(*_):
        raise UserError("the compiler says no")

    with pytest.raises(UserError, match="compiler"):
        release.build("pico", "1.0", folder, image_of=fails, now=BORN)
    with pytest.raises(UserError, match="a slot of pico takes 8192"):
        release.build("pico", "1.0", folder, image_of=lambda *_: bytes(8193), now=BORN)
    for version, name in (("", "pico"), ("v" * 17, "pico"), ("1.0", "nothing")):
        with pytest.raises(UserError):
            release.build(name, version, folder, image_of=image_of, now=BORN)
    board.march = "armv6-m"
    with pytest.raises(UserError, match="march"):
        build(folder)
    assert release.ReleaseKey(folder).next == 0 and (folder / "journal").read_bytes() == b""


class _Cut(BaseException):
    """The power goes."""


class _System:
    """The os module, and the power goes before call number `at` of those that change something, or after it."""

    _WATCHED = ("open", "replace", "fsync")

    def __init__(self, at, after):
        self.at, self._after, self.calls = at, after, 0

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in self._WATCHED:
            return real

        def call(*args):
            self.calls += 1
            if self.calls - 1 == self.at and not self._after:
                raise _Cut
            result = real(*args)
            if self.calls - 1 == self.at:
                raise _Cut
            return result
        return call


def _leaves(monkeypatch):
    """Every leaf that the private key computed with, in order."""
    used, real = [], signing_key.pyhsslms.LmsPrivateKey.sign

    def sign(self, text):
        used.append(self.q)
        return real(self, text)

    monkeypatch.setattr(signing_key.pyhsslms.LmsPrivateKey, "sign", sign)
    return used


def test_cut_at_every_write(tmp_path, monkeypatch):
    """At each call that writes, before and after it: the next release has its own leaf and number."""
    used, at, cuts = _leaves(monkeypatch), 0, 0
    while True:
        for after in (False, True):
            folder = tmp_path / f"key{at}{after}"
            release.generate(folder, 5, BORN)
            used.clear()
            first = suit.read(build(folder)).manifest.sequence
            system = _System(at, after)
            with monkeypatch.context() as patch:
                patch.setattr(signing_key, "os", system)
                try:
                    build(folder)
                    done = True
                except _Cut:
                    done = False
            third = suit.read(build(folder)).manifest.sequence
            assert third > first and len(set(used)) == len(used), f"call {at}: leaves {used}"
            assert used == sorted(used)
            cuts += not done
        if done:
            break
        at += 1
    assert cuts >= 18  # journal, key.json and anchor: files opened, on disk, renamed, their folders on disk


def test_a_journal_cut_anywhere(folder, tmp_path):
    """What an interrupted append leaves: any beginning of the new line, and the two other places as before."""
    build(folder)
    shutil.copytree(folder, tmp_path / "before")
    state = signing_key.anchors() / release.ReleaseKey(folder).public[8:24].hex()
    anchor, old = state.read_bytes(), (folder / "journal").read_bytes()
    build(folder)
    new = (folder / "journal").read_bytes()
    for n in (*range(len(old), len(new), 9), len(new) - 1, len(new)):
        shutil.copy(tmp_path / "before" / "key.json", folder / "key.json")
        (folder / "journal").write_bytes(new[:n])
        state.write_bytes(anchor)
        made = build(folder)
        assert leaf_of(made) == (1 if n < len(new) else 2)


def test_the_folder_copied_back_is_noticed(folder, tmp_path):
    build(folder)
    shutil.copytree(folder, tmp_path / "copy")
    build(folder)
    for name in ("key.json", "journal"):
        shutil.copy(tmp_path / "copy" / name, folder / name)
    with pytest.raises(UserError, match="put back from a copy, or is one"):
        build(folder)


def test_a_moved_folder_signs_after_it_was_adopted(folder, tmp_path, monkeypatch):
    build(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="--adopt"):
        build(folder)
    for wrong in (-1, 31, 40):
        with pytest.raises(UserError, match="--skip"):
            release.ReleaseKey(folder, moved=True).adopt(wrong)
    release.ReleaseKey(folder, moved=True).adopt(3)
    made = build(folder)
    assert leaf_of(made) == 4 and suit.read(made).manifest.sequence == 6


def test_the_key_of_one_use_is_not_for_another(folder, tmp_path):
    with pytest.raises(UserError, match="a key for releases, not for broadcasts"):
        signing.Signer(folder)
    signing.generate(tmp_path / "group", 5, BORN)
    with pytest.raises(UserError, match="a key for broadcasts, not for releases"):
        build(tmp_path / "group")


def _in_a_process(folder, state, count, out):
    os.environ["XDG_STATE_HOME"] = state
    got = []
    while len(got) < count:
        try:
            made = build(folder)
        except UserError as error:
            assert "another process" in str(error), error
            continue
        got.append((suit.read(made).manifest.sequence, leaf_of(made)))
    out.put(got)


def test_two_processes_at_once(folder):
    context = multiprocessing.get_context("spawn")  # a fork beside threads of other tests may hang
    out = context.Queue()
    arguments = (folder, os.environ["XDG_STATE_HOME"], 6, out)
    processes = [context.Process(target=_in_a_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    got = out.get(timeout=60) + out.get(timeout=60)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(got) == [(n + 2, n) for n in range(12)]


def test_who_refuses_it(folder, tmp_path):
    made = suit.read(build(folder, 9))
    hss, other = release.ReleaseKey(folder).hss, release.generate(tmp_path / "other", 5).hss
    facts = release.BoardFacts("pico")

    def reasons(**how):
        return [reason for reason, _ in release.refusals(made, **how)]

    assert reasons(keys=[other, hss], running=8, facts=facts) == []
    assert reasons(keys=[other]) == ["signature"] and reasons(keys=[]) == ["signature"]
    assert reasons(running=9) == ["sequence"] and reasons(running=10) == ["sequence"]
    facts.base, facts.slot_octets, facts.name = 0, 4096 + len(IMAGE), "plug"
    assert reasons(facts=facts) == ["other_board", "base", "size"]
    bare = suit.read(release.build("pico", "1.0", None, 3, image_of=image_of))
    assert [reason for reason, _ in release.refusals(bare)] == ["signature"]


def _spot(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return caught.value.code or 0, *capsys.readouterr()


def test_a_home_trusts_the_keys_that_are_made_for_it(tmp_path, capsys):
    """`keygen --home`: devices that are provisioned from then on have all of them."""
    home = HomeFolder.create(tmp_path / "home", "127.0.0.1", 8883, "home")
    keys = []
    for name in ("one", "two"):
        code, out, _ = _spot(["release", "keygen", tmp_path / name, "--height", 5, "--home", home.folder], capsys)
        keys.append(release.ReleaseKey(tmp_path / name).hss.hex())
        assert code == 0 and "trust it" in out
    home.trust(bytes.fromhex(keys[0]))  # a second time: no second line
    at, _ = home.provision(Order("0200000000000001", "pico_w_plug"))
    assert json.loads((at / "config.json").read_text())["update"] == {"keys": keys}
    code, _, err = _spot(["release", "keygen", tmp_path / "three", "--height", 5, "--home", tmp_path], capsys)
    assert code == 2 and str(tmp_path) in err and not (tmp_path / "three").exists()


def test_the_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "spot_host.romfs", SimpleNamespace(build=image_of))
    code, out, _ = _spot(["release", "keygen", tmp_path / "key", "--height", 5], capsys)
    hss = release.ReleaseKey(tmp_path / "key").hss
    assert code == 0 and f'"update": {{"keys": ["{hss.hex()}"]}}' in out
    file = tmp_path / "a.spotfw"
    code, out, err = _spot(["release", "build", "pico", "--version", "1.0", "-k", tmp_path / "key", "-o", file], capsys)
    assert code == 0 and "sequence 2" in out and "Only 31 signatures are left" in err
    code, _, err = _spot(["release", "build", "pico", "--version", "1.0", "-k", tmp_path / "key", "-o", file], capsys)
    assert code == 2 and "never written over" in err and release.ReleaseKey(tmp_path / "key").number == 2
    code, out, _ = _spot(["release", "show", file, "-k", tmp_path / "key", "--running", 1], capsys)
    assert code == 0 and "by the key" in out and "Nothing of the key, the running sequence, the board would" in out
    code, out, _ = _spot(["release", "show", file, "--running", 2], capsys)
    assert code == 0 and "A device would refuse it: sequence: 2 is not above 2" in out and "was not verified" in out
    code, out, _ = _spot(["release", "show", file, "--json", "--running", 2], capsys)
    assert code == 0 and json.loads(out)["refused"][0][0] == "sequence"
    code, out, _ = _spot(["release", "verify", file, "-k", tmp_path / "key" / "public.hex"], capsys)
    assert code == 0 and "the signature fits" in out
    release.generate(tmp_path / "other", 5)
    code, _, err = _spot(["release", "verify", file, "-k", tmp_path / "other"], capsys)
    assert code == 2 and "signature: not signed by the key" in err
    code, _, err = _spot(["release", "verify", tmp_path / "key" / "journal", "-k", tmp_path / "key"], capsys)
    assert code == 2 and "no release" in err and err.count("\n") == 1
    code, out, _ = _spot(["release", "keys", tmp_path / "key"], capsys)
    assert code == 0 and "latest sequence 2, 31 signatures left" in out
    bare = tmp_path / "b.spotfw"
    plain = ["release", "build", "pico", "--version", "1", "-o", bare]
    assert _spot(plain, capsys)[0] == 2
    assert _spot([*plain, "--unsigned"], capsys)[0] == 2
    assert _spot([*plain, "--unsigned", "--sequence", 4], capsys)[0] == 0
    assert suit.read(bare.read_bytes()).manifest.sequence == 4
