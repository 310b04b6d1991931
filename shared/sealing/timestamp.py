"""The one way in which a time is written in everything that is signed: RFC 3339, UTC, whole seconds, ``Z``.

Times that the exchange can see are rounded to ten minutes, so that they say little about who was at work when.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

PATTERN: Final = r"[0-9]{4}-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
ROUNDED_PATTERN: Final = r"[0-9]{4}-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5]0:00Z"
STEP_SECONDS: Final = 600
CLOCK_SKEW: Final = timedelta(minutes=10)
"""How far a sender's clock may be ahead of the reader's (docs/protocol/envelope.md)."""
FARTHEST_AHEAD: Final = timedelta(days=1)
"""How far ahead what is sealed may be dated for a reader to wait for its time; what is dated later is refused."""

_TIME: Final = re.compile(PATTERN)


def encode_time(at: datetime) -> str:
    """Return ``at`` (timezone-aware) as ``2026-11-24T10:20:00Z``; fractions of a second are dropped."""
    return at.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def decode_time(text: str) -> datetime:
    """Return the moment, in UTC.

    Raises:
        ValueError: it is written in another way, or there is no such day.
    """
    if _TIME.fullmatch(text) is None:
        message = "not an RFC 3339 time in UTC with whole seconds"
        raise ValueError(message)
    return datetime.fromisoformat(text)


def rounded_down(at: datetime) -> datetime:
    """Return the last full ten minutes at or before ``at``."""
    return datetime.fromtimestamp(at.timestamp() // STEP_SECONDS * STEP_SECONDS, UTC)


def rounded_up(at: datetime) -> datetime:
    """Return the first full ten minutes at or after ``at``."""
    return datetime.fromtimestamp(-(-at.timestamp() // STEP_SECONDS) * STEP_SECONDS, UTC)
