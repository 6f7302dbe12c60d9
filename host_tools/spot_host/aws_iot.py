"""AWS IoT Core as the back end of provisioning: certificates from requests made here, least policies, things.

Every step can be repeated: what is there is taken. A step that fails undoes what this run has made; a run that was
killed is taken up where it ended, since what it asked for is on disk before it asks. Keys never leave this computer.

    aws/root.der, root.pem            authority of the service's own certificate
    aws/<name>.pem|.der|.key|.key.der certificate and key of a client; <name>.next.key: of one that is being asked for
    aws/<name>.json                   what AWS calls them
    aws/id                            marks this home's things there
"""

import contextlib
import json
import secrets
import ssl
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import acl, aws_policy, secret_files
from .errors import UserError
from .pki import Identity

_ROOT = "Amazon Root CA 1"  # RSA; what the -ats endpoints have been signed by since 2018
_MARK = "spot-home"  # attribute of our things: which folder they belong to
_VERSIONS = 5  # of a policy, the service keeps no more
_TRIES, _PAUSE_S = 4, 0.5


class AwsError(UserError):
    """A call to AWS failed; the text names it."""

    def __init__(self, call, exc):
        response = getattr(exc, "response", None)
        self.answered = isinstance(response, dict)
        self.code = response["Error"].get("Code", "") if isinstance(response, dict) else type(exc).__name__
        said = response["Error"].get("Message", "") if isinstance(response, dict) else str(exc)
        super().__init__(f"AWS: {call}: {self.code}: {' '.join(said.split())}")


def connect(region, profile=None):
    """(client of iot, client of sts) for the user's AWS credentials. UserError without boto3 or a region."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise UserError("AWS IoT Core needs the Python package boto3: pip install 'spot-grid[aws]'") from None
    try:
        session = boto3.Session(region_name=region or None, profile_name=profile or None)
        config = Config(retries={"mode": "adaptive", "max_attempts": 8})  # 10,000 devices meet its rate limits
        return session.client("iot", config=config), session.client("sts", config=config)
    except BotoCoreError as exc:
        raise UserError(f"AWS: {exc} --region, --profile, or `aws configure`") from exc


class Cloud:
    """Calls of boto3 clients whose errors are AwsError."""

    def __init__(self, iot):
        self._iot = iot
        self.region = iot.meta.region_name

    def __call__(self, call, **arguments):
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._iot, call)(**arguments)
        except (ClientError, BotoCoreError) as exc:
            raise AwsError(call, exc) from exc

    def find(self, call, **arguments):
        """The same; None for what is not there."""
        try:
            return self(call, **arguments)
        except AwsError as exc:
            if exc.code in ("ResourceNotFoundException", "NotFoundException"):
                return None
            raise


def account(region=None, profile=None) -> dict:
    """{"region", "account", "partition", "endpoint"} of whose credentials these are."""
    iot, sts = connect(region, profile)
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        who = sts.get_caller_identity()
    except (ClientError, BotoCoreError) as exc:
        raise AwsError("get_caller_identity", exc) from exc
    cloud = Cloud(iot)
    endpoint = cloud("describe_endpoint", endpointType="iot:Data-ATS")["endpointAddress"]
    found = {"region": cloud.region, "account": who["Account"], "partition": who["Arn"].split(":")[1],
             "endpoint": endpoint}
    return {**found, **({"profile": profile} if profile else {})}


def write_root(folder: Path, file=None) -> None:
    """Write root.der and root.pem: the certificate in `file`, or Amazon's from this computer's list of authorities."""
    if file is not None:
        try:
            found = x509.load_pem_x509_certificates(Path(file).read_bytes())
        except (OSError, ValueError) as exc:
            raise UserError(f"{file}: no certificate of an authority in PEM") from exc
    else:
        found = [cert for cert in map(x509.load_der_x509_certificate, _authorities()) if _common(cert) == _ROOT]
    if not found:
        raise UserError(f"this computer does not know {_ROOT}: --server-ca FILE (AmazonRootCA1.pem)")
    folder.mkdir(exist_ok=True, mode=0o700)
    secret_files.write(folder / "root.der", found[0].public_bytes(serialization.Encoding.DER))
    secret_files.write(folder / "root.pem", found[0].public_bytes(serialization.Encoding.PEM))


def _authorities():
    """DER of what this computer and boto3 take for authorities and may be the one."""
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError, OSError, ValueError):
        import certifi

        context.load_verify_locations(certifi.where())
    return [der for der in context.get_ca_certs(binary_form=True) if _ROOT.encode() in der]


def _common(cert):
    found = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return found[0].value if found else ""


class AwsIot:
    """Clients of one home at AWS IoT Core. record: what `account` gave. utility: marks what is ours."""

    def __init__(self, folder, record, utility, cloud):
        self.folder, self.utility, self._cloud = Path(folder), utility, cloud
        self._arn = f"arn:{record['partition']}:iot:{record['region']}:{record['account']}:"

    @classmethod
    def of(cls, folder, record, utility):
        """With the user's credentials; asks nobody yet."""
        return cls(folder, record, utility, Cloud(connect(record["region"], record.get("profile"))[0]))

    def check(self, access) -> None:
        """UserError for a device that the service would not take."""
        self._document(access.device, acl.device_topics(self.utility, access))

    def _document(self, name, topics):
        return aws_policy.document(topics, name, self._arn)

    def ensure(self, access, fresh=False) -> Identity:
        """The device's certificate, in force, with its policy and thing. fresh: another one beside the old."""
        return self.ensure_client(access.device, acl.device_topics(self.utility, access), fresh)

    def ensure_client(self, name, topics, fresh=False) -> Identity:
        """The same for any client with `topics`. UserError when a step failed: then what this run made is undone."""
        text = self._document(name, topics)
        self.folder.mkdir(exist_ok=True, mode=0o700)
        undo = []  # (what, call, arguments), newest last
        try:
            self._thing(name, undo)  # first: it may be another home's
            self._policy(name, text, undo)
            record = self._certificate(name, fresh, undo)
            arn = record["arn"]
            undoes = undo if record["new"] else []  # what was in force before stays as it is
            attachment = {"policyName": self._policy_name(name), "target": arn}
            self._cloud("attach_policy", **attachment)
            undoes.append(("attachment of the policy", "detach_policy", attachment))
            attachment = {"thingName": name, "principal": arn}
            self._cloud("attach_thing_principal", **attachment)
            undoes.append(("attachment of the thing", "detach_thing_principal", attachment))
            self._cloud("update_certificate", certificateId=record["id"], newStatus="ACTIVE")
        except UserError as exc:
            left = self._undo(undo)
            if left:
                raise UserError(f"{exc}. Not everything could be undone; the next run takes it up. Left at AWS: "
                                f"{', '.join(left)}") from exc
            if isinstance(exc, AwsError) and not exc.answered:
                raise UserError(f"{exc}. What this run is known to have made at AWS is undone; the next run looks "
                                "whether there is more") from exc
            self._forget_next(name)
            raise UserError(f"{exc}. What this run made at AWS is undone") from exc
        return self._keep(name, record)

    def _undo(self, undo):
        left = []
        for what, call, arguments in reversed(undo):
            try:
                self._patiently(call, **arguments)
            except AwsError:
                left.append(what)
        return left

    def _patiently(self, call, **arguments):
        """A deletion: the service needs a moment to see that what is detached is detached."""
        for left in range(_TRIES - 1, -1, -1):
            try:
                return self._cloud.find(call, **arguments)
            except AwsError as exc:
                if not left or exc.code not in ("DeleteConflictException", "InvalidRequestException"):
                    raise
                time.sleep(_PAUSE_S)

    # --- policy and thing

    def _policy_name(self, name):
        return f"spot-{self.utility}-{name}"

    def _policy(self, name, text, undo):
        policy = self._policy_name(name)
        there = self._cloud.find("get_policy", policyName=policy)
        if there is None:
            self._cloud("create_policy", policyName=policy, policyDocument=text)
            undo.append((f"policy {policy}", "delete_policy", {"policyName": policy}))
        elif json.loads(there["policyDocument"]) != json.loads(text):
            versions = self._cloud("list_policy_versions", policyName=policy)["policyVersions"]
            old = sorted((v for v in versions if not v["isDefaultVersion"]), key=lambda v: int(v["versionId"]))
            if len(versions) >= _VERSIONS:
                self._cloud("delete_policy_version", policyName=policy, policyVersionId=old[0]["versionId"])
            made = self._cloud("create_policy_version", policyName=policy, policyDocument=text, setAsDefault=True)
            new = {"policyName": policy, "policyVersionId": made["policyVersionId"]}
            undo.append((f"version {made['policyVersionId']} of policy {policy}", "delete_policy_version", new))
            undo.append((f"the default version of policy {policy}", "set_default_policy_version",
                         {"policyName": policy, "policyVersionId": there["defaultVersionId"]}))

    def _thing(self, name, undo):
        there = self._cloud.find("describe_thing", thingName=name)
        if there is None:
            self._cloud("create_thing", thingName=name, attributePayload={"attributes": {_MARK: self._mark()}})
            undo.append((f"thing {name}", "delete_thing", {"thingName": name}))
        elif there.get("attributes", {}).get(_MARK) != self._mark():
            raise UserError(f"AWS: the thing {name} is there already, and not this home's (attribute {_MARK})")

    def _mark(self):
        """What tells this home's things from another folder's: two EMDs under one name would push each other out."""
        file = self.folder / "id"
        if not file.exists():
            secret_files.write(file, secrets.token_hex(8).encode(), durable=True)
        return file.read_text().strip()

    # --- the certificate

    def _certificate(self, name, fresh, undo):
        """{"id", "arn", "new"}: the one in force, one that an earlier run asked for, or a new one, not yet in force."""
        record = self._record(name)
        if record.get("id") and not fresh and self._paths(name).cert.exists():
            found = self._cloud.find("describe_certificate", certificateId=record["id"])
            if found and found["certificateDescription"]["status"] != "REVOKED":
                return {"id": record["id"], "arn": record["arn"], "new": False}
        key_file = self.folder / f"{name}.next.key"
        asked = record.get("asked")
        found = None
        if asked and key_file.exists():
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            found = self._asked(record, key)
        else:
            key = ec.generate_private_key(ec.SECP256R1())
            secret_files.write(key_file, _pem(key), secret=True, durable=True)
        if found is None:
            self._save(name, {**record, "asked": int(time.time())})
            csr = (x509.CertificateSigningRequestBuilder()
                   .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPOT"),
                                            x509.NameAttribute(NameOID.COMMON_NAME, name)]))
                   .sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())
            found = self._cloud("create_certificate_from_csr", certificateSigningRequest=csr, setAsActive=False)
        undo.append((f"certificate {found['certificateId']}", "delete_certificate",
                     {"certificateId": found["certificateId"], "forceDelete": True}))
        undo.append((f"certificate {found['certificateId']} in force", "update_certificate",
                     {"certificateId": found["certificateId"], "newStatus": "INACTIVE"}))
        cert = x509.load_pem_x509_certificate(found["certificatePem"].encode())
        if cert.public_key() != key.public_key():
            raise UserError(f"AWS: the certificate {found['certificateId']} is for another key than that of {name}")
        made = {"id": found["certificateId"], "arn": found["certificateArn"]}
        return {**made, "new": True, "pem": found["certificatePem"], "key": key}

    def _asked(self, record, key):
        """A certificate for this key that was asked for and whose answer did not arrive, or was not written down."""
        marker, since = {}, record["asked"] - 86400
        while True:
            page = self._cloud("list_certificates", pageSize=250, ascendingOrder=False, **marker)
            for one in page["certificates"]:
                if one["creationDate"].timestamp() < since:
                    return None
                if one["certificateId"] == record.get("id"):
                    continue
                said = self._cloud("describe_certificate", certificateId=one["certificateId"])["certificateDescription"]
                pem = said["certificatePem"]
                with contextlib.suppress(ValueError):
                    if x509.load_pem_x509_certificate(pem.encode()).public_key() == key.public_key():
                        return {"certificateId": one["certificateId"], "certificateArn": one["certificateArn"],
                                "certificatePem": pem}
            if not page.get("nextMarker"):
                return None
            marker = {"marker": page["nextMarker"]}

    def _keep(self, name, record):
        """Write down what is in force now."""
        identity = self._paths(name)
        if record["new"]:
            before = self._record(name)
            key, cert = record["key"], x509.load_pem_x509_certificate(record["pem"].encode())
            secret_files.write(identity.key, _pem(key), secret=True, durable=True)
            secret_files.write(identity.key_der, key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption()), secret=True, durable=True)
            secret_files.write(identity.cert_der, cert.public_bytes(serialization.Encoding.DER), durable=True)
            secret_files.write(identity.cert, record["pem"].encode(), durable=True)
            old = before.get("old", []) + ([{"id": before["id"], "arn": before["arn"]}] if before.get("id") else [])
            self._save(name, {"id": record["id"], "arn": record["arn"], **({"old": old} if old else {})})
            (self.folder / f"{name}.next.key").unlink(missing_ok=True)
        return identity

    def _forget_next(self, name):
        record = self._record(name)
        if record.pop("asked", None):
            self._save(name, record)
        (self.folder / f"{name}.next.key").unlink(missing_ok=True)

    # --- revocation

    def revoke_old(self, name) -> None:
        """Revoke the certificates that newer ones have replaced."""
        record = self._record(name)
        for one in record.pop("old", []):
            self._revoke_one(name, one)
        self._save(name, record)

    def revoke(self, name) -> None:
        """Revoke all certificates of a client; its policy and thing go. The certificates stay there, revoked, as proof.

        The service deletes a policy only minutes after it was attached to nothing: one that it does not delete yet is
        attached to nothing, and is taken when the client comes back."""
        record = self._record(name)
        for one in [*record.get("old", []), *([record] if record.get("id") else [])]:
            self._revoke_one(name, one)
        with contextlib.suppress(AwsError):
            policy = self._policy_name(name)
            versions = self._cloud.find("list_policy_versions", policyName=policy) or {"policyVersions": []}
            for version in versions["policyVersions"]:
                if not version["isDefaultVersion"]:
                    self._cloud.find("delete_policy_version", policyName=policy,
                                     policyVersionId=version["versionId"])
            self._patiently("delete_policy", policyName=policy)
        with contextlib.suppress(AwsError):
            self._patiently("delete_thing", thingName=name)
        for path in (*self.folder.glob(f"{name}.key*"), self.folder / f"{name}.next.key", self.folder / f"{name}.json"):
            path.unlink(missing_ok=True)

    def _revoke_one(self, name, one):
        self._cloud.find("update_certificate", certificateId=one["id"], newStatus="REVOKED")
        self._cloud.find("detach_policy", policyName=self._policy_name(name), target=one["arn"])
        self._cloud.find("detach_thing_principal", thingName=name, principal=one["arn"])

    # --- files

    def _record(self, name):
        try:
            return json.loads((self.folder / f"{name}.json").read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            raise UserError(f"{self.folder / name}.json: damaged; put back your copy") from exc

    def _save(self, name, record):
        secret_files.write(self.folder / f"{name}.json", (json.dumps(record, indent=1) + "\n").encode(), secret=True,
                           durable=True)

    def _paths(self, name):
        at = self.folder / name
        return Identity(name, at.with_name(f"{name}.pem"), at.with_name(f"{name}.key"), at.with_name(f"{name}.der"),
                        at.with_name(f"{name}.key.der"), 0)


def _pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())
