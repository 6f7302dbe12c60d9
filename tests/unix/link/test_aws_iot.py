"""The firmware's link with what `spot provision` issues at AWS IoT Core: a mosquitto that lets in and allows what that
service would, by its policies; its own certificate is by another authority than the devices'."""

import datetime
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from spot.codes import CHANNELS
from spot_host.broker import Broker
from spot_host.device_files import Order
from spot_host.home_folder import HomeFolder
from spot_host.pki import EPOCH, Identity
from tests.unit.provision.conftest import ONE, REGION, TWO, aws  # noqa: F401 - a fixture
from tests.unit.provision.test_aws import run
from tests.unix.link.harness import QUICK, Emd, NameServer

OWN = f"der/city/plug/{ONE}"
GROUP = "der/city/group/1"
UP = [name for name, way, *_ in CHANNELS if way == "up"]


def rules(iot, principals):
    """Mosquitto's access rules for {user: policy}: what AWS lets publish and receive. A `*` there is our `#` or `+`."""
    lines = []
    for user, policy in principals.items():
        lines.append(f"user {user}")
        for one in json.loads(iot.get_policy(policyName=policy)["policyDocument"])["Statement"]:
            word = {"iot:Publish": "write", "iot:Receive": "read"}.get(one["Action"])
            resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
            for resource in resources if word else ():
                topic = resource.split(":topic/")[1]
                topic = topic[:-1] + "#" if topic.endswith("*") else topic.replace("*", "+/+")
                assert "*" not in topic and "?" not in topic
                lines.append(f"topic {word} {topic}")
    return "\n".join(lines) + "\n"


class Amazon:
    """An authority with RSA keys, and a server's certificate below one in between, as that service's is."""

    def __init__(self, folder, name="Amazon Root CA analog"):
        folder.mkdir()
        self._folder, self.ca, self.ca_der = folder, folder / "root.pem", folder / "root.der"
        self._key, self._cert = self._issue(name, None)
        self.ca.write_bytes(_pem(self._cert))
        self.ca_der.write_bytes(self._cert.public_bytes(serialization.Encoding.DER))

    def _issue(self, name, by, hosts=()):
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(by[1].subject if by else subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(EPOCH)
                   .not_valid_after(EPOCH + datetime.timedelta(days=9000))
                   .add_extension(x509.BasicConstraints(not hosts, None), True))
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False)
        return key, builder.sign(by[0] if by else key, hashes.SHA256())

    def server(self, hosts):
        between = self._issue("Amazon RSA analog", (self._key, self._cert))
        key, cert = self._issue(hosts[0][:60], between, hosts)
        files = Identity("server", self._folder / "chain.pem", self._folder / "server.key", None, None, 0)
        files.cert.write_bytes(_pem(cert) + _pem(between[1]))
        files.key.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return files


def _pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


class Papers:
    """Stands where a broker's clients look for the authority and their certificates."""

    def __init__(self, amazon, folder):
        self.ca, self.crl, self._folder = amazon.ca, None, folder

    def identity(self, name):
        files = [self._folder / f"{name}.{ending}" for ending in ("pem", "key", "der", "key.der")]
        return Identity(name, *files, 0)

    def is_revoked(self, name):
        return False


class Service(Broker):
    """That mosquitto, for the home's devices and EMD, with the policies that moto has."""

    def __init__(self, folder, mosquitto, home, amazon, moto):
        self.home, self._moto, self._clients = home, moto, folder / "clients.pem"
        self._clients.write_bytes(moto.ca.public_bytes(serialization.Encoding.PEM))
        super().__init__(Papers(amazon, home.folder / "aws"), "city", folder=folder / "broker", mosquitto=mosquitto,
                         identity=amazon.server((home.host, "localhost")))

    def configuration(self):
        lines = [line for line in super().configuration().splitlines() if not line.startswith("crlfile")]
        return "\n".join(f"cafile {self._clients}" if line.startswith("cafile") else line for line in lines) + "\n"

    def _write(self):
        principals = {name: f"spot-city-{name}" for name in (*self.home.orders, self.home.aws["emd"])}
        (self.folder / "acl").write_text(rules(self._moto.iot, principals))
        (self.folder / "acl").chmod(0o600)
        (self.folder / "mosquitto.conf").write_text(self.configuration())


@pytest.fixture
def service(aws, tmp_path, mosquitto_path, micropython_path):  # noqa: F811
    """The broker, with two devices and the EMD of one home."""
    folder = tmp_path / "house"
    amazon = Amazon(tmp_path / "amazon")
    run("init", folder, "--backend", "aws", "--utility", "city", "--server-ca", amazon.ca, "--region", REGION)
    home = HomeFolder(folder)
    for eui in (ONE, TWO):
        home.provision(Order(eui, "pico_w_plug"))
    with Service(tmp_path, mosquitto_path, home, amazon, aws) as running:
        yield running


def settings(service, names, eui=ONE):
    """What main.py gives the link, from config.json as it was issued; only the port is the test's."""
    at = service.home.device_folder(eui)
    config = json.loads((at / "config.json").read_text())
    section = {**config["mqtt"], "port": service.port, "dns": [["127.0.0.1", names.port]], **QUICK}
    for name in ("ca", "cert", "key"):
        section[name] = str(at / section[name])
    return {**section, "device": config["eui64"], "class": "plug", "client_id": config["eui64"], "will": "gone"}


@pytest.fixture
def names(service):
    with NameServer({service.home.host: "127.0.0.1"}) as server:
        yield server


def test_the_link_works_with_what_was_issued(service, names, device):
    with Emd(service, "emd-city", [f"der/city/+/+/{name}" for name in UP]) as emd:
        emd.publish(f"{GROUP}/price", b"kept", retain=True)
        one = device(settings(service, names))
        one.expect("up")
        assert names.asked[0] == service.home.host  # and its certificate's name was checked against it
        for code, (name, way, *_) in enumerate(CHANNELS):
            if way == "up":
                one.send(code, name.encode())
        emd.wait(lambda got: {(f"{OWN}/{name}", name.encode()) for name in UP} <= set(got))
        emd.publish(f"{OWN}/cmd", b"do")
        emd.publish("der/city/group/2/price", b"elsewhere")
        emd.publish(f"der/city/plug/{TWO}/cmd", b"for another")
        emd.publish(f"{GROUP}/grid", b"state")
        while not any(event.get("body") == b"state".hex() for event in one.seen):
            one.expect("message")
        got = {event["body"] for event in one.seen if "body" in event}
        assert got == {b"kept".hex(), b"do".hex(), b"state".hex()}
        one.__exit__()  # it dies: the last will is retained, on a topic of its own
        emd.wait(lambda got: (f"{OWN}/link", b"gone") in got)


@pytest.mark.parametrize("topic", [
    f"der/city/plug/{TWO}/status", f"der/city/plug/{TWO}/cmd", f"{OWN}/cmd", f"{GROUP}/price", f"{OWN}/other",
    f"{OWN}/status/x", f"der/city/heat_pump/{ONE}/status", f"der/town/plug/{ONE}/status",
])
def test_a_device_writes_nothing_else(service, topic):
    listens = [f"der/city/+/+/{name}" for name in UP]  # to no more, by its policy: mosquitto's rules have no such thing
    with (Emd(service, TWO, ("#",)) as other, Emd(service, "emd-city", listens) as emd,
          Emd(service, ONE, ("#",)) as device):
        device.publish(topic, b"forged", retain=True)
        device.publish(f"{OWN}/status", b"own")
        emd.wait(lambda got: got)
        emd.publish(f"der/city/plug/{TWO}/cmd", b"real")
        other.wait(lambda got: got)
        assert emd.received == [(f"{OWN}/status", b"own")] and device.received == []
        assert other.received == [(f"der/city/plug/{TWO}/cmd", b"real")]


def test_a_broker_by_another_authority_is_refused(service, names, device, tmp_path):
    given = settings(service, names)
    given["ca"] = str(Amazon(tmp_path / "third").ca_der)  # of the same name
    one = device(given)
    one.expect("log", "link.tls_ca")
    assert not any("up" in event for event in one.seen)


def test_a_device_of_the_local_authority_is_refused(service, names, device):
    given = settings(service, names)
    local = service.home.pki.device(ONE)
    one = device({**given, "cert": str(local.cert_der), "key": str(local.key_der)})
    while not one.causes():
        one.expect("log")
    assert not any("up" in event for event in one.seen)
