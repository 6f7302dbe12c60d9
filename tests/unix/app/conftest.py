"""A rig with the whole firmware as a process."""

import pytest

pytest.register_assert_rewrite("tests.unix.app.rig")  # its checks explain themselves, too

from tests.unix.app.rig import Rig  # noqa: E402


@pytest.fixture
def rig(micropython_path, mosquitto_path, tmp_path):
    """A device that is registered and controlled."""
    with Rig(tmp_path) as rig:
        rig.join()
        yield rig
