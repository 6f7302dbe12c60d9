"""MQTT and CoAP at once: the core's way out, by what each device spoke over last, and the way in for both."""

from spot_host.emd.mqtt import MqttLink
from spot_host.profile import definition as d

_REKEY = bytes((0x18, d.message("rekey").code))


class Links:
    """`send` and `publish` for the core, over `mqtt` (MqttLink) and `coap` (CoapLink), either of them None.

    secure: emd.secure.Secure, what protects messages on MQTT, or None. take(device, channel, body, device_class) gives
    None, or the text of a refusal; note(event, device, detail).
    """

    def __init__(self, mqtt: MqttLink | None, coap, secure, take, note):
        self.mqtt, self.coap, self.secure = mqtt, coap, secure
        self._take, self._note, self._on_mqtt = take, note, set()

    @property
    def connected(self) -> bool:
        """Whether anything can come in now."""
        return self.mqtt.connected if self.mqtt is not None else self.coap.listening

    @property
    def listening(self) -> bool:
        """As `connected`, and the broker has taken the subscriptions."""
        return self.mqtt.listening if self.mqtt is not None else self.coap.listening

    def connect(self) -> None:
        """Bind CoAP's ports, then wait for the broker. Raises UserError, Unreachable."""
        if self.coap is not None:
            self.coap.start()
        if self.mqtt is not None:
            self.mqtt.connect()

    def close(self) -> None:
        if self.mqtt is not None:
            self.mqtt.close()
        if self.coap is not None:
            self.coap.stop()

    def way(self, device: str) -> str | None:
        """Over what the device spoke last: "mqtt", "coap+oscore", …; None when it did not yet."""
        if device in self._on_mqtt:
            return "mqtt"
        return self.coap.way(device) if self.coap is not None else None

    def send(self, device: str, channel: str, body: bytes) -> None:
        """To one device, over what it spoke last; over MQTT, where there is one, before it has spoken."""
        coap = self.coap
        if coap is not None and device not in self._on_mqtt and (self.mqtt is None or coap.way(device) is not None):
            if body[1:3] == _REKEY and not coap.protected(device):
                self._hold(device)
                return
            coap.send(device, channel, body)
        elif self.mqtt is not None:
            if self.secure is not None:
                body = self.secure.seal(device, channel, body)
                if body is None:
                    return
            if body[1:3] == _REKEY:
                self._hold(device)
                return
            self.mqtt.send(device, channel, body)

    def _hold(self, device):
        """Do not send a secret. A person hears of it when the way is not protected, not when there is none yet."""
        if self.way(device) is not None:
            self._note("rekey_held", device, "no secret goes out in the clear")

    def publish(self, group: str, channel: str, body: bytes) -> None:
        """To a group, on everything."""
        if self.mqtt is not None:
            self.mqtt.publish(group, channel, body)
        if self.coap is not None:
            self.coap.publish(group, channel, body)

    def from_mqtt(self, device, channel, body, device_class) -> None:
        """A message from the broker: opened where it has to be protected, then the core's."""
        if self.secure is not None:
            body = self.secure.open(device, channel, body)
            if body is None:
                return
        if device not in self._on_mqtt:
            self._on_mqtt.add(device)
            if self.coap is not None:
                self.coap.moved_away(device)
        self._take(device, channel, body, device_class)

    def serve(self, timeout_s: float) -> None:
        """Read and write for at most `timeout_s`; what CoAP brings is answered as soon as the core took it."""
        coap = self.coap
        if self.mqtt is None:
            coap.wait(timeout_s)
        elif coap is None:
            self.mqtt.serve(timeout_s)
        else:
            self.mqtt.serve(0.0 if coap.inbox else timeout_s, coap.fileno())
        if coap is not None:
            self._read_coap(coap)

    def _read_coap(self, coap):
        for eui, event, detail in coap.notes.take():
            self._note(event, eui, detail)
        arrivals = coap.take()
        if not arrivals:
            return
        answers = []
        for arrival in arrivals:
            if coap.way(arrival.device) is not None:  # not when all that is left of it is that it went
                self._on_mqtt.discard(arrival.device)
            answers.append((arrival, self._take(arrival.device, arrival.channel, arrival.body, None)))
        coap.answer(answers)
