"""The one error of the links, the causes that it names, and what becomes of an application's errors."""

CAUSES = (
    # The clock is not known to be sane, so certificates cannot be checked. Look at: time source.
    "clock",
    # A key or certificate cannot be read or parsed; detail: errno. Look at: paths in the config.
    "files",
    # The name was not resolved; detail: response code, or -1 for silence. Look at: host, name server.
    "dns",
    # Not enough memory for the connection. Look at: heap.
    "memory",
    # The socket of CoAP over UDP or DTLS failed; detail: errno. Look at: network, port, `listen`.
    "udp",
    # The serial line cannot be opened, or went; detail: errno. Look at: uri in the config, cable.
    "serial",
    # No TCP connection; detail: errno. Look at: host, port, firewall.
    "tcp",
    # The TCP connection was not answered in time. Look at: host, port, firewall.
    "tcp_timeout",
    # The peer's certificate has expired. Look at: broker's certificate, or this device's clock.
    "tls_expired",
    # The peer's certificate is not valid yet. Look at: this device's clock.
    "tls_future",
    # The peer's certificate is for another host. Look at: host or server_name in the config.
    "tls_host",
    # The peer's certificate is not from the configured CA. Look at: ca in the config, or an impostor.
    "tls_ca",
    # The peer's certificate failed another check. Look at: broker's certificate.
    "tls_verify",
    # The peer refused the handshake: this device's certificate is
    # revoked, expired or unknown. Look at: this device's certificate, the broker's log.
    "tls_refused",
    # The peer closed the connection during the handshake. Look at: broker.
    "tls_closed",
    # The TLS layer failed; detail: mbedTLS error number. Look at: broker.
    "tls",
    # The TLS handshake did not end in time. Look at: broker, network.
    "tls_timeout",
    # No CONNACK in time. Look at: broker.
    "connack_timeout",
    # The broker refused the session; detail: return code (MQTT 3.1.1 section 3.2.2.3). Look at: its settings.
    "connack_refused",
    # The broker refused a subscription. Look at: broker's access rules.
    "suback_refused",
    # A subscription was not acknowledged. Look at: broker.
    "suback_timeout",
    # A message was not acknowledged after all retransmissions; detail: packet id. Look at: broker.
    "puback_timeout",
    # The peer did not answer a ping. Look at: network.
    "ping_timeout",
    # The peer stopped in the middle of a packet. Look at: network.
    "read_stall",
    # The peer does not take what is sent. Look at: network.
    "write_stall",
    # A packet beyond what can be skipped; detail: its length. Look at: who publishes to this device.
    "too_long",
    # What came is not MQTT 3.1.1, or CoAP as RFC 8323 has it; detail: first octet of the packet, or code.
    # Look at: what listens on that port.
    "protocol",
    # The broker or EMD ended the connection; detail: errno or 0. Look at: its log.
    "peer_closed",
    # CoAP: the EMD did not answer a message after all retransmissions. Look at: EMD, network.
    "timeout",
    # CoAP: the EMD does not accept this device's keys; detail: code. Look at: pairing file, the EMD's registry.
    "unauthorized",
    # CoAP: the pairing's time ran out before it was first used. Look at: pairing file, a new one from the EMD.
    "expired",
    # CoAP: no sequence number may be used: the store refuses, or they are used up. Look at: flash, pairing.
    "keys",
    # CoAP over TCP: the EMD released, or aborted, the connection. Look at: its log.
    "released",
    "aborted",
)


class LinkError(Exception):
    """A link failed. `cause` is one of CAUSES, `detail` an int that its comment explains."""

    def __init__(self, cause, detail=0):
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail


def call(log, callback, *arguments):
    """What the application raises in a callback is said, and the link stays."""
    try:
        callback(*arguments)
    except Exception as error:
        log.failure("link.callback", error)
