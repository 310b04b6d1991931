"""Mail on its way. A row says whom to tell of what; the address and the words are found when it is sent.

Every time here is the database's own, so that one process sends when it is due what another wrote down, whatever their
clocks say; ``moved`` is how far a test has moved that time. A mail is claimed under a lease, in a statement that passes
over what another process has claimed, so that any number of processes may send side by side. A lease is longer than the
longest try, so that it only ends where its process did: what happens then is told in ``services.notify.mail.delivery``.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

from services.notify.domain.notice import Matter
from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience
from shared.contracts.ids import FactId, StaffId
from shared.storage.pool import Connection
from shared.values import dataclass

MailId = NewType("MailId", UUID)

RANKS: Final = {Urgency.IMMEDIATE: 0, Urgency.URGENT: 1, Urgency.STANDARD: 2}
"""The order in which mail goes out."""


class MailState(StrEnum):
    """What became of a mail."""

    WAITING = "waiting"
    SENT = "sent"
    """The mail server has it."""
    SKIPPED = "skipped"
    """It was read at the bell first, its reader knows already that something is parked, or others were told instead."""
    PARKED = "parked"
    """An operator must look."""


@dataclass(frozen=True, slots=True)
class NewMail:
    """A notification that is to be mailed."""

    staff: StaffId
    place: int
    urgency: Urgency
    audience: Audience
    wait: timedelta
    """How long before it is due."""
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that this process has claimed."""

    id: MailId
    staff: StaffId
    audience: Audience
    """Who must know, by role."""
    fact: FactId
    subject: UUID
    urgency: Urgency
    matter: Matter
    at: datetime
    """When it happened."""
    made_at: datetime
    """When the notification was made: the mail's date, the same in every try."""
    read: bool
    first_tried_at: datetime
    tried_at: datetime
    attempts: int
    """This try included."""
    traceparent: str | None
    reminded_at: datetime | None
    """Where it is about something parked: when its reader was last mailed of another such, and has not read that."""


KEEP: Final = """
    INSERT INTO mail (staff, place, rank, audience, due_at, traceparent)
    SELECT staff, place, rank, audience, now() + $7::interval + wait, traceparent
    FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::text[], $5::interval[], $6::text[])
        AS mail (staff, place, rank, audience, wait, traceparent)
"""

DUE: Final = """
    SELECT EXISTS (
        SELECT FROM mail
        WHERE state = 'waiting' AND due_at <= now() + $1::interval AND (leased_until IS NULL OR leased_until <= now())
    )
"""

CLAIM: Final = """
    WITH due AS (
        SELECT id FROM mail
        WHERE state = 'waiting' AND due_at <= now() + $1::interval AND (leased_until IS NULL OR leased_until <= now())
        ORDER BY rank, due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ),
    mine AS (
        UPDATE mail
        SET attempts = attempts + 1, first_tried_at = coalesce(first_tried_at, now() + $1::interval),
            leased_until = now() + $2::interval
        FROM due WHERE mail.id = due.id
        RETURNING mail.id, staff, place, audience, first_tried_at, attempts, traceparent
    )
    SELECT id, staff, audience, fact, subject, urgency, matter, at, made_at, read_at IS NOT NULL AS read,
        first_tried_at, now() + $1::interval AS tried_at, attempts, traceparent,
        CASE matter WHEN 'parked' THEN (
            SELECT other.first_tried_at FROM mail AS other JOIN notification AS of USING (staff, place)
            WHERE other.staff = mine.staff AND other.state IN ('sent', 'parked')
                AND of.matter = 'parked' AND of.read_at IS NULL
            ORDER BY other.first_tried_at DESC LIMIT 1
        ) END AS reminded_at
    FROM mine JOIN notification USING (staff, place)
"""

SETTLE: Final = """
    UPDATE mail
    SET state = $2, sent_at = CASE $2 WHEN 'sent' THEN now() + $3::interval END, leased_until = NULL
    WHERE id = $1 AND state = 'waiting' RETURNING id
"""

PUT_OFF: Final = """
    UPDATE mail SET due_at = now() + $3::interval + $2::interval, leased_until = NULL
    WHERE id = $1 AND state = 'waiting'
"""

GIVE_BACK: Final = """
    UPDATE mail SET attempts = attempts - 1, first_tried_at = CASE WHEN attempts > 1 THEN first_tried_at END,
        leased_until = NULL
    WHERE id = $1 AND state = 'waiting'
"""

HOLD_BACK: Final = """
    UPDATE mail AS mine
    SET attempts = attempts - 1, first_tried_at = CASE WHEN attempts > 1 THEN first_tried_at END, leased_until = NULL,
        barred_at = coalesce(barred_at, now() + $3::interval), due_at = now() + $3::interval + $2::interval
    WHERE id = $1 AND state = 'waiting' AND NOT EXISTS (SELECT FROM mail WHERE sent_at > mine.barred_at)
    RETURNING id
"""

AGAIN: Final = """
    UPDATE mail
    SET state = 'waiting', attempts = 0, first_tried_at = NULL, barred_at = NULL, due_at = now() + $2::interval,
        leased_until = NULL
    WHERE id = ANY($1::uuid[]) AND state = 'parked'
"""


async def keep(connection: Connection, mails: Sequence[NewMail], moved: timedelta) -> None:
    """Write down what is to be mailed, in the transaction that makes the notifications."""
    if not mails:
        return
    await connection.execute(
        KEEP,
        [mail.staff for mail in mails],
        [mail.place for mail in mails],
        [RANKS[mail.urgency] for mail in mails],
        [mail.audience for mail in mails],
        [mail.wait for mail in mails],
        [mail.traceparent for mail in mails],
        moved,
    )


async def any_due(connection: Connection, moved: timedelta) -> bool:
    """Say whether there is anything to send."""
    return bool(await connection.fetchval(DUE, moved))


async def claim(connection: Connection, lease: timedelta, moved: timedelta) -> Mail | None:
    """Claim the most urgent mail that is due, for ``lease``; ``None`` where nothing is, or others have it all."""
    row = await connection.fetchrow(CLAIM, moved, lease)
    if row is None:
        return None
    return Mail(
        id=MailId(row["id"]),
        staff=StaffId(row["staff"]),
        audience=Audience(row["audience"]),
        fact=FactId(row["fact"]),
        subject=row["subject"],
        urgency=Urgency(row["urgency"]),
        matter=Matter(row["matter"]),
        at=row["at"],
        made_at=row["made_at"],
        read=row["read"],
        first_tried_at=row["first_tried_at"],
        tried_at=row["tried_at"],
        attempts=row["attempts"],
        traceparent=row["traceparent"],
        reminded_at=row["reminded_at"],
    )


async def settle(connection: Connection, mail: MailId, state: MailState, moved: timedelta) -> bool:
    """Say what became of a mail, and return whether nobody had said so before."""
    return await connection.fetchval(SETTLE, mail, state, moved) is not None


async def put_off(connection: Connection, mail: MailId, pause: timedelta, moved: timedelta) -> None:
    """Give a mail back for as long as ``pause``."""
    await connection.execute(PUT_OFF, mail, pause, moved)


async def give_back(connection: Connection, mail: MailId) -> None:
    """Undo the claim of a mail: it was not tried."""
    await connection.execute(GIVE_BACK, mail)


async def hold_back(connection: Connection, mail: MailId, pause: timedelta, moved: timedelta) -> bool:
    """Undo the claim of a mail that the server refused for our sake, for as long as ``pause``; return whether it did.

    It does not where the server has taken another mail since it first refused this one so.
    """
    return await connection.fetchval(HOLD_BACK, mail, pause, moved) is not None


async def again(connection: Connection, mails: Sequence[UUID], moved: timedelta) -> None:
    """Let parked mails be tried again, as if they were new."""
    await connection.execute(AGAIN, mails, moved)
