"""Topics, and the names that would make a topic mean more than itself."""

import pytest

from spot.codes import CHANNELS
from spot.link.topics import Topics
from spot_host import acl
from spot_host.errors import UserError

DEVICE = "02005e10000000a1"


def test_topics_of_a_device():
    topics = Topics("utility", "plug", DEVICE, ["area1", "area1"])
    for code, (name, way, *_) in enumerate(CHANNELS):
        own = f"der/utility/plug/{DEVICE}/{name}".encode()
        assert topics.up[code] == (own if way == "up" else None)
        assert topics.channel(own) == (code if way == "down" else -1)
        assert topics.channel(f"der/utility/group/area1/{name}".encode()) == (code if way == "group" else -1)
    assert topics.filters() == [f"der/utility/plug/{DEVICE}/cmd".encode(), b"der/utility/group/area1/+"]
    assert all(topic.count(b"/") <= 7 for topic in topics.filters() + topics.up if topic)


@pytest.mark.parametrize("bad", ["", "+", "#", "a/b", "a b", "ü", "$SYS", "x" * 65, "a\0"])
def test_names_that_are_refused(bad):
    for arguments in ((bad, "plug", DEVICE), ("u", bad, DEVICE), ("u", "plug", bad), ("u", "plug", DEVICE, [bad])):
        with pytest.raises(ValueError, match="characters|letters"):
            Topics(*arguments)
    for call in (lambda: acl.rules(bad, []), lambda: acl.rules("u", [acl.DeviceAccess(bad, "plug")]),
                 lambda: acl.rules("u", [acl.DeviceAccess(DEVICE, bad)]), lambda: acl.rules("u", [], [bad]),
                 lambda: acl.rules("u", [acl.DeviceAccess(DEVICE, "plug", (bad,))])):
        with pytest.raises(UserError):
            call()


def test_group_is_no_class():
    """Else a device's own topics would be a group's."""
    with pytest.raises(ValueError, match="reserved"):
        Topics("utility", "group", DEVICE)
    with pytest.raises(UserError, match="group"):
        acl.rules("utility", [acl.DeviceAccess(DEVICE, "group")])


def test_names_that_are_too_long_together():
    with pytest.raises(ValueError, match="together"):
        Topics("u" * 64, "c" * 64, DEVICE)


def test_rules_of_a_device_and_an_emd():
    text = acl.rules("utility", [acl.DeviceAccess(DEVICE, "plug", ("area1",))], ["emd"])
    emd, device = text.split("\nuser ")[1:]
    assert device.splitlines()[0] == DEVICE and emd.splitlines()[0] == "emd"
    own = f"der/utility/plug/{DEVICE}"
    ways = {way: [name for name, where, *_ in CHANNELS if where == way] for way in ("up", "down", "group")}
    assert set(device.split("\n")[1:]) - {""} == {
        *(f"topic write {own}/{name}" for name in ways["up"]), *(f"topic read {own}/{name}" for name in ways["down"]),
        *(f"topic read der/utility/group/area1/{name}" for name in ways["group"])}
    assert not [line for line in device.splitlines() if "write" in line and ("cmd" in line or "group" in line)]
    assert set(emd.split("\n")[1:]) - {""} == {
        *(f"topic read der/utility/+/+/{name}" for name in ways["up"]),
        *(f"topic write der/utility/+/+/{name}" for name in ways["down"]),
        *(f"topic readwrite der/utility/group/+/{name}" for name in ways["group"])}
