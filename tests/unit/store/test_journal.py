"""The journal's promises: numbers run on, nothing is torn, what is dropped is counted, acknowledging writes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.log import Log
from spot.store import Store, StoreError
from spot_sim.flash import MemoryFs, PowerCut


def record(n):
    return b"%08d" % n


def read_all(journal):
    buf = bytearray(8)
    got = []
    for seq in range(journal.first, journal.next):
        assert journal.read(seq, buf) == 8
        got.append((seq, bytes(buf)))
    return got


def test_records_come_back_under_their_numbers_also_after_a_restart():
    fs = MemoryFs()
    journal = Store(fs, "s").journal("ev", 8, 40)
    for n in range(25):
        assert journal.append(record(n)) == n
    again = Store(fs, "s").journal("ev", 8, 40)
    assert (again.first, again.next, again.lost) == (0, 25, 0)
    assert read_all(again) == [(n, record(n)) for n in range(25)]


def test_an_acknowledgement_writes_nothing_and_the_next_append_keeps_it():
    fs = MemoryFs()
    journal = Store(fs, "s").journal("ev", 8, 40)
    for n in range(5):
        journal.append(record(n))
    writes = fs.operations
    journal.ack(3)
    assert fs.operations == writes and journal.first == 4
    assert Store(fs, "s").journal("ev", 8, 40).first == 0, "not kept yet: offered again under the old number"
    journal.append(record(5))
    again = Store(fs, "s").journal("ev", 8, 40)
    assert (again.first, again.next) == (4, 6)


def test_all_acknowledged_leaves_one_segment_that_carries_the_numbers_on():
    fs = MemoryFs()
    journal = Store(fs, "s").journal("ev", 8, 40)
    for n in range(35):
        journal.append(record(n))
        journal.ack(n)
    assert len(fs.files) == 1 and len(journal) == 0
    assert Store(fs, "s").journal("ev", 8, 40).next == 35


def test_the_oldest_go_when_it_is_full_and_are_counted_over_a_restart_too():
    fs, log = MemoryFs(), Log()
    journal = Store(fs, "s", log).journal("ev", 8, 40)
    for n in range(100):
        journal.append(record(n))
        assert journal.next - journal.first >= min(n + 1, 40), "the stated capacity is held"
    assert journal.lost == journal.first > 0
    assert len(journal) < 40 + journal.segment + 1
    assert log.counts["journal.lost"] >= 1
    again = Store(fs, "s").journal("ev", 8, 40)
    assert again.lost == journal.lost and again.first == journal.first


def test_an_acknowledgement_beyond_the_end_or_backwards_does_no_harm():
    journal = Store(MemoryFs(), "s").journal("ev", 8, 40)
    journal.append(record(0))
    journal.ack(99)
    assert (journal.first, journal.next) == (1, 1)
    journal.ack(-1)
    assert journal.first == 1


def test_full_flash_is_a_store_error_and_the_journal_is_as_before():
    fs = MemoryFs(capacity=100)
    store = Store(fs, "s")
    journal = store.journal("ev", 8, 40)
    for n in range(5):
        journal.append(record(n))
    with pytest.raises(StoreError):
        journal.append(record(5))
    assert (journal.first, journal.next) == (0, 5)
    assert read_all(journal) == [(n, record(n)) for n in range(5)]
    fs.capacity = None
    assert journal.append(record(5)) == 5
    assert read_all(Store(fs, "s").journal("ev", 8, 40)) == [(n, record(n)) for n in range(6)]


def test_a_damaged_record_is_skipped_and_its_neighbours_and_the_numbering_stay():
    fs, log = MemoryFs(), Log()
    journal = Store(fs, "s", log).journal("ev", 8, 40)
    for n in range(5):
        journal.append(record(n))
    fs.files["s/ev.0"][2 * 20] ^= 1
    again = Store(fs, "s", log).journal("ev", 8, 40)
    assert again.next == 5
    buf = bytearray(8)
    assert [again.read(n, buf) for n in range(5)] == [8, 8, 0, 8, 8]
    assert log.counts["journal.damaged"] == 1


def test_a_segment_that_cannot_be_read_at_boot_is_not_taken_away():
    fs = MemoryFs()
    journal = Store(fs, "s").journal("ev", 8, 40)
    for n in range(13):
        journal.append(record(n))

    class Failing:
        mkdir, listdir, remove, rename = fs.mkdir, fs.listdir, fs.remove, fs.rename

        @staticmethod
        def open(path, mode):
            if path == "s/ev.10" and mode == "rb":
                raise OSError(5)
            return fs.open(path, mode)

    log = Log()
    again = Store(Failing, "s", log).journal("ev", 8, 40)
    assert again.append(record(20)) == 20 and log.counts["journal.unreadable"] == 1
    later = Store(fs, "s").journal("ev", 8, 40)
    buf = bytearray(8)
    assert later.read(12, buf) == 8 and bytes(buf) == record(12) and later.next == 21


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.just("append"), st.integers(0, 30)), max_size=60), st.integers(0, 90), st.integers(0, 20))
def test_after_a_cut_anywhere_the_journal_holds_what_was_appended_and_runs_on(todo, cut, torn):
    fs = MemoryFs()
    journal = Store(fs, "s").journal("ev", 8, 20)
    fs.cut_after, fs.torn = cut, torn
    done = acked = 0
    try:
        for what in todo:
            if what == "append":
                journal.append(record(done))
                done += 1
            else:
                acked = max(acked, min(what + 1, done))
                journal.ack(what)
    except PowerCut:
        pass
    fs.cut_after = None
    again = Store(fs, "s").journal("ev", 8, 20)
    assert again.next in (done, done + 1), "an append that was cut may have got through, nothing else"
    assert again.first <= max(acked, again.lost), "nothing unacknowledged is skipped unseen"
    for seq, data in read_all(again):
        assert data == record(seq)
    start = again.next
    for n in range(start, start + 12):
        assert again.append(record(n)) == n
    held = read_all(Store(fs, "s").journal("ev", 8, 20))
    assert held[-12:] == [(n, record(n)) for n in range(start, start + 12)]
