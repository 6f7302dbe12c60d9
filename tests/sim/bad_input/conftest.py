"""The checks of the house explain themselves as those of a test do."""

import pytest

pytest.register_assert_rewrite("tests.sim.bad_input.house")
