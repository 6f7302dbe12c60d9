"""Finding the system's Debian mirror, in each layout that apt reads."""

import pytest

from spot_host.errors import SetupError
from spot_host.toolchain import debian

_DEB822 = """\
Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: {keyring}
"""


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "key.gpg").write_bytes(b"key")
    return tmp_path


def test_deb822_sources_give_mirror_and_keyring(etc):
    (etc / "sources.list.d" / "debian.sources").write_text(_DEB822.format(keyring=etc / "key.gpg"))
    assert debian.mirror(etc) == ("http://mirror.example/debian", str(etc / "key.gpg"))


def test_one_line_sources_give_mirror_and_keyring(etc):
    (etc / "sources.list").write_text(
        f"# deb http://old.example/debian x main\ndeb [arch=amd64 signed-by={etc / 'key.gpg'}] "
        "https://mirror.example/debian/ bookworm main\n"
    )
    assert debian.mirror(etc) == ("https://mirror.example/debian", str(etc / "key.gpg"))


@pytest.mark.parametrize(
    "text",
    [
        "deb http://mirror.example/debian-security bookworm-security main\n",
        "deb http://mirror.example/ubuntu noble main\n",
        "deb-src http://mirror.example/debian bookworm main\n",
        "# deb http://mirror.example/debian bookworm main\n",
        "",
    ],
    ids=["security only", "another distribution", "sources only", "commented out", "empty"],
)
def test_without_a_debian_archive_there_is_one_clear_line(etc, text):
    (etc / "sources.list").write_text(text)
    with pytest.raises(SetupError, match="no Debian mirror"):
        debian.mirror(etc)


def test_a_disabled_stanza_and_other_archives_are_passed_over(etc):
    (etc / "sources.list.d" / "a.sources").write_text(
        "Enabled: no\n" + _DEB822.format(keyring="/nowhere")
        + "\nTypes: deb\nURIs: https://other.example/node\nSuites: nodistro\n"
        + "\nTypes: deb\nURIs: http://second.example/debian\nSuites: trixie\nSigned-By: " + str(etc / "key.gpg") + "\n"
    )
    assert debian.mirror(etc)[0] == "http://second.example/debian"


def test_nothing_in_the_set_up_turns_signatures_off():
    for file in debian.paths.ROOT.joinpath("host_tools/spot_host/toolchain").glob("*.py"):
        text = file.read_text()
        assert "trusted=yes" not in text and "allow-unauthenticated" not in text.lower()


def test_a_wrapper_starts_the_program_through_the_trees_own_loader(tmp_path):
    tree = tmp_path / "debian" / "tool"
    (tree / "usr/lib64").mkdir(parents=True)
    (tree / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    (tree / "usr/lib/x86_64-linux-gnu/libc.so.6").write_text("")
    loader = tree / "usr/lib64/ld-linux-x86-64.so.2"
    loader.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    loader.chmod(0o755)
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/tool").write_text("")
    debian.wrapper(tree, tree / "usr/bin/tool", tmp_path / "bin" / "tool")
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + " moved"))  # a checkout may be moved, and have a space
    from spot_host.toolchain import run

    lines = run.check([moved / "bin" / "tool", "-c", "two words"], "tool").splitlines()
    assert lines[0] == "--argv0" and lines[2] == "--library-path"
    assert lines[3].endswith("usr/lib/x86_64-linux-gnu") and str(moved) in lines[3]
    assert lines[4].endswith("usr/bin/tool") and lines[5:] == ["-c", "two words"]
