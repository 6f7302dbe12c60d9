"""A device on a cable: MicroPython at one end of a pseudo-terminal, the bridge of `spot slipmux` and aiocoap at the
other."""

import asyncio
import os
import pty
import threading
import tty

import aiocoap
import pytest
from aiocoap.numbers.codes import Code

from spot.codes import CH_CMD, CH_STATUS
from spot_host import slipmux
from spot_host.errors import UserError
from tests.unix.link.coap_harness import CoapEmd, config, free_port, until


class Cable:
    """Two pseudo-terminals, one for each end, and whoever carries octets between them: `noise` spoils some."""

    def __init__(self):
        self.ends = [pty.openpty(), pty.openpty()]
        for pair in self.ends:
            for fd in pair:
                tty.setraw(fd)
        self.device, self.host = (os.ttyname(pair[1]) for pair in self.ends)
        self.noise = lambda octets: octets
        for here, there in ((0, 1), (1, 0)):
            threading.Thread(target=self._carry, args=(self.ends[here][0], self.ends[there][0]), daemon=True).start()

    def _carry(self, source, target):
        try:
            while octets := os.read(source, 512):
                os.write(target, self.noise(octets))
        except OSError:
            pass

    def print(self, text):
        """What a board prints past the framing, as a bootloader does."""
        os.write(self.ends[1][0], text)


class Bridge:
    """`spot slipmux` in a thread; `said`: what it printed."""

    def __init__(self, cable, emd=None):
        self.said, self.port = [], free_port()
        ready = threading.Event()

        def started(bridge):
            self.bridge = bridge
            ready.set()

        async def serve():
            self._task = asyncio.current_task()
            self._loop = asyncio.get_running_loop()
            await slipmux.serve(cable, ("127.0.0.1", self.port), self.said.append, emd, ready=started)

        self._thread = threading.Thread(target=lambda: asyncio.run(_quiet(serve())), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(5)

    def ask(self, code, path, payload=b"", **options):
        """A CoAP tool of its own asks the board."""

        async def once():
            context = await aiocoap.Context.create_client_context()
            try:
                uri = f"coap://127.0.0.1:{self.port}/{path}"
                return await context.request(aiocoap.Message(code=code, uri=uri, payload=payload, **options)).response
            finally:
                await context.shutdown()

        return asyncio.run(asyncio.wait_for(once(), 15))


async def _quiet(work):
    try:
        await work
    except asyncio.CancelledError:
        pass


@pytest.fixture
def cable():
    return Cable()


def device_config(cable, **more):
    return config("slipmux:" + cable.device, print=True, **more)


def test_a_tool_talks_to_a_bare_board_while_it_prints_its_log(cable, device):
    with Bridge(cable.host) as bridge:
        process = device(device_config(cable))
        process.expect("started")
        links = bridge.ask(Code.GET, ".well-known/core").payload.decode()
        assert '</cmd>;rt="spot.cmd"' in links
        assert bridge.ask(Code.POST, "cmd", b"\x07limit").code == Code.CHANGED
        process.expect("message", CH_CMD)
        process.expect("log", "link.timeout", timeout=30)  # nobody is its EMD
        until(lambda: any("link.timeout" in line for line in bridge.said))


def test_the_boards_own_requests_reach_its_emd(cable, device):
    with CoapEmd() as emd, Bridge(cable.host, ("127.0.0.1", emd.port)) as bridge:
        process = device(device_config(cable))
        process.expect("up")
        process.send(CH_STATUS, bytes(range(0xB0, 0xE0)))  # among them what SLIP escapes
        emd.wait(lambda seen: bytes(range(0xB0, 0xE0)) in [one[1] for one in seen])
        assert emd.send("cmd", b"\x07limit").code == Code.CHANGED
        process.expect("message", CH_CMD)
        assert bridge.ask(Code.GET, "status").payload == bytes(range(0xB0, 0xE0))
        assert bridge.bridge.counts["damaged"] == 0


def test_noise_and_prints_past_the_framing_cost_repeats_alone(cable, device):
    with CoapEmd() as emd, Bridge(cable.host, ("127.0.0.1", emd.port)) as bridge:
        process = device(device_config(cable))
        process.expect("up")
        spoil = iter(range(10**6))
        cable.noise = lambda octets: octets if next(spoil) % 5 else bytes([octets[0] ^ 0x10]) + octets[1:]
        bodies = [b"\x07" + bytes([i]) * 60 for i in range(8)]
        for body in bodies:
            cable.print(b"Traceback (most recent call last):\r\n")
            process.send(CH_STATUS, body)
        emd.wait(lambda seen: bodies[-1] in [one[1] for one in seen], timeout=50)
        assert list(dict.fromkeys(emd.bodies("status"))) == bodies  # in order; a reconnection may repeat one

        def said():
            if not any("Traceback" in line for line in bridge.said):
                cable.print(b"\r\nTraceback (most recent call last):\r\n")  # noise may have met all the others
                return False
            return True

        until(said)


def test_a_cable_that_is_pulled_out_is_said(device, tmp_path):
    process = device(config("slipmux:" + str(tmp_path / "nothing")))
    process.expect("log", "link.serial")
    master, slave = pty.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    process = device(config("slipmux:" + name))
    process.expect("started")
    os.close(master)
    process.expect("log", "link.serial")


def test_a_cable_that_takes_nothing_does_not_stop_the_loop(device):
    master, slave = pty.openpty()
    tty.setraw(slave)
    process = device(config("slipmux:" + os.ttyname(slave)))
    process.expect("started")
    process.expect("log", "link.timeout", timeout=30)
    assert process.ask("gap") < 500
    os.close(master)
    os.close(slave)


def test_routes_tell_several_tools_apart():
    routes = slipmux.Routes(emd="emd")
    get = bytes([0x42, 1]) + b"\x11\x11tA"
    other = bytes([0x42, 1]) + b"\x22\x22tB"
    routes.sent(get, "a")
    routes.sent(other, "b")
    assert routes.client(bytes([0x62, 0x45]) + b"\x11\x11tA") == "a"
    assert routes.client(bytes([0x60, 0x00]) + b"\x22\x22") == "b"  # an empty ACK
    assert routes.client(bytes([0x42, 0x45]) + b"\x99\x99tB") == "b"  # a separate response, a notification
    assert routes.client(bytes([0x42, 0x45]) + b"\x99\x99tC") is None
    assert routes.client(bytes([0x42, 2]) + b"\x33\x33tD") == "emd"
    for i in range(2000):
        routes.sent(bytes([0x42, 1]) + i.to_bytes(2, "big") + i.to_bytes(2, "big"), "c")
    assert len(routes._by_mid) <= 512 and len(routes._by_token) <= 512


def test_text_from_the_board_cannot_steer_the_terminal():
    said = []
    bridge = slipmux.Bridge(lambda octets: None, said.append)
    bridge.fed(b"\xc0\x0a\x1b[2J hello\n\xc0boot: ok\n\xc0")
    assert said == [" [2J hello", "boot: ok"]


@pytest.mark.parametrize(("board", "words"), [
    ("", "say which board"), ("pico_w_plug", "not isolated"), ("pico", None), ("nothing", "no board 'nothing'"),
    ("unix", None),
])
def test_a_board_with_the_mains_on_its_pins_is_refused(board, words):
    from spot_host.commands.slipmux import check_isolated

    if words is None:
        check_isolated(board)
    else:
        with pytest.raises(UserError, match=words):
            check_isolated(board)


def test_what_is_no_port_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be opened"):
        asyncio.run(slipmux.serve(str(tmp_path / "none"), ("127.0.0.1", 0), print))
    with pytest.raises(UserError, match="cannot be reached"):
        asyncio.run(slipmux.serve("socket://127.0.0.1:1", ("127.0.0.1", 0), print))
    with pytest.raises(UserError, match="--listen: 'here' is not host:port"):
        slipmux.endpoint("here", "--listen")
