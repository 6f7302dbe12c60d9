"""CoAP over TLS at the EMD: the certificate names the device."""

import shutil
import ssl

import pytest
from aiocoap.numbers import codes

from spot_host.pki import Pki
from tests.unit.emd.coap_rig import BODY, EUIS, Rig, free_port

ONE, TWO = EUIS[:2]


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    pki = Pki(folder)
    pki.broker(name="coap")
    for name in (ONE, TWO, "emd"):
        pki.issue(name)
    return pki


@pytest.fixture
def pki(issued, tmp_path):
    """An authority with certificates, which the test may revoke."""
    shutil.copytree(issued.folder, tmp_path / "pki")
    return Pki(tmp_path / "pki")


@pytest.fixture
def rig(pki):
    server = pki.identity("coap")
    made = Rig(
        udp_port=0, tcp_port=0, tls_port=free_port(), ca=str(pki.ca), cert=str(server.cert), key=str(server.key),
        crl=str(pki.crl),
    )  # fmt: skip
    yield made
    made.close()


def client(rig, pki, name):
    """A device with the certificate of `name`, which checks the EMD's."""
    context = ssl.create_default_context(cafile=str(pki.ca))
    if name is not None:
        identity = pki.identity(name)
        context.load_cert_chain(identity.cert, identity.key)
    context.set_alpn_protocols(["coap"])
    device = rig.device(1, "coaps+tcp", rig.link.settings.tls_port, secure=False, tls=context)
    return device


def test_the_certificate_names_the_device(rig, pki):
    device = client(rig, pki, TWO)
    assert device.post("register").code == codes.CHANGED
    assert [(a.device, a.channel, a.body) for a in rig.taken] == [(TWO, "register", BODY)]
    assert rig.link.way(TWO) == "coaps+tcp" and rig.link.protected(TWO)
    assert device.post("rd", b"</cmd>", query=(f"ep={TWO}",)).code == codes.CREATED
    assert device.get("/rd-lookup/ep").payload.count(TWO.encode()) == 1


def test_a_certificate_for_another_device_is_refused(rig, pki):
    device = client(rig, pki, TWO)
    assert device.post("register", query=(f"ep={ONE}",)).code == codes.FORBIDDEN
    assert rig.events() == [(TWO, "coap_foreign_identity")] and rig.taken == []


def test_a_certificate_that_names_no_device_is_a_stranger(rig, pki):
    assert client(rig, pki, "emd").post("register").code == codes.UNAUTHORIZED
    assert rig.taken == []


@pytest.mark.filterwarnings("ignore:coroutine 'RFC8323Remote.release'")  # of the client's aiocoap
def test_without_a_certificate_there_is_no_connection(rig, pki):
    with pytest.raises(Exception, match="(?i)network|connection|certificate"):
        client(rig, pki, None).post("register")
    assert rig.taken == []


def test_a_revoked_device_loses_its_connection_and_gets_no_other(rig, pki):
    device = client(rig, pki, ONE)
    assert device.post("register").code == codes.CHANGED
    device.post("rd", b"</cmd>", query=(f"ep={ONE}",), content_format=40)
    assert rig.link.directory().result(5)
    pki.revoke(ONE)
    rig.link.refresh()
    rig.wait(lambda: rig.link.way(ONE) is None, "the end of the connection")
    rig.wait(lambda: not rig.link.directory().result(5), "the end of its entry")
    assert client(rig, pki, ONE).post("status").code == codes.UNAUTHORIZED
    assert [a.channel for a in rig.taken] == ["register", "link"]
    assert (ONE, "coap_revoked") in rig.events()


def test_who_comes_with_a_revoked_certificate_is_named(rig, pki):
    pki.revoke(ONE)
    rig.link.refresh()
    assert client(rig, pki, ONE).post("rd", b"</cmd>").code == codes.UNAUTHORIZED
    assert (ONE, "coap_revoked") in rig.events()
