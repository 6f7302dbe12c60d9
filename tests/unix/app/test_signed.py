"""Signed prices to a whole device: MicroPython, TLS, mosquitto, the EMD's core."""

import pytest

from spot.log import Log
from spot.store import Store
from spot_host import signing
from spot_host.emd.carousel import REPEAT_S
from spot_host.emd.tariff import PriceSeries
from spot_host.profile.codec import encode
from spot_host.profile.examples import EXAMPLES
from tests.unix.app.rig import NOON, Rig

PRICE = encode("price", next(values for name, _, _, values in EXAMPLES if name == "price96"))
UNPROTECTED = 38


@pytest.fixture
def signer(tmp_path):
    return signing.generate(tmp_path / "key", 5)


@pytest.fixture
def signed_rig(micropython_path, mosquitto_path, tmp_path, signer):
    with Rig(tmp_path, agent={"signed_key": signer.public.hex()}) as rig:
        rig.join()
        yield rig


def kept(rig, name):
    """What the device has in its flash under this name."""
    return Store(None, str(rig.home.folder / ("store-" + rig.place.eui64)), Log(16)).get(name)


def test_a_signed_price_is_taken_and_an_unsigned_one_refused(signed_rig, signer):
    rig = signed_rig
    rig.run(60)
    rig.core.set_prices(rig.utc, PriceSeries(NOON - NOON % 3600, 3600, (100.0,) * 12))
    rig.run(60)
    answers = [(v["about"], v["reason"]) for _, name, v in rig.seen if name == "answer"]
    assert (17, UNPROTECTED) in answers
    assert kept(rig, "price") is None
    _, bodies = signer.sign(PRICE)
    rig.core.publish_signed(rig.utc, bodies)
    rig.run(300)
    assert kept(rig, "price") == PRICE
    assert kept(rig, "signed") == signer.public[8:16] + b"\0\0\0\1"
    assert not [v for _, name, v in rig.seen if name == "answer" and v["about"] == 25]
    rig.run(REPEAT_S)  # another round costs nothing
    assert rig.row.mode == 1
