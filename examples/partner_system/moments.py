"""Times as docs/protocol/ writes them: UTC, whole seconds, ``2026-11-24T10:23:45Z``, and no other spelling."""

import re
from datetime import UTC, datetime, timedelta

TEN_MINUTES = timedelta(minutes=10)
A_DAY = timedelta(days=1)
SPELLING = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)


def now() -> datetime:
    """Return the time by this machine's clock; everything else is handed it."""
    return datetime.now(UTC)


def written(moment: datetime) -> str:
    """Write a time, dropping what is less than a second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def read(text: str) -> datetime:
    """Read a time; raise ValueError for any other spelling and for a date that does not exist."""
    if not SPELLING.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text)


def rounded_down(moment: datetime) -> datetime:
    """Round down to ten minutes, so that a watcher learns little from the time of sealing."""
    return moment.astimezone(UTC).replace(minute=moment.minute // 10 * 10, second=0, microsecond=0)


def rounded_up(moment: datetime) -> datetime:
    """Round up to ten minutes; a time on the mark stays."""
    down = rounded_down(moment)
    return down if down == moment else down + TEN_MINUTES
