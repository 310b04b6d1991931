"""Hands on what whoever has left, or has no duty any more, has not read at the bell: nobody else would look at it.

What has a mail that waits, or lies in the parking lot, is handed on with that mail (``services.notify.mail.outcome``).
"""

from collections.abc import Sequence
from typing import Final

from services.notify.domain.telling import made, tell_after
from services.notify.domain.who import Person, present
from services.notify.store import notifications, tellings
from shared.audit import log as audit
from shared.clock import Clock
from shared.contracts.ids import OrganisationId
from shared.storage.pool import Pool
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

AT_ONCE: Final = 100

log = get_logger(__name__)


class HandingOn:
    """Takes what leavers have left unread, and tells others."""

    def __init__(self, pool: Pool, clock: Clock, people: Sequence[Person], organisation: OrganisationId) -> None:
        """Take the service's database, whom there is to tell, and in whose name it is done."""
        self._pool = pool
        self._clock = clock
        self._people = people
        self._present = present(people)
        self._organisation = organisation

    async def step(self) -> bool:
        """Hand on some of it, each once; return whether there may be more at once. Where nobody is there, it waits."""
        if not self._present:
            return False
        at = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            unread = await notifications.hand_on(connection, self._present, AT_ONCE)
            told = [telling for each in unread if not each.known for telling in tell_after(each, self._people)]
            new = await tellings.keep(connection, dict.fromkeys(told), at, self._clock.moved())
            await audit.record(connection, *(made(telling, self._organisation, at) for telling in new))
        for telling in new:
            metrics.NOTIFICATIONS.add(channel="bell", code=telling.matter)
        if unread:
            log.info("notifications.handed-on", count=len(unread))
        return len(unread) == AT_ONCE
