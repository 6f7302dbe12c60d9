"""What a TLS error means, and when the clock is good enough to check a certificate."""

import pytest

from spot.link import tls
from spot.link.errors import CAUSES, LinkError


@pytest.mark.parametrize(("error", "handshaking", "cause"), [
    (ValueError("The certificate validity has expired\n"), True, "tls_expired"),
    (ValueError("The certificate validity starts in the future\n"), True, "tls_future"),
    (ValueError("The certificate Common Name (CN) does not match with the expected CN\n"), True, "tls_host"),
    (ValueError("The certificate is not correctly signed by the trusted CA\n"), True, "tls_ca"),
    (ValueError("The certificate is signed with an unacceptable hash.\n"), True, "tls_verify"),
    (OSError(-0x2700), True, "tls_verify"),
    (OSError(-0x7780, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"), True, "tls_refused"),
    (OSError(-0x7780), False, "peer_closed"),
    (OSError(-0x7280), True, "tls_closed"),
    (OSError(-0x7280), False, "peer_closed"),
    (OSError(104), True, "tls_closed"),
    (OSError(104), False, "peer_closed"),
    (OSError(111), True, "tcp"),
    (OSError(-0x7200), True, "tls"),
])
def test_causes(error, handshaking, cause):
    if not error.errno if isinstance(error, OSError) else False:
        error.errno = error.args[0]  # CPython sets it only together with a text
    assert tls.explain(error, handshaking).cause == cause
    assert cause in set(CAUSES)


def test_clock():
    assert tls.clock_is_sane() and tls.clock_is_sane(2025)
    assert not any(map(tls.clock_is_sane, (1970, 2000, 2021, 2024)))


def test_no_context_with_a_clock_that_was_never_set(monkeypatch):
    monkeypatch.setattr(tls, "system_year", lambda: 2000)
    with pytest.raises(LinkError) as caught:
        tls.context({})
    assert (caught.value.cause, caught.value.detail) == ("clock", 2000)


def test_verification_is_required(tmp_path):
    from spot_host.pki import Pki

    pki = Pki(tmp_path)
    identity = pki.device("02005e10000000a1")

    class Context:
        def __init__(self, protocol):
            self.protocol, self.verify_mode, self.loaded = protocol, None, []

        def load_verify_locations(self, data):
            self.loaded.append(data)

        def load_cert_chain(self, cert, key):
            self.loaded += [cert, key]

    class Module:
        PROTOCOL_TLS_CLIENT, CERT_REQUIRED, SSLContext = 16, 2, Context

    original, tls.tls = tls.tls, Module
    try:
        made = tls.context({"ca": pki.ca_der, "cert": identity.cert_der, "key": identity.key_der})
    finally:
        tls.tls = original
    assert made.verify_mode == 2 and made.protocol == 16
    assert made.loaded == [path.read_bytes() for path in (pki.ca_der, identity.cert_der, identity.key_der)]
