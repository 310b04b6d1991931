"""Writes down what became of a mail, in one transaction with its audit entry: sent, told to others, put off, parked.

A mail that nobody can deliver goes where messages go that nobody can deal with: into the parking lot, under the
consumer ``mail``, where an operator lists, replays or drops it with the same commands.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import random
from typing import Final

from services.notify.domain.telling import NOBODY, Telling, made, tell_instead, tell_parked
from services.notify.domain.when import FIRST_PAUSE, next_try
from services.notify.domain.who import Person
from services.notify.store import mails, notifications, tellings
from services.notify.store.mails import Mail, MailState
from shared.audit import log as audit
from shared.clock import Clock
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import FactId, OrganisationId
from shared.contracts.services import Service
from shared.messaging import held
from shared.messaging.delivery import Delivery
from shared.messaging.held import Hold
from shared.storage.pool import Connection, Pool
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.uuids import random_uuid

SERVICE: Final = Service.NOTIFY.value
CONSUMER: Final = "mail"
REPLAYED_AT_ONCE: Final = 100

REFUSED: Final = "mail-refused"
"""The mail server will never take it, or there is no such address."""
UNDELIVERABLE: Final = "mail-undeliverable"
"""The mail server would not take it for a day."""

log = get_logger(__name__)


class Outcomes:
    """The one place that changes the state of a mail."""

    def __init__(self, pool: Pool, clock: Clock, people: Sequence[Person], organisation: OrganisationId) -> None:
        """Take the service's database, whom there is to tell, and in whose name it is done."""
        self._pool = pool
        self._clock = clock
        self._people = people
        self._organisation = organisation

    async def sent(self, mail: Mail) -> None:
        """The mail server has it. Said twice, it is written once."""
        at = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            if await mails.settle(connection, mail.id, MailState.SENT, self._clock.moved()):
                await self._record(connection, EntryCode.NOTIFICATION_SENT, mail, at, attempt=str(mail.attempts))
        metrics.NOTIFICATIONS.add(channel="mail", code=mail.matter)
        log.info("mail.sent", notification_id=mail.id, attempt=mail.attempts)

    async def skipped(self, mail: Mail) -> None:
        """It need not be sent: it was read at the bell, or says what its reader knows."""
        async with self._pool.acquire() as connection:
            await mails.settle(connection, mail.id, MailState.SKIPPED, self._clock.moved())

    async def handed_on(self, mail: Mail) -> None:
        """Its reader has left, or has no duty or address any more: tell others, or park it if nobody is there."""
        at, moved = self._clock.now(), self._clock.moved()
        at_once = timedelta()  # it has waited already
        unread = Telling(
            mail.staff, mail.fact, mail.subject, mail.urgency, mail.matter, mail.at, mail.audience, at_once
        )
        instead = tell_instead(unread, self._people)
        if not instead:
            await self.parked(mail, NOBODY)
            return
        new: list[Telling] = []
        async with self._pool.acquire() as connection, connection.transaction():
            if await mails.settle(connection, mail.id, MailState.SKIPPED, moved):
                await notifications.handed_on(connection, mail.staff, mail.fact)
                new = await tellings.keep(connection, dict.fromkeys(instead, mail.traceparent), at, moved)
                await audit.record(connection, *(made(telling, self._organisation, at) for telling in new))
        metrics.NOTIFICATIONS.add(len(new), channel="bell", code=mail.matter)
        log.warning("mail.handed-on", notification_id=mail.id, count=len(new))

    async def untried(self, mail: Mail) -> None:
        """The mail server took nothing from us, so it is as if nobody had claimed this mail."""
        async with self._pool.acquire() as connection:
            await mails.give_back(connection, mail.id)

    async def barred(self, mail: Mail) -> bool:
        """The mail server refused it for our sake: hold it, behind the others, and return whether it is held.

        Where the server has taken others since it first did so, it is not our sake: the mail is parked.
        """
        async with self._pool.acquire() as connection:
            held_back = await mails.hold_back(connection, mail.id, FIRST_PAUSE, self._clock.moved())
        if held_back:
            log.warning("mail.barred", notification_id=mail.id)
        else:
            await self.parked(mail, REFUSED)
        return held_back

    async def failed(self, mail: Mail, reason: str) -> None:
        """It was not accepted this time, or nobody knows: try again later, and after a day no more."""
        pause = next_try(mail.attempts, mail.first_tried_at, mail.tried_at, random())  # noqa: S311 - spreads load, protects nothing
        if pause is None:
            await self.parked(mail, UNDELIVERABLE)
            return
        async with self._pool.acquire() as connection:
            await mails.put_off(connection, mail.id, pause, self._clock.moved())
        log.warning("mail.put-off", notification_id=mail.id, attempt=mail.attempts, reason=reason)

    async def parked(self, mail: Mail, reason: str) -> None:
        """An operator must look: put it into the parking lot, and ring the operators' bell."""
        at = self._clock.now()
        hold = Hold(
            id=mail.id,
            delivery=Delivery(b"", {}, CONSUMER),
            reason=reason,
            attempts=mail.attempts,
            first_at=mail.made_at,
            due_at=None,
            subject=None,
            admitted=True,
        )
        async with self._pool.acquire() as connection, connection.transaction():
            if await mails.settle(connection, mail.id, MailState.PARKED, self._clock.moved()):
                await held.keep(connection, CONSUMER, [hold])
                told = tell_parked(FactId(random_uuid()), mail.id, self._people, at)
                await notifications.keep(connection, told, at)
                await self._record(connection, EntryCode.NOTIFICATION_PARKED, mail, at, reason=reason)
        metrics.MESSAGES_HANDLED.add(service=SERVICE, outcome=metrics.Outcome.PARKED, code=reason)
        log.warning("mail.parked", notification_id=mail.id, attempt=mail.attempts, reason=reason)

    async def take_back(self) -> None:
        """Make due again what an operator replays from the parking lot."""
        at = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            replayed = await held.due(connection, CONSUMER, at, REPLAYED_AT_ONCE)
            ids = [delivery.waited.id for delivery in replayed if delivery.waited]
            await mails.again(connection, sorted(await held.take(connection, ids)), self._clock.moved())

    async def _record(self, connection: Connection, code: EntryCode, mail: Mail, at: datetime, **detail: str) -> None:
        said = {"mail": str(mail.id), "staff": mail.staff, **detail}
        entry = Entry(code, self._organisation, mail.subject, at, said)
        await audit.record(connection, entry)
