"""How long to wait before the next try of anything: each time twice as long, up to a longest. Pure."""

from datetime import timedelta
from typing import Final, TypeVar

Length = TypeVar("Length", float, timedelta)
"""Seconds, or a time."""

MOST_DOUBLINGS: Final = 16
"""By then every longest pause is reached, and no number grows too large to be multiplied."""


def doubling(attempt: int, first: Length, longest: Length) -> Length:
    """Return how long to wait before try number ``attempt``, counted from 1: ``first``, then twice that, and so on."""
    return min(longest, first * float(2 ** min(attempt - 1, MOST_DOUBLINGS)))
