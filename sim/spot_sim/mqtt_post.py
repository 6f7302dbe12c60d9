"""The EMD's end of a real broker for lock-step runs: paho-mqtt, with every packet counted by device.

`EmdCore.out` for the devices that are processes, and the `post` that `lockstep.Lockstep` settles by.
"""

import socket
import ssl
import threading
from collections import Counter, deque

from paho.mqtt import client as paho

from spot_host.errors import UserError
from spot_host.profile.definition import CHANNELS

_CONNECT_S = 15
_QOS = {name: qos for _, name, _, _, qos in CHANNELS}
_RETAINED = {name: retained for _, name, _, retained, _ in CHANNELS}
_UP = [name for _, name, way, *_ in CHANNELS if way == "up"]
_NAMES = {code: name for code, name, *_ in CHANNELS}


def send_at_once(_client, _data, sock):
    """paho's `on_socket_open`: without Nagle's algorithm, which holds a packet back until the one before is
    acknowledged (40 ms)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class MqttPost:
    """One connection to the broker as the EMD.

    classes: {device: class word of its topics}; groups: {group: [devices that listen]}. Packets from devices wait in
    `inbox` as
    (device, channel name, body) until `take` empties it in the simulator's own thread.
    """

    def __init__(self, host, port, ca, identity, utility, classes, groups=None):
        self.utility, self.classes = utility, dict(classes)
        self.groups = groups or {}
        self.inbox = deque()
        self.up_bytes, self.down_bytes, self.messages = Counter(), Counter(), Counter()
        self._sent, self._arrived = Counter(), Counter()
        self._something = threading.Condition()
        self._up = threading.Event()
        self._refused = None
        self.taps = []
        client = self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=identity.name, clean_session=False
        )
        client.tls_set(str(ca), str(identity.cert), str(identity.key), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.on_connect, client.on_message, client.on_subscribe = self._connected, self._message, self._subscribed
        client.on_socket_open = send_at_once
        client.max_queued_messages_set(0)
        self._address = (host, port)

    def start(self):
        """Connects and subscribes. Raises UserError when the broker does not take it."""
        try:
            self._client.connect(*self._address, keepalive=30)
        except OSError as error:
            raise UserError("the broker at %s:%d does not answer: %s" % (*self._address, error)) from error
        self._client.loop_start()
        if not self._up.wait(_CONNECT_S):
            raise UserError("the broker at %s:%d gave no session: %s" % (*self._address, self._refused or "silence"))

    def stop(self):
        """Says goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client, _data, _flags, reason, _properties):
        if reason.is_failure:
            self._refused = str(reason)
            return
        client.subscribe([("der/%s/+/+/%s" % (self.utility, name), 1) for name in _UP])

    def _subscribed(self, _client, _data, _mid, reasons, _properties):
        failed = [str(r) for r in reasons if r.is_failure]
        if failed:
            self._refused = ", ".join(failed)
        else:
            self._up.set()

    def _message(self, _client, _data, message):
        levels = message.topic.split("/")
        if len(levels) != 5:
            return
        device, channel = levels[3], levels[4]
        with self._something:
            self._arrived[device] += 1
            self.up_bytes[device] += len(message.payload)
            self.messages[device] += 1
            self.inbox.append((device, channel, message.payload))
            self._something.notify_all()

    # EmdCore.out

    def send(self, device, channel, body):
        """Publishes to one device; counted as sent."""
        name = _NAMES.get(channel, channel)
        self._tap("down", device, name, body)
        self._sent[device] += 1
        self.down_bytes[device] += len(body)
        self.messages[device] += 1
        self._client.publish(
            "der/%s/%s/%s/%s" % (self.utility, self.classes[device], device, name), bytes(body), qos=_QOS[name]
        )
        return True

    def publish(self, group, channel, body):
        """Publishes to a group, retained where the channel says so."""
        name = _NAMES.get(channel, channel)
        self._tap("group", group, name, body)
        for device in self.groups.get(str(group), ()):
            self.down_bytes[device] += len(body)
        self._client.publish(
            "der/%s/group/%s/%s" % (self.utility, group, name), bytes(body), qos=_QOS[name], retain=_RETAINED[name]
        )
        return True

    def _tap(self, way, who, name, body):
        for tap in self.taps:
            tap(way, who, name, bytes(body))

    # Lockstep's post

    def sent(self, device):
        """Packets sent to the device itself so far (group messages are not counted: they reach it before the next of
        these)."""
        return self._sent[device]

    def arrived(self, device):
        """Packets received from the device so far."""
        return self._arrived[device]

    def await_arrival(self, device, count, seconds):
        """Sleeps until `count` packets have come from `device`, at most `seconds`; True when they have."""
        with self._something:
            return self._something.wait_for(lambda: self._arrived[device] >= count, seconds)

    def take(self):
        """All packets that arrived, oldest first."""
        out = []
        with self._something:
            while self.inbox:
                out.append(self.inbox.popleft())
        for device, name, body in out:
            self._tap("up", device, name, body)
        return out
