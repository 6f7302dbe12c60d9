"""Signing offline: what comes out is verified by the device's code, and no leaf is ever used twice unnoticed."""

import json
import os
import shutil
import stat

import cbor2
import pytest

from spot.wire import lms
from spot_host import cli, signing, signing_key
from spot_host.profile import definition as d
from spot_host.profile.codec import decode, encode
from spot_host.profile.examples import EXAMPLES

BODIES = {name: encode(kind, values) for name, kind, _, values in EXAMPLES}
PRICE = BODIES["price96"]
BORN = 1_790_000_000
DAY = 86400


@pytest.fixture
def folder(tmp_path):
    signing.generate(tmp_path / "key", 5, BORN)
    return tmp_path / "key"


def leaf_of(bodies, public):
    octets = signing.join(bodies)[2]
    return int.from_bytes(octets[len(octets) - lms.signature_octets(public):][:4], "big")


def test_the_parts_are_messages_within_every_limit(folder):
    signer = signing.Signer(folder)
    revision, bodies = signer.sign(PRICE, BORN)
    assert revision == 1
    parts = [decode(body) for body in bodies]
    assert [part["part"] for part in parts] == [0, 1, 2]
    assert all(part.name == "signed" and part["parts"] == 3 and part["revision"] == 1 for part in parts)
    assert all(len(body) <= d.MAX_BODY for body in bodies)
    assert signing.verify(signer.public, bodies[::-1]) == (1, PRICE)


@pytest.mark.parametrize("name", ["price24", "carbon", "weather", "grid_state"])
def test_every_broadcast_can_be_signed(folder, name):
    signer = signing.Signer(folder)
    assert signing.verify(signer.public, signer.sign(BODIES[name], BORN)[1]) == (1, BODIES[name])


@pytest.mark.parametrize("body", [BODIES["command_on"], BODIES["registered"], BODIES["signed"], b"", b"\xff" * 40])
def test_nothing_else_is_signed(folder, body):
    with pytest.raises(signing.SigningError):
        signing.Signer(folder).sign(body, BORN)
    assert signing.Signer(folder).next == 0


def test_each_signature_has_its_leaf_and_its_revision(folder):
    signer = signing.Signer(folder)
    seen = []
    for _ in range(4):
        revision, bodies = signer.sign(PRICE, BORN)
        seen.append((revision, leaf_of(bodies, signer.public)))
        signer = signing.Signer(folder)
    assert seen == [(1, 0), (2, 1), (3, 2), (4, 3)]


def test_a_day_uses_up_a_leaf(folder):
    """A copy of the whole folder, taken back weeks later, can only meet leaves of its own day."""
    signer = signing.Signer(folder)
    assert leaf_of(signer.sign(PRICE, BORN + 9 * DAY + 5)[1], signer.public) == 9
    assert leaf_of(signer.sign(PRICE, BORN + 9 * DAY + 6)[1], signer.public) == 10
    assert leaf_of(signer.sign(PRICE, BORN + 8 * DAY)[1], signer.public) == 11  # a clock that was put back
    assert signer.left(BORN + 9 * DAY) == 20
    assert signer.left(BORN + 30 * DAY) == 2


def test_used_up(folder):
    signer = signing.Signer(folder)
    assert leaf_of(signer.sign(PRICE, BORN + 31 * DAY)[1], signer.public) == 31
    assert signer.left(BORN + 31 * DAY) == 0
    before = (folder / "journal").read_bytes()
    for now in (BORN + 31 * DAY, BORN, BORN + 400 * DAY):
        with pytest.raises(signing.SigningError, match="used up"):
            signer.sign(PRICE, now)
    assert (folder / "journal").read_bytes() == before


@pytest.mark.parametrize("where", ["journal is written", "key.json is written", "the signature is made"])
def test_a_crash_at_every_step_burns_a_leaf_at_most(folder, monkeypatch, where):
    """Whatever was cut off: the next signature has another leaf than the one that may have been used."""
    signer = signing.Signer(folder)
    signer.sign(PRICE, BORN)

    def crash(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "journal is written":
            patch.setattr(os, "fsync", crash)
        elif where == "key.json is written":
            patch.setattr(signing_key, "replace", crash)
        else:
            patch.setattr(signing_key.pyhsslms.LmsPrivateKey, "sign", crash)
        with pytest.raises(KeyboardInterrupt):
            signer.sign(PRICE, BORN)
    again = signing.Signer(folder)
    revision, bodies = again.sign(PRICE, BORN)
    assert (revision, leaf_of(bodies, again.public)) == (3, 2)
    assert signing.verify(again.public, bodies) == (3, PRICE)


def test_a_line_that_was_cut_is_no_entry(folder):
    signer = signing.Signer(folder)
    signer.sign(PRICE, BORN)
    whole = (folder / "journal").read_bytes()
    (folder / "journal").write_bytes(whole + b"1 2 17900")
    again = signing.Signer(folder)
    assert again.next == 1
    again.sign(PRICE, BORN)
    assert (folder / "journal").read_bytes().startswith(whole + b"1 2 ")
    assert signing.Signer(folder).next == 2


def test_no_signature_leaves_before_both_files_say_so(folder, monkeypatch):
    """When the private key computes, journal and key.json on disk already name the leaf."""
    signer = signing.Signer(folder)
    states = []
    real = signing_key.pyhsslms.LmsPrivateKey.sign

    def watch(self, text):
        states.append((signing.Signer(folder).next, len((folder / "journal").read_bytes().splitlines()), self.q))
        return real(self, text)

    monkeypatch.setattr(signing_key.pyhsslms.LmsPrivateKey, "sign", watch)
    signer.sign(PRICE, BORN)
    assert states == [(1, 1, 0)]


@pytest.mark.parametrize(("put_back", "text"), [
    ("key.json", "key.json was put back"), ("journal", "journal was cut or put back")])
def test_a_file_that_was_put_back_is_noticed(folder, tmp_path, put_back, text):
    signer = signing.Signer(folder)
    signer.sign(PRICE, BORN)
    shutil.copy(folder / put_back, tmp_path / "copy")
    for _ in range(2):
        signer.sign(PRICE, BORN)
    shutil.copy(tmp_path / "copy", folder / put_back)
    with pytest.raises(signing.SigningError, match=text):
        signing.Signer(folder)
    with pytest.raises(signing.SigningError, match=text):
        signer.sign(PRICE, BORN)  # also by who has it open


@pytest.mark.parametrize("change", [
    lambda text: text.replace(b"1 2 ", b"0 2 ", 1), lambda text: b"\n".join(text.split(b"\n")[1:]),
    lambda text: text.replace(b" 1 ", b" 7 ", 1), lambda text: b"rubbish\n" + text,
], ids=["a leaf", "the first line gone", "a revision", "rubbish"])
def test_a_journal_that_was_changed_is_noticed(folder, change):
    signer = signing.Signer(folder)
    for _ in range(3):
        signer.sign(PRICE, BORN)
    text = (folder / "journal").read_bytes()
    assert change(text) != text
    (folder / "journal").write_bytes(change(text))
    with pytest.raises(signing.SigningError):
        signing.Signer(folder)


def test_the_whole_folder_put_back_is_noticed(folder, tmp_path):
    signer = signing.Signer(folder)
    signer.sign(PRICE, BORN)
    shutil.copytree(folder, tmp_path / "copy")
    signer.sign(PRICE, BORN)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    for again in (folder, tmp_path / "copy"):
        with pytest.raises(signing.SigningError, match="put back from a copy, or is one"):
            signing.Signer(again)


def test_of_two_copies_one_signs(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    one, two = signing.Signer(folder), signing.Signer(tmp_path / "copy")
    two.sign(PRICE, BORN)
    with pytest.raises(signing.SigningError, match="another folder of this key"):
        one.sign(PRICE, BORN)


def test_a_copy_elsewhere_does_not_sign(folder, tmp_path, monkeypatch):
    """On another machine, or as another user: nobody there knows the key, also before its first signature."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(signing.SigningError, match="does not know the key"):
        signing.Signer(folder)


def test_a_machine_put_back_is_not_noticed_but_meets_no_leaf_of_another_day(folder, tmp_path, monkeypatch):
    """What docs/security.md says is not covered, and what is left of it."""
    signer = signing.Signer(folder)
    signer.sign(PRICE, BORN)
    shutil.copytree(folder, tmp_path / "snapshot")
    shutil.copytree(os.environ["XDG_STATE_HOME"], tmp_path / "state")
    used = {leaf_of(signer.sign(PRICE, BORN + day * DAY)[1], signer.public) for day in (1, 2, 3)}
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    copy = signing.Signer(tmp_path / "snapshot")
    assert leaf_of(copy.sign(PRICE, BORN + 4 * DAY)[1], copy.public) not in used


def test_two_at_once(folder):
    signer = signing.Signer(folder)
    with signing_key.FileLock(folder / "lock"), pytest.raises(signing.SigningError, match="another process"):
        signer.sign(PRICE, BORN)


def test_the_secret_is_its_owners(folder):
    signing.Signer(folder).sign(PRICE, BORN)
    for name in ("key.json", "journal"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    seed = json.loads((folder / "key.json").read_text())["seed"]
    assert seed not in (folder / "public.hex").read_text() + (folder / "journal").read_text()


def test_a_key_is_never_written_over(folder):
    with pytest.raises(signing.SigningError, match="never written over"):
        signing.generate(folder, 5)


def test_joining_refuses_what_does_not_belong_together(folder):
    signer = signing.Signer(folder)
    _, one = signer.sign(PRICE, BORN)
    _, two = signer.sign(PRICE, BORN)
    for bodies in (one[:2], [*one[:2], two[2]], [*one, one[0]], [], [b"\0"], [BODIES["price24"]]):
        with pytest.raises(signing.SigningError):
            signing.join(bodies)
    other = signing.generate(folder.parent / "other", 5, BORN)
    with pytest.raises(signing.SigningError, match="signed by the key"):
        signing.verify(other.public, one)
    parts = [decode(body).values for body in one]
    with pytest.raises(signing.SigningError, match="does not fit"):  # the revision is signed, too
        signing.verify(signer.public, [encode("signed", {**part, "revision": 9}) for part in parts])


def _spot(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return caught.value.code or 0, *capsys.readouterr()


def test_the_commands(tmp_path, capsys):
    code, out, _ = _spot(["group", "keygen", tmp_path / "key", "--height", 5], capsys)
    public = signing.Signer(tmp_path / "key").public
    assert code == 0 and f'"signed_key": "{public.hex()}"' in out
    code, out, err = _spot(["group", "sign", tmp_path / "key", PRICE.hex(), "-o", tmp_path / "a.cbor"], capsys)
    assert code == 0 and "revision 1, 3 parts" in out and "Only 31 signatures are left" in err
    bodies = cbor2.loads((tmp_path / "a.cbor").read_bytes())
    assert signing.verify(public, bodies) == (1, PRICE)
    (tmp_path / "grid.json").write_text(json.dumps(
        {"type": "grid_state", "revision": 4, "start": BORN, "duration": 7200, "grid": 2}))
    assert _spot(["group", "sign", tmp_path / "key", tmp_path / "grid.json", "-o", tmp_path / "b.cbor"], capsys)[0] == 0
    code, out, _ = _spot(["group", "show", tmp_path / "b.cbor", "-k", tmp_path / "key"], capsys)
    assert code == 0 and "The signature fits. grid_state" in out and "tight (2)" in out
    code, out, _ = _spot(["group", "show", tmp_path / "b.cbor"], capsys)
    assert code == 0 and "Not verified" in out
    code, out, _ = _spot(["group", "show", tmp_path / "key"], capsys)
    assert code == 0 and "latest revision 2, 30 signatures left" in out
    signing.generate(tmp_path / "other", 5)
    code, _, err = _spot(["group", "show", tmp_path / "b.cbor", "-k", tmp_path / "other"], capsys)
    assert code == 2 and "signed by the key" in err
    code, _, err = _spot(["group", "show", tmp_path / "grid.json"], capsys)
    assert code == 2 and err.count("\n") == 1
    code, _, err = _spot(["group", "sign", tmp_path / "nothing", PRICE.hex(), "-o", tmp_path / "c.cbor"], capsys)
    assert code == 2 and not (tmp_path / "c.cbor").exists()


@pytest.mark.parametrize("content", [
    b"hello", b"", b"{}", b"\xff" * 9, cbor2.dumps({"a": 1}), cbor2.dumps([]), cbor2.dumps([b"\x82\x18\x18\x01"]),
    cbor2.dumps(["text"]), cbor2.dumps([PRICE]),
], ids=lambda content: content[:4].hex() or "nothing")  # fmt: skip
def test_another_file_is_not_what_sign_wrote(tmp_path, content):
    (tmp_path / "today.cbor").write_bytes(content)
    with pytest.raises(signing.SigningError, match="today.cbor: not what `spot group sign` wrote"):
        signing.load(tmp_path / "today.cbor")
    with pytest.raises(signing.SigningError, match="none.cbor: No such file"):
        signing.load(tmp_path / "none.cbor")
