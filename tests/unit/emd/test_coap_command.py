"""`spot coap`: responses in words, and wrong use in one line."""

import json

import pytest

from spot_host import cli
from spot_host.commands.coap import _body, words
from spot_host.emd.config import from_dict
from spot_host.errors import UserError
from spot_host.profile import codec
from tests.unit.emd.coap_rig import EUIS, Rig


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["coap", *arguments])
    out, err = capsys.readouterr()
    return end.value.code, out, err


@pytest.mark.parametrize("content_format, payload, says", [
    (60, codec.encode("link", {"online": 1}), "online (1)"),
    (None, codec.encode("link", {"online": 1}), "link, 4 octets"),
    (40, b"</cmd>,</status>", "</cmd>\n</status>"),
    (0, b"hello", "hello"),
    (60, b"\xff\xfe", "no SPOT message"),
    (None, b"", "2.05 Content"),
])  # fmt: skip
def test_a_response_in_words(content_format, payload, says):
    assert says in words("2.05 Content", content_format, payload)


def test_a_diagnostic_is_text():
    assert words("4.00 Bad Request", None, b"field 3 is missing", False) == "4.00 Bad Request\nfield 3 is missing"


def test_what_is_sent():
    assert _body(None, "[2, 5, 60]", None, None) == (b"\x83\x02\x05\x18\x3c", 60)
    assert _body(None, None, "82 05", None) == (b"\x82\x05", None)
    assert _body("on", None, None, None) == (b"on", 0)
    for wrong in ((None, "{", None, None), (None, None, "8", None), ("a", None, "82", None)):
        with pytest.raises(UserError):
            _body(*wrong)


def test_a_host_is_asked_directly(capsys):
    rig = Rig()
    try:
        code, out, _ = run(capsys, "discover", f"127.0.0.1:{rig.port}")
        assert code == 0 and 'rt="core.rd"' in out
        code, out, _ = run(capsys, "discover", f"coap+tcp://127.0.0.1:{rig.port}", "--json")
        assert code == 0 and json.loads(out)["code"] == "2.05"
        assert run(capsys, "get", f"coap://127.0.0.1:{rig.port}/group/1/price")[0] == 4
        assert run(capsys, "post", f"coap://127.0.0.1:{rig.port}/register?ep={EUIS[0]}", "--hex", "8218")[0] == 4
        assert rig.taken == []
    finally:
        rig.close()


@pytest.mark.parametrize("arguments, code, says", [
    (("get", "coap+tcp://127.0.0.1:1/x"), 5, "127.0.0.1:1/x: connection refused\n"),
    (("get", "coap://127.0.0.1:1/x"), 5, "127.0.0.1:1/x: connection refused\n"),
    (("get", "coaps+tcp://127.0.0.1:1/x"), 5, "no certificate"),
    (("get", "ftp://127.0.0.1/x"), 2, "coap://"),
    (("get", "coap://[::1/x"), 2, "IPv6"),
    (("get", "coap://127.0.0.1:x/x"), 2, "Port"),
    (("get", "coap:///x"), 2, "a host"),
    (("discover", "0001", "--db", "nowhere.sqlite"), 2, "no such database"),
    (("get", "0001/status", "--db", "nowhere.sqlite"), 2, "no such database"),
    (("put", "coap://127.0.0.1:1/x", "--hex", "zz"), 2, "--hex"),
], ids=lambda x: " ".join(x) if isinstance(x, tuple) else "")  # fmt: skip
def test_wrong_use_is_one_line(capsys, arguments, code, says):
    got, _, err = run(capsys, *arguments)
    assert got == code and says in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("coap, says", [
    ({"udp_port": 70000}, "udp_port"), ({"lookup": "all"}, "lookup"), ({"port": 5683}, "no such setting"),
    ({"insecure": "yes"}, "insecure"),
])  # fmt: skip
def test_bad_settings_name_their_field(coap, says):
    with pytest.raises(UserError, match=says):
        from_dict({"coap": coap})
