"""The pause before the next attempt: its bounds, its jitter, its fresh start."""

from spot.link.backoff import Backoff


def test_doubles_to_its_bound():
    backoff = Backoff(1000, 60000)
    longest = [backoff.next(65535) for _ in range(9)]
    assert longest == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]


def test_jitter_spreads_over_the_upper_half():
    for draw, expected in ((0, 500), (32768, 750), (65535, 1000)):
        assert Backoff(1000, 60000).next(draw) == expected


def test_starts_afresh_after_a_stable_connection():
    backoff = Backoff(1000, 60000)
    assert backoff.is_fresh
    backoff.next(0)
    backoff.next(0)
    assert not backoff.is_fresh
    backoff.reset()
    assert backoff.is_fresh and backoff.next(65535) == 1000
