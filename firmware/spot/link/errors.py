"""The one error of the links, and the causes that it names."""

CAUSES = (
    # The clock is not known to be sane, so certificates cannot be checked. Look at: time source.
    "clock",
    # A key or certificate cannot be read or parsed; detail: errno. Look at: paths in the config.
    "files",
    # The name was not resolved; detail: response code, or -1 for silence. Look at: host, name server.
    "dns",
    # Not enough memory for the connection. Look at: heap.
    "memory",
    # No TCP connection; detail: errno. Look at: host, port, firewall.
    "tcp",
    # The TCP connection was not answered in time. Look at: host, port, firewall.
    "tcp_timeout",
    # The broker's certificate has expired. Look at: broker's certificate, or this device's clock.
    "tls_expired",
    # The broker's certificate is not valid yet. Look at: this device's clock.
    "tls_future",
    # The broker's certificate is for another host. Look at: host or server_name in the config.
    "tls_host",
    # The broker's certificate is not from the configured CA. Look at: ca in the config, or an impostor.
    "tls_ca",
    # The broker's certificate failed another check. Look at: broker's certificate.
    "tls_verify",
    # The broker refused the handshake: this device's certificate is
    # revoked, expired or unknown. Look at: this device's certificate, the broker's log.
    "tls_refused",
    # The broker closed the connection during the handshake. Look at: broker.
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
    # The broker did not answer a ping. Look at: network.
    "ping_timeout",
    # The broker stopped in the middle of a packet. Look at: network.
    "read_stall",
    # The broker does not take what is sent. Look at: network.
    "write_stall",
    # A packet beyond what can be skipped; detail: its length. Look at: who publishes to this device.
    "too_long",
    # What came is not MQTT 3.1.1; detail: first octet of the packet. Look at: what listens on that port.
    "protocol",
    # The broker ended the connection; detail: errno or 0. Look at: the broker's log.
    "peer_closed",
)


class LinkError(Exception):
    """A link failed. `cause` is one of CAUSES, `detail` an int that its comment explains."""

    def __init__(self, cause, detail=0):
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail
