"""What `spot emd log` adds to a line."""

import pytest

from spot_host.emd.log_words import with_words


@pytest.mark.parametrize(("line", "words"), [
    ("5 w alarm 10 1", "sensor_fault, raised"),
    ("9 w alarm 10 0", "sensor_fault, cleared"),
    ("70 i mode 2 0", "failsafe"),
    ("61 w message.refused 27 30", "read_log, unknown_id"),
    ("61 w message.refused 0 4", "malformed"),
    ("0 w start.after_failure 3 1", "watchdog"),
])
def test_numbers_that_stand_for_something_are_named(line, words):
    assert with_words(line) == f"{line}  ({words})"


@pytest.mark.parametrize("line", [
    "0 i board.built 4 0", "5 w alarm 99 7", "5 w alarm x y", "5 w alarm 10", "", "ValueError: mode 2 0 0",
])
def test_any_other_line_stays_as_it_is(line):
    assert with_words(line) == line
