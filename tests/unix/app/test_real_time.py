"""The whole firmware in real time: it registers, a command moves the relay at once and ends by itself, and the
goodbye is said."""

import json
import time

from spot_host.emd.config import Association, EmdConfig
from spot_host.emd.core import EmdCore
from spot_host.emd.storage import MemoryStorage
from spot_host.profile import codec
from spot_host.profile.cddl import validator
from spot_sim.home import Home, Place
from tests.unix.app.rig import EUI, STATE

_DEADLINE_S = 75  # more than a heartbeat of 60 s


class Live:
    """The EMD beside a process on the clock of the wall."""

    def __init__(self, home):
        self.post, self.said, self.online = home.mqtt, [], []
        self.post.taps.append(self._tap)
        self.core = EmdCore(
            EmdConfig(plan_prices=False, association=Association(jitter_s=0)),
            MemoryStorage(),
            self.post,
            int(time.time()),
        )

    def _tap(self, way, _who, _name, body):
        validator().check(body)
        if way == "up":
            message = codec.decode(body)
            if message.name == "status":
                self.said.append((message["id"], STATE[message["state"]]))
            if message.name == "link":
                self.online.append(message["online"])

    def work_until(self, condition):
        """Works as an EMD does until `condition()`; fails at the deadline."""
        deadline = time.monotonic() + _DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, (self.said, self.core.devices)
            self.post.await_arrival(EUI, self.post.arrived(EUI) + 1, 0.05)
            now = int(time.time())
            for device, channel, body in self.post.take():
                self.core.receive(now, device, channel, body)
            self.core.step(now)


def _moves(process, pin):
    """The next position of a pin."""
    while True:
        for name, value in json.loads(process.line(_DEADLINE_S))["out"]:
            if name == pin:
                return value


def test_a_command_in_real_time(micropython_path, mosquitto_path, tmp_path):
    place = Place(EUI, "unix", "plug")
    with Home(tmp_path, [place]) as home:
        live, process = Live(home), home.process(place, lockstep=False)
        process.start()
        live.work_until(lambda: EUI in live.core.devices and live.core.devices[EUI].mode == 1)
        while _moves(process, "pin2") != 1:  # the cold start: open, then the household's choice
            pass
        command = live.core.command(int(time.time()), EUI, "off", duration=3)
        begun = time.monotonic()
        live.core.step(int(time.time()))
        assert _moves(process, "pin2") == 0
        live.work_until(lambda: (command.id, "completed") in live.said)
        assert _moves(process, "pin2") == 1
        assert time.monotonic() - begun >= 2  # not before its end; whole seconds on both sides
        assert [s for i, s in live.said if i == command.id][:2] == ["received", "started"]
        process.stop()
        live.work_until(lambda: live.online and live.online[-1] != 1)
