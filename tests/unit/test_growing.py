"""Pauses that grow: the one rule for everything that is tried again."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis.strategies import integers

from shared.growing import doubling
from shared.messaging.outbox import PAUSES


@given(integers(min_value=1, max_value=10_000))
def test_no_pause_is_shorter_than_the_one_before_or_longer_than_the_longest(attempt: int) -> None:
    pauses = [doubling(each, 0.25, 60.0) for each in (attempt, attempt + 1)]
    assert 0.25 <= pauses[0] <= pauses[1] <= 60.0
    assert pauses[1] in (2 * pauses[0], 60.0)


def test_it_counts_from_one_and_takes_times_as_well() -> None:
    assert [doubling(attempt, timedelta(seconds=5), timedelta(seconds=30)).seconds for attempt in range(1, 5)] == [
        5,
        10,
        20,
        30,
    ]


def test_a_letter_is_tried_ever_later_and_then_every_five_minutes() -> None:
    assert all(later > earlier for earlier, later in pairwise(PAUSES))
    assert PAUSES[-1] == timedelta(minutes=5)
