"""Devices on MicroPython over CoAP and over protected MQTT, all from `spot emd` and `spot coap`, at one EMD."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from spot_host.broker import free_port
from spot_host.toolchain import runtimes
from tests.unix.emd.conftest import ROOT, eventually
from tests.unix.emd.test_home_folder import spot  # noqa: F401 - a fixture

LINKS = {  # EUI-64: how it is enrolled
    "0200000000000001": ("--link", "coap"),
    "0200000000000002": ("--link", "coap+tcp"),
    "0200000000000003": ("--link", "coaps+tcp"),
    "0200000000000004": ("--link", "mqtt", "--protect", "both"),
}
COAP, TCP, TLS, MQTT = LINKS


def two_ports():
    """A port that is free for UDP and TCP, and so is the one above."""
    while True:
        port = free_port()
        try:
            for kind, at in ((socket.SOCK_DGRAM, port), (socket.SOCK_STREAM, port), (socket.SOCK_STREAM, port + 1)):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", at))
            return port
        except OSError:
            continue


@pytest.fixture
def coap(spot, tmp_path):  # noqa: F811
    """coap(*words): `spot coap …` until it ends: its stdout."""
    def run(*words, code=0):
        got = subprocess.run([sys.executable, "-m", "spot_host.cli", "coap", *words], cwd=tmp_path, text=True,
                             capture_output=True, timeout=60)
        assert got.returncode == code, (got.stdout, got.stderr)
        return got.stdout
    return run


def test_one_emd_for_all_links(spot, coap, tmp_path, micropython_path, mosquitto_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PYTHONPATH", ":".join(str(ROOT / part) for part in ("firmware", "host_tools", "sim")))
    port = two_ports()
    spot("init", "house", "--port", str(free_port()), "--coap-port", str(port))
    spot.emd("broker.out", "broker", "house")
    for eui, how in LINKS.items():
        spot("enroll", "house", eui, "--board", "unix", *how)
    eventually(lambda: "4 devices may connect" in (tmp_path / "broker.out").read_text(), what="the broker's start")
    emd = spot.emd("emd.out", "run", "house/emd.toml")
    path = ":".join([str(ROOT / "firmware"), str(runtimes.umqtt_dir()), ".frozen"])
    for eui in LINKS:
        spot.start(f"{eui}.out", str(micropython_path), str(ROOT / "firmware" / "main.py"),
                   f"house/devices/{eui}/config.json", MICROPYPATH=path)

    def rows():
        return {row["eui"]: row for row in json.loads(spot("devices", "--db", "house/emd.sqlite", "--json"))}

    def registered():
        found = rows()
        return len(found) == 4 and all(row["registered"] and row["state"]["live"] for row in found.values())

    eventually(lambda: (tmp_path / "house" / "emd.sqlite").exists() and registered(), seconds=60,
               what="the registration of all four")
    for eui in LINKS:
        said = json.loads(spot("command", eui, "limit", "700", "-m", "30", "--db", "house/emd.sqlite", "--json"))
        assert said["kind"] == "limit" and said["state"] in ("started", "partly"), eui

    # A person looks
    assert "telemetry" in coap("get", f"{COAP}/telemetry", "--house", "house")
    assert re.search(r"state +started", coap("get", f"{TLS}/status", "--house", "house"))
    observed = coap("observe", f"{TCP}/status", "--house", "house", "--count", "1", "--json")
    assert json.loads(observed)["success"]
    assert coap("get", f"{COAP}/nothing", "--house", "house", code=4).startswith("4.04")
    coap("get", f"{MQTT}/status", "--house", "house", code=5)
    coap("put", f"coap://127.0.0.1:{port}/register", "--hex", "82181801", code=4)
    directory = {entry["ep"]: entry for entry in json.loads(coap("discover", "--house", "house", "--json"))}
    assert set(directory) == {COAP, TCP, TLS} and "</cmd>" in directory[COAP]["links"]
    assert "core.rd-lookup-ep" in coap("discover", f"127.0.0.1:{port}")
    anyone = subprocess.run([Path(sys.executable).parent / "aiocoap-client", f"coap://127.0.0.1:{port}/rd-lookup/ep?ep={COAP}"],
                            capture_output=True, text=True, timeout=30)
    assert COAP in anyone.stdout and TCP not in anyone.stdout, (anyone.stdout, anyone.stderr)

    # New keys, then a restart of the EMD
    def rotated(eui):
        return f"{eui}  key_rotated" in (tmp_path / "emd.out").read_text()

    for eui in (COAP, MQTT):
        spot("rotate", "house", eui)
        eventually(lambda eui=eui: spot("command", eui, "limit", "600", "-m", "30", "--db", "house/emd.sqlite")
                   and rotated(eui), seconds=40, what="the new key's use")
    emd.send_signal(signal.SIGINT)
    assert emd.wait(15) == 0
    spot.emd("emd2.out", "run", "house/emd.toml")
    eventually(lambda: "broker" in (tmp_path / "emd2.out").read_text(), what="the EMD")
    for eui in LINKS:
        said = json.loads(spot("command", eui, "limit", "500", "-m", "30", "--db", "house/emd.sqlite", "--json"))
        assert said["kind"] == "limit" and said["state"] in ("started", "partly"), eui
    assert all(row["state"]["hostile"] == 0 for row in rows().values())

    # And one is taken out
    spot("revoke", "house", COAP)
    eventually(lambda: f"{COAP}  pairing_revoked" in (tmp_path / "emd2.out").read_text(), what="the revocation")
    coap("get", f"{COAP}/status", "--house", "house", code=5)
    for name in ("emd.out", "emd2.out"):
        text = (tmp_path / name).read_text()
        assert "Traceback" not in text and "Warning" not in text and "coap_internal" not in text, text
