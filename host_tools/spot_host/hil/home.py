"""Targets `serial` and `ip`: a real board that is enrolled in a home (`spot emd init`, `spot emd enroll`).

The EMD is the home's own, on its database, since sequence numbers under the boards' keys are kept there; only the plan
is a test's, with short times, and the home's plan is told again at the end. `serial`: the board's CoAP goes over
slipmux, through the bridge of `spot slipmux`. `ip`: the board dials; broker and CoAP server are started here.
"""

import asyncio
import contextlib
import json
import socket
import threading
import time

from filelock import FileLock, Timeout

from spot.config import load_board
from spot_host import slipmux
from spot_host.emd import config as emd_config
from spot_host.emd.service import EmdService
from spot_host.errors import UserError
from spot_host.home_folder import HomeFolder
from spot_host.toolchain import paths

from .target import Target, plan

_HERE = "127.0.0.1"
_REOPEN_S = 0.5
_OF_INSTRUMENT = {"power_switch": "power_cut", "wifi": "wifi_cut"}  # instrument: feature, where the names differ
_GOODBYE_S = 1.0


class _Service(EmdService):
    """The home's EMD, with a tap for the board under test. While the target is `silent` it hears and says nothing."""

    def __init__(self, config, target):
        self._target = target
        super().__init__(config, say=lambda at, eui, event, detail: target.record.event(at, f"{event} {detail}"))
        self.core.out = target

    def _receive(self, device, channel, body, device_class):
        target = self._target
        if device == target.eui:
            target.record.packet(self.now(), "up", channel, body)
        if target.silent:
            return None
        return super()._receive(device, channel, body, device_class)

    def _work(self, now):
        if not self._target.silent:
            super()._work(now)


class Cable:
    """The slipmux bridge to a port in a thread; opened again where the port went away (a board that resets)."""

    def __init__(self, port, baudrate, emd_port, say):
        self._port, self._baudrate, self._emd, self._say = port, baudrate, (_HERE, emd_port), say
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((_HERE, 0))
            self._listen = free.getsockname()
        self.cut, self._stopped, self._failure = False, False, None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self):
        """Raises UserError when the port cannot be opened."""
        self._thread.start()
        self._ready.wait(10)
        if self._failure is not None:
            raise self._failure

    def stop(self):
        self._stopped = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(5)

    async def _serve(self):
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            while not self._stopped:
                try:
                    await slipmux.serve(self._port, self._listen, self._say, self._emd, self._baudrate, self._gate)
                    self._say("(the serial port is gone)")
                except UserError as error:
                    if not self._ready.is_set():  # at the start it is the person's to mend
                        self._failure = error
                        self._ready.set()
                        return
                await asyncio.sleep(_REOPEN_S)

    def _gate(self, bridge):
        """Both directions pass here, unless the link is cut."""
        write, send = bridge._write, bridge.transport.sendto

        def to_board(octets):
            if not self.cut:
                write(octets)

        def to_emd(data, address):
            if not self.cut:
                send(data, address)

        bridge._write, bridge.transport.sendto = to_board, to_emd
        self._ready.set()


class HomeTarget(Target):
    """A board on a cable or in the network."""

    step_s = 0.1
    load_w = None

    def _begin(self):
        bench, self._instruments = self.spec.board, {}
        self.service = self._lock = self._broker = self._cable = self._console = None
        folder = bench.home if bench else (self.settings or {}).get("home")
        if not folder:
            raise UserError(f"--target: {self.spec.kind}: needs --hil-home FOLDER, or a board of an --inventory: the "
                            "home in which the board is enrolled (`spot emd init`, `spot emd enroll`)")
        self._home = home = HomeFolder(folder)
        self.eui = self._which(home, bench)
        self.board = home.boards[self.eui]
        on_mqtt = self._is_on_mqtt(home)
        if self.spec.kind == "ip" and self.spec.argument != home.host:
            raise UserError(f"--target: ip:{self.spec.argument}: the boards of {home.folder} connect to {home.host}")
        if self.spec.kind == "serial":
            if on_mqtt:
                raise UserError(f"{self.eui}: is configured for MQTT; on a cable its coap.uri is slipmux:…")
            isolated = load_board(self.board, str(paths.ROOT / "boards")).get("isolated")
            if slipmux.is_wired(self.spec.argument) and not isolated:
                raise UserError(f"{self.spec.argument}: {self.board} is not isolated: with the mains on its pins a "
                                "cable to a computer kills; use --target ip:ADDRESS")
        config = emd_config.load(home.folder / "emd.toml")
        self._usual = config.association
        config.association, config.plan_prices, config.events = plan(), False, []
        if not on_mqtt:
            config.mqtt.host = ""
        self._lock = FileLock(f"{config.database}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self._lock = None
            raise UserError(f"{config.database}: an EMD runs on it; end it first: one set of keys, one EMD") from None
        self.features = {"console"} if self.spec.kind == "serial" else set()
        if bench:
            self.patience, self.load_w = bench.patience, bench.load_w
            self._instruments = bench.instruments()
            self.features |= {_OF_INSTRUMENT.get(name, name) for name in self._instruments} | set(bench.features)
            if bench.load_w:
                self.features.add("consumes")
        if on_mqtt:
            self._broker = home.broker()
            self._broker.start()
            self.features |= {"broker", "link_cut"}
        self.service = _Service(config, self)
        self.core = self.service.core
        self.service.link.connect()
        if not on_mqtt:
            self.service._up()
        if self.spec.kind == "serial":
            baudrate = bench.baudrate if bench else 115200
            self._cable = Cable(self.spec.argument, baudrate, config.coap.udp_port, self.record.say)
            self._cable.start()
            self.features.add("link_cut")
        row = self.row
        if row is not None and row.registered:  # it may hold the home's plan
            self._until(lambda: self.row.mode is not None, 180, "heard")
            self._tell()

    @staticmethod
    def _which(home, bench):
        eui = bench.eui64 if bench else ""
        if not eui and len(home.boards) == 1:
            eui = next(iter(home.boards))
        if eui not in home.boards:
            raise UserError(f"{home.folder}: {eui or 'which board?'}: enrolled are {', '.join(home.boards) or 'none'}; "
                            "an inventory says eui64")
        return eui

    def _is_on_mqtt(self, home):
        path = home.folder / "devices" / self.eui / "config.json"
        try:
            return "mqtt" in json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be used: {error}") from error

    def _tell(self):
        """The plan, to a board that has registered before. The core does the same when the clocks are changed."""
        self.core._tell_plan(self.now, self.row)
        self.core.step(self.now)
        self.advance(0)

    def _end(self):
        service, self.service = getattr(self, "service", None), None
        try:
            if service is not None:
                self._farewell(service)
        finally:
            for part in (self._cable, *self._instruments.values()):
                if part is not None:
                    part.stop() if part is self._cable else part.close()
            if self._broker is not None:
                self._broker.stop()
            if self._lock is not None:
                self._lock.release()
            self._cable = self._broker = self._lock = None
            self._instruments = {}

    def _farewell(self, service):
        """The home's own plan again; then the EMD's parts end as its loop ends them."""
        try:
            if self.core is not None and self.row is not None and self.row.registered and self.controlled():
                service.config.association = self._usual
                self.service, self.silent = service, False
                self._tell()
                self.advance(_GOODBYE_S)
        finally:
            self.service = None
            service.core.close(service.now())
            service.link.close()
            if service.link.secure is not None:
                service.link.secure.keep()
            service.storage.close()

    @property
    def now(self):
        return int(time.time())

    def advance(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.service.turn()
            if time.monotonic() >= end:
                return

    def send(self, device, channel, body):
        if device != self.eui:
            return None if self.silent else self.service.link.send(device, channel, body)
        return super().send(device, channel, body)

    def publish(self, group, channel, body):
        if not self.silent:
            self.service.link.publish(group, channel, body)

    def _carry(self, channel, body):
        self.service.link.send(self.eui, channel, body)

    # What the bench can do

    def _relay(self):
        return self._instruments["relay_readback"].closed()

    def _power(self):
        return self._instruments["reference_meter"].power_w()

    def _cut_power(self, seconds):
        switch = self._instruments["power_switch"]
        switch.set(False)
        try:
            self.advance(seconds)
        finally:
            switch.set(True)

    def _cut_link(self, cut):
        if self._cable is not None:
            self._cable.cut = cut
        elif cut:
            self._broker.stop()
        else:
            self._broker.start()

    def cut_wifi(self, cut):
        """The access point goes off, or on again."""
        self.record.event(self.now, f"test: Wi-Fi {'off' if cut else 'on'}")
        self._instruments["wifi"].set(not cut)

    def _set_load(self, watts):
        if watts is not None:
            self._instruments["load"].set(watts)

    def _press(self, seconds):
        self._instruments["button"].press(seconds)
