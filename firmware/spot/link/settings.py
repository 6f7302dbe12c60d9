"""What the sections `mqtt` and `coap` of a configuration may say, as tables that config_check.py checks by.

The rules are those of config_check.py.
"""

_MS = (1, 3600000)
CERTIFICATES = ("ca", "cert", "key")

BOTH = {
    "ca": "text", "cert": "text", "key": "text", "server_name": "text", "pairing": "text", "groups": "levels",
    "backoff_ms": "pair", "keepalive": (5, 65535), "window": (1, 64), "stall_ms": _MS, "tcp_ms": _MS,
    "handshake_ms": _MS, "stable_ms": _MS,
}
MQTT = {
    "host": "text", "port": (1, 65535), "utility": "level", "connack_ms": _MS, "ack_ms": _MS, "ping_ms": _MS,
    "protect": ("none", "up", "down", "both"),
}
COAP = {
    "uri": "uri", "listen": (0, 65535), "multicast": "switch", "insecure": "switch", "baudrate": (1200, 3000000),
    "lifetime": (60, 604800), "renew": "switch",
}
SECTIONS = {"mqtt": MQTT, "coap": COAP}
NEEDED = {"mqtt": ("host",), "coap": ("uri",)}

# Schemes of `uri` and their ports; slipmux has none
PORTS = {"coap": 5683, "coap+tcp": 5683, "coaps": 5684, "coaps+tcp": 5684}

# pairing.json: hexadecimal digits (least, most), or (least, most) of an integer
PAIRING_HEX = {"secret": (32, 32), "salt": (16, 16), "id": (2, 6), "emd": (2, 2)}
PAIRING_INTS = {"generation": (0, 255), "until": (0, 4294967295)}

DATA = ("telemetry", "interval", "alarm", "log", "service")


def split_uri(uri):
    """(scheme, host, port) of a CoAP URI without a path; slipmux: ("slipmux", device, 0). ValueError: it is none."""
    scheme, colon, rest = uri.partition(":")
    if scheme == "slipmux" and rest:
        return scheme, rest, 0
    if scheme not in PORTS or rest[:2] != "//":
        raise ValueError(uri)
    rest = rest[2:]
    if rest[:1] == "[":
        host, bracket, port = rest[1:].partition("]")
        if not bracket or port and port[0] != ":":
            raise ValueError(uri)
        port = port[1:]
    else:
        host, _, port = rest.partition(":")
    port = int(port or PORTS[scheme])
    if not host or not 0 < port < 65536:
        raise ValueError(uri)
    for c in host:
        if not (c.isalpha() or c.isdigit() or c in "-._:"):
            raise ValueError(uri)
    return scheme, host, port
