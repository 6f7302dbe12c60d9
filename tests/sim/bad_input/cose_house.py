"""A house whose plug is on MQTT through a broker that nobody trusts: COSE both ways, the firmware's at one end, the
EMD's at the other. What the broker makes of it is put between."""

from spot.codes import CHANNELS, RESET_WATCHDOG
from spot.protection import Protection
from spot.wire.context import Context
from spot.wire.cose import Cose
from spot.wire.keyring import Keyring
from spot_host.emd.keyrings import Keyrings
from spot_host.emd.secure import Secure
from spot_host.emd.storage import MemoryKeys
from spot_host.pairing import Pairing
from spot_host.profile import codec
from tests.sim.bad_input.coap_house import PAIRING, SALT, SECRET, Counted
from tests.sim.bad_input.house import _CODES, KIND, NOON, PLUG, House, Plug, valid


def pairing(secret=SECRET, generation=0, until=None):
    """The EMD's record of the plug's secret."""
    return Pairing(secret, SALT, b"\1", generation=generation, until=until)


class CosePlug(Plug):
    """A plug whose bodies go in COSE."""

    def link(self, up=True):
        if up and self.app.ways[0].protect is None:
            self.keyring = Keyring(PAIRING, self.app.store, "keys", self.app.log)
            self.app.agent.seats[0].keys = self.keyring
            boot = self.app.identity.boot if self.app.counted else None  # as main.py has it
            self.app.ways[0].guard(Protection(self.keyring, boot, "both"))
        super().link(up)

    def _send(self, channel, buf, n):
        if not self.linked:
            return False
        self.house.arrive(bytes(buf[:n]), CHANNELS[channel][0])
        return True

    def receive(self, body, channel="cmd"):
        sealed = self.house.secure.seal(PLUG, channel, bytes(body))
        if sealed is not None:
            self.take(sealed, channel)

    def take(self, octets, channel):
        """Octets of the broker."""
        self.hardware.now_s = self.house.t
        with self.house.counted():
            self.app.receive(self.now, _CODES[channel], octets, len(octets))
        self.due = self.house.t


class CoseHouse(Counted, House):
    """The rows are to the device."""

    kind = CosePlug

    def __init__(self, **settings):
        self.noted = {}
        self.opens = self.derived = 0
        self.keyrings = Keyrings(None, MemoryKeys(), clock=lambda: self.utc)
        self.keyrings.set({PLUG: [pairing()]}, {PLUG: "both"})
        self.secure = Secure(self.keyrings, self._boot_of, self._note)
        self.lost = 0
        super().__init__(**settings)
        self.begin()

    def _boot_of(self, eui):
        row = self.core.devices.get(eui) if hasattr(self, "core") else None
        return self.plug.app.identity.boot if row is None or row.boot is None else row.boot

    def _note(self, event, eui, detail):
        self.noted[event] = self.noted.get(event, 0) + 1

    def arrive(self, octets, channel):
        """Octets of the broker, on the plug's topic, for the EMD."""
        body = self.secure.open(PLUG, channel, octets)
        if body is None:
            self.lost += 1
            return False
        valid(body)
        self.up.append((PLUG, channel, body))
        return True

    # What a row does

    def body(self, kind="off", id_=5000, **values):
        """A command that would open the contact for ten minutes."""
        return codec.encode("command", {
            "epoch": self.core.epoch, "id": id_, "revision": 0, "priority": 5, "kind": KIND[kind],
            "issued": self.utc, "delay": 0, "duration": 600, **values})

    def reading(self):
        """A reading that no device sent."""
        return codec.encode("telemetry", {"seq": 900, "time": NOON + 130, "power": 5})

    def sealed(self, body=None, channel="cmd"):
        """A command as the EMD gives it to the broker."""
        return self.secure.seal(PLUG, channel, self.body() if body is None else body)

    def sealed_up(self, body=None, channel="telemetry"):
        """What the plug gives to the broker."""
        body, out = self.reading() if body is None else body, bytearray(1200)
        return bytes(out[: self.plug.app.ways[0].protect.seal(_CODES[channel], body, len(body), out)])

    def other(self, secret=SECRET, sender=b"\0", recipient=b"\1", generation=None, boot=None, mac=False, device=False):
        """Another's end of COSE."""
        boot = self.plug.app.identity.boot if boot is None else boot
        return Cose(Context(secret, SALT, sender, recipient, generation), boot, device=device, mac=mac)

    def by(self, cose, channel="cmd", body=None, number=1000):
        """A command that somebody else sealed."""
        cose.context.seq = cose.context._limit = number
        body, out = self.body() if body is None else body, bytearray(1200)
        return bytes(out[: cose.seal(channel, body, len(body), out)])

    def restart(self, seconds=60):
        """The plug starts anew, `seconds` before it counts."""
        self.plug.linked = False
        self.plug.boot(RESET_WATCHDOG)
        self.run(seconds)
        self.begin()

    def bring(self, octets, channel="cmd"):
        """The broker hands octets to the plug."""
        self.plug.take(bytes(octets), channel)


class CoseEmdHouse(CoseHouse):
    """The rows are to the EMD: its notes are the log, its knowledge of the devices the memory."""

    def bring(self, octets, channel="telemetry", eui=PLUG):
        """The broker hands octets to the EMD."""
        with self.counted():
            if eui == PLUG:
                self.arrive(bytes(octets), channel)
            else:
                body = self.secure.open(eui, channel, bytes(octets))
                if body is not None:
                    self.take(body, channel, eui)
        self.settle()

    def log(self):
        counted = {"counted on its row": sum(row.hostile for row in self.core.devices.values())}
        return {**self.noted, **counted}

    def memory(self, eui=PLUG):
        return self.state(eui)
