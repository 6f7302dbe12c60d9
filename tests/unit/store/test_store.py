"""The store's promises, on a file system in memory that fills up, tears and loses power."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot.log import Log
from spot.store import BUDGET_PER_DAY, Store, StoreError
from spot_sim.flash import MemoryFs, PowerCut


def test_a_value_is_replaced_whole_and_read_back_by_another_store():
    fs = MemoryFs()
    store = Store(fs, "s")
    store.put("a", b"one")
    store.put("a", b"two")
    assert Store(fs, "s").get("a") == b"two"
    assert store.names() == ["a"]
    store.delete("a")
    assert store.get("a") is None and store.names() == []


def test_what_is_there_already_is_not_written_again():
    store = Store(MemoryFs(), "s")
    store.put("a", b"x")
    assert store.writes == 1
    store.put("a", b"x")
    assert store.writes == 1 and store.bytes_written == 9


@pytest.mark.parametrize("name", ["", "A", "a.b", "a/b", "x" * 21])
def test_a_name_that_no_file_should_have_is_refused(name):
    with pytest.raises(ValueError):
        Store(MemoryFs(), "s").put(name, b"")


@pytest.mark.parametrize("at", range(11))
def test_a_flipped_bit_anywhere_makes_a_value_absent_never_wrong(at):
    fs, log = MemoryFs(), Log()
    store = Store(fs, "s", log)
    store.put("a", b"abc")
    fs.files["s/a"][at] ^= 4
    assert store.get("a") is None
    assert log.counts["store.damaged"] >= 1


def test_full_flash_is_a_store_error_and_the_old_value_stays():
    fs, log = MemoryFs(capacity=60), Log()
    store = Store(fs, "s", log)
    store.put("a", b"old")
    with pytest.raises(StoreError):
        store.put("a", bytes(100))
    assert store.get("a") == b"old" and log.counts["store.full"] == 1
    assert list(fs.files) == ["s/a"], "nothing half-written is left to fill the flash"
    store.put("a", b"new")
    assert store.get("a") == b"new"


def test_the_daily_budget_is_counted_and_said_once_a_day():
    log = Log()
    store = Store(MemoryFs(), "s", log)
    for i in range(BUDGET_PER_DAY + 2):
        store.put("a", b"%d" % i)
    assert store.budget(10) < 0 and store.budget(20) < 0
    assert log.counts["store.budget"] == 1
    assert store.budget(86400) > 0
    assert store.wear() == 999, "502 of 5 million writes"


values = st.binary(max_size=12)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("ab"), values),
        st.tuples(st.just("delete"), st.sampled_from("ab"), st.just(b"")),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(operations, st.integers(0, 40), st.integers(0, 20), st.booleans())
def test_after_a_cut_anywhere_each_value_is_the_old_or_the_new_one(todo, cut, torn, replaces):
    fs = MemoryFs(replaces=replaces)
    store = Store(fs, "s")
    fs.cut_after, fs.torn = cut, torn
    before, after = {}, {}
    try:
        for what, name, data in todo:
            after = dict(before)
            if what == "put":
                after[name] = data
                store.put(name, data)
            else:
                after.pop(name, None)
                store.delete(name)
            before = after
    except PowerCut:
        pass
    fs.cut_after = None
    again = Store(fs, "s")
    for name in "ab":
        assert again.get(name) in (before.get(name), after.get(name))
        again.put(name, b"later")
        assert again.get(name) == b"later"


def test_reading_takes_no_more_memory_than_the_value():
    """MicroPython reserves what `read` is asked for: 8 KiB in one piece may not be there on a heap that has aged."""
    fs = MemoryFs()
    Store(fs, "s").put("a", b"12345")
    asked = []

    class File:
        def __init__(self, file):
            self._file = file

        def __enter__(self):
            self._file.__enter__()
            return self

        def __exit__(self, *error):
            return self._file.__exit__(*error)

        def read(self, n):
            asked.append(n)
            return self._file.read(n)

    class Watched:
        mkdir, listdir, remove, rename = fs.mkdir, fs.listdir, fs.remove, fs.rename

        @staticmethod
        def open(path, mode):
            return File(fs.open(path, mode))

    assert Store(Watched, "s").get("a") == b"12345"
    assert max(asked) <= 8
    fs.files["s/a"][2:4] = b"\xff\xff"
    del asked[:]
    assert Store(Watched, "s").get("a") is None and max(asked) <= 8, "nor by a length that was damaged"
