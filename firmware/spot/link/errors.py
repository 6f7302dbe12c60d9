"""The one error of the links, and the causes that it names."""

CAUSES = (
    # cause, what happened, what a person would look at
    ("clock", "the clock is not known to be sane, so certificates cannot be checked", "time source"),
    ("files", "a key or certificate cannot be read or parsed; detail: errno", "paths in the config"),
    ("dns", "the name was not resolved; detail: response code, or -1 for silence", "host, name server"),
    ("memory", "not enough memory for the connection", "heap"),
    ("tcp", "no TCP connection; detail: errno", "host, port, firewall"),
    ("tcp_timeout", "the TCP connection was not answered in time", "host, port, firewall"),
    ("tls_expired", "the broker's certificate has expired", "broker's certificate, or this device's clock"),
    ("tls_future", "the broker's certificate is not valid yet", "this device's clock"),
    ("tls_host", "the broker's certificate is for another host", "host or server_name in the config"),
    ("tls_ca", "the broker's certificate is not from the configured CA", "ca in the config, or an impostor"),
    ("tls_verify", "the broker's certificate failed another check", "broker's certificate"),
    ("tls_refused", "the broker refused the handshake: this device's certificate is revoked, expired or unknown",
     "this device's certificate, the broker's log"),
    ("tls_closed", "the broker closed the connection during the handshake", "broker"),
    ("tls", "the TLS layer failed; detail: mbedTLS error number", "broker"),
    ("tls_timeout", "the TLS handshake did not end in time", "broker, network"),
    ("connack_timeout", "no CONNACK in time", "broker"),
    ("connack_refused", "the broker refused the session; detail: return code of MQTT 3.1.1 section 3.2.2.3",
     "broker's configuration"),
    ("suback_refused", "the broker refused a subscription", "broker's access rules"),
    ("suback_timeout", "a subscription was not acknowledged", "broker"),
    ("puback_timeout", "a message was not acknowledged after all retransmissions; detail: packet id", "broker"),
    ("ping_timeout", "the broker did not answer a ping", "network"),
    ("read_stall", "the broker stopped in the middle of a packet", "network"),
    ("write_stall", "the broker does not take what is sent", "network"),
    ("too_long", "a packet beyond what can be skipped; detail: its length", "who publishes to this device"),
    ("protocol", "what came is not MQTT 3.1.1; detail: first octet of the packet", "what listens on that port"),
    ("peer_closed", "the broker ended the connection; detail: errno or 0", "the broker's log"),
)


class LinkError(Exception):
    """A link failed. `cause` is the first column of CAUSES, `detail` an int that its sentence explains."""

    def __init__(self, cause, detail=0):
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail
