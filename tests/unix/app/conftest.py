"""A rig with the whole firmware as a process."""

import pytest

from tests.unix.app.rig import Rig


@pytest.fixture
def rig(micropython_path, mosquitto_path, tmp_path):
    """A device that is registered and controlled."""
    with Rig(tmp_path) as rig:
        rig.join()
        yield rig
