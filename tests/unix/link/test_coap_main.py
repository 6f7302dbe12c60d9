"""The whole device started by main.py from a configuration with CoAP: one link with OSCORE, or two associations."""

import json
import os
import subprocess

import pytest
from aiocoap.numbers.codes import Code
from aiocoap.oscore import NotAProtectedMessage

from spot_host.profile import codec, examples
from spot_host.toolchain import runtimes
from tests.conftest import ROOT
from tests.interop.aio import SecurityContext
from tests.unix.link.coap_harness import CoapEmd, until

EUI = "02005e10000000a1"
SECRETS = bytes(range(16)), bytes(range(16, 32))
SALT = bytes(8)
QUICK = {"backoff_ms": [100, 400]}


def context(secret):
    return SecurityContext(secret, SALT, b"\x00", b"\x01")


class Process:
    """`micropython main.py config.json`; `said` is what it has printed."""

    def __init__(self, folder, **config):
        self.config = folder / "config.json"
        self.config.write_text(json.dumps({"board": "unix", "eui64": EUI, "store": str(folder / "store"),
                                           "boards": str(ROOT / "boards"), "log": "print", **config}))
        env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:{runtimes.umqtt_dir()}:.frozen"}
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [runtimes.installed("micropython"), "-X", "heapsize=1m", ROOT / "firmware" / "main.py", self.config],
                env=env, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)

    @property
    def said(self):
        return self.log.read_text(errors="replace")

    def end(self):
        """An orderly end: the end of its input; the exit code."""
        self._process.stdin.close()
        return self._process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._process.kill()
        self._process.wait()


def pairing(folder, name, secret):
    path = folder / name
    path.write_text(json.dumps({"secret": secret.hex(), "salt": SALT.hex(), "id": "01", "emd": "00"}))
    return str(path)


@pytest.fixture
def folder(tmp_path, micropython_path):
    return tmp_path


def example(name):
    return dict(next(row[3] for row in examples.EXAMPLES if row[0] == name))


def registered(emd):
    return [codec.decode(body).name for body in emd.bodies("register")]


def test_one_link_with_oscore(folder):
    with CoapEmd(security=context(SECRETS[0])) as emd, Process(
            folder, coap={"uri": emd.uri, "pairing": pairing(folder, "p.json", SECRETS[0]), **QUICK}) as process:
        emd.wait(lambda seen: {"register", "link"} <= {one[0] for one in seen})
        assert registered(emd) == ["register"]
        assert codec.decode(emd.bodies("link")[0]).values["online"] == 1
        answer = emd.request(Code.GET, "register")
        assert answer.payload == emd.bodies("register")[0]
        assert process.end() == 0
        until(lambda: len(emd.bodies("link")) == 2)  # it has said that it leaves
        assert codec.decode(emd.bodies("link")[1]).values["online"] == 2


def test_two_associations_each_with_its_own_keys(folder):
    home, utility = CoapEmd(security=context(SECRETS[0])), CoapEmd(scheme="coap+tcp", security=context(SECRETS[1]))
    with home, utility, Process(folder, associations=[
        {"name": "home", "coap": {"uri": home.uri, "pairing": pairing(folder, "h.json", SECRETS[0]), **QUICK}},
        {"name": "utility", "coap": {"uri": utility.uri, "pairing": pairing(folder, "u.json", SECRETS[1]), **QUICK},
         "data": ["interval"]},
    ]) as process:
        for emd in (home, utility):
            emd.wait(lambda seen: "register" in [one[0] for one in seen])
            assert registered(emd) == ["register"]
        home.stop()
        utility.wait(lambda seen: "link" in [one[0] for one in seen])
        assert utility.request(Code.GET, "register").code == Code.CONTENT
        assert "Traceback" not in process.said, process.said


def test_new_keys_are_taken_as_well_until_the_emd_uses_them(folder):
    new = bytes(range(100, 116))
    later = SecurityContext(new, SALT, b"\x00", b"\x01", id_context=b"\x01")
    with CoapEmd(security=context(SECRETS[0])) as emd, Process(
            folder, coap={"uri": emd.uri, "pairing": pairing(folder, "p.json", SECRETS[0]), **QUICK}) as process:
        emd.wait(lambda seen: "register" in [one[0] for one in seen])
        hello = codec.decode(emd.bodies("register")[0]).values
        emd.send("cmd", codec.encode("registered", {**example("registered"), "boot": hello["boot"], "groups": []}))
        emd.send("cmd", codec.encode("rekey", {"epoch": 12, "id": 5, "generation": 1, "secret": new}))
        until(lambda: "info keys.offered 1 0" in process.said)
        emd.wait(lambda seen: "status" in [one[0] for one in seen])  # the answer, under the old keys
        heard = emd.remote
        assert emd.request(Code.GET, "register", remote=emd.under(later)).code == Code.CONTENT
        until(lambda: "keys.changed" in process.said)
        with pytest.raises(NotAProtectedMessage):  # the old ones are gone
            emd.request(Code.GET, "register", remote=heard)
        assert process.end() == 0
        emd.wait(lambda seen: len([one for one in seen if one[0] == "link"]) == 2)
        assert emd.remote.security_context is later


def test_an_emd_that_has_the_new_keys_alone_is_found_under_them(folder):
    """It had an answer under them when the device's store refused the change: the old ones are of no use any more."""
    new = bytes(range(100, 116))
    setting = pairing(folder, "p.json", SECRETS[0])
    with CoapEmd(security=context(SECRETS[0])) as emd, Process(
            folder, coap={"uri": emd.uri, "pairing": setting, "keepalive": 5, **QUICK}) as process:
        emd.wait(lambda seen: "register" in [one[0] for one in seen])
        hello = codec.decode(emd.bodies("register")[0]).values
        emd.send("cmd", codec.encode("registered", {**example("registered"), "boot": hello["boot"], "groups": []}))
        emd.send("cmd", codec.encode("rekey", {"epoch": 12, "id": 5, "generation": 1, "secret": new}))
        until(lambda: "info keys.offered 1 0" in process.said)
        emd.stop()
        later = SecurityContext(new, SALT, b"\x00", b"\x01", id_context=b"\x01")
        with CoapEmd(port=emd.port, security=later) as again:
            again.wait(lambda seen: "rd" in [one[0] for one in seen], 60)
            until(lambda: "keys.changed" in process.said)
            assert "link.unauthorized" in process.said
            assert process.end() == 0


@pytest.mark.parametrize(("coap", "line"), [
    ({"uri": "coap://emd"}, "config.json: coap.pairing: must be given, or insecure set to true: coap protects nothing"),
    ({"uri": "coap://emd", "pairing": "/nowhere"}, "coap.pairing: must be a file that can be read: /nowhere is not"),
])
def test_a_bad_section_is_one_line_and_nothing_moves(folder, coap, line):
    with Process(folder, coap=coap) as process:
        assert process._process.wait(10) == 2
        assert line in process.said and "Traceback" not in process.said
