"""Price files: what is read, and what is refused with line and reason."""

import json
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spot_host import prices
from spot_host.errors import UserError
from spot_host.prices import PriceError

HOURS = [f"2024-12-12 {hour:02d}:00:00,{100 + hour}" for hour in range(24)]


def csv(*lines, heading="Datetime,Price (EUR/MWh)"):
    return "\n".join((heading, *lines)) + "\n"


def day_rows(day, hours=range(24)):
    return [f"{day} {hour:02d}:00:00,{hour}" for hour in hours]


@pytest.mark.parametrize(
    ("day", "least", "most", "utc"),
    [("2024-12-12", 107.35, 936.28, 1733958000), ("2024-05-12", -135.45, 75.74, 1715464800)],
)
def test_the_two_days_are_built_in(day, least, most, utc):
    series = prices.prices_of(day)
    assert (len(series.prices), min(series.prices), max(series.prices)) == (24, least, most)
    assert series.start_utc == utc and series.interval_s == 3600 and series.end_utc == utc + 86400
    assert day in prices.BUILT_IN and len(prices.built_in().days) == len(prices.BUILT_IN)


def test_a_series_knows_its_price_at_a_time():
    series = prices.prices_of("2024-12-12")
    assert series.at(series.start_utc + 17 * 3600) == 936.28
    assert series.at(series.start_utc + 18 * 3600 - 1) == 936.28
    assert series.at(series.start_utc - 1) is None and series.at(series.end_utc) is None


def test_a_file_on_disk_is_read_whole_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("\ufeff" + csv(*HOURS), encoding="utf-8")
    assert prices.prices_of("2024-12-12", file).prices == tuple(range(100, 124))


def test_quarter_hours_offsets_units_and_missing_headings():
    quarters = [f"2025-10-02 {n // 4:02d}:{n % 4 * 15:02d},{n}" for n in range(96)]
    series = prices.parse(csv(*quarters)).day("2025-10-02")
    assert series.interval_s == 900 and len(series.prices) == 96
    utc = [f"2024-12-{11 if hour == 0 else 12}T{(hour - 1) % 24:02d}:00:00Z,{hour}" for hour in range(24)]
    assert prices.parse("\n".join(utc)).day("2024-12-12").prices == tuple(range(24))
    assert prices.parse(csv(*HOURS, heading="time,price (ct/kWh)")).day("2024-12-12").prices[0] == 1000


def test_json_in_both_layouts():
    values = list(range(24))
    series = {"start": "2024-12-12T00:00", "interval_min": 60, "prices": values, "unit": "EUR/MWh", "note": "prices"}
    assert prices.parse(json.dumps(series)).day("2024-12-12").prices == tuple(values)
    series["start"] = "2024-12-11T23:00:00+00:00"
    assert prices.parse(json.dumps(series, indent=1)).day("2024-12-12").prices == tuple(values)
    rows = [{"time": f"2024-12-12T{hour:02d}:00", "price": hour} for hour in values]
    assert prices.parse(json.dumps(rows)).day(date(2024, 12, 12)).prices == tuple(values)


def test_the_hour_that_spring_skips_is_passed_over_whether_it_stands_there_or_not():
    for hours in (range(24), [hour for hour in range(24) if hour != 2]):
        series = prices.parse(csv(*day_rows("2024-03-31", hours))).day("2024-03-31")
        assert len(series.prices) == 23 and series.prices[:4] == (0, 1, 3, 4)
        assert series.end_utc - series.start_utc == 23 * 3600


def test_the_hour_that_autumn_repeats_may_stand_once_or_twice():
    once = prices.parse(csv(*day_rows("2024-10-27"))).day("2024-10-27")
    assert len(once.prices) == 25 and once.prices[:5] == (0, 1, 2, 2, 3)
    rows = day_rows("2024-10-27")
    rows.insert(3, "2024-10-27 02:00:00,99")
    twice = prices.parse(csv(*rows)).day("2024-10-27")
    assert twice.prices[:5] == (0, 1, 2, 99, 3) and twice.end_utc - twice.start_utc == 25 * 3600


def test_json_counts_its_hours_on_through_the_change_of_time():
    series = {"start": "2024-10-27T00:00", "interval_min": 60, "prices": list(range(25))}
    assert prices.parse(json.dumps(series)).day("2024-10-27").prices == tuple(range(25))


def test_days_may_be_missing_and_the_edges_incomplete():
    rows = (
        day_rows("2024-12-10", range(13, 24))
        + day_rows("2024-12-11")
        + day_rows("2024-12-14")
        + day_rows("2024-12-15", range(6))
    )
    book = prices.parse(csv(*rows))
    assert [str(day) for day in book.days] == ["2024-12-11", "2024-12-14"]
    with pytest.raises(PriceError, match="no prices for 2024-12-12; there are 2024-12-11, 2024-12-14"):
        book.day("2024-12-12")
    with pytest.raises(PriceError, match="is no date"):
        book.day("tomorrow")


def changed(number, line):
    rows = list(HOURS)
    rows[number] = line
    return csv(*rows)


BAD = [
    ("empty", "", None, "holds no prices"),
    ("heading only", csv(), None, "holds no prices"),
    ("a word for a price", changed(3, "2024-12-12 03:00,dear"), 5, "'dear' is no price"),
    ("no price", changed(3, "2024-12-12 03:00,"), 5, "is no price"),
    ("not a number", changed(3, "2024-12-12 03:00,nan"), 5, "outside"),
    ("infinite", changed(3, "2024-12-12 03:00,inf"), 5, "outside"),
    ("beyond what is possible", changed(3, "2024-12-12 03:00,10001"), 5, "outside -10000 to 10000"),
    ("decimal comma", changed(3, "2024-12-12 03:00,12,5"), 5, "3 columns"),
    ("one column", changed(3, "2024-12-12 03:00"), 5, "1 columns"),
    ("a word for a time", changed(3, "three,12"), 5, "'three' is no time"),
    ("a time out of this world", changed(3, "0001-01-01 03:00,12"), 5, "is no time"),
    ("the same hour twice", changed(3, "2024-12-12 02:00,12"), 5, "stands there twice"),
    ("a hole", csv(*HOURS[:5], *HOURS[6:]), 7, "05:00:00 is missing"),
    ("between the intervals", changed(3, "2024-12-12 03:10,12"), 5, "does not fall on an interval"),
    ("every ten minutes", csv("2024-12-12 00:00,1", "2024-12-12 00:10,1", "2024-12-12 00:20,1"), 2, "10 minutes apart"),
    ("odd seconds", changed(3, "2024-12-12 03:00:07,12"), 5, "does not fall on an interval"),
    ("backwards", csv(*HOURS, *day_rows("2024-12-11")), 26, "times must ascend"),
    ("no whole day", csv(*HOURS[:20]), 21, "no complete day"),
    ("unknown unit", csv(*HOURS, heading="time,price (USD/MWh)"), 1, "'USD/MWh' is not one of"),
    ("torn JSON", '{"start": "2024-12-12",\n"prices": [1, 2', 2, "not JSON"),
    ("JSON of a number with 5,000 digits", "[" + "1" * 5000 + "]", None, "not JSON"),
    ("JSON nested deep", "[" * 100_000, None, "not JSON"),
    ("JSON without prices", '{"start": "2024-12-12", "interval_min": 60}', 1, '"prices" is missing'),
    (
        "JSON with a word",
        '{"start": "2024-12-12",\n "interval_min": 60,\n "prices": [1,\n  2,\n  "x"]}',
        5,
        "'x' is no price",
    ),
    ("JSON with true", '{"start": "2024-12-12", "interval_min": 60,\n"prices": [1, true]}', 2, "True is no price"),
    ("JSON with NaN", '{"start": "2024-12-12", "interval_min": 60,\n"prices": [1, NaN]}', 2, "outside"),
    ("JSON with odd intervals", '{"start": "2024-12-12",\n"interval_min": 7, "prices": [1]}', 2, "interval_min is 7"),
    (
        "JSON with an unknown unit",
        '{"start": "2024-12-12", "interval_min": 60, "prices": [1],\n"unit": "EUR"}',
        2,
        "unit 'EUR'",
    ),
    ("JSON list of numbers", "[\n1]", 2, "an entry must be"),
    ("JSON start", '{"start": 5, "interval_min": 60, "prices": [1]}', 1, "5 is no time"),
]


@pytest.mark.parametrize(("text", "line", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_file_is_refused_with_line_and_reason(text, line, reason):
    with pytest.raises(PriceError) as caught:
        prices.parse(text, "mine")
    assert reason in str(caught.value)
    assert str(caught.value).startswith("mine")
    if line is not None:
        assert caught.value.line == line
        assert f"line {line}: " in str(caught.value)


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        prices.read(tmp_path / "nothing.csv")
    with pytest.raises(PriceError, match="directory"):
        prices.read(tmp_path)
    (tmp_path / "bytes.csv").write_bytes(b"a,b\nx\xff\xfe")
    with pytest.raises(PriceError, match="not UTF-8") as caught:
        prices.read(tmp_path / "bytes.csv")
    assert caught.value.line == 2


CELLS = st.one_of(
    st.sampled_from(["2024-12-12", "2024-03-31T02:00", "1", "-1e400", "nan", "", "{", "[", '"', "\0"]),
    st.text(max_size=8),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["start", "interval_min", "prices", "unit", "time", "price"]), inner, max_size=6
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60), st.lists(st.lists(CELLS, max_size=3).map(",".join)).map("\n".join), JSON.map(json.dumps)
    )
)
@example('{"start":"2024-12-12","interval_min":60,"prices":[1],"unit":[]}')
@example('{"start":"2024-12-12","interval_min":[],"prices":[1]}')
@example('[{"time":"2024-12-12T00:00+24:00","price":1}]')
def test_no_text_whatever_does_anything_but_read_or_raise_price_error(text):
    try:
        book = prices.parse(text)
    except PriceError:
        return
    assert all(len(series.prices) >= 23 for series in book.days.values())
