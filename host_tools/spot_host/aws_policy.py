"""What AWS IoT Core lets one client do: policy documents from the topics of acl.py, and the service's limits.

Limits: "AWS IoT Core message broker and protocol limits and quotas" and "AWS IoT Core policies" in its developer guide.
The firmware sends one topic in each SUBSCRIBE and at most `MAX_BODY` octets, well within them.
"""

import json

from .acl import Topics
from .errors import UserError
from .profile.definition import MAX_BODY

TOPIC_OCTETS, TOPIC_SLASHES = 256, 7
CLIENT_OCTETS = 128
PAYLOAD_OCTETS = 128 * 1024
KEEPALIVE_S = (30, 1200)
TOPICS_A_SUBSCRIBE = 8
POLICY_OCTETS = 2048
PORT = 8883  # 443 wants ALPN (x-amzn-mqtt-ca), which MicroPython 1.25 has not

HOSTS = (".amazonaws.com", ".amazonaws.com.cn")


def check_limits(topics: Topics, client_id: str) -> None:
    """UserError for a name that the service does not take."""
    if len(client_id.encode()) > CLIENT_OCTETS:
        raise UserError(f"{client_id}: a client id of AWS IoT Core has at most {CLIENT_OCTETS} octets")
    for topic in (*topics.write, *topics.read, *topics.filters):
        if len(topic.encode()) > TOPIC_OCTETS or topic.count("/") > TOPIC_SLASHES:
            raise UserError(f"{topic}: a topic of AWS IoT Core has at most {TOPIC_OCTETS} octets and {TOPIC_SLASHES} "
                            "slashes: shorten utility or groups")
    if len(topics.filters) > TOPICS_A_SUBSCRIBE * 2:
        raise UserError(f"{client_id}: {len(topics.filters)} topics are too many subscriptions")
    if MAX_BODY > PAYLOAD_OCTETS:
        raise UserError(f"{MAX_BODY} octets are more than a message of AWS IoT Core")


def document(topics: Topics, client_id: str, arn: str) -> str:
    """The least policy of one client, as JSON without spaces. arn: "arn:aws:iot:REGION:ACCOUNT:".

    It connects under its own client id only, which is the name of the thing that its certificate is attached to;
    publishes `write`, retained only what is in `retain`; subscribes to `filters` and receives what they stand for.
    UserError for what is beyond the service's limits.
    """
    check_limits(topics, client_id)

    def allow(action, kind, names, **more):
        found = [f"{arn}{kind}/{name}" for name in dict.fromkeys(names)]
        return {"Effect": "Allow", "Action": f"iot:{action}", "Resource": found if len(found) > 1 else found[0], **more}

    statements = [
        allow("Connect", "client", [client_id],
              Condition={"Bool": {"iot:Connection.Thing.IsAttached": "true"}}),
        allow("Publish", "topic", map(_any, topics.write)),
        allow("RetainPublish", "topic", map(_any, topics.retain)),
        allow("Subscribe", "topicfilter", topics.filters),
        allow("Receive", "topic", map(_below, topics.filters)),  # what comes is bounded by what can be subscribed to
    ]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    if len(text.encode()) > POLICY_OCTETS:
        raise UserError(f"{client_id}: its policy has {len(text.encode())} octets, AWS IoT Core takes {POLICY_OCTETS}: "
                        "shorten utility or groups, or have fewer groups")
    return text


def _any(topic):
    """A topic with open levels, as a policy's resource; what an EMD may write to groups is one, for want of space."""
    before, group, _ = topic.partition("/group/+/")
    return f"{before}/group/*" if group else topic.replace("+/+", "*").replace("+", "*")


def _below(topic):
    return topic.split("+")[0] + "*" if "+" in topic else topic


def wrong_link(section: dict) -> list[tuple[str, str]]:
    """(field, what would be right) of what AWS IoT Core does not take in a section `mqtt` of a config.json."""
    if not str(section.get("host", "")).endswith(HOSTS):
        return []
    found = []
    if section.get("port", PORT) != PORT:
        found.append(("port", f"{PORT} with AWS IoT Core: its port 443 wants ALPN, which MicroPython 1.25 has not"))
    low, high = KEEPALIVE_S
    if not low <= section.get("keepalive", 60) <= high:
        found.append(("keepalive", f"{low} to {high} s with AWS IoT Core, not {section['keepalive']}"))
    if "-ats." not in section["host"]:
        found.append(("host", "the endpoint with -ats in its name: the other's certificate is by a retired authority"))
    return found
