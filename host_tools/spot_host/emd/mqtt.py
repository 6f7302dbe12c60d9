"""The MQTT adapter: the core's way out, and the broker's messages into the core. One thread, on paho-mqtt.

Nothing is queued for a broker that is away: what must arrive is in the ledger and goes out again when the broker is
back; what is only true now (heartbeats) is worth nothing later.
"""

import select
import ssl
import time

import paho.mqtt.client as paho

from spot_host.errors import UserError
from spot_host.profile import definition as d

_UP = [name for _, name, way, *_ in d.CHANNELS if way == "up"]
_GROUP = {name: (retained, qos) for _, name, way, retained, qos in d.CHANNELS if way == "group"}
_BEST_EFFORT = frozenset(m.code for m in d.MESSAGES if m.delivery == "best effort")
_FIRST_S, _LONGEST_S = 1.0, 30.0
_LEVELS = 5
_MOST_TOPICS = 200_000
_BATCH = 500  # packets read without a look at anything else


class Unreachable(UserError):
    """The broker or the EMD cannot be reached. Exit code 3."""

    exit_code = 3


class MqttLink:
    """`send` and `publish` for the core; `serve(timeout_s)` reads what came and hands it to `receive`.

    settings: config.Mqtt. receive(device, channel, body, device_class); broadcast(channel, body); up(): the broker is
    there (again). class_of(device): the class in its topic.
    """

    def __init__(self, settings, utility: str, receive, broadcast, up, class_of, listen_to_groups=False):
        self.settings, self._base = settings, f"der/{utility}"
        self._receive, self._broadcast, self._up, self._class_of = receive, broadcast, up, class_of
        self._groups = listen_to_groups
        self.connected = self.listening = False
        self.why, self._topics, self._sources = "", {}, {}
        self._retry_at, self._wait_s = 0.0, _FIRST_S
        self.dropped = 0
        client = self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=settings.client_id, clean_session=False, protocol=paho.MQTTv311
        )
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(0)
        client.connect_timeout = 5.0
        if settings.tls:
            self._use_tls(client)

    def _use_tls(self, client):
        for name in ("ca", "cert", "key"):
            value = getattr(self.settings, name)
            if not value:
                raise UserError(f"[mqtt] {name}: missing; give the file, or tls = false for a broker without TLS")
            try:
                with open(value, "rb"):
                    pass
            except OSError as exc:
                raise UserError(f"[mqtt] {name}: {value}: {exc.strerror}") from exc
        try:
            context = ssl.create_default_context(cafile=self.settings.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(self.settings.cert, self.settings.key)
        except ssl.SSLError as exc:
            raise UserError(
                f"[mqtt] ca, cert, key: not a certificate authority, certificate and its key: {exc}"
            ) from exc
        client.tls_set_context(context)

    # The core's way out

    def send(self, device: str, channel: str, body: bytes) -> None:
        """To one device; best-effort messages with QoS 0, the rest with QoS 1."""
        if not self.connected:
            self.dropped += 1
            return
        topic = self._topics.get(device)
        if topic is None:
            topic = self._topics[device] = f"{self._base}/{self._class_of(device)}/{device}/"
        self._client.publish(topic + channel, body, 0 if _type(body) in _BEST_EFFORT else 1)

    def publish(self, group: str, channel: str, body: bytes) -> None:
        """To a group, retained."""
        if self.connected:
            retained, qos = _GROUP[channel]
            self._client.publish(f"{self._base}/group/{group}/{channel}", body, qos, retained)

    def serve(self, timeout_s: float, wake=None) -> None:
        """Read and write for at most `timeout_s`; connect when it is time to. What is readable on `wake` ends it."""
        if self.connected or self._client.socket() is not None:
            client = self._client
            if wake is not None and timeout_s > 0:
                _wait(client, wake, timeout_s)
                timeout_s = 0.0
            code = client.loop(timeout_s)
            # What TLS has deciphered already needs no waiting: read it without a select for each packet.
            sock, left = client.socket(), _BATCH if self.settings.tls else 0
            while left and code == paho.MQTT_ERR_SUCCESS and sock is not None and sock.pending():
                code = client.loop_read()
                left -= 1
            if code != paho.MQTT_ERR_SUCCESS:
                self._lost(self.why or "the connection ended")
            return
        wait_s = self._retry_at - time.monotonic()
        if wait_s > 0:
            select.select([wake] if wake is not None else [], [], [], min(wait_s, timeout_s))
            return
        try:
            if self._client.host:
                self._client.reconnect()
            else:
                self._client.connect(self.settings.host, self.settings.port, self.settings.keepalive_s)
        except (OSError, ValueError) as exc:
            self._lost(f"{type(exc).__name__}: {exc}")

    def connect(self, patience_s: float = 5.0) -> None:
        """Wait for the first connection. Raises Unreachable."""
        end = time.monotonic() + patience_s
        while not self.listening:
            self.serve(0.1)
            if time.monotonic() > end:
                where = f"{self.settings.host}:{self.settings.port}"
                raise Unreachable(f"no connection to the broker at {where}: {self.why or 'no answer'}")

    def close(self) -> None:
        """Say goodbye."""
        if self.connected:
            end = time.monotonic() + 2
            while self._client.want_write() and time.monotonic() < end:
                self._client.loop(0.05)
            self._client.disconnect()
            self._client.loop(0.1)

    # paho's calls

    def _on_connect(self, client, userdata, flags, reason, properties):
        if reason.is_failure:
            self._lost(str(reason))
            return
        self.connected, self.why, self._wait_s = True, "", _FIRST_S
        topics = [(f"{self._base}/+/+/{channel}", 1) for channel in _UP]
        if self._groups:
            topics += [(f"{self._base}/group/+/{channel}", 1) for channel in ("price", "grid")]
        client.subscribe(topics)

    def _on_subscribe(self, client, userdata, mid, reasons, properties):
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self.why = f"the broker does not let the EMD listen: {', '.join(refused)}"
            client.disconnect()
            return
        self.listening = True
        self._up()

    def _on_disconnect(self, client, userdata, flags, reason, properties):
        self._lost(str(reason))

    def _lost(self, why):
        self.why = why
        self.connected = self.listening = False
        if self._retry_at < time.monotonic():
            self._retry_at = time.monotonic() + self._wait_s
            self._wait_s = min(_LONGEST_S, 2 * self._wait_s)

    def _on_message(self, client, userdata, message):
        topic = message.topic
        source = self._sources.get(topic)
        if source is None:
            source = self._source(topic)
        name, channel, device_class = source
        if name is not None:
            self._receive(name, channel, message.payload, device_class)
        elif channel is not None:
            self._broadcast(channel, message.payload)

    def _source(self, topic):
        """(device or None, channel or None, class) that a topic names; remembered."""
        levels = topic.split("/")
        name = channel = device_class = None
        if len(levels) == _LEVELS:
            _, _, device_class, name, channel = levels
            if device_class == "group":
                name = None
            elif not self._topics.get(name, "").endswith(f"/{device_class}/{name}/"):
                self._topics.pop(name, None)
        if len(self._sources) >= _MOST_TOPICS:
            self._sources.clear()
        self._sources[topic] = name, channel, device_class
        return name, channel, device_class


def _type(body):
    """A message's type: the head of its number says 24 where it has an octet of its own."""
    return body[2] if body[1] == 0x18 else body[1]


def _wait(client, wake, timeout_s):
    """Until paho has something to read or write, or `wake` is readable."""
    sock = client.socket()
    if sock is None or (hasattr(sock, "pending") and sock.pending()):
        return
    select.select([sock, wake], [sock] if client.want_write() else [], [], timeout_s)
