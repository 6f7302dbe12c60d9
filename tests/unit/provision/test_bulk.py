"""Many devices from a list: checked as a whole first; interrupted at any moment and run again, nothing twice."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from spot_host.device_files import Order
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder
from spot_host.pairing import Pairings
from spot_host.provision import bulk, csv_list
from tests.conftest import ROOT
from tests.unit.provision.conftest import ONE, THREE, TWO
from tests.unit.provision.test_home import Cut, everything


def listed(tmp_path, text):
    path = tmp_path / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def fleet(tmp_path, count):
    """A list of `count` devices on all kinds of links."""
    links = ("mqtt,none", "mqtt,both", "coap,none", "coaps+tcp,none")
    return listed(tmp_path, "eui64,board,link,protect,note\n" + "".join(
        f"{number:016x},pico_w_plug,{links[number % 4]},SN {number}\n" for number in range(1, count + 1)))


# --- the list

GOOD = [
    ("eui64,board\n0200000000000001,unix\n", [Order(ONE, "unix")]),
    ("\ufeffBoard;EUI64;Groups\r\nunix;02-00-00-00-00-00-00-01;a b\r\n\r\n", [Order(ONE, "unix", groups=("a", "b"))]),
    ('note,eui64,board,protect,days,link\n"SN 1, red",0200:0000:0000:0001,unix,up,30,\n',
     [Order(ONE, "unix", protect="up", note="SN 1, red")]),
]


@pytest.mark.parametrize("text, orders", GOOD, ids=["least", "semicolons, a mark, empty lines", "all"])
def test_lists_as_people_save_them(home, tmp_path, text, orders):
    rows = csv_list.load(listed(tmp_path, text), home)
    assert [row.order for row in rows] == orders
    assert rows[0].days == (30 if "days" in text else 0) and rows[0].line == 2


HEAD = "eui64,board,link,protect,groups,days,note\n"
WRONG = [
    ("", "line 1: column eui64: missing; the columns are"),
    ("eui64\n", "line 1: column board: missing"),
    ("eui64,board,colour\n", "line 1: column 'colour': is none of"),
    ("eui64,board,board\n", "line 1: column board: is there twice"),
    (HEAD, "no device is in it"),
    (HEAD + "02,unix,,,,,\n", "line 2: eui64: '02' is not an EUI-64"),
    (HEAD + "\n" + ONE + ",toaster,,,,,\n", "line 3: board: 'toaster' is none of"),
    (HEAD + ONE + ",sim,,,,,\n", "line 2: board: 'sim' is none of"),
    (HEAD + ONE + ",unix,lora,,,,\n", "line 2: link: 'lora' is none of mqtt, "),
    (HEAD + ONE + ",unix,coap,both,,,\n", "line 2: protect: one of none, up, down, both, and only on MQTT"),
    (HEAD + ONE + ",unix,,,a/b,,\n", "line 2: groups: 'a/b': 1 to 64"),
    (HEAD + ONE + ",unix,,,a b c d e,,\n", "line 2: groups: at most 4"),
    (HEAD + ONE + ",unix,,,,soon,\n", "line 2: days: 'soon': a whole number"),
    (HEAD + ONE + ",unix,,,,-1,\n", "line 2: days: '-1': a whole number"),
    (HEAD + ONE + ",unix,,,,," + "x" * 65 + "\n", "line 2: note: at most 64"),
    (HEAD + ONE + ",unix\n", "line 2: 2 cells, and there are 7 columns"),
    (HEAD + ONE + ",unix,,,,,\n" + ONE + ",unix,,,,,\n", f"line 3: eui64: {ONE} is in line 2 already"),
    (HEAD + ONE + ',"unix,,,,,\n', "line 2: no CSV"),
    ((HEAD + ONE + ",unix,,,,,\xe4\n").encode("latin-1"), "no UTF-8"),
]


@pytest.mark.parametrize("text, says", WRONG, ids=[row[1][:50] for row in WRONG])
def test_what_is_wrong_names_line_and_column_and_nothing_is_made(home, tmp_path, text, says):
    before = everything(home.folder)
    with pytest.raises(UserError) as refused:
        csv_list.load(listed(tmp_path, text), home)
    assert f"list.csv: {says}" in str(refused.value)
    assert everything(home.folder) == before


def test_all_that_is_wrong_is_told_at_once(home, tmp_path):
    text = "eui64,board\n" + "".join(f"{number:016x},toaster\n" for number in range(30)) + f"{ONE},unix\n"
    with pytest.raises(UserError) as refused:
        csv_list.load(listed(tmp_path, text), home)
    lines = str(refused.value).splitlines()
    assert len(lines) == 22 and "10 more lines" in lines[-2] and lines[-1].endswith("nothing was made")


def test_who_was_revoked_does_not_come_back_with_a_list(home, tmp_path):
    home.provision(Order(ONE, "unix"))
    home.revoke(ONE)
    with pytest.raises(UserError, match=f"line 2: eui64: {ONE} was revoked"):
        csv_list.load(listed(tmp_path, f"eui64,board\n{ONE},unix\n"), home)


def test_a_device_that_is_there_differently_is_told(home, tmp_path):
    home.provision(Order(ONE, "unix", "coap"))
    with pytest.raises(UserError, match="line 2: .*differently: board unix, link coap"):
        csv_list.load(listed(tmp_path, f"eui64,board\n{ONE},unix\n"), home)


# --- the work

def run(folder, path, **more):
    home = HomeFolder(folder)
    log = bulk.Log(home.folder / "bulk" / "list.jsonl")
    return bulk.run(home, csv_list.load(path, home), log, **more)


def identities(folder):
    """What each device has: {eui: (certificate, secret)}."""
    found = {}
    for at in (folder / "devices").glob("*"):
        found[at.name] = tuple((at / name).read_bytes() if (at / name).exists() else None
                               for name in ("cert.der", "key.der", "pairing.json"))
    return found


def check_whole(folder, path, count):
    """All devices are there, each once, in every file that knows them."""
    home = HomeFolder(folder)
    assert len(home.orders) == count
    index = json.loads((folder / "pki" / "index.json").read_text())
    pairings = Pairings(folder / "pairings.json")
    rules = (folder / "broker" / "acl").read_text()
    ids = set()
    for eui, order in home.orders.items():
        assert f"user {eui}\n" in rules
        assert len(index.get(eui, {"serials": []})["serials"]) == order.certified
        assert (eui in pairings) == order.paired
        if order.paired:
            (one,) = pairings.generations(eui)
            assert one.record() == json.loads((folder / "devices" / eui / "pairing.json").read_text())
            ids.add(one.id)
    assert len(ids) == sum(order.paired for order in home.orders.values())
    lines = [json.loads(line) for line in (folder / "bulk" / "list.jsonl").read_text().splitlines()]
    assert sorted(entry["eui"] for entry in lines) == sorted(home.orders)
    for entry in lines:
        assert (entry.get("serial") in index[entry["eui"]]["serials"]) if "serial" in entry else "id" in entry


def test_a_thousand_devices_and_a_second_time(home, tmp_path):
    path = fleet(tmp_path, 1000)
    told = []
    assert run(home.folder, path, tell=lambda row, made: told.append(made)) == {"made": 1000, "there": 0}
    check_whole(home.folder, path, 1000)
    before = everything(home.folder)
    assert told == [True] * 1000
    assert run(home.folder, path) == {"made": 0, "there": 1000}
    assert everything(home.folder) == before


@pytest.mark.parametrize("at", [1, 7, 20, 39])
def test_an_error_on_the_way_leaves_what_is_done_and_the_next_run_goes_on(home, tmp_path, monkeypatch, at):
    path = fleet(tmp_path, 40)
    real = HomeFolder.provision

    def provision(self, order, *arguments):
        if int(order.eui, 16) == at:
            raise UserError("the disk is full")
        return real(self, order, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(HomeFolder, "provision", provision)
        with pytest.raises(UserError, match=f"line {at + 1}: {at:016x}: the disk is full. What is before it is done"):
            run(home.folder, path)
    had = identities(home.folder)
    assert len(had) == len(HomeFolder(home.folder).orders) == at - 1
    assert run(home.folder, path) == {"made": 41 - at, "there": at - 1}
    check_whole(home.folder, path, 40)
    assert {eui: identities(home.folder)[eui] for eui in had} == had


def test_cut_off_before_anything_about_all_of_them_is_written(home, tmp_path, monkeypatch):
    """A power cut in mid-chunk: certificates and secrets lie there, and index, home.json and log know none."""
    path = fleet(tmp_path, 40)
    kept = {name: (home.folder / name).read_bytes() for name in ("home.json", "pki/index.json")}
    seen = []

    def tell(row, made):
        seen.append(row)
        if len(seen) == 23:
            raise Cut

    with pytest.raises(Cut):
        run(home.folder, path, tell=tell)
    for name, data in kept.items():  # as if the end of the chunk had not been written
        (home.folder / name).write_bytes(data)
    (home.folder / "pairings.json").unlink()
    (home.folder / "bulk" / "list.jsonl").write_bytes(b"")
    had = identities(home.folder)
    assert len(had) == 23
    assert run(home.folder, path) == {"made": 40, "there": 0}
    check_whole(home.folder, path, 40)
    assert {eui: identities(home.folder)[eui] for eui in had} == had


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
def test_a_process_that_ends_on_its_way_is_taken_up(home, tmp_path, how):
    path = fleet(tmp_path, 300)
    command = [sys.executable, "-m", "spot_host.cli", "provision", "bulk", str(home.folder), str(path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("firmware", "host_tools"))}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a job may ignore it
    deadline = time.monotonic() + 60
    while len(list((home.folder / "devices").glob("*/config.json"))) < 50:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert "interrupted; what is done is in" in said and "Traceback" not in said
    else:
        (home.folder / ".lock").touch()  # a lock that nobody holds keeps nobody out
    had = identities(home.folder)
    assert 40 < len(had) < 300
    whole = {eui: found for eui, found in had.items() if (home.folder / "devices" / eui / "config.json").exists()}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    check_whole(home.folder, path, 300)
    assert {eui: identities(home.folder)[eui] for eui in whole} == whole
    assert "0 made, 300 were there" in subprocess.run(command, env=env, capture_output=True, text=True).stdout


def test_a_torn_line_of_the_log_is_cut_off(home, tmp_path):
    path = fleet(tmp_path, 4)
    run(home.folder, path)
    log = home.folder / "bulk" / "list.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert run(home.folder, path) == {"made": 0, "there": 4}
    check_whole(home.folder, path, 4)


def test_two_at_once_do_not_lose_each_others_devices(home, tmp_path, monkeypatch):
    first, second = HomeFolder(home.folder), HomeFolder(home.folder)
    first.provision(Order(ONE, "unix"))
    second.provision(Order(TWO, "unix"))
    assert set(HomeFolder(home.folder).orders) == {ONE, TWO}
    monkeypatch.setattr("spot_host.home_folder._LOCK_S", 0)
    with first.batch(), pytest.raises(UserError, match="another process is changing this home"):
        second.provision(Order(THREE, "unix"))
