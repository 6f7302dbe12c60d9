"""libcoap's tools are wanted, not needed: found, fetched, or named in one line."""

import pytest

from spot_host.toolchain import debian, doctor, libcoap, runtimes

ALL = [(program, build) for build in libcoap.BUILDS for program in libcoap.PROGRAMS]


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """An empty `.toolchain`, no apt, and a PATH of the test's own: `on_path(name, says)` puts a program there."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("SPOT_TOOLCHAIN", str(tmp_path / "toolchain"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("SPOT_IGNORE_PATH", raising=False)
    monkeypatch.setattr(runtimes, "_EXTRA_DIRS", ())
    monkeypatch.setattr(debian, "available", lambda: "no apt-get here")

    def program(name, says):
        (folder / name).write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")  # as the real ones do without a URI
        (folder / name).chmod(0o755)
        return folder / name

    return program


@pytest.mark.parametrize(
    ("says", "build", "version", "wrong"),
    [
        ("coap-client v4.3.4 -- TLS Library: OpenSSL - runtime 3", "openssl", "4.3.4", None),
        ("coap-client v4.3.4 -- TLS Library: GnuTLS - runtime 3", "gnutls", "4.3.4", None),
        ("coap-client v4.3.4 -- TLS Library: OpenSSL - runtime 3", "gnutls", "4.3.4", "is not built with GnuTLS"),
        ("coap-client v4.2.1 -- TLS Library: OpenSSL - runtime 1", "openssl", "4.2.1", "older than 4.3"),
        ("cannot open shared object file", "openssl", None, "does not start"),
    ],
)
def test_a_program_is_probed_by_what_it_says(on_path, says, build, version, wrong):
    assert libcoap.probe(on_path("coap-client", says), build) == (version, wrong)


def test_a_full_set_on_path_is_taken(on_path):
    for program, build in ALL:
        on_path(f"{program}-{build}", f"{program}-{build} v4.3.5 TLS Library: {libcoap.BUILDS[build]}")
    libcoap.set_up()
    assert libcoap.missing() == []


def test_half_a_set_is_not_taken_and_the_tests_are_skipped_with_a_line(on_path, capsys):
    for program in libcoap.PROGRAMS:
        on_path(program, f"{program} v4.3.5 TLS Library: OpenSSL")
    libcoap.set_up()  # no error: set-up and all else go on
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "install libcoap 4.3 or later" in said and "skipped" in said
    assert len(libcoap.missing()) == len(ALL)


def test_doctor_calls_it_optional_and_names_what_mends_it(on_path, monkeypatch):
    rows = [row for row in doctor.rows() if row[0].startswith("libcoap")]
    assert [row[3] for row in rows] == ["optional", "optional"]
    assert all("install libcoap" in row[4] for row in rows)
    monkeypatch.setattr(debian, "available", lambda: None)
    assert all("make setup" in row[4] for row in doctor.rows() if row[0].startswith("libcoap"))
