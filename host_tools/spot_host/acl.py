"""Access rules for mosquitto, generated with the certificates: who may write and read which topic.

A device writes its own topics and reads its own commands and its groups; an EMD alone writes commands and group topics,
and reads what devices send. Rules are explicit for each device: taking one out (revocation) works on live sessions.
"""

from dataclasses import dataclass

from .errors import UserError
from .profile.definition import CHANNELS

_UP = [name for _, name, way, *_ in CHANNELS if way == "up"]
_RETAINED = [name for _, name, way, retained, _ in CHANNELS if way == "up" and retained]
_DOWN = [name for _, name, way, *_ in CHANNELS if way == "down"]
_GROUP = [name for _, name, way, *_ in CHANNELS if way == "group"]
_LEVEL = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@dataclass(frozen=True)
class DeviceAccess:
    """A device at the broker: its EUI-64 (also its certificate's common name), class and groups."""

    device: str
    device_class: str
    groups: tuple[str, ...] = ()


def _level(text):
    if not text or set(text) - _LEVEL or len(text) > 64:
        raise UserError(f"{text!r}: a level of a topic is 1 to 64 letters, digits, '-', '_' or '.'")
    return text


@dataclass(frozen=True)
class Topics:
    """All that one client may do, as topics; `+` stands for a level. What is not here is refused.

    write, read: topics of messages. retain: those of `write` that may be retained. filters: what it subscribes to.
    """

    write: tuple[str, ...]
    retain: tuple[str, ...]
    read: tuple[str, ...]
    filters: tuple[str, ...]


def device_topics(utility: str, entry: DeviceAccess) -> Topics:
    """The topics of one device. UserError for a name with wildcards or slashes."""
    base = f"der/{_level(utility)}"
    if _level(entry.device_class) == "group":
        raise UserError("'group' is not a device class: its topics are the groups'")
    own = f"{base}/{entry.device_class}/{_level(entry.device)}"
    down = tuple(f"{own}/{channel}" for channel in _DOWN)
    groups = [f"{base}/group/{_level(group)}" for group in entry.groups]
    return Topics(
        tuple(f"{own}/{channel}" for channel in _UP),
        tuple(f"{own}/{channel}" for channel in _RETAINED),
        (*down, *(f"{group}/{channel}" for group in groups for channel in _GROUP)),
        (*down, *(f"{group}/+" for group in groups)),
    )


def emd_topics(utility: str) -> Topics:
    """The topics of an EMD."""
    base = f"der/{_level(utility)}"
    up = tuple(f"{base}/+/+/{channel}" for channel in _UP)
    groups = tuple(f"{base}/group/+/{channel}" for channel in _GROUP)  # a utility may broadcast, too
    return Topics((*(f"{base}/+/+/{channel}" for channel in _DOWN), *groups), groups, (*up, *groups), (*up, *groups))


def rules(utility: str, devices, emds=("emd",)) -> str:
    """The text of mosquitto's `acl_file`. UserError for a name with wildcards or slashes."""
    lines = ["# Generated: spot_host.acl. What is not allowed here is refused."]
    for user, topics in [*((_level(emd), emd_topics(utility)) for emd in emds),
                         *((entry.device, device_topics(utility, entry)) for entry in devices)]:
        lines += ["", f"user {user}"]
        both = set(topics.write) & set(topics.read)
        lines += [f"topic write {topic}" for topic in topics.write if topic not in both]
        lines += [f"topic readwrite {topic}" for topic in topics.write if topic in both]
        lines += [f"topic read {topic}" for topic in topics.read if topic not in both]
    return "\n".join(lines) + "\n"
