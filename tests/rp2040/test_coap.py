"""A plug with CoAP and OSCORE on the chip: what a Pico gets, but for the network, against aiocoap's OSCORE and the
reference EMD's core. In the order of a device's life: joined, commanded, attacked, restarted.
"""

import pytest
from aiocoap.numbers.codes import Code

from spot.codes import STATE_STARTED
from spot_host.profile import codec
from tests.bench.bounds import BOUNDS
from tests.rp2040 import board as boards
from tests.rp2040 import plug as plugs

STACK = 6000  # octets, of the 12,032 that there are: littlefs comes on top, and asyncio where the script is; 5,724 seen


@pytest.fixture(scope="module")
def plug(rp2040_rig, tmp_path_factory):
    with boards.Board(rp2040_rig, tmp_path_factory.mktemp("coap")) as board:
        board.load(plugs.image())
        plug = plugs.Plug(board)
        plug.start()
        plug.join()
        yield plug


def test_a_command_is_carried_out_answered_and_reported(plug):
    """Protected 2.04 that the EMD opens, the pin moves in time, a status says so."""
    assert plug.relay == 1  # the household's last choice
    for kind, level in (("off", 0), ("on", 1), ("off", 0)):
        body = plug.body(kind)
        token, datagram = plug.request(body)
        more = plug.turn(datagram)
        assert plug.opened(token) == (Code.CHANGED, b"", None)
        assert plug.relay == level and plug.times[0][0] / 1000 <= BOUNDS["rp2040.oscore_command_to_relay.ms"].high
        plug.settle(*more, ms=100)
        revision = codec.decode(body).values["revision"]
        status = plug.told("status")[-1]
        assert status["revision"] == revision and status["state"] == STATE_STARTED
    assert plug.stack < STACK


def test_a_replay_moves_nothing(plug):
    """The very datagram gets the very answer; with another message id it is refused, and not by the agent."""
    token, datagram = plug.request(plug.body("on"))
    more = plug.turn(datagram)
    plug.settle(*more)
    plug.settle(*plug.turn(plug.request(plug.body("off"))[1]))
    taken = plug.received
    assert plug.relay == 0
    first = plug.answers.pop(token)
    plug.settle(*plug.turn(datagram))
    assert plug.answers.pop(token).payload == first.payload
    plug.settle(*plug.turn(datagram[:2] + bytes([datagram[2] ^ 0x55]) + datagram[3:]))
    answer = plug.answers[token]
    assert answer.code == Code.UNAUTHORIZED and answer.payload == b"Replay detected"
    assert plug.relay == 0 and plug.received == taken and plug.log["oscore.replay"] == 1


def test_another_key_moves_nothing(plug):
    taken = plug.received
    token, datagram = plug.request(plug.body("on"), keys=plugs.context(secret="ff" * 16, first=5000))
    plug.settle(*plug.turn(datagram))
    assert plug.answers[token].code == Code.BAD_REQUEST and plug.answers[token].payload == b"Decryption failed"
    assert plug.relay == 0 and plug.received == taken and plug.log["oscore.forged"] == 1


def test_after_a_restart_it_asks_for_proof(plug):
    """Its window is gone: a command that was held back is answered by a protected 4.01 with Echo, and so is the EMD's
    next message, which comes again with that Echo; then everything goes on under the same keys."""
    recorded = plug.request(plug.body("on"))
    plug.start()
    plug.answers.clear()
    more = plug.turn(recorded[1])
    code, _, echo = plug.opened(recorded[0])
    assert code == Code.UNAUTHORIZED and len(echo) == 8
    assert plug.received == 0 and plug.log["oscore.echo"] == 1
    plug.settle(*more)
    plug.join()
    assert plug.proofs >= 1
    before = plug.relay
    token, datagram = plug.request(plug.body("off" if before else "on"))
    more = plug.turn(datagram)
    assert plug.opened(token)[0] == Code.CHANGED and plug.relay == 1 - before
    plug.settle(*more)
