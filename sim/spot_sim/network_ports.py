"""The ends of the link in memory: the EMD's, and a device's with the session that the broker keeps for it. The end of a
device on CoAP is in coap_port.py.
"""

from collections import deque

from spot_host.profile.definition import CHANNELS

_COUNT = max(code for code, *_ in CHANNELS) + 1
QOS = [0] * _COUNT
RETAINED = [False] * _COUNT
_NAMES = [""] * _COUNT
for _code, _name, _way, _kept, _level in CHANNELS:
    QOS[_code], RETAINED[_code], _NAMES[_code] = _level, _kept, _name
LINK = _NAMES.index("link")


class Counters:
    """Traffic of one device. `…_bytes` are message bodies; `…_packet_bytes` are MQTT's packets with them (without TCP
    and TLS), or CoAP's datagrams: all of them, with OSCORE and without UDP, on the way up also those that are lost.
    """

    __slots__ = ("up_messages", "up_bytes", "up_packet_bytes", "down_messages", "down_bytes", "down_packet_bytes")

    def __init__(self):
        self.up_messages = self.up_bytes = self.up_packet_bytes = 0
        self.down_messages = self.down_bytes = self.down_packet_bytes = 0


class EmdPort:
    """The EMD's end of the net."""

    def __init__(self, net, on_message, on_up, on_down):
        self.net = net
        self.connected = True
        self._wanted = True
        self._blocked = 0  # windows that keep it away now
        self._on_message, self._on_up, self._on_down = on_message, on_up, on_down
        self._session = deque()

    def send(self, device, channel, body):
        """Send `body` to one device. Returns False when the EMD is not connected."""
        net = self.net
        if not self.connected:
            return False
        body = bytes(body)
        for tap in net.taps:
            tap("down", device, channel, body)
        port = net.devices.get(device)
        if port is not None:
            port.toward(channel, body, QOS[channel])
        return True

    def publish(self, group, channel, body):
        """Send `body` to every member of a group and keep it for those who come later; an empty one clears what is
        kept.
        """
        net = self.net
        if not self.connected:
            return False
        body = bytes(body)
        if RETAINED[channel]:
            if body:
                net._retained[group, channel] = body
            else:
                net._retained.pop((group, channel), None)
        if body:
            for tap in net.taps:
                tap("group", group, channel, body)
            qos = QOS[channel]
            for port in net._groups.get(group, ()):
                port.toward(channel, body, qos)
        return True

    def disconnect(self):
        """Go away; QoS 1 messages wait in the session."""
        self._wanted = False
        self.lose(False)
        for port in self.net.coap:
            port.emd.stop()

    def connect(self):
        """Come back: the session's queue and the devices' retained link messages are delivered."""
        self._wanted = True
        for port in self.net.coap:
            port.emd.start()
        self.retry()

    def drop(self, duration_s, forget=False):
        """Cut the connection for `duration_s` seconds."""
        self._blocked += 1
        for port in self.net.coap:
            port.lose(forget, will=False)
        self.net.clock.call_in_ms(duration_s * 1000, self._unblock)
        self.lose(forget)

    def _unblock(self):
        self._blocked -= 1
        self.retry()

    def lose(self, forget):
        """The connection is gone. forget: and what waited in the session."""
        if forget:
            self._session.clear()
        if self.connected:
            self.connected = False
            if self._on_down:
                self._on_down()

    def retry(self):
        net = self.net
        if self.connected or not self._wanted or self._blocked or not net.up:
            return
        self.connected = True
        if self._on_up:
            self._on_up()
        waiting, self._session = self._session, deque()
        for device, body in net._links.items():
            net.clock.call_in_ms(0, self.arrive, device, LINK, body, 1)
        for device, channel, body in waiting:
            net.clock.call_in_ms(0, self.arrive, device, channel, body, 1)

    def arrive(self, device, channel, body, qos):
        if self.connected:
            self._on_message(device, channel, body)
        elif qos:
            if len(self._session) >= self.net.queue:
                self.net.totals["overflowed"] += 1
            else:
                self._session.append((device, channel, body))
        else:
            self.net.totals["dropped"] += 1


class Port:
    """A device's end of the net, whatever it speaks: what becomes of it by itself.

    `on_message`, `on_up`, `on_down` and `will` may be set anew, as by a device that has restarted.
    `counters`: its traffic.
    """

    def __init__(self, net, device, on_message, on_up, on_down, groups, will):
        self.net, self.device, self.groups, self.will = net, device, groups, will
        self.counters = Counters()
        self.on_message, self.on_up, self.on_down = on_message, on_up, on_down
        self._wanted = False
        self._rng = None
        self._blocked = 0  # windows that keep it away now

    def drop(self, duration_s, forget=False):
        """Cut the connection abruptly for `duration_s` seconds."""
        self.net.totals["disconnects"] += 1
        self._blocked += 1
        self.net.clock.call_in_ms(duration_s * 1000, self._unblock)
        self.lose(forget, will=True)

    def plan_disconnect(self):
        faults, rng = self.net.faults, self._random()
        wait_s = rng.expovariate(faults.disconnects_per_day / 86400)
        self.net.clock.call_in_ms(int(wait_s * 1000), self._random_disconnect)

    def _random_disconnect(self):
        faults = self.net.faults
        if faults.from_s <= self.net.clock.now_s < faults.until_s:
            least, most = faults.disconnect_s
            self.drop(least + int(self._random().random() * (most - least + 1)))
        self.plan_disconnect()

    def _unblock(self):
        self._blocked -= 1
        self.retry()

    def _random(self):
        if self._rng is None:
            self._rng = self.net.seeds.stream("net", self.device)
        return self._rng

    def _delay_ms(self):
        """How long it takes to come back."""
        least, most = self.net.faults.reconnect_s
        return int(1000 * (least + (most - least) * self._random().random())) if most else 0


class DevicePort(Port):
    """A device's end on MQTT, with the broker's session for it."""

    def __init__(self, net, device, on_message, on_up, on_down, groups, device_class, will):
        super().__init__(net, device, on_message, on_up, on_down, groups, will)
        self.connected = False
        self._generation = 0  # of the connection: what was on the way in an older one does not arrive
        # fixed header and remaining length, topic with its length, and with QoS 1 the packet id and the PUBACK
        topic = len(f"der/{net.utility}/{device_class}/{device}/")
        self._overhead = [4 + topic + len(name) + (2 + 4 if qos else 0) for name, qos in zip(_NAMES, QOS, strict=True)]
        self._in_flight = 0
        self._unsettled = {}  # QoS 1 on its way to the broker: number -> (channel, body); sent again after a reconnect
        self._session = deque()
        self._has_session = False
        self._up_ms = self._down_ms = 0  # when the last message in order arrives
        self._will_event = None
        self._perfect = not net.faults.per_message

    # The device's calls

    def boot(self, app):
        """A device has started: `app`, spot.app.App."""
        self.will = app.will()

    def send(self, channel, buf, n, urgent=False):
        """Publish the first `n` octets of `buf`. Returns False when not connected, or when the QoS 1 window is full.
        urgent: with QoS 0, past that window."""
        if not self.connected:
            return False
        net = self.net
        body = bytes(buf[:n])
        qos = 0 if urgent else QOS[channel]
        if qos and len(self._unsettled) >= net.window:
            return False
        if net.taps:
            for tap in net.taps:
                tap("up", self.device, channel, body)
        self._publish(channel, body, qos)
        return True

    def connect(self, clean=False):
        """Ask for a connection, which comes up when it can (on_up). clean: forget the session first."""
        if clean:
            self._forget()
        self._wanted = True
        self.retry()

    def disconnect(self):
        """An orderly goodbye: no last will, the session stays."""
        self._wanted = False
        self._cut(will=False)

    def reset(self):
        """The device loses its memory (a reboot): connection gone without a goodbye, what was on the way is not sent
        again.
        """
        self._wanted = False
        self._cut(will=True, tell=False)
        self._unsettled.clear()

    # Faults

    def lose(self, forget, will):
        if forget:
            self._forget()
        self._cut(will)

    def _forget(self):
        self._session.clear()
        self._has_session = False

    # Connection

    def retry(self):
        """Come back, after the delay of reconnecting, if the device wants to and nothing keeps it away."""
        if self.connected or not self._wanted or self._blocked or not self.net.up:
            return
        self._generation += 1  # of several attempts only the last one counts
        self.net.clock.call_in_ms(self._delay_ms(), self._connected, self._generation)

    def _connected(self, generation):
        if generation != self._generation or self.connected or not self._wanted or self._blocked or not self.net.up:
            return
        net = self.net
        self.connected = True
        self._publish_will()  # the broker finds the old connection still open and closes it
        present = self._has_session
        self._has_session = True
        waiting, self._session = self._session, deque()
        again, self._unsettled = self._unsettled, {}
        if self.on_up:
            self.on_up(present)
        for channel, body in waiting:
            self.toward(channel, body, 1)
        if not present:
            for group in self.groups:
                for (name, channel), body in net._retained.items():
                    if name == group:
                        self.toward(channel, body, 1)
        for channel, body in again.values():
            net.totals["retried"] += 1
            self._publish(channel, body, 1)

    def _cut(self, will, tell=True):
        self._generation += 1
        if not self.connected:
            return
        self.connected = False
        net = self.net
        if will and self.will is not None and self._will_event is None:
            self._will_event = net.clock.call_in_ms(net.faults.will_s * 1000, self._publish_will)
        if tell and self.on_down:
            self.on_down()

    def _publish_will(self):
        event, self._will_event = self._will_event, None
        if event is None:
            return
        net = self.net
        net.clock.cancel(event)
        if net.up:
            for tap in net.taps:
                tap("up", self.device, LINK, self.will)
            net._to_emd(self.device, LINK, self.will, 1)

    # Messages

    def _publish(self, channel, body, qos):
        counters = self.counters
        counters.up_messages += 1
        counters.up_bytes += len(body)
        counters.up_packet_bytes += len(body) + self._overhead[channel]
        number = 0
        if qos:
            self._in_flight = number = self._in_flight + 1
            self._unsettled[number] = (channel, body)
        clock = self.net.clock
        if self._perfect:
            clock.call_at_ms(clock.now_ms, self._at_broker, self._generation, number, channel, body, qos)
            return
        times, self._up_ms = self._draw(self._up_ms, qos)
        if not times:
            self._unsettled.pop(number, None)
        for at_ms in times:
            clock.call_at_ms(at_ms, self._at_broker, self._generation, number, channel, body, qos)

    def _at_broker(self, generation, number, channel, body, qos):
        if generation != self._generation:
            if not qos:
                self.net.totals["dropped"] += 1
            return  # QoS 1 is still unsettled and comes again with the next connection
        self._unsettled.pop(number, None)
        self.net._to_emd(self.device, channel, body, qos)

    def toward(self, channel, body, qos):
        """From the broker to the device."""
        if not self.connected:
            self._keep(channel, body, qos)
            return
        clock = self.net.clock
        if self._perfect:
            clock.call_at_ms(clock.now_ms, self._at_device, self._generation, channel, body, qos)
            return
        times, self._down_ms = self._draw(self._down_ms, qos)
        for at_ms in times:
            clock.call_at_ms(at_ms, self._at_device, self._generation, channel, body, qos)

    def _at_device(self, generation, channel, body, qos):
        if generation != self._generation:
            self._keep(channel, body, qos)
            return
        counters = self.counters
        counters.down_messages += 1
        counters.down_bytes += len(body)
        counters.down_packet_bytes += len(body) + self._overhead[channel]
        self.on_message(channel, body, len(body))

    def _keep(self, channel, body, qos):
        totals = self.net.totals
        if not qos or not self._has_session:
            totals["dropped"] += 1
        elif self.connected:  # it came back while this was on its way
            self.toward(channel, body, qos)
        elif len(self._session) >= self.net.queue:
            totals["overflowed"] += 1
        else:
            self._session.append((channel, body))

    def _draw(self, last_ms, qos):
        """When this message arrives, as a list of times (empty: never), and when the last one in order does."""
        net = self.net
        faults, totals, now_ms = net.faults, net.totals, net.clock.now_ms
        if not faults.from_s * 1000 <= now_ms < faults.until_s * 1000:
            at_ms = max(now_ms, last_ms)
            return [at_ms], at_ms
        draw = self._random().random
        least, most = faults.delay_ms
        delay_ms = least + int((most - least + 1) * draw()) if most else 0
        if faults.loss_for_good and draw() < faults.loss_for_good:
            totals["dropped"] += 1
            return [], last_ms
        if faults.loss:
            while draw() < faults.loss:
                if not qos:
                    totals["dropped"] += 1
                    return [], last_ms
                totals["retried"] += 1
                delay_ms += faults.retry_s * 1000
        if faults.reordering and draw() < faults.reordering:
            totals["reordered"] += 1
            least, most = faults.reorder_ms
            at_ms = now_ms + delay_ms + least + int((most - least + 1) * draw())
        elif delay_ms >= faults.retry_s * 1000:
            at_ms = now_ms + delay_ms  # a retransmission is overtaken
        else:
            at_ms = last_ms = max(now_ms + delay_ms, last_ms)
        if faults.duplication and draw() < faults.duplication:
            totals["duplicated"] += 1
            return [at_ms, at_ms + faults.retry_s * 1000], last_ms
        return [at_ms], last_ms
