"""A configuration that has passed its check is not checked again: not while it, the files that it names and the release
are as they were."""

import json
import shutil
from pathlib import Path

import pytest

import main
import spot.config_check as config_check
from spot.config import ConfigError

BOARDS = Path(__file__).parents[3] / "boards"
PAIRING = {"id": "01", "emd": "02", "secret": "00" * 16, "salt": "00" * 8, "generation": 0}


class Place:
    """A folder with a device's files and, in `rom`, those of a release."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.boards = folder, str(folder / "rom" / "boards")
        shutil.copytree(BOARDS / "sim", folder / "rom" / "boards" / "sim")
        self.path, self.pairing, self.release = (folder / name for name in (
            "config.json", "pairing.json", "rom/release.json"))
        self.release.write_text('{"sequence": 3}')
        self.pairing.write_text(json.dumps(PAIRING))
        self.config = {"eui64": "0" * 16, "store": "store", "board": "sim",
                       "coap": {"uri": "coap://emd.local", "pairing": str(self.pairing)}}
        self.write()
        self.checks = 0
        whole = config_check.check_whole

        def counted(*arguments):
            self.checks += 1
            return whole(*arguments)

        monkeypatch.setattr(config_check, "check_whole", counted)

    def write(self):
        self.path.write_text(json.dumps(self.config))

    def start(self, boards=True):
        """Whether a start checks."""
        before = self.checks
        config, description = main.checked(str(self.path), None, self.boards if boards else None)
        assert config == self.config and description["name"] == "sim"
        return self.checks > before


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Place(tmp_path, monkeypatch)


def test_once_for_each_configuration(place):
    assert place.start() and not place.start() and not place.start()
    place.config["model"] = "another"
    place.write()
    assert place.start() and not place.start()


def test_a_release_may_have_other_rules(place):
    assert place.start()
    place.release.write_text('{"sequence": 4}')
    assert place.start() and not place.start()


def test_what_it_names_belongs_to_it(place):
    assert place.start()
    place.pairing.write_text(json.dumps({**PAIRING, "generation": 1}))
    assert place.start() and not place.start()
    place.pairing.write_text(json.dumps({**PAIRING, "emd": "01"}))
    for _ in range(2):
        with pytest.raises(ConfigError, match="pairing.json: id: must be another one than emd"):
            place.start()
    place.pairing.unlink()
    with pytest.raises(ConfigError, match="a file that can be read"):
        place.start()


def test_what_is_refused_stays_refused(place):
    assert place.start()
    place.config["wrong"] = 1
    place.write()
    for _ in range(2):
        with pytest.raises(ConfigError, match="wrong: must be left out"):
            place.start()


@pytest.mark.parametrize("raw", [b"", b"\0" * 32, b"x" * 33])
def test_a_seal_that_is_torn_or_of_something_else(place, raw):
    assert place.start()
    (place.folder / "config.json.checked").write_bytes(raw)
    assert place.start() and not place.start()


def test_no_room_for_the_seal(place):
    (place.folder / "config.json.checked").mkdir()
    assert place.start() and place.start()


def test_a_development_copy_is_checked_at_each_start(place):
    shutil.copytree(place.boards, place.folder / "boards")
    place.config["boards"] = str(place.folder / "boards")
    place.write()
    assert place.start(False) and place.start(False)
    assert not (place.folder / "config.json.checked").exists()


@pytest.mark.parametrize("spoilt", [
    '{"coap": 5}', '{"associations": [3]}', '{"associations": 3}', "[]", '{"coap": {"ca": 7}}'])
def test_what_is_no_configuration_at_all(place, spoilt):
    assert place.start()
    place.path.write_text(spoilt)
    with pytest.raises(ConfigError):
        place.start()


def test_a_description_in_a_release_was_checked_on_the_host(place):
    """It is taken as it is; parts that the configuration changes are checked."""
    file = Path(place.boards) / "sim" / "board.json"
    right = file.read_text()
    file.write_text(json.dumps({**json.loads(right), "surplus": 1}))
    assert place.start()
    file.write_text(right)
    place.config["parts"] = {"nothing": {}}
    place.write()
    with pytest.raises(ConfigError, match="parts.nothing: must be left out"):
        place.start()
