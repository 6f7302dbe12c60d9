"""COSE through a broker that may do what it likes, to a device and to the EMD."""

from spot_host.emd.secure import Secure
from spot_host.pairing import Pairing
from tests.sim.bad_input.coap_house import NEW, SALT
from tests.sim.bad_input.cose_house import pairing
from tests.sim.bad_input.house import PLUG, PUMP, WITNESS
from tests.sim.bad_input.wire_row import RUNS, Row


def _own(change=lambda octets: octets, channel="cmd", sealed_for="cmd"):
    return lambda house: house.bring(change(house.sealed(channel=sealed_for)), channel)


def _by(channel="cmd", **cose):
    return lambda house: house.bring(house.by(house.other(**cose), channel))


def _head(octets):
    """Array of three with its length in an octet of its own: the same value, in another form."""
    return b"\x98\x03" + octets[1:]


def _indefinite(octets):
    return b"\x9f" + octets[1:] + b"\xff"


def _extra(octets):
    """A third header: 0 with null."""
    return octets[:2] + b"\xa3" + octets[3:6] + b"\0\xf6" + octets[6:]


def _piv(value):
    def change(octets):
        at = octets.index(b"\x06", 3)
        return octets[: at + 1] + bytes((0x40 + len(value),)) + value + octets[at + 2 + (octets[at + 1] & 31) :]
    return change


def _all(make):
    """Everything that `make` makes of a sealed message, then the message itself."""
    def do(house):
        octets = house.sealed()
        for bad in make(octets):
            house.bring(bad)
        assert house.memory() == house.before
        house.begin()
        house.bring(octets)
    return do


def _flips(octets):
    return [octets[:at] + bytes((octets[at] ^ 1 << bit,)) + octets[at + 1 :]
            for at in range(len(octets)) for bit in range(8)]


def _cuts(octets):
    return [octets[:n] for n in range(len(octets))]


def _twice(house):
    octets = house.sealed()
    house.bring(octets)
    house.bring(octets)


def _old(house):
    held = house.sealed()
    for _ in range(40):
        house.bring(house.sealed(house.body("unlimited")))
    house.begin()
    house.bring(held)


def _after_restart(ran):
    def do(house):
        octets = house.sealed()
        if ran:
            house.bring(octets)
            house.run(700)
            del house.plug.load.edges[:]
        house.restart()
        house.bring(octets)
    return do


def _uncounted(house):
    """The plug starts with a flash that takes nothing, so that the next start has this one's number."""
    house.plug.fs.capacity = house.plug.fs._used()
    house.restart()
    house.bring(house.sealed())


def _no_numbers(house):
    house.plug.fs.capacity = house.plug.fs._used()
    lost = house.lost
    house.restart(0)
    house.run(60)
    assert house.lost == lost  # the EMD heard nothing that it could not open


def _counted_again(house):
    house.plug.fs.capacity = None
    house.restart()


def _rotated(house):
    assert house.plug.keyring.offer(1, NEW) == 0
    house.keyrings.set({PLUG: [pairing(), pairing(NEW, 1)]}, {PLUG: "both"})
    house.keyrings.offered(PLUG, 1)
    house.bring(house.sealed(house.body("unlimited", 4999)))


def _old_generation(house):
    held = house.sealed()
    _rotated(house)
    house.begin()
    house.bring(held)


def _flood(house):
    octets = house.by(house.other())
    for i in range(1, 1001):
        house.bring(octets[:-2] + (int.from_bytes(octets[-2:], "big") ^ i).to_bytes(2, "big"))


MANY = ("alarm messages_refused raised", "alarm messages_refused cleared")
SILENT = "Whoever made it learns nothing."

DEVICE = (
    Row("a command that nobody has protected", lambda h: h.bring(h.body()), (), {"security.refused": 1}, "",
        note=SILENT),
    Row("nothing at all (sealed or not)", lambda h: h.bring(b""), (), {"security.refused": 1}, ""),
    Row("a key id that nobody has", _by(sender=b"\x07"), (), {"security.refused": 1}, ""),
    Row("the right key id and another secret", _by(secret=NEW), (), {"security.refused": 1}, "1 decryption"),
    Row("keys of a generation that was never given", _by(generation=b"\1"), (), {"security.refused": 1}, ""),
    Row("a command of generation 0 after the change to generation 1", _old_generation, (), {"security.refused": 1}, "",
        still=False),
    Row("the same message twice", _twice, (), {"security.refused": 1}, "1 decryption, 6 flash operations", load=RUNS,
        still=False, note="It runs once."),
    Row("a command that was held back while 40 others came", _old, (), {"security.refused": 1}, ""),
    Row("a command from before a restart, replayed after it", _after_restart(True), (), {"security.refused": 1},
        "1 decryption",
        note="The start is bound into it: no flash was written for that."),
    Row("a command that was held back over a restart", _after_restart(False), (), {"security.refused": 1},
        "1 decryption",
        note="The EMD sends it anew when the device has registered."),
    Row("a command in a start that flash did not count", _uncounted, (), {"security.refused": 1}, "",
        after=_counted_again, still=False,
        note="The next start would have the same number: what was recorded in this one would pass there."),
    Row("a start with a flash that takes no sequence numbers", _no_numbers, (),
        {"security.not_sealed": 3, "security.refused": 1}, "21 flash operations", after=_counted_again, still=False,
        note="Nothing leaves in the clear: the device is silent until flash takes them, and in failsafe as after "
        "any loss of the EMD."),
    Row("a command under the number of another start", _by(boot=99), (), {"security.refused": 1}, "1 decryption"),
    Row("a message that was sealed for another channel", lambda h: h.bring(h.by(h.other(), "time")), (),
        {"security.refused": 1}, "1 decryption"),
    Row("a sealed command on a group's channel", _own(channel="price"), (), {"message.refused": 1}, "1 decryption",
        said=("answer 0: malformed",),
        note="Broadcasts are not sealed: it is no price."),
    Row("another device's command", _by(secret=NEW, recipient=b"\2"), (), {"security.refused": 1}, "1 decryption"),
    Row("what the device itself sent", lambda h: h.bring(h.sealed_up()), (), {"security.refused": 1}, ""),
    Row("COSE_Mac0 instead of COSE_Encrypt0", _by(mac=True), (), {"security.refused": 1}, ""),
    Row("a truncated tag", _own(lambda o: o[:-4]), (), {"security.refused": 1}, ""),
    Row("one octet more", _own(lambda o: o + b"\0"), (), {"security.refused": 1}, ""),
    Row("an array head that is not in its shortest form", _own(_head), (), {"security.refused": 1}, ""),
    Row("an array of indefinite length", _own(_indefinite), (), {"security.refused": 1}, ""),
    Row("one header more", _own(_extra), (), {"security.refused": 1}, ""),
    Row("an empty number", _own(_piv(b"")), (), {"security.refused": 1}, ""),
    Row("a number with a leading zero", _own(_piv(b"\0\1")), (), {"security.refused": 1}, ""),
    Row("a number above 2^30", _own(_piv(b"\x40\0\0\0")), (), {"security.refused": 1}, ""),
    Row("a number of five octets", _own(_piv(b"\1\0\0\0\0")), (), {"security.refused": 1}, ""),
    Row("a sealed body of 1,300 octets",
        lambda h: h.bring(b"\x83\x40\xa2\x04\x41\0\x06\x41\x09\x59\x05\x14" + bytes(1300)),
        (), {"security.refused": 1}, ""),
    Row("each bit of a sealed command turned over, one by one", _all(_flips), (), {},
        "1 decryption, 6 flash operations", load=RUNS, still=False,
        said=MANY, note="None is taken; then the command itself is, and runs."),
    Row("a sealed command cut at each octet", _all(_cuts), (), {}, "1 decryption, 6 flash operations", load=RUNS,
        still=False, said=MANY, note="As above."),
    Row("a thousand forged messages", _flood, (), {"security.refused": 1000}, "1000 decryptions, 1 flash operation",
        said=MANY, note="One alarm; each costs a decryption."),
)


def _up(change=lambda octets: octets, channel="telemetry", eui=PLUG):
    return lambda house: house.bring(change(house.sealed_up()), channel, eui)


def _up_by(**cose):
    def do(house):
        house.bring(house.by(house.other(**{"device": True, "sender": b"\1", "recipient": b"\0", **cose}), "telemetry",
                             house.reading()))
    return do


def _up_twice(house):
    octets = house.sealed_up(house.reading())
    house.bring(octets)
    house.begin()
    house.bring(octets)


def _up_all(make):
    def do(house):
        octets = house.sealed_up()
        for bad in make(octets):
            house.bring(bad)
        assert house.memory() == house.before
        house.begin()
        house.bring(octets)
    return do


def _emd_restart(house):
    """The EMD has written the highest number, and starts again."""
    octets = house.sealed_up()
    house.bring(octets)
    house.secure.keep()
    house.keyrings.listeners.clear()
    house.secure = Secure(house.keyrings, house._boot_of, house._note)
    house.begin()
    house.bring(octets)


def _expired(house):
    """Another device's secret was never used, and its time is over."""
    late = Pairing(NEW, SALT, b"\2", until=house.utc - 1)
    house.keyrings.set({PLUG: [pairing()], PUMP: [late]}, {PLUG: "both", PUMP: "both"})
    house.bring(house.by(house.other(NEW, b"\2", b"\0", device=True), "telemetry", house.reading()), eui=PUMP)


TO_EMD = (
    Row("a reading that nobody has protected", lambda h: h.bring(h.reading()), (), {"cose_form": 1}, ""),
    Row("nothing at all, where COSE is due", lambda h: h.bring(b""), (), {"cose_form": 1}, ""),
    Row("a key id that no device has", _up_by(sender=b"\x07"), (), {"cose_kid": 1}, ""),
    Row("the device's key id and another secret", _up_by(secret=NEW), (), {"cose_forged": 1}, "1 decryption"),
    Row("a generation that was never given", _up_by(generation=b"\1"), (), {"cose_kid": 1}, ""),
    Row("the same reading twice", _up_twice, (), {"cose_replay": 1}, ""),
    Row("a reading from before the EMD's restart, replayed after it", _emd_restart, (), {"cose_replay": 1},
        "1 derivation"),
    Row("a reading on the channel of statuses", _up(channel="status"), (), {"cose_forged": 1}, "1 decryption"),
    Row("a sealed reading on another device's topic", _up(eui=WITNESS), (), {"counted on its row": 1}, "",
        note="That one has no COSE: it is no body."),
    Row("what the EMD itself sent", lambda h: h.bring(h.sealed(h.body("unlimited", 4000))), (), {"cose_kid": 1}, ""),
    Row("COSE_Mac0 to the EMD", _up_by(mac=True), (), {"cose_form": 1}, ""),
    Row("a reading with a truncated tag", _up(lambda o: o[:-4]), (), {"cose_form": 1}, ""),
    Row("a reading in an array that is not in its shortest form", _up(_head), (), {"cose_form": 1}, ""),
    Row("each bit of a sealed reading turned over, one by one", _up_all(_flips), (), {}, "1 decryption", still=False,
        note="None is taken; then the reading itself is."),
    Row("a sealed reading cut at each octet", _up_all(_cuts), (), {}, "1 decryption", still=False, note="As above."),
    Row("a message of 2,000 octets to the EMD", lambda h: h.bring(b"\x83" + bytes(2000)), (), {"cose_form": 1}, ""),
    Row("an expired pairing secret, at the EMD", _expired, (), {"pairing_expired": 1}, ""),
)
