"""Access rules for mosquitto, generated with the certificates: who may write and read which topic.

A device writes its own topics and reads its own commands and its groups; an EMD alone writes commands and group topics,
and reads what devices send. Rules are explicit for each device: taking one out (revocation) works on live sessions.
"""

from dataclasses import dataclass

from .errors import UserError
from .profile.definition import CHANNELS

_UP = [name for _, name, way, *_ in CHANNELS if way == "up"]
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


def rules(utility: str, devices, emds=("emd",)) -> str:
    """The text of mosquitto's `acl_file`. UserError for a name with wildcards or slashes."""
    base = f"der/{_level(utility)}"
    lines = ["# Generated: spot_host.acl. What is not allowed here is refused."]
    for emd in emds:
        lines += ["", f"user {_level(emd)}"]
        lines += [f"topic read {base}/+/+/{channel}" for channel in _UP]
        lines += [f"topic write {base}/+/+/{channel}" for channel in _DOWN]
        lines += [f"topic readwrite {base}/group/+/{channel}" for channel in _GROUP]  # a utility may broadcast, too
    for entry in devices:
        if _level(entry.device_class) == "group":
            raise UserError("'group' is not a device class: its topics are the groups'")
        own = f"{base}/{entry.device_class}/{_level(entry.device)}"
        lines += ["", f"user {entry.device}"]
        lines += [f"topic write {own}/{channel}" for channel in _UP]
        lines += [f"topic read {own}/{channel}" for channel in _DOWN]
        lines += [f"topic read {base}/group/{_level(group)}/{channel}" for group in entry.groups for channel in _GROUP]
    return "\n".join(lines) + "\n"
