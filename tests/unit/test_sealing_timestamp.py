"""Times that the exchange sees are rounded to ten minutes, and every time has one spelling."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sealing.timestamp import decode_time, encode_time, rounded_down, rounded_up

STEP = timedelta(minutes=10)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments)
def test_a_moment_lies_between_its_two_roundings(at: datetime) -> None:
    down, up = rounded_down(at), rounded_up(at)
    assert down <= at <= up
    assert up - down in (timedelta(), STEP)
    assert (up == down) == (down == at)
    for rounded in (down, up):
        assert rounded.minute % 10 == rounded.second == rounded.microsecond == 0


@given(moments)
def test_a_time_is_read_as_it_was_written(at: datetime) -> None:
    assert decode_time(encode_time(at)) == at.replace(microsecond=0)


def test_a_time_is_written_in_utc_wherever_it_comes_from() -> None:
    paris = timezone(timedelta(hours=1))
    assert encode_time(datetime(2026, 11, 24, 0, 30, 5, 999_999, tzinfo=paris)) == "2026-11-23T23:30:05Z"
    assert encode_time(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-24", "2026-11-24T10:20Z", "2026-11-24T10:20:60Z", "2026-W48-2T10:20:00Z", "2026-02-30T00:00:00Z"],
)
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reader's own words or the calendar's
        decode_time(text)
