"""The loader (firmware/boot.py) on a chip of the test's own: what it does when all else is wrong."""

import importlib.util
import sys
from pathlib import Path

import pytest

from spot import port
from spot.codes import ABSENT
from spot.slots import put_state
from spot.store import Store

BOOT = Path(__file__).resolve().parents[3] / "firmware" / "boot.py"


class Reset(BaseException):
    """The chip starts afresh."""


class Machine:
    """What the loader uses of `machine`."""

    def __init__(self, timers=None):
        self.armed = []

        def timer(id_, **how):
            if timers is not None and id_ not in timers:
                raise ValueError("invalid Timer number")
            self.armed.append(how)

        self.Timer = timer
        timer.ONE_SHOT = 0

    def reset(self):
        raise Reset


class Prepared:
    """In place of spot.boot."""

    def __init__(self, *gives):
        self.gives, self.failures = gives, []

    def prepare(self, config, place):
        if isinstance(self.gives[0], Exception):
            raise self.gives[0]
        return self.gives

    def failed(self, error, config):
        self.failures.append(error)


@pytest.fixture
def loader(monkeypatch, tmp_path):
    """f(what prepare gives, machine) -> (the loader's module, in place of spot.boot)."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [])
    kept = dict(sys.modules)
    monkeypatch.setattr(port, "machine", None)

    def make(*gives, machine=None):
        spec = importlib.util.spec_from_file_location("loader", BOOT)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module._OWN = str(tmp_path / "own" / "boot")
        module._REST_S = 0
        prepared = Prepared(*gives)
        import spot

        monkeypatch.setattr(spot, "boot", prepared, raising=False)
        monkeypatch.setitem(sys.modules, "spot.boot", prepared)
        if machine is not None:
            monkeypatch.setattr(port, "machine", machine)
        return module, prepared

    yield make
    for name in [name for name in sys.modules if name not in kept]:
        del sys.modules[name]
    sys.modules.update(kept)


@pytest.fixture
def release(tmp_path):
    """A release that keeps what it was started with."""
    folder = tmp_path / "rom"
    folder.mkdir()
    (folder / "main.py").write_text("import sys\nsys.modules['main'].seen = list(sys.argv), sys.path[0]\n")
    sys.modules.pop("main", None)
    yield folder
    sys.modules.pop("main", None)


def test_nothing_in_the_file_system_comes_before_the_loader_s_own(loader, release, tmp_path, monkeypatch):
    """A folder `spot` that a copy of source files has left there is not what is started."""
    module, _ = loader(True, True, ["--slot=0"], None, machine=Machine())
    module._RELEASE = str(release)
    sys.path.append(module._OWN)
    first = []
    monkeypatch.setattr(Prepared, "prepare", lambda self, *a: first.append(sys.path[0]) or self.gives)
    module.main([])
    assert first == [module._OWN] and sys.modules["main"].seen[1] == str(release)
    assert module._OWN not in sys.path


def test_the_release_is_told_the_base_of_the_image(loader, release, tmp_path):
    module, _ = loader(True, True, ["--slot=1"], None, machine=Machine())
    module._RELEASE = str(release)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "release.json").write_text('{"sequence": 0, "base": 4}')
    module.main([])
    assert sys.modules["main"].seen[0] == ["main", "config.json", "--slot=1", "--base=4"]


@pytest.mark.parametrize("text", [None, "torn {", "[]"])
def test_an_image_that_does_not_say_its_base(loader, release, tmp_path, text):
    module, _ = loader(True, True, ["--slot=1"], None, machine=Machine())
    module._RELEASE = str(release)
    if text:
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "release.json").write_text(text)
    module.main([])
    assert sys.modules["main"].seen[0] == ["main", "config.json", "--slot=1"]


def test_a_chip_starts_afresh_whatever_keeps_the_loader_from_its_work(loader, capsys):
    module, _ = loader(RuntimeError("flash"), machine=Machine())
    with pytest.raises(Reset):
        module.main([])
    port.machine = None
    with pytest.raises(RuntimeError):  # a computer says so
        module.main([])


@pytest.mark.parametrize("timers", [None, (0, 1, 2, 3)], ids=["rp2", "esp32"])
def test_a_trial_that_goes_on_and_on_is_ended_by_the_loader(loader, release, tmp_path, timers):
    """Whatever the new release does or leaves out: nobody else counts its minutes."""
    chip = Machine(timers)
    store = Store(None, str(tmp_path / "store"))
    put_state(store, 1, 0, 1, ABSENT)
    module, _ = loader(True, True, ["--slot=1", "--trial"], str(tmp_path / "store" / "slots"), machine=chip)
    module._RELEASE = str(release)
    module.main([])
    (armed,) = chip.armed
    assert armed["mode"] == chip.Timer.ONE_SHOT and 600_000 < armed["period"] <= 1_200_000, "after its own end"
    with pytest.raises(Reset):
        armed["callback"](None)
    put_state(store, 1, 1, 0, ABSENT)
    armed["callback"](None)  # it was confirmed
    store.delete("slots")
    armed["callback"](None)  # nobody knows


def test_no_timer_where_nothing_is_on_trial(loader, release):
    chip = Machine()
    module, _ = loader(True, True, ["--slot=1"], None, machine=chip)
    module._RELEASE = str(release)
    module.main([])
    assert chip.armed == []
