"""The plugin as a stranger's tests see it: targets, features, skips that fail on demand, logs, JUnit, other people's
targets."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest_plugins = ["pytester"]

LOADED = ("-p", "spot_host.hil.plugin", "-p", "no:cacheprovider", "-p", "no:xdist")

OFF = """
    import pytest

    def test_off(dut):
        dut.command("off", duration=60)
        dut.wait_for("open", 2)

    @pytest.mark.hil("wifi_cut")
    def test_no_wifi(dut, faults):
        faults.cut_wifi()
"""

OTHER = """
    from spot_host.hil.sim import SimTarget

    class Lame(SimTarget):
        board = "unix"

        def _begin(self):
            super()._begin()
            self.features -= {"button", "power_cut"}

    class Gone(SimTarget):
        def _begin(self):
            from spot_host.hil.target import Absent
            raise Absent("a crystal ball (make crystal)")

    class Torn(SimTarget):
        starts = 0

        def _begin(self):
            Torn.starts += 1
            raise OSError(f"start {Torn.starts}")

    def pytest_hil_targets(config):
        return {"torn": (Torn, ""), "lame": (Lame, ""), "gone": (Gone, ""), "named": (Lame, "a name")}

    def pytest_hil_features(config):
        return {"telepathy": "it knows"}
"""


@pytest.fixture
def run(pytester):
    """Runs pytest with the plugin on one file of tests."""

    def run(text, *options, conftest=OTHER):
        pytester.makeconftest(conftest)
        pytester.makepyfile(test_it=text)
        return pytester.runpytest_inprocess(*LOADED, *options)

    return run


def test_the_simulator_is_what_is_taken_without_a_word(run):
    result = run(OFF)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["1 not run: hil: sim has no wifi_cut"])


def test_several_targets_run_each_test_once(run):
    result = run(OFF, "--target", "sim,lame", "-v")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines_random(["*::test_off?sim? PASSED*", "*::test_off?lame? PASSED*",
                                        "1 not run: hil: lame has no wifi_cut"])
    result = run(OFF, "--hil-target", "sim", "--hil-target", "lame", "-k", "test_off")
    result.assert_outcomes(passed=2)


def test_what_would_be_skipped_fails_on_demand(run):
    result = run(OFF, "--require-hil")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*hil: sim has no wifi_cut (--require-hil)*"])


def test_a_target_that_is_not_on_this_machine_is_skipped_by_name(run):
    result = run(OFF, "--target", "gone,sim")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["2 not run: hil: gone has no a crystal ball (make crystal)"])
    run(OFF, "--target", "gone", "--require-hil").assert_outcomes(errors=2)


def test_a_target_that_does_not_start_is_tried_twice(run):
    result = run("""
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test_it(dut, n):
            pass
    """, "--target", "torn")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*OSError: start 2", "torn: did not start 2 times; at last: OSError('start 2')"])
    assert "start 3" not in result.stdout.str()


def test_others_add_targets_and_features(run):
    text = """
        import pytest

        @pytest.mark.hil("telepathy")
        def test_it(dut):
            pass
    """
    run(text, "--target", "lame").assert_outcomes(skipped=1)
    conftest = OTHER.replace("self.features -=", 'self.features |= {"telepathy"}; self.features -=')
    run(text, "--target", "lame", conftest=conftest).assert_outcomes(passed=1)


@pytest.mark.parametrize(("options", "words"), [
    (("--target", "toaster"), "'toaster' is none of gone, ip, lame, named, serial, sim, torn, unix, unix_coap*"),
    (("--target", "serial"), "serial: needs a serial port, a pseudo-terminal, or socket://host:port"),
    (("--target", "named"), "named: needs a name"),
    (("--target", "sim:7"), "'sim:7': sim takes nothing after it"),
    (("--target", "bench"), "bench: needs --inventory FILE"),
    (("--inventory", "none.toml"), "none.toml: cannot be read: No such file or directory"),
])
def test_a_wrong_option_is_a_sentence(run, options, words):
    result = run(OFF, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR or result.ret == pytest.ExitCode.INTERRUPTED
    (result.stdout if "rror" in result.stdout.str() else result.stderr).fnmatch_lines([f"*{words}*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_feature_that_nobody_knows_ends_the_run(run):
    result = run("""
        import pytest

        @pytest.mark.hil("relay_redback")
        def test_it(dut):
            pass
    """)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it*: hil('relay_redback'): no such feature; there are *relay_readback*"])


def test_a_board_without_a_home_fails_with_the_way_out(run):
    result = run(OFF, "--target", "serial:/dev/none")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*serial: needs --hil-home FOLDER, or a board of an --inventory*"])


def test_a_failing_test_has_the_logs_of_its_target(run):
    result = run("""
        def test_it(dut, emd):
            dut.command("off", duration=60)
            emd.raw(b"nonsense")
            dut.wait_for("tripped", 3)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "E *not within 3 s: tripped", "E *mode controlled, open*", "*- sim console -*", "*board.built*",
        "*- sim packets -*", "*down *command *kind=1 *", "*down *not a message*6e6f6e73656e7365*",
    ])


def test_a_test_that_passes_leaves_logs_only_where_they_are_wanted(run, tmp_path):
    assert "packets" not in run(OFF, "-k", "test_off").stdout.str()
    run(OFF, "-k", "test_off", "--hil-logs", str(tmp_path / "logs"), "--target", "sim,lame")
    files = {str(path.relative_to(tmp_path / "logs")) for path in (tmp_path / "logs").rglob("*.txt")}
    assert files == {f"{target}/test_off_{target}_/{kind}.txt"
                     for target in ("sim", "lame") for kind in ("console", "events", "packets")}
    assert "command" in (tmp_path / "logs/sim/test_off_sim_/packets.txt").read_text()


def test_junit_says_which_target_board_and_firmware(run, tmp_path):
    run(OFF, f"--junitxml={tmp_path / 'report.xml'}")
    cases = {case.get("name"): case for case in ElementTree.parse(tmp_path / "report.xml").iter("testcase")}
    properties = {p.get("name"): p.get("value") for p in cases["test_off[sim]"].iter("property")}
    assert properties == {"target": "sim", "board": "unix", "firmware": "1.0.0", "eui64": "0200000000000001"}


def test_one_test_does_not_see_what_another_left(run):
    result = run("""
        def test_one(dut, emd, faults):
            dut.command("off", duration=3600)
            faults.load(5000)
            faults.cut_link()
            emd.silent = True
            dut.run(30)

        def test_other(dut, console):
            assert dut.closed and dut.is_so("controlled") and dut.reference_w == 800
            assert dut.read("ledger")["ledger"] == 1
            assert dut.mode == "controlled" and not dut.alarms
    """)
    result.assert_outcomes(passed=2)


def test_a_target_beyond_mending_is_begun_anew(run):
    result = run("""
        def test_one(dut):
            dut.target.device.app.agent.step = lambda now_s: 1  # the firmware hangs
            dut.run(10)

        def test_other(dut):
            dut.command("off", duration=60)
            dut.wait_for("open", 2)
    """)
    result.assert_outcomes(passed=2)


def test_tests_without_its_fixtures_see_nothing_of_it(run):
    run("def test_it(): pass", "--target", "nonsense").assert_outcomes(passed=1)


def test_the_plugin_is_light(pytester):
    """Everybody's pytest imports it: neither the EMD, nor the simulator, nor the firmware comes with it."""
    got = pytester.run(sys.executable, "-c",
                       "import sys; import spot_host.hil.plugin; print([m for m in sys.modules if m.startswith("
                       "('spot.', 'spot_sim', 'aiocoap', 'cbor2', 'spot_host.emd'))])")
    assert json.loads(got.outlines[0].replace("'", '"')) == []


def test_the_marker_is_documented(run):
    run(OFF, "--markers").stdout.fnmatch_lines(["@pytest.mark.hil(?features):*"])


def test_all_features_are_in_the_document():
    from spot_host.hil.instruments import DRIVERS
    from spot_host.hil.target import FEATURES

    text = (Path(__file__).resolve().parents[3] / "docs" / "hil.md").read_text()
    for word in (*FEATURES, *DRIVERS, *(driver for drivers in DRIVERS.values() for driver in drivers)):
        assert f"`{word}`" in text, word
    for drivers in DRIVERS.values():
        for _, fields in drivers.values():
            for name in fields:
                assert f"`{name}`" in text, name
