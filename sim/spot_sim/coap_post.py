"""The EMD's end of CoAP for lock-step runs: the EMD's own adapter, with every message counted by device.

As `mqtt_post.MqttPost`: `EmdCore.out` for the devices that are processes, and the `post` that `lockstep.Lockstep`
settles by. A device's message is answered when it is here, as a broker does it: the device waits for that inside its
grant, while the EMD's core works on it when the grants of the instant are over.
"""

import socket
import threading
from collections import Counter, deque

from spot_host.emd.coap import CoapLink
from spot_host.emd.config import Coap
from spot_host.emd.keyrings import Keyrings
from spot_host.emd.storage import MemoryStorage

HOST = "127.0.0.1"
_LOOK_S = 0.2


class CoapPost:
    """An EMD's server on UDP for the devices in `pairings`: {EUI: Pairing}."""

    def __init__(self, pairings):
        keyrings = Keyrings(None, MemoryStorage().keys)
        keyrings.set({eui: [pairing] for eui, pairing in pairings.items()})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        self._link = CoapLink(Coap(host=HOST, udp_port=self.port, tcp_port=0, tls_port=0), keyrings)
        self._inbox, self._arrived = deque(), Counter()
        self._something = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="coap post", daemon=True)
        self._stopped = False

    def start(self):
        """Binds the port. Raises UserError when it cannot be."""
        self._link.start()
        self._thread.start()

    def stop(self):
        """Ends the server."""
        self._stopped = True
        if self._thread.is_alive():
            self._thread.join()
        self._link.stop()

    def _read(self):
        while not self._stopped:
            self._link.wait(_LOOK_S)
            arrivals = self._link.take()
            if not arrivals:
                continue
            with self._something:
                for a in arrivals:
                    self._inbox.append((a.device, a.channel, a.body))
                    self._arrived[a.device] += 1
                self._something.notify_all()
            self._link.answer([(a, None) for a in arrivals])

    def notes(self):
        """What people should know of: [(EUI or None, event, detail)]."""
        return self._link.notes.take()

    # EmdCore.out

    def send(self, device, channel, body):
        """To one device, confirmable where it has to arrive."""
        return self._link.send(device, channel, body)

    def publish(self, group, channel, body):
        """To all who observe the group."""
        self._link.publish(group, channel, body)

    # Lockstep's post

    def sent(self, device):
        """Messages sent to the device itself so far."""
        return self._link.sent(device)

    def arrived(self, device):
        """Messages received from the device so far."""
        return self._arrived[device]

    def await_arrival(self, device, count, seconds):
        """Sleeps until `count` messages have come from `device`, at most `seconds`; True when they have."""
        with self._something:
            return self._something.wait_for(lambda: self._arrived[device] >= count, seconds)

    def take(self):
        """All messages that arrived, oldest first."""
        with self._something:
            out = list(self._inbox)
            self._inbox.clear()
        return out


class Posts:
    """Several posts as one, by device. posts: {EUI: post}."""

    def __init__(self, posts):
        self._posts = posts
        self._all = list(dict.fromkeys(posts.values()))

    def send(self, device, channel, body):
        return self._posts[device].send(device, channel, body)

    def publish(self, group, channel, body):
        for post in self._all:
            post.publish(group, channel, body)

    def sent(self, device):
        return self._posts[device].sent(device)

    def arrived(self, device):
        return self._posts[device].arrived(device)

    def await_arrival(self, device, count, seconds):
        return self._posts[device].await_arrival(device, count, seconds)

    def take(self):
        return [packet for post in self._all for packet in post.take()]
