"""A device with nothing but its link, on MicroPython: `device.py CONFIG.json`. One JSON line for what happens.

Lines in, each a JSON list: ["send", channel, hex], ["gap"] (say the worst gap of the control loop since last asked,
and start afresh), ["heap"], ["pending"], ["group", name], ["urgent", channel, hex], ["flood", octet] (telemetry without
end, for as long as it is accepted), ["counts"], ["close"]. The control loop is a task that ticks every 20 ms.
"""

import json
import sys

from spot.codes import CH_TELEMETRY
from spot.link.mqtt import MqttLink
from spot.link.resolve import Resolver
from spot.log import Log
from spot.port import asyncio, gc, ticks_diff, ticks_ms

_TICK_MS = 20


def say(**what):
    print(json.dumps(what))


class _Full:
    """The store's put, until the flash is full."""

    def __init__(self, put, left):
        self._put, self._left = put, left

    def __call__(self, name, data):
        self._left -= 1
        if self._left < 0:
            raise OSError(28)
        self._put(name, data)


def _coap(config, *rest):
    """A link over CoAP, with the RFC's first timeout shortened; "pairing": what is in such a file."""
    from spot.link.coap import CoapLink
    from spot.wire import coap_endpoint

    if "ack_timeout_ms" in config:
        coap_endpoint.ACK_TIMEOUT_MS = config["ack_timeout_ms"]
        coap_endpoint.ACK_TIMEOUT_MAX_MS = config["ack_timeout_ms"] * 3 // 2
    keyring = None
    if "pairing" in config:
        from spot.store import Store
        from spot.wire.keyring import Keyring

        store = Store(None, config["store"], rest[-1])
        store.put = _Full(store.put, config.get("full_after", 1000000))
        keyring = Keyring(config["pairing"], store, "", rest[-1])
    if "now" in config:
        config["unix"] = lambda: config["now"]
    return CoapLink(config, *rest, keyring)


class Device:
    def __init__(self, config):
        self.log = Log(64, 0, lambda level, event, a, b: say(log=event, a=a, b=b))
        if "will" in config:
            config["will"] = bytes(config["will"], "ascii")
        if "dns" in config:
            config["resolver"] = Resolver([tuple(server) for server in config["dns"]], timeout_ms=config["dns_ms"])
        self.link = (_coap if "uri" in config else MqttLink)(
            config, self.on_message, self.on_up, self.on_down, self.log
        )
        if config.get("print"):  # the log goes along the cable as well
            self.log.sink = self.log_both
        self.worst_ms = 0
        self.fail = config.get("fail", False)
        self.waiting = []
        self.flood = b""

    def log_both(self, level, event, a, b):
        say(log=event, a=a, b=b)
        self.link.say("%s %d %d" % (event, a, b))

    def on_message(self, channel, buf, n):
        say(message=channel, body=bytes(buf[:n]).hex())
        if self.fail:
            raise RuntimeError("application")

    def on_up(self, session_present):
        say(up=session_present)

    def on_down(self):
        say(down=True)

    async def control_loop(self):
        before = ticks_ms()
        while True:
            await asyncio.sleep_ms(_TICK_MS)
            now = ticks_ms()
            self.worst_ms = max(self.worst_ms, ticks_diff(now, before) - _TICK_MS)
            before = now
            while self.waiting:  # as the agent does: what was not accepted is tried again
                number, channel, body = self.waiting[0]
                if not self.link.send(channel, body, len(body)):
                    break
                self.waiting.pop(0)
                say(accepted=number)

    async def flooding(self):
        while True:
            taken = self.flood and self.link.send(CH_TELEMETRY, self.flood, len(self.flood))
            await asyncio.sleep_ms(0 if taken else 2)

    async def commands(self):
        lines = asyncio.StreamReader(sys.stdin)
        number = 0
        while True:
            line = await lines.readline()
            if not line:
                return
            what = json.loads(line)
            if what[0] == "send":
                self.waiting.append((number, what[1], bytes.fromhex(what[2])))
                number += 1
            elif what[0] == "urgent":
                body = bytes.fromhex(what[2])
                say(urgent=self.link.send(what[1], body, len(body), True))
            elif what[0] == "gap":
                say(gap=self.worst_ms)
                self.worst_ms = 0
            elif what[0] == "heap":
                gc.collect()
                say(heap=gc.mem_alloc())
            elif what[0] == "pending":
                say(pending=self.link.pending)
            elif what[0] == "flood":
                self.flood = bytes([what[1]]) * 1000 if what[1] else b""
            elif what[0] == "group":
                self.link.subscribe_group(what[1])
            elif what[0] == "counts":
                say(counts=[self.link.sent, self.link.received, self.link.pending])
            elif what[0] == "close":
                self.link.close()

    async def run(self):
        loop = asyncio.create_task(self.control_loop())
        flood = asyncio.create_task(self.flooding())
        reader = asyncio.create_task(self.commands())
        say(started=True)
        await self.link.run()
        loop.cancel()
        reader.cancel()
        flood.cancel()
        say(ended=True)


with open(sys.argv[1]) as file:
    asyncio.run(Device(json.load(file)).run())
