"""docs/bad-input.md shows the table as it is tested."""

from tests.sim.bad_input import document


def test_the_page_is_not_stale():
    """`make gen` would change nothing."""
    assert document.PAGE.read_text() == document.page()
