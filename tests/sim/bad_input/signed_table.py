"""Broadcasts to a device that takes signed ones only."""

from spot_host.profile import codec
from spot_host.profile.examples import EXAMPLES
from tests.sim.bad_input.coap_house import Counted
from tests.sim.bad_input.house import House, Plug
from tests.sim.bad_input.wire_row import Row
from tests.unit.agent.test_signed import PRICE, PUBLIC, sign

_VALUES = {name: values for name, _, _, values in EXAMPLES}


class SignedPlug(Plug):
    """A plug with a signer's key."""

    def __init__(self, house, eui, **settings):
        super().__init__(house, eui, **settings)
        self.config["agent"] = {"signed_key": PUBLIC.hex()}


class SignedHouse(Counted, House):
    """A broadcast comes on channel `signed`."""

    kind = SignedPlug

    def __init__(self, **settings):
        self.opens = self.derived = self.used = 0
        super().__init__(**settings)
        self.begin()

    @property
    def signed(self):
        return self.plug.app.agent.seats[0].signed

    def begin(self):
        super().begin()
        self.used = self.signed._used

    def more(self):
        return ((self.signed._used - self.used, "verification"),)


def _parts(*choice, revision=1, change=lambda parts: parts, body=PRICE, seconds=60, **how):
    def do(house):
        parts = change(sign(revision, body, **how))
        for i in choice or range(len(parts)):
            house.give(parts[i], "signed")
        house.run(seconds)
    return do


def _flip(part, at):
    def change(parts):
        octets = bytearray(parts[part])
        octets[at] ^= 1
        return [*parts[:part], bytes(octets), *parts[part + 1 :]]
    return change


def _recoded(**values):
    """Fields of the first part other than they should be."""
    def change(parts):
        fields = codec.decode(parts[0]).values
        return [codec.encode("signed", {**fields, **values}), *parts[1:]]
    return change


def _after(*steps):
    """The last step is what counts."""
    def do(house):
        for step in steps[:-1]:
            step(house)
        house.begin()
        steps[-1](house)
    return do


def _mixed(house):
    one, two = sign(1, PRICE), sign(2, PRICE)
    for part in (one[0], one[1], two[2]):
        house.give(part, "signed")
    house.run(60)


def _forgeries(house):
    for revision in range(1, 21):
        _parts(revision=revision, change=_flip(1, -100))(house)


def _command(house):
    _parts(body=codec.encode("command", {**_VALUES["command_off"], "epoch": house.core.epoch}))(house)


ROWS = (
    Row("a price that nobody has signed", lambda h: h.give(PRICE, "price"), (), {"message.refused": 1}, "",
        said=("answer price: unprotected",)),
    Row("a signed price without its second part", _parts(0, 2), (), {}, "",
        note="Waits; gives way to a later revision, or after "
        "ten minutes to any."),
    Row("parts in the wrong order, some of them twice", _parts(2, 0, 0, 2, 1), (),
        {"signed.verified": 1, "price.taken": 1}, "8 flash operations, 1 verification", still=False,
        note="That is no fault."),
    Row("the same object again", _after(_parts(), _parts()), (), {}, ""),
    Row("an older revision", _after(_parts(revision=5), _parts(revision=4)), (), {}, ""),
    Row("parts of two revisions", _mixed, (), {}, ""),
    Row("another signer's object", _parts(change=lambda parts: [_other_id(p) for p in parts]), (), {}, ""),
    Row("a signature over something else", _parts(text=b"nothing of ours"), (), {"signed.refused": 1},
        "1 verification"),
    Row("a signature of revision 1 with revision 2", _parts(change=lambda parts: [_revision(p, 2) for p in parts]), (),
        {"signed.refused": 1}, "1 verification"),
    Row("one bit of the body turned over", _parts(change=_flip(0, -1)), (), {"signed.refused": 1}, "1 verification"),
    Row("one bit of the signature turned over", _parts(change=_flip(1, -100)), (), {"signed.refused": 1},
        "1 verification"),
    Row("a part beyond the number of parts", _parts(0, change=_recoded(part=3)), (), {"message.refused": 1}, "",
        said=("answer signed: out_of_range",)),
    Row("a part that is too short", _parts(0, change=_recoded(octets=b"short")), (), {"message.refused": 1}, "",
        said=("answer signed: out_of_range",)),
    Row("a signed command", _command, (), {"signed.verified": 1, "signed.inside": 1},
        "4 flash operations, 1 verification", note="A broadcast informs, it never commands."),
    Row("twenty forged objects in twenty minutes", _forgeries, (), {"signed.refused": 6, "signed.too_many": 14},
        "10 flash operations, 6 verifications", note="Six are looked at in an hour, 64 hashes in a turn."),
)


def _other_id(part):
    return codec.encode("signed", {**codec.decode(part).values, "key": b"stranger"})


def _revision(part, revision):
    return codec.encode("signed", {**codec.decode(part).values, "revision": revision})
