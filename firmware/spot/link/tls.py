"""TLS contexts with mutual X.509, always verified, and what TLS errors mean in a person's words."""

from ..port import system_year, tls
from .errors import LinkError

_SANE_YEAR = 2025  # a clock before this was never set: dates of certificates cannot be checked against it

# What mbedTLS writes when it refuses a certificate (x509_crt_verify_info), in the order of what helps most.
_REFUSALS = (
    ("expired", "tls_expired"),
    ("starts in the future", "tls_future"),
    ("future", "tls_future"),
    ("Common Name", "tls_host"),
    ("CN", "tls_host"),
    ("not correctly signed by the trusted CA", "tls_ca"),
)
_ALERT = -0x7780  # MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE: the peer refused
_EOF = (-0x7280, -0x7880, 0)  # MBEDTLS_ERR_SSL_CONN_EOF, MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY
_VERIFY = -0x2700  # MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, on ports without the texts
_UNREACHABLE = (101, 110, 111, 112, 113, 118)  # ENETUNREACH, ETIMEDOUT, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH; lwIP's


def clock_is_sane(year=None):
    """Whether the system clock, which mbedTLS checks dates against, was set since the chip started.

    On chips it starts in 2000, 2021 or 1970. The application sets it (machine.RTC) from its persisted floor and then
    from SNTP or the EMD before it starts a link; server certificates are backdated so that a floor is enough.
    """
    return (system_year() if year is None else year) >= _SANE_YEAR


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read(8192)
    except OSError as error:
        raise LinkError("files", error.errno or 0) from None


def context(config, datagrams=False):
    """A client context that verifies the peer's certificate; config `ca`, `cert`, `key`: paths of DER or PEM files.

    DER is smaller, and some ports read nothing else. LinkError("clock") on a chip whose clock was not set,
    LinkError("files", errno) when a file is missing, LinkError("files", 0) when one is not what it should be.
    """
    if not clock_is_sane():
        raise LinkError("clock", system_year())
    made = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT if datagrams else tls.PROTOCOL_TLS_CLIENT)
    ca, cert, key = _read(config["ca"]), _read(config["cert"]), _read(config["key"])
    try:
        made.load_verify_locations(ca)
        made.load_cert_chain(cert, key)
    except (OSError, ValueError):
        raise LinkError("files", 0) from None
    made.verify_mode = tls.CERT_REQUIRED
    return made


def explain(error, handshaking):
    """The LinkError that says what `error`, a ValueError or OSError of a TLS socket, means."""
    if isinstance(error, ValueError):
        text = str(error)
        for words, cause in _REFUSALS:
            if words in text:
                return LinkError(cause)
        return LinkError("tls_verify")
    number = error.errno or 0
    if number > 0:  # of the socket beneath
        if handshaking and number in _UNREACHABLE:
            return LinkError("tcp", number)
        return LinkError("tls_closed" if handshaking else "peer_closed", number)
    if number in _EOF:
        return LinkError("tls_closed" if handshaking else "peer_closed", number)
    if number == _ALERT:
        return LinkError("tls_refused" if handshaking else "peer_closed", number)
    if number == _VERIFY:
        return LinkError("tls_verify", number)
    return LinkError("tls", number)
