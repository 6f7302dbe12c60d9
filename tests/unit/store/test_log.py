"""The log is bounded, keeps the latest, and counts everything."""

from spot.log import DEBUG, INFO, Log


def test_the_ring_keeps_the_latest_and_the_counters_count_all():
    ring = Log(capacity=3)
    for n in range(5):
        ring.info("a", n)
    ring.warn("b", 7, 8)
    assert list(ring.recent()) == [(3, INFO, "a", 3, 0), (4, INFO, "a", 4, 0), (5, 2, "b", 7, 8)]
    assert ring.counts == {"a": 5, "b": 1}


def test_below_its_level_an_event_is_counted_and_not_kept():
    ring = Log(capacity=3)
    ring.debug("a")
    assert list(ring.recent()) == [] and ring.counts == {"a": 1}
    ring.level = DEBUG
    ring.debug("a")
    assert len(list(ring.recent())) == 1


def test_hostile_names_do_not_grow_the_counters_without_bound():
    ring = Log(capacity=3)
    for n in range(1000):
        ring.info(f"e{n}")
    assert len(ring.counts) <= 97 and ring.counts["other"] == 1000 - 96


def test_a_sink_sees_what_the_ring_takes():
    got = []
    ring = Log(capacity=3, sink=lambda *row: got.append(row))
    ring.error("x", 1, 2)
    ring.debug("y")
    assert got == [(3, "x", 1, 2)]
