"""The one source of time. Pure code is handed a time; the shell asks a clock, so that tests can move it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path


class Clock:
    """Wall-clock time in UTC, plus an offset that a test may change while the node runs."""

    def __init__(self, offset_file: Path | None = None) -> None:
        """Read the offset, in seconds, from ``offset_file`` at every look at the clock; without a file it is 0."""
        self._offset_file = offset_file

    def now(self) -> datetime:
        """Return the present moment, timezone-aware, in UTC."""
        return datetime.now(UTC) + self.moved()

    def moved(self) -> timedelta:
        """Return how far a test has moved the clock, for what goes by the database's clock; 0 in a node at work."""
        if self._offset_file is None:
            return timedelta()
        try:
            return timedelta(seconds=float(self._offset_file.read_text() or 0))
        except FileNotFoundError:
            return timedelta()
