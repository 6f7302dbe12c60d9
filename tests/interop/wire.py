"""The little of CoAP that a test speaks by itself, to wait for a server or to send it what no library would."""

import socket


def ping(host, port, timeout_s) -> bool:
    """An empty CON (RFC 7252, section 4.3): true if an RST to it came back in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        sock.connect((host, port))
        try:
            sock.send(b"\x40\x00\x12\x34")
            return sock.recv(16) == b"\x70\x00\x12\x34"
        except OSError:  # nobody there yet (refused), or no answer
            return False
