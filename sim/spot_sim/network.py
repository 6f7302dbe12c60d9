"""The link in memory: what an MQTT broker does for thousands of devices and one EMD, without sockets, in virtual time.

A message has a topic (device, channel) or (group, channel) and a body; how it is kept comes from the profile's channel
table. As with a broker: QoS 0 reaches whoever is connected; QoS 1 waits in the session of who is not; retained messages
greet a new session; a device that vanishes leaves its last will. Nothing is delivered inside the sender's call: every
delivery is an event of the clock.
"""

from spot_sim.faults import EMD, EVERYBODY, PERFECT
from spot_sim.network_ports import RETAINED, DevicePort, EmdPort

_WINDOW = 8  # QoS 1 messages a device may have on the way
_QUEUE = 1000  # messages a broker keeps for one session (mosquitto's default)


class MemoryNetwork:
    """One broker.

    clock: VirtualClock. seeds: Seeds. faults: LinkFaults. `taps`: functions called with (direction, name, channel,
    body) for every message as it enters the net; direction is "up", "down" or "group", name the device's or the
    group's. `totals`: counts of what happened to messages (dropped, retried, duplicated, reordered, overflowed,
    disconnects).
    """

    def __init__(self, clock, seeds, faults=PERFECT, utility="home", window=_WINDOW, queue=_QUEUE):
        self.clock = clock
        self.seeds = seeds
        self.faults = faults
        self.utility = utility
        self.window = window
        self.queue = queue
        self.taps = []
        self.totals = dict.fromkeys(("dropped", "retried", "duplicated", "reordered", "overflowed", "disconnects"), 0)
        self.up = True  # the broker runs
        self.devices = {}
        self.coap = []  # ports of the devices on CoAP, with the EMD's end of each
        self.emd = None
        self._groups = {}  # group -> its members' ports, in the order of attaching
        self._retained = {}  # (group, channel) -> body
        self._links = {}  # device -> its retained link message
        for fault in faults.windows:
            if fault.device is EVERYBODY:
                clock.call_at(fault.start_s, self._broker_down, fault)
                clock.call_at(fault.start_s + fault.duration_s, self._broker_up)
        self._down = 0

    def attach_emd(self, on_message, on_up=None, on_down=None):
        """Give the EMD its end. on_message(device, channel, body). Returns its EmdPort, connected."""
        self.emd = EmdPort(self, on_message, on_up, on_down)
        for fault in self.faults.windows:
            if fault.device == EMD:
                self.clock.call_at(fault.start_s, self.emd.drop, fault.duration_s, fault.forget)
        return self.emd

    def attach(
        self, device, on_message, on_up=None, on_down=None, groups=(), device_class="plug", will=None, link="mqtt"
    ):
        """Give a device its end. Returns its DevicePort, not connected yet: call `connect()`.

        on_message(channel, body, n); on_up(session_present); on_down(). will: body of the link message that the broker
        publishes when the device vanishes. link: "mqtt", or "coap": a CoapPort.
        """
        if device in self.devices:
            raise ValueError(f"device {device} is attached already")
        kind = DevicePort
        if link == "coap":
            from spot_sim.coap_port import CoapPort as kind
        port = kind(self, device, on_message, on_up, on_down, tuple(groups), device_class, will)
        self.devices[device] = port
        if link == "coap":
            self.coap.append(port)
        for group in port.groups:
            self._groups.setdefault(group, []).append(port)
        for fault in self.faults.windows:
            if fault.device == device:
                self.clock.call_at(fault.start_s, port.drop, fault.duration_s, fault.forget)
        if self.faults.disconnects_per_day:
            port.plan_disconnect()
        return port

    def retained(self, group, channel):
        """The latest body of a group's channel; b"" when there is none."""
        return self._retained.get((group, channel), b"")

    # The broker itself

    def _broker_down(self, fault):
        self._down += 1
        self.up = False
        if fault.forget:
            self._retained.clear()
            self._links.clear()
        for port in self.devices.values():
            port.lose(fault.forget, will=False)  # a broker that dies publishes no wills
        if self.emd is not None:
            self.emd.lose(fault.forget)

    def _broker_up(self):
        self._down -= 1
        if self._down:
            return
        self.up = True
        if self.emd is not None:
            self.emd.retry()
        for port in self.devices.values():
            port.retry()

    def _to_emd(self, device, channel, body, qos):
        if RETAINED[channel]:
            self._links[device] = body
        if self.emd is not None:
            self.emd.arrive(device, channel, body, qos)
