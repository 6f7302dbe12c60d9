"""AWS IoT Core as the back end: what is made there, that it is made once, and what a step that fails leaves behind."""

import builtins
import fnmatch
import json
import shutil

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from spot_host import acl, aws_iot, aws_policy
from spot_host.aws_iot import AwsError, AwsIot, Cloud
from spot_host.cli import main
from spot_host.device_files import Order
from spot_host.emd.config import Mqtt, load
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder
from spot_host.provision import listing, outfit
from tests.unit.provision.conftest import ONE, REGION, TWO

pytest.importorskip("boto3", reason="boto3 (pip install 'spot-grid[aws]')")
botocore = pytest.importorskip("botocore")

ARN = f"arn:aws:iot:{REGION}:123456789012:"
DEVICE = acl.DeviceAccess(ONE, "plug", ("1",))
OWN = f"der/city/plug/{ONE}"


def allowed(document, action, resource):
    """Whether a policy lets a client do that: what AWS decides, without conditions."""
    for one in json.loads(document)["Statement"]:
        assert one["Effect"] == "Allow"
        resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
        if one["Action"] == f"iot:{action}" and any(
                fnmatch.fnmatchcase(f"{ARN}{resource}", pattern) for pattern in resources):
            return True
    return False


# --- the policy

DECISIONS = [
    ("Connect", f"client/{ONE}", True), ("Connect", f"client/{TWO}", False), ("Connect", "client/x", False),
    *(("Publish", f"topic/{OWN}/{channel}", True)
      for channel in ("register", "status", "telemetry", "interval", "alarm", "link")),
    ("Publish", f"topic/{OWN}/cmd", False), ("Publish", f"topic/{OWN}/other", False),
    ("Publish", f"topic/{OWN}/status/x", False), ("Publish", f"topic/der/city/plug/{TWO}/status", False),
    ("Publish", f"topic/der/city/heat_pump/{ONE}/status", False), ("Publish", "topic/der/city/group/1/price", False),
    ("Publish", f"topic/der/town/plug/{ONE}/status", False),
    ("Publish", f"topic/$aws/things/{ONE}/shadow/update", False),
    ("RetainPublish", f"topic/{OWN}/link", True), ("RetainPublish", f"topic/{OWN}/status", False),
    ("RetainPublish", f"topic/{OWN}/register", False),
    ("Subscribe", f"topicfilter/{OWN}/cmd", True), ("Subscribe", "topicfilter/der/city/group/1/+", True),
    ("Subscribe", "topicfilter/der/city/group/2/+", False), ("Subscribe", "topicfilter/#", False),
    ("Subscribe", f"topicfilter/{OWN}/+", False), ("Subscribe", f"topicfilter/der/city/plug/{TWO}/cmd", False),
    ("Subscribe", "topicfilter/der/city/group/1/#", False),
    ("Receive", f"topic/{OWN}/cmd", True), ("Receive", "topic/der/city/group/1/price", True),
    ("Receive", "topic/der/city/group/2/price", False), ("Receive", f"topic/der/city/plug/{TWO}/cmd", False),
    ("Receive", f"topic/{OWN}/status", False),
]


@pytest.mark.parametrize("action, resource, wanted", DECISIONS, ids=[f"{row[0]} {row[1]}" for row in DECISIONS])
def test_a_device_may_do_its_own_and_nothing_else(action, resource, wanted):
    document = aws_policy.document(acl.device_topics("city", DEVICE), ONE, ARN)
    assert allowed(document, action, resource) is wanted


def test_a_device_connects_only_as_the_thing_that_its_certificate_is_attached_to():
    said = json.loads(aws_policy.document(acl.device_topics("city", DEVICE), ONE, ARN))
    (connect,) = [one for one in said["Statement"] if one["Action"] == "iot:Connect"]
    assert connect["Condition"] == {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    assert {one["Action"] for one in said["Statement"]} == {
        "iot:Connect", "iot:Publish", "iot:RetainPublish", "iot:Subscribe", "iot:Receive"}


def test_what_the_firmware_does_is_what_the_policy_allows():
    """Topics and filters as the firmware itself makes them."""
    from spot.codes import CHANNELS
    from spot.link.topics import Topics

    topics = Topics("city", "plug", ONE, ("1",))
    document = aws_policy.document(acl.device_topics("city", DEVICE), ONE, ARN)
    for code, topic in enumerate(topics.up):
        if topic:
            assert allowed(document, "Publish", f"topic/{topic.decode()}")
            assert allowed(document, "RetainPublish", f"topic/{topic.decode()}") == CHANNELS[code][2]
    for one in topics.filters():
        assert allowed(document, "Subscribe", f"topicfilter/{one.decode()}")


EMD = [
    ("Publish", f"topic/{OWN}/cmd", True), ("Publish", f"topic/{OWN}/status", False),
    ("Publish", "topic/der/city/group/1/price", True), ("Publish", f"topic/der/town/plug/{ONE}/cmd", False),
    ("RetainPublish", "topic/der/city/group/1/price", True), ("RetainPublish", f"topic/{OWN}/cmd", False),
    ("Subscribe", "topicfilter/der/city/+/+/status", True), ("Subscribe", "topicfilter/der/#", False),
    ("Receive", f"topic/{OWN}/status", True), ("Receive", f"topic/der/town/plug/{ONE}/status", False),
]


@pytest.mark.parametrize("action, resource, wanted", EMD, ids=[f"{row[0]} {row[1]}" for row in EMD])
def test_an_emd_commands_and_listens(action, resource, wanted):
    document = aws_policy.document(acl.emd_topics("city"), "emd-city", ARN)
    assert allowed(document, action, resource) is wanted


def test_what_an_emd_subscribes_to_is_allowed_and_not_too_much_at_once(monkeypatch):
    from spot_host.emd import mqtt

    asked = []
    link = mqtt.MqttLink(Mqtt(tls=False), "city", *[None] * 3, lambda device: "plug", listen_to_groups=True)
    monkeypatch.setattr(link._client, "subscribe", asked.append)
    link._on_connect(link._client, None, None, type("Reason", (), {"is_failure": False}), None)
    document = aws_policy.document(acl.emd_topics("city"), "emd-city", ARN)
    assert len(asked[0]) <= aws_policy.TOPICS_A_SUBSCRIBE
    for topic, qos in asked[0]:
        assert allowed(document, "Subscribe", f"topicfilter/{topic}") and qos <= 1
    low, high = aws_policy.KEEPALIVE_S
    assert low <= Mqtt().keepalive_s <= high


LIMITS = [
    ("u" * 64, ("g" * 64,), "its policy has .* octets, AWS IoT Core takes 2048"),
    ("city", ("group-one-of-many", "group-two-of-many", "group-three-of-many" * 2, "x" * 64), "have fewer groups"),
    ("a/b", (), "level of a topic"), ("city", ("*",), "level of a topic"),
]


@pytest.mark.parametrize("utility, groups, says", LIMITS)
def test_what_is_beyond_the_services_limits_is_refused_here(utility, groups, says):
    with pytest.raises(UserError, match=says):
        aws_policy.document(acl.device_topics(utility, acl.DeviceAccess(ONE, "heat_pump", groups)), ONE, ARN)


@pytest.mark.parametrize("topics, client, says", [
    (acl.Topics(("a" * 257,), (), (), ()), "x", "at most 256 octets"),
    (acl.Topics((), (), ("a/b/c/d/e/f/g/h/i",), ()), "x", "7 slashes"),
    (acl.Topics((), (), (), ()), "x" * 129, "at most 128 octets"),
    (acl.Topics((), (), (), tuple(map(str, range(17)))), "x", "too many subscriptions"),
])  # fmt: skip
def test_limits_of_names(topics, client, says):
    with pytest.raises(UserError, match=says):
        aws_policy.check_limits(topics, client)


# --- a home there

@pytest.fixture
def house(aws, tmp_path, monkeypatch):
    """A home whose broker is AWS, as `spot provision init` makes it."""
    root = tmp_path / "root.pem"
    root.write_bytes(aws.ca.public_bytes(serialization.Encoding.PEM))
    run("init", tmp_path / "house", "--backend", "aws", "--utility", "city", "--server-ca", root, "--region", REGION)
    return HomeFolder(tmp_path / "house")


def run(*words, code=0):
    with pytest.raises(SystemExit) as ended:
        main(["provision", *map(str, words)])
    assert ended.value.code == code


def of_device(state, eui=ONE):
    return {"policies": [p for p in state["policies"] if eui in p], "things": [t for t in state["things"] if t == eui],
            "certificates": state["certificates"]}


def test_a_home_and_a_device(house, aws):
    before = aws.state()
    assert before["things"] == ["emd-city"] and list(before["certificates"].values()) == ["ACTIVE"]
    settings = load(house.folder / "emd.toml")
    assert settings.mqtt.client_id == "emd-city" and settings.mqtt.host == house.host and settings.mqtt.port == 8883
    at, made = house.provision(Order(ONE, "pico_w_plug"))
    after = aws.state()
    assert made and after["things"] == [ONE, "emd-city"]
    assert after["policies"] == [f"spot-city-{ONE}", "spot-city-emd-city"]
    assert list(after["certificates"].values()) == ["ACTIVE", "ACTIVE"]
    config = json.loads((at / "config.json").read_text())
    assert config["mqtt"]["host"].endswith(f".iot.{REGION}.amazonaws.com") and "-ats" in config["mqtt"]["host"]
    assert config["mqtt"]["port"] == 8883 and outfit.wrong(house, ONE) == []
    cert = x509.load_der_x509_certificate((at / "cert.der").read_bytes())
    key = serialization.load_der_private_key((at / "key.der").read_bytes(), None)
    assert cert.public_key() == key.public_key()
    principals = aws.iot.list_thing_principals(thingName=ONE)["principals"]
    (arn,) = principals
    assert [p["policyName"] for p in aws.iot.list_attached_policies(target=arn)["policies"]] == [f"spot-city-{ONE}"]
    assert [row["backend"] for row in listing.rows(house)] == ["aws"]


def test_a_second_time_makes_nothing_there(house, aws):
    house.provision(Order(ONE, "pico_w_plug"))
    before = aws.state()
    home = HomeFolder(house.folder)
    assert home.provision(Order(ONE, "pico_w_plug"))[1] is False
    (home.device_folder(ONE) / "config.json").unlink()  # lost here: all of it is there
    key = (home.device_folder(ONE) / "key.der").read_bytes()
    assert home.provision(Order(ONE, "pico_w_plug"))[1] is True
    assert aws.state() == before and (home.device_folder(ONE) / "key.der").read_bytes() == key
    run("init", house.folder, "--backend", "aws", "--utility", "city")
    assert aws.state() == before


def test_the_key_never_leaves(house, monkeypatch):
    sent = []
    real = Cloud.__call__

    def call(self, name, **words):
        sent.append(words)
        return real(self, name, **words)

    monkeypatch.setattr(Cloud, "__call__", call)
    at, _ = house.provision(Order(ONE, "pico_w_plug"))
    key = serialization.load_der_private_key((at / "key.der").read_bytes(), None)
    number = key.private_numbers().private_value
    text = json.dumps(sent)
    assert "BEGIN CERTIFICATE REQUEST" in text and "PRIVATE KEY" not in text
    assert f"{number:x}" not in text.lower() and str(number) not in text


STEPS = ("create_thing", "create_policy", "create_certificate_from_csr", "attach_policy", "attach_thing_principal",
         "update_certificate")


def failing(monkeypatch, *calls, error=None):
    """These calls fail until they have done so once for each time they are named (None: the list never ends)."""
    left = list(calls)
    real = Cloud.__call__

    def call(self, name, **words):
        if name in left and not (name == "update_certificate" and words["newStatus"] != "ACTIVE"):
            if error is None:
                left.remove(name)
                raise AwsError(name, botocore.exceptions.ClientError(
                    {"Error": {"Code": "LimitExceededException", "Message": "too many"}}, name))
            raise error
        return real(self, name, **words)

    monkeypatch.setattr(Cloud, "__call__", call)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_leaves_nothing_behind(house, aws, monkeypatch, step):
    before, files = aws.state(), sorted(path.name for path in (house.folder / "aws").iterdir())
    with monkeypatch.context() as patched:
        failing(patched, step)
        with pytest.raises(UserError, match=f"AWS: {step}: LimitExceededException: too many. What .* is undone$"):
            house.provision(Order(ONE, "pico_w_plug"))
    assert aws.state() == before and ONE not in HomeFolder(house.folder).orders
    assert sorted(path.name for path in (house.folder / "aws").iterdir() if path.name != f"{ONE}.json") == files
    assert not (house.device_folder(ONE) / "config.json").exists()
    HomeFolder(house.folder).provision(Order(ONE, "pico_w_plug"))
    after = aws.state()
    assert len(after["certificates"]) == 2 and after["things"] == [ONE, "emd-city"]


@pytest.mark.parametrize("step, undo", [("attach_policy", "delete_certificate"), ("attach_policy", "delete_policy"),
                                        ("update_certificate", "detach_thing_principal"),
                                        ("create_certificate_from_csr", "delete_thing")])
def test_what_could_not_be_undone_is_told_and_taken_up(house, aws, monkeypatch, step, undo):
    with monkeypatch.context() as patched:
        failing(patched, step, undo)
        with pytest.raises(UserError, match="Left at AWS: ") as refused:
            house.provision(Order(ONE, "pico_w_plug"))
    assert "\n" not in str(refused.value)
    HomeFolder(house.folder).provision(Order(ONE, "pico_w_plug"))
    after = aws.state()
    assert list(after["certificates"].values()) == ["ACTIVE", "ACTIVE"]
    assert after["things"] == [ONE, "emd-city"] and len(after["policies"]) == 2


class Killed(BaseException):
    pass


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step_and_run_again_nothing_is_there_twice(house, aws, monkeypatch, step, when):
    real = Cloud.__call__

    def call(self, name, **words):
        if name == step and when == "before":
            raise Killed
        got = real(self, name, **words)
        if name == step:
            raise Killed
        return got

    with monkeypatch.context() as patched:
        patched.setattr(Cloud, "__call__", call)
        with pytest.raises(Killed):
            house.provision(Order(ONE, "pico_w_plug"))
    HomeFolder(house.folder).provision(Order(ONE, "pico_w_plug"))
    after = aws.state()
    assert list(after["certificates"].values()) == ["ACTIVE", "ACTIVE"]
    assert after["things"] == [ONE, "emd-city"] and after["policies"] == [f"spot-city-{ONE}", "spot-city-emd-city"]
    assert not list((house.folder / "aws").glob("*.next.key"))


def test_an_answer_that_got_lost(house, aws, monkeypatch):
    """The connection broke: the certificate was made, and nobody here has heard of it."""
    real = Cloud.__call__

    def call(self, name, **words):
        got = real(self, name, **words)
        if name == "create_certificate_from_csr":
            raise AwsError(name, botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"))
        return got

    with monkeypatch.context() as patched:
        patched.setattr(Cloud, "__call__", call)
        with pytest.raises(UserError, match="the next run looks whether there is more"):
            house.provision(Order(ONE, "pico_w_plug"))
    (lost,) = [c for c, status in aws.state()["certificates"].items() if status == "INACTIVE"]
    HomeFolder(house.folder).provision(Order(ONE, "pico_w_plug"))
    assert aws.state()["certificates"][lost] == "ACTIVE" and len(aws.state()["certificates"]) == 2


def test_a_certificate_for_another_key_is_not_taken(house, aws, monkeypatch):
    from moto.iot.models import IoTBackend

    def sign(backend, csr, set_as_active):
        pem = aws.ca.public_bytes(serialization.Encoding.PEM).decode()
        return backend.register_certificate(pem, None, set_as_active, "INACTIVE")

    monkeypatch.setattr(IoTBackend, "create_certificate_from_csr", sign)
    before = aws.state()
    with pytest.raises(UserError, match="is for another key"):
        house.provision(Order(ONE, "pico_w_plug"))
    assert aws.state() == before


def test_revoked(house, aws):
    house.provision(Order(ONE, "pico_w_plug"))
    house.renew(ONE)
    house.provision(Order(TWO, "pico_w_plug"))
    house.revoke(ONE)
    after = aws.state()
    assert after["things"] == [TWO, "emd-city"] and after["policies"] == [f"spot-city-{TWO}", "spot-city-emd-city"]
    assert sorted(after["certificates"].values()) == ["ACTIVE", "ACTIVE", "REVOKED", "REVOKED"]
    assert not list((house.folder / "aws").glob(f"{ONE}*key*"))
    home = HomeFolder(house.folder)
    assert list(home.orders) == [TWO] and home.revoked() == {ONE}
    home.provision(Order(ONE, "pico_w_plug"))
    assert sorted(aws.state()["certificates"].values()) == ["ACTIVE"] * 3 + ["REVOKED"] * 2


def test_a_revocation_that_fails_is_not_done_here_either(house, aws, monkeypatch):
    house.provision(Order(ONE, "pico_w_plug"))
    real = Cloud.__call__

    def call(self, name, **words):
        if words.get("newStatus") == "REVOKED":
            raise AwsError(name, botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"))
        return real(self, name, **words)

    with monkeypatch.context() as patched:
        patched.setattr(Cloud, "__call__", call)
        with pytest.raises(UserError, match="AWS: update_certificate: EndpointConnectionError"):
            house.revoke(ONE)
    assert ONE in HomeFolder(house.folder).orders
    HomeFolder(house.folder).revoke(ONE)
    assert "REVOKED" in aws.state()["certificates"].values()


def test_a_new_certificate_and_the_end_of_the_old_one(house, aws):
    at, _ = house.provision(Order(ONE, "pico_w_plug"))
    first = (at / "cert.der").read_bytes()
    house.renew(ONE)
    assert (at / "cert.der").read_bytes() != first and list(aws.state()["certificates"].values()) == ["ACTIVE"] * 3
    house.renew(ONE, revoke_old=True)
    assert sorted(aws.state()["certificates"].values()) == ["ACTIVE", "ACTIVE", "REVOKED", "REVOKED"]
    assert outfit.wrong(house, ONE) == []


def test_the_emd_gets_a_new_certificate(house, aws):
    before = (house.folder / "aws" / "emd-city.pem").read_text()
    house.renew_own("emd")
    assert (house.folder / "aws" / "emd-city.pem").read_text() != before
    assert list(aws.state()["certificates"].values()) == ["ACTIVE", "ACTIVE"] and aws.state()["things"] == ["emd-city"]


def test_a_second_home_of_the_same_name_is_refused(house, aws, tmp_path):
    """Their EMDs would have one client id, and push each other out."""
    before = aws.state()
    words = ("init", tmp_path / "second", "--backend", "aws", "--utility", "city")
    run(*words, "--server-ca", tmp_path / "root.pem", code=2)
    assert aws.state() == before and not (tmp_path / "second" / "home.json").exists()


def test_a_thing_of_somebody_else_is_left_alone(house, aws):
    aws.iot.create_thing(thingName=ONE)
    before = aws.state()
    with pytest.raises(UserError, match=f"the thing {ONE} is there already, and not this home's"):
        house.provision(Order(ONE, "pico_w_plug"))
    assert aws.state() == before


def test_a_policy_that_was_changed_there_is_put_right(house, aws):
    cloud = AwsIot.of(house.folder / "aws", house.aws, "city")
    policy = f"spot-city-{ONE}"
    house.provision(Order(ONE, "pico_w_plug"))
    right = aws.iot.get_policy(policyName=policy)["policyDocument"]
    for number in range(7):  # more than the five versions that there may be
        versions = aws.iot.list_policy_versions(policyName=policy)["policyVersions"]
        if len(versions) == 5:
            aws.iot.delete_policy_version(policyName=policy, policyVersionId=next(
                v["versionId"] for v in versions if not v["isDefaultVersion"]))
        aws.iot.create_policy_version(policyName=policy, policyDocument=json.dumps({"Version": str(number)}),
                                      setAsDefault=True)
        cloud.ensure(house.access_of(house.known(ONE)))
        assert json.loads(aws.iot.get_policy(policyName=policy)["policyDocument"]) == json.loads(right)


def test_a_name_that_is_too_long_costs_no_call(house, aws):
    before = aws.state()
    with pytest.raises(UserError, match="its policy has"):
        house.provision(Order(ONE, "pico_w_heat_pump", groups=("g" * 64, "h" * 64, "i" * 64, "j" * 64)))
    assert aws.state() == before


# --- what goes wrong before

def test_errors_of_the_service_are_one_line():
    from botocore.stub import Stubber

    client = __import__("boto3").client("iot", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        stub.add_client_error("create_thing", "UnauthorizedException", "not you\nreally", 403)
        with pytest.raises(AwsError, match="^AWS: create_thing: UnauthorizedException: not you really$"):
            Cloud(client)("create_thing", thingName=ONE)
        stub.add_client_error("describe_thing", "ResourceNotFoundException", "no", 404)
        assert Cloud(client).find("describe_thing", thingName=ONE) is None


def test_without_boto3_it_is_one_line(tmp_path, monkeypatch, capsys):
    real = builtins.__import__

    def absent(name, *arguments, **more):
        if name.split(".")[0] in ("boto3", "botocore"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    run("init", tmp_path / "h", "--backend", "aws", code=2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install 'spot-grid[aws]'" in said
    assert not (tmp_path / "h").exists()


def test_without_credentials_it_is_one_line(tmp_path, monkeypatch, capsys):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    run("init", tmp_path / "h", "--backend", "aws", "--region", REGION, code=2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "NoCredentials" in said
    assert not (tmp_path / "h").exists()


def test_the_services_own_authority_is_found_on_this_computer(tmp_path):
    aws_iot.write_root(tmp_path / "aws")
    cert = x509.load_der_x509_certificate((tmp_path / "aws" / "root.der").read_bytes())
    assert "Amazon Root CA 1" in cert.subject.rfc4514_string()
    with pytest.raises(UserError, match="no certificate of an authority"):
        aws_iot.write_root(tmp_path / "aws", tmp_path / "nothing.pem")
    shutil.rmtree(tmp_path / "aws")
