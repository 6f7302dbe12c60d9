"""The pytest plugin: targets as options, what a test needs as markers, a device as a fixture, logs with a failure.

pytest finds it by the entry point `pytest11`. It changes nothing for tests that ask for none of its fixtures, and
imports nothing before one does. docs/hil.md says how to use it.
"""

import re
from pathlib import Path

import pytest

_KEY = pytest.StashKey()
_FIXTURE = "hil_target"
_STARTS = 2  # that fail before a target is given up for this run
_REPORT = pytest.StashKey()


class Hooks:
    """What other plugins and conftest.py files may supply."""

    @pytest.hookspec
    def pytest_hil_targets(self, config):
        """More targets: {word: (class derived from spot_host.hil.target.Target, what stands after the colon or "")}."""

    @pytest.hookspec
    def pytest_hil_features(self, config):
        """More features: {word: what it means}."""


def pytest_addhooks(pluginmanager):
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser):
    group = parser.getgroup("hil", "SPOT hardware in the loop")
    names = ("--hil-target", "--target")
    options = {"action": "append", "default": [], "metavar": "TARGET", "dest": "hil_target",
               "help": "sim, unix, serial:PORT, ip:ADDRESS, a board of the inventory, or bench; several with commas "
                       "or again (default: the inventory's boards, else sim)"}
    try:
        group.addoption(*names, **options)
    except ValueError:  # another plugin has --target
        group.addoption(names[0], **options)
    group.addoption("--inventory", metavar="FILE", dest="hil_inventory", help="boards on the bench, TOML")
    group.addoption("--hil-home", metavar="FOLDER", dest="hil_home",
                    help="home of the boards of serial: and ip: (`spot emd init`)")
    group.addoption("--hil-logs", metavar="FOLDER", dest="hil_logs", help="write each test's logs there")
    group.addoption("--hil-release", metavar="FILE", dest="hil_release",
                    help="a .spotfw for the boards under test, newer than what they run: the feature update")
    group.addoption("--require-hil", action="store_true", dest="hil_require",
                    help="what would be skipped for a missing feature or target fails")


class _Run:
    """What one run has: targets that are up, and what was skipped for which feature."""

    def __init__(self, config):
        self.config = config
        self.specs = None
        self.missing = {}
        self.live = None

    def option(self, name, default=None):
        return self.config.getoption(name, default)  # the plugin may have come after the command line was read

    def words(self):
        """{word: (class, what stands after the colon)} of all targets."""
        from .spec import ARGUMENT

        words = {word: (None, argument) for word, argument in ARGUMENT.items()}
        words["unix_coap"] = (None, "")
        for more in self.config.hook.pytest_hil_targets(config=self.config):
            words.update(more or {})
        return words

    def features(self):
        from .target import FEATURES

        known = dict(FEATURES)
        for more in self.config.hook.pytest_hil_features(config=self.config):
            known.update(more or {})
        return known

    def targets(self):
        """The specs of this run, read once. UsageError says what is wrong with an option or the inventory."""
        if self.specs is None:
            from spot_host.errors import UserError

            from . import inventory, spec

            try:
                path = self.option("hil_inventory")
                boards = inventory.load(path) if path else {}
                words = {word: argument for word, (_, argument) in self.words().items()}
                self.specs = spec.select(self.option("hil_target", []) or [], boards, words)
            except UserError as error:
                raise pytest.UsageError(str(error)) from error
            real = [one.text for one in self.specs if one.kind in ("serial", "ip")]
            if real and hasattr(self.config, "workerinput"):
                raise pytest.UsageError(f"{', '.join(real)}: one board cannot be tested by several workers (-n 0)")
        return self.specs

    def make(self, spec):
        """The Target for a Spec, not started."""
        cls = self.words()[spec.kind][0]
        if cls is None:
            if spec.kind == "sim":
                from .sim import SimTarget as cls
            elif spec.kind == "unix":
                from .unix import UnixTarget as cls
            elif spec.kind == "unix_coap":
                from .unix import UnixCoapTarget as cls
            else:
                from .home import HomeTarget as cls
        return cls(spec, {"home": self.option("hil_home"), "release": self.option("hil_release")})

    def lacks(self, spec, what):
        """A test cannot run here: skip it and count it, or fail."""
        words = f"hil: {spec} has no {what}"
        self.missing[words] = self.missing.get(words, 0) + 1
        if self.option("hil_require", False):
            pytest.fail(f"{words} (--require-hil)", pytrace=False)
        pytest.skip(words)


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "hil(*features): runs on each --target that has these features (spot_host.hil, docs/hil.md)")
    config.addinivalue_line("markers", "hil_slow: takes many minutes on a board in real time (-m 'not hil_slow')")
    config.stash[_KEY] = _Run(config)


def pytest_generate_tests(metafunc):
    if _FIXTURE in metafunc.fixturenames:
        specs = metafunc.config.stash[_KEY].targets()
        metafunc.parametrize(_FIXTURE, specs, ids=[re.sub(r"[^\w.:-]", "_", one.text) for one in specs],
                             indirect=True, scope="session")


def _wanted(item):
    return [word for mark in item.iter_markers("hil") for word in mark.args]


def pytest_collection_modifyitems(config, items):
    known = None
    for item in items:
        for word in _wanted(item):
            known = known or config.stash[_KEY].features()
            if word not in known:
                raise pytest.UsageError(f"{item.nodeid}: hil({word!r}): no such feature; there are "
                                        f"{', '.join(sorted(known))}")


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def hil_target(request):
    """The target of this turn (spot_host.hil.target.Target), started by the first test that can run on it."""
    run = request.config.stash[_KEY]
    run.live = target = run.make(request.param)
    yield target
    run.live = None
    if target.running:
        target.stop()


def _ready(run, target):
    """The target up and calm; one in virtual time is begun anew where a test has left it beyond mending."""
    from spot_host.errors import UserError

    from .target import Absent

    if target.absent:
        run.lacks(target, target.absent)
    if len(target.failed) >= _STARTS:
        pytest.fail(f"{target}: did not start {_STARTS} times; at last: {target.failed[-1]}", pytrace=False)
    if target.running:
        try:
            target.calm()
            return
        except UserError:
            target.record.event(target.now, "not as a test wants it: begun anew")
            target.stop()
    try:
        target.start()
        target.calm()
        target.failed.clear()
    except Absent as error:
        target.absent = str(error)
        run.lacks(target, target.absent)
    except UserError as error:
        target.failed.append(str(error))
        pytest.fail(f"{target}: {error}", pytrace=False)
    except Exception as error:
        target.failed.append(repr(error))
        raise


@pytest.fixture
def dut(hil_target, request):
    """The device under test (spot_host.hil.dut.Dut): registered, under control, its contact closed, nothing live."""
    from .dut import Dut

    run = request.config.stash[_KEY]
    hil_target.record.mark()
    wanted = _wanted(request.node)
    _ready(run, hil_target)
    for word in wanted:
        if word not in hil_target.features:
            run.lacks(hil_target, word)
    row = hil_target.row
    for name, value in (("target", str(hil_target)), ("board", hil_target.board),
                        ("firmware", row.capability.firmware), ("eui64", hil_target.eui)):
        request.node.user_properties.append((name, value))
    request.node.stash[_REPORT] = hil_target
    return Dut(hil_target)


@pytest.fixture
def emd(dut):
    """The EMD beside it (spot_host.hil.dut.Emd)."""
    from .dut import Emd

    return Emd(dut.target)


@pytest.fixture
def console(dut):
    """What the board prints (spot_host.hil.dut.Console)."""
    from .dut import Console

    return Console(dut.target)


@pytest.fixture
def broker(dut):
    """The broker, for tests marked hil("broker") (spot_host.hil.dut.Broker)."""
    from .dut import Broker

    yield Broker(dut.target)
    if dut.target.cut:
        dut.target.cut_link(False)


@pytest.fixture
def faults(dut):
    """What the bench can do to the device (spot_host.hil.dut.Faults). A cut link is whole again after the test."""
    from .dut import Faults

    yield Faults(dut.target)
    if dut.target.cut:
        dut.target.cut_link(False)


# --- reports ----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    run = item.config.stash.get(_KEY, None)
    target = item.stash.get(_REPORT, None) or (run.live if run and _FIXTURE in item.fixturenames else None)
    if target is None or call.when not in ("setup", "call"):
        return report
    folder = run.option("hil_logs")
    if report.failed or folder and call.when == "call":
        try:
            target.gather()
        except Exception as error:  # a failed test must still be told
            target.record.say(f"(the console cannot be read: {error})")
        for title, text in target.record.sections():
            if report.failed and text:
                report.sections.append((f"{target} {title}", text))
            if folder:
                _write(Path(folder), target, item, title, text)
    return report


def _write(folder, target, item, title, text):
    name = re.sub(r"[^\w.-]+", "_", item.name)
    at = folder / re.sub(r"[^\w.-]+", "_", str(target)) / name
    at.mkdir(parents=True, exist_ok=True)
    (at / f"{title}.txt").write_text(text + "\n" if text else "", encoding="utf-8")


def pytest_terminal_summary(terminalreporter):
    run = terminalreporter.config.stash.get(_KEY, None)
    if run is not None and run.missing:
        terminalreporter.section("hardware in the loop")
        for words, number in sorted(run.missing.items()):
            terminalreporter.write_line(f"{number} not run: {words}")
