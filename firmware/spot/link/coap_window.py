"""The device's own access point, and CoAP over UDP on it: the provisioning window. Loaded when it is opened.

Nothing is open on it: who has not the keys is answered 4.01. The keys are new for each client, by the procedure of RFC
8613 B.2, in which both sides put random octets, so that nothing of it has to be kept and no message of another window
is good in this one.
"""

from ..port import const, network, random_bytes, socket
from ..wire.coap_endpoint import Endpoint
from ..wire.oscore import Oscore

_PORT = const(5683)
_BODY = const(256)  # the longest request and answer
_TURN = const(4)
_WPA2_AES = const(0x400004)  # of the CYW43, whose port has no name for it; the others have SEC_WPA2
_BOUNDS = {"body": _BODY, "szx": 4, "requests": 1, "exchanges": 2, "seen": 8, "observers": 1, "transfers": 1}


def _start(point, name, key):
    """With WPA2 alone."""
    for on in (False, True):
        try:  # before it is on the air, where the port takes that
            point.config(ssid=name, key=key, security=getattr(network.WLAN, "SEC_WPA2", _WPA2_AES))
            break
        except (OSError, RuntimeError):
            if on:
                raise
            point.active(True)
    point.active(True)


class AccessPoint:
    """An access point `name` under WPA2 with `key`, and `handler(now, request)` at /`path` there, under OSCORE with
    `context` (wire.context.Context, with a random ID context). Raises OSError where the radio or a port refuses."""

    secure = False

    def __init__(self, name, key, context, path, handler, log):
        security = Oscore(log, random_bytes)
        security.add(context)
        self._endpoint = Endpoint(self, random_bytes, log, security, None, _BOUNDS)
        self._endpoint.resource(path, handler)
        self._socket = sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._point = network.WLAN(network.AP_IF)
        try:
            sock.setblocking(False)
            _start(self._point, name, key)
            address = self._point.ifconfig()[0]
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(socket.getaddrinfo(address, _PORT, 0, socket.SOCK_DGRAM)[0][-1])
        except Exception:
            self.close()
            raise

    # --- what the endpoint calls

    def datagram(self, peer, buf, n):
        try:
            return self._socket.sendto(memoryview(buf)[:n], peer) == n
        except OSError:
            return False

    def reliable(self, peer):
        return False

    def trusted(self, peer):
        return False

    # --- what the application calls

    def step(self, now):
        """Takes what came, a few datagrams at a time, and answers."""
        for _ in range(_TURN):
            try:
                data, peer = self._socket.recvfrom(_BODY + 160)
            except OSError:  # nothing is there, or it is lost
                break
            self._endpoint.received(now, peer, data, len(data))
        self._endpoint.step(now)

    def close(self):
        """Off the air."""
        self._socket.close()
        self._point.active(False)
