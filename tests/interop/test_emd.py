"""The EMD's own server with libcoap's client: its resource directory, OSCORE, TLS; the devices in it are firmware."""

import pytest
from aiocoap.util import linkformat

from spot_host.pki import Pki
from tests.interop import libcoap, ports
from tests.unit.emd.coap_rig import BODY, EUIS, Rig, pairing
from tests.unix.link.coap_harness import config
from tests.unix.link.harness import Device

ONE = EUIS[0]


@pytest.fixture
def emd():
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture
def registered(emd, tmp_path):
    """An EMD at which a device has registered, over UDP and OSCORE; the URI for tools."""
    (tmp_path / "store").mkdir()
    settings = config(f"coap://127.0.0.1:{emd.port}", device=ONE, groups=[], store=str(tmp_path / "store"),
                      pairing=pairing().record())
    with Device(settings, tmp_path) as device:
        device.expect("up")
        yield f"coap://127.0.0.1:{emd.port}"


def links(answer):
    return {link.href: dict(link.attr_pairs) for link in linkformat.parse(answer.body.decode()).links}


def test_a_tool_finds_the_directory_and_the_device_in_it(registered):
    found = links(libcoap.client(f"{registered}/.well-known/core?rt=core.rd*"))
    assert {"/rd", "/rd-lookup/ep", "/rd-lookup/res"} <= set(found)
    (entry,) = links(libcoap.client(f"{registered}/rd-lookup/ep?ep={ONE}")).values()
    assert entry["ep"] == ONE
    (resource,) = links(libcoap.client(f"{registered}/rd-lookup/res?rt=spot.telemetry&ep={ONE}"))
    assert resource.endswith("/telemetry")
    assert not libcoap.client(f"{registered}/rd-lookup/ep?ep={EUIS[1]}").body


@pytest.mark.parametrize("size", [64, 256, 1024])
def test_a_long_list_goes_in_blocks(registered, size):
    assert len(links(libcoap.client(f"{registered}/rd-lookup/res", "-b", size))) > 6


@pytest.mark.parametrize(
    ("what", "path", "options", "code"),
    [
        ("a body of nobody", "/telemetry", ("-m", "post", "-e", "x"), "4.01"),
        ("a registration of nobody", f"/rd?ep={ONE}", ("-m", "post", "-t", "40", "-e", "</cmd>"), "4.01"),
        ("an unknown critical option", "/rd-lookup/ep", ("-O", "65003,0x01"), "4.02"),
    ],
)
def test_who_is_not_proven_changes_nothing(registered, what, path, options, code):
    assert libcoap.client(registered + path, *options).error == code


def test_a_device_made_of_libcoap_speaks_oscore_with_the_emd(emd, tmp_path):
    """The pairing secret of a device, in libcoap's OSCORE: its body arrives under the device's name."""
    secret = pairing()
    conf = tmp_path / "oscore.conf"
    conf.write_text(f'master_secret,hex,"{secret.secret.hex()}"\nmaster_salt,hex,"{secret.salt.hex()}"\n'
                    f'sender_id,hex,"{secret.id.hex()}"\nrecipient_id,hex,"{secret.emd.hex()}"\n')
    body = tmp_path / "body"
    body.write_bytes(BODY)
    got = libcoap.client(f"coap://127.0.0.1:{emd.port}/status", "-m", "post", "-f", body, "-E", conf)
    assert got.error == "", got.log
    emd.wait(lambda: emd.taken, "the body did not arrive")
    assert [(a.device, a.channel, a.body) for a in emd.taken] == [(ONE, "status", BODY)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.broker(name="coap")
    made.device(ONE)
    return made


@pytest.fixture
def tls_emd(authority):
    server, port = authority.identity("coap"), ports.free()
    rig = Rig(udp_port=0, tcp_port=0, tls_port=port, ca=str(authority.ca), cert=str(server.cert), key=str(server.key),
              crl=str(authority.crl))
    yield rig, f"coaps+tcp://127.0.0.1:{port}"
    rig.close()


@pytest.mark.parametrize("build", libcoap.BUILDS)
def test_a_certificate_names_the_device_to_the_emd(tls_emd, authority, tmp_path, build):
    emd, uri = tls_emd
    identity = authority.identity(ONE)
    body = tmp_path / "body"
    body.write_bytes(BODY)
    shown = ("-c", identity.cert, "-j", identity.key, "-C", authority.ca)
    got = libcoap.client(f"{uri}/status", "-m", "post", "-f", body, *shown, build=build)
    assert got.error == "", got.log
    emd.wait(lambda: emd.taken, "the body did not arrive")
    first = emd.taken[0]  # then the connection ends, which is a message of its own
    assert (first.device, first.channel, first.body) == (ONE, "status", BODY)


@pytest.mark.filterwarnings("ignore:coroutine 'RFC8323Remote.release'")  # of a connection that aiocoap never had
@pytest.mark.parametrize("build", libcoap.BUILDS)
def test_a_certificate_of_another_authority_names_nobody(tls_emd, authority, tmp_path, build):
    emd, uri = tls_emd
    other = Pki(tmp_path / "other")
    identity = other.device(ONE)
    shown = ("-c", identity.cert, "-j", identity.key, "-C", authority.ca)
    libcoap.client(f"{uri}/status", "-m", "post", "-e", "x", *shown, build=build, timeout=5)
    assert not emd.taken
