"""The bell of this process: wakes whoever waits for something new for a member of staff.

It carries no notification, only that there is one: who is woken looks in the database, from where they left off. So the
bell keeps nothing, a reader that is slow costs no memory, and a ring that is lost delays and never loses.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.notify.store.listening import listen
from services.notify.store.notifications import mark
from shared.contracts.ids import StaffId

MOST_STREAMS: Final = 16
"""Streams that one member may have open on this process at once: many tabs and telephones, and an end."""


class TooManyStreamsError(Exception):
    """A member has :data:`MOST_STREAMS` streams open already."""

    code: Final = "too-many-streams"


class Bell:
    """Rings in the process for what any process has committed."""

    def __init__(self, dsn: str) -> None:
        """Take the service's database; nothing rings before :meth:`listen` runs."""
        self.rung = asyncio.Event()
        """Set by every ring, whomever it is for: there may be mail to send."""
        self._dsn = dsn
        self._secret = b""
        self._waiting: dict[StaffId, set[asyncio.Event]] = {}
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether streams are to end."""
        return self._stopped

    async def listen(self) -> None:
        """Ring for what is committed, until the connection is lost; then it must be called again.

        Raises:
            OSError, asyncpg.PostgresError: the connection could not be made, or does not answer any more.
        """
        await listen(self._dsn, self._begin, self._ring)

    @contextmanager
    def heard_by(self, staff: StaffId) -> Iterator[asyncio.Event]:
        """Give an event that is set when there may be something new for ``staff``, or when streams are to end.

        Raises:
            TooManyStreamsError: too many wait for ``staff`` already.
        """
        waiting = self._waiting.setdefault(staff, set())
        if len(waiting) >= MOST_STREAMS:
            raise TooManyStreamsError
        event = asyncio.Event()
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(staff, None)

    def stop(self) -> None:
        """End every stream."""
        self._stopped = True
        self._ring_all()

    def _begin(self, secret: bytes) -> None:
        self._secret = secret
        self._ring_all()

    def _ring(self, marked: str) -> None:
        for staff, waiting in self._waiting.items():
            if mark(self._secret, staff) == marked:
                for event in waiting:
                    event.set()
        self.rung.set()

    def _ring_all(self) -> None:
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()
        self.rung.set()
