"""A device's end of CoAP with OSCORE in memory: the firmware's session (spot.link.coap_session) under virtual time, and
what the asynchronous pump does around it on a chip.
"""

from spot.link.backoff import Backoff
from spot.link.coap_session import Session
from spot.link.errors import LinkError
from spot.wire.keyring import Keyring

from .coap_emd import CoapEnd
from .coap_way import Wakes, Way, ticks
from .network_ports import Port

_BACKOFF_MS = (1000, 60000)  # as spot.link.base
_STABLE_MS = 30000


class CoapPort(Port):
    """As DevicePort, for a device on CoAP: the same calls; `boot` gives it the device's App, with its store and log.

    `net.taps` see a message when the link has accepted it. A window of the broker, which CoAP has not, is one of the
    network; with `forget` the EMD's server begins anew. A device that was cut off has another address afterwards, as
    behind a NAT. up, down: Way, with counts of datagrams. emd: the EMD's end. session, keyring: the device's own.
    """

    secure = False  # of a Session's transport, which this is
    peer = "emd"

    def __init__(self, net, device, on_message, on_up, on_down, groups, device_class, will):
        super().__init__(net, device, on_message, on_up, on_down, groups, will)
        self.address = (device, 0)
        self.session = self.keyring = None
        self._octets = net.seeds.stream("coap", device).randbytes
        self.up = Way(net, self._random, self._passes, self._to_emd)
        self.down = Way(net, self._random, self._passes, self._to_device)
        self._wakes = Wakes(net.clock, self._turn)
        self._life = 0
        self._running = self._busy = self._was_up = False
        self._raised = None
        self._up_ms = 0
        keys = net.seeds.stream("pairing", device).randbytes
        self._number = number = len(net.devices) + 1
        self.pairing = {
            "secret": keys(16).hex(),
            "salt": keys(8).hex(),
            "id": number.to_bytes((number.bit_length() + 7) // 8, "big").hex(),
            "emd": "00",
        }
        self.emd = CoapEnd(self, self.pairing, net.seeds.stream("coap", device, "emd").randbytes)

    # The device's calls

    @property
    def connected(self):
        """Whether the EMD has answered on this connection."""
        return self.session is not None and self.session.is_up

    def boot(self, app):
        """A device has started: keys in its store, groups as its EMD names them."""
        self.keyring = keyring = Keyring(self.pairing, app.store, "keys", app.log)
        app.agent.seats[0].keys = keyring
        config = {"device": self.device}
        self.session = Session(config, self, self._heard, self._came_up, app.log, keyring, self._octets)
        app.join_group[0] = self.session.subscribe_group
        app.listen()
        self._log, self._backoff = app.log, Backoff(*_BACKOFF_MS)
        self._life += 1

    def send(self, channel, buf, n, urgent=False):
        """Send the first `n` octets of `buf`. False: not now. urgent: once, past all that waits."""
        session = self.session
        if session is None or not session.offer(ticks(self.net.clock), channel, buf, n, urgent):
            return False
        session.flush(ticks(self.net.clock))  # at this very moment: here is stack enough
        body = bytes(buf[:n])
        for tap in self.net.taps:
            tap("up", self.device, channel, body)
        self.counters.up_messages += 1
        self.counters.up_bytes += n
        if not self._busy:
            self._wakes.within(1)
        return True

    def connect(self, clean=False):
        """Ask for a connection, which comes up when it can (on_up)."""
        self._wanted = True
        self.retry()

    def retry(self):
        """Begin, after the delay of reconnecting, if the device wants to and has not."""
        if not self._wanted or self._running or self.session is None:
            return
        self._running = True
        self._later(self._delay_ms())

    def disconnect(self):
        """An orderly goodbye."""
        self._wanted = False
        if self.session is not None:
            self.session.farewell(ticks(self.net.clock))
            self._end()
        self._life += 1
        self._running = False

    def reset(self):
        """The device loses its memory (a reboot): nothing is said, and nothing on the way reaches it."""
        self._life += 1
        self._wanted = self._running = self._was_up = False
        self.session = None
        self._wakes.stop()
        self.move()

    # Faults

    def lose(self, forget, will):
        """The network is gone. forget: and the EMD's server, which begins anew."""
        if forget:
            self.emd.stop()
            self.emd.start()

    def move(self):
        """The device's address is another one from now on, and neither end is told; what is under way is lost."""
        self.address = (self.device, self.address[1] + 1)

    def _unblock(self):
        super()._unblock()
        self.move()

    def _passes(self):
        net = self.net
        return net.up and not self._blocked and net.emd is not None and net.emd.connected

    # Datagrams

    def datagram(self, peer, buf, n):
        self.counters.up_packet_bytes += n
        self.up.carry(self.address, bytes(buf[:n]))
        return True

    def reliable(self, peer):
        return False

    def _to_emd(self, address, octets):
        self.emd.received(address, octets)

    def _to_device(self, address, octets):
        session = self.session
        if address != self.address or session is None or not self._running:
            self.net.totals["dropped"] += 1
            return
        self.counters.down_packet_bytes += len(octets)
        self._busy = True
        session.receive(ticks(self.net.clock), self.peer, octets, len(octets))
        self._turn()

    # The pump

    def _later(self, delay_ms):
        self.net.clock.call_in_ms(delay_ms, self._begin, self._life)

    def _begin(self, life):
        if life != self._life or not self._wanted:
            return
        self.session.begin(ticks(self.net.clock))
        self._turn()

    def _turn(self):
        session = self.session
        self._busy = True
        try:
            wait = session.step(ticks(self.net.clock))
            session.reserve()
            self._wakes.within(wait)
        except LinkError as error:
            self._log.warn("link." + error.cause, error.detail)
            if self._was_up and self.net.clock.now_ms - self._up_ms >= _STABLE_MS:
                self._backoff.reset()
            self._end()
            self._later(self._backoff.next(int.from_bytes(self._octets(2), "little")))
        finally:
            self._busy = False
        if self._raised is not None:
            raise self._raised

    def _end(self):
        """The connection is over; the next one has a socket, so an address, of its own."""
        self.session.end(ticks(self.net.clock))
        self._wakes.stop()
        self.move()
        if self._was_up:
            self._was_up = False
            if self.on_down:
                self.on_down()

    def _came_up(self, session_present):
        self._was_up, self._up_ms = True, self.net.clock.now_ms
        if self.on_up:
            self._tell(self.on_up, session_present)

    def _heard(self, channel, buf, n):
        self.counters.down_messages += 1
        self.counters.down_bytes += n
        self._tell(self.on_message, channel, buf, n)

    def _tell(self, callback, *arguments):
        """A link goes on when its application raises; a run of the simulator must not: `_turn` raises it again."""
        try:
            callback(*arguments)
        except Exception as error:
            self._raised = error
            raise

    # The EMD's calls

    def toward(self, channel, body, qos):
        """From the EMD to the device, or to the groups that it observes."""
        self.emd.send(channel, body)
