"""Notifications, each member's own, counted in the order of the commits.

The count is what makes the feed's catch-up exact: a member's row in ``reader`` is locked while numbers are given out,
so that a number is never seen before a smaller one. What must never happen: a member is shown, or changes, what belongs
to anybody else.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NewType
from uuid import UUID

from asyncpg import Record

from services.notify.domain.notice import Matter
from services.notify.domain.telling import Telling, Unread
from shared.contracts.codes import Urgency
from shared.contracts.ids import FactId, StaffId
from shared.storage.pool import Connection
from shared.values import dataclass

Place = NewType("Place", int)
"""A notification's number in its member's own count, from 1. Also the feed's event id."""

CHANNEL: Final = "notification"
"""Where PostgreSQL says, at the commit, for whom there is something new: by a :func:`mark`: any role may listen."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """Where a telling went: ``place`` in the count of ``staff``."""

    staff: StaffId
    fact: FactId
    place: Place


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification, as its member may read it."""

    place: Place
    subject: UUID
    urgency: Urgency
    matter: Matter
    at: datetime
    read_at: datetime | None


KEEP: Final = """
    WITH told AS (
        SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[])
            WITH ORDINALITY AS telling (staff, fact, subject, urgency, matter, at, nth)
    ),
    fresh AS (
        SELECT * FROM told
        WHERE NOT EXISTS (SELECT FROM notification AS old WHERE old.fact = told.fact AND old.staff = told.staff)
    ),
    counted AS (
        INSERT INTO reader AS known (staff, last)
        SELECT staff, count(*) FROM fresh GROUP BY staff ORDER BY staff
        ON CONFLICT (staff) DO UPDATE SET last = known.last + excluded.last
        RETURNING staff, last
    )
    INSERT INTO notification (staff, place, fact, subject, urgency, matter, at, made_at)
    SELECT staff, last + 1 - row_number() OVER (PARTITION BY staff ORDER BY nth DESC),
        fact, subject, urgency, matter, at, $7
    FROM fresh JOIN counted USING (staff)
    ORDER BY nth
    ON CONFLICT (fact, staff) DO NOTHING
    RETURNING staff, fact, place
"""

RING: Final = """
    SELECT pg_notify($1, encode(sha256(secret || convert_to(staff, 'UTF8')), 'hex'))
    FROM bell, unnest($2::text[]) AS told (staff)
"""

AFTER: Final = """
    SELECT place, subject, urgency, matter, at, read_at FROM notification
    WHERE staff = $1 AND place > $2 AND (read_at IS NULL OR NOT $3) ORDER BY place LIMIT $4
"""

BEFORE: Final = """
    SELECT place, subject, urgency, matter, at, read_at FROM notification
    WHERE staff = $1 AND place < $2 AND (read_at IS NULL OR NOT $3) ORDER BY place DESC LIMIT $4
"""

UNREAD: Final = "SELECT count(*) FROM notification WHERE staff = $1 AND read_at IS NULL"

LAST: Final = "SELECT last FROM reader WHERE staff = $1"

READ: Final = """
    UPDATE notification SET read_at = coalesce(read_at, now()) WHERE staff = $1 AND place = $2
    RETURNING subject, fact, read_at = now() AS now_first
"""

HAND_ON: Final = """
    WITH unread AS (
        SELECT staff, place FROM notification AS old
        WHERE read_at IS NULL AND handed_on_at IS NULL AND staff <> ALL($1::text[])
            AND NOT EXISTS (
                SELECT FROM mail
                WHERE mail.staff = old.staff AND mail.place = old.place
                    AND (state = 'waiting' OR EXISTS (SELECT FROM held WHERE held.id = mail.id))
            )
        ORDER BY staff, place LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE notification AS theirs SET handed_on_at = now()
    FROM unread WHERE theirs.staff = unread.staff AND theirs.place = unread.place
    RETURNING theirs.staff, fact, subject, urgency, matter, at,
        EXISTS (SELECT FROM mail WHERE mail.staff = theirs.staff AND mail.place = theirs.place) AS mailed,
        EXISTS (
            SELECT FROM notification AS other WHERE other.fact = theirs.fact AND other.staff = ANY($1::text[])
        ) AS known
"""

HANDED_ON: Final = "UPDATE notification SET handed_on_at = now() WHERE staff = $1 AND fact = $2"

FORGET: Final = """
    DELETE FROM notification AS old
    WHERE (read_at < now() - $1::interval OR (handed_on_at < now() - $1::interval AND staff <> ALL($2::text[])))
        AND NOT EXISTS (
            SELECT FROM mail
            WHERE mail.staff = old.staff AND mail.place = old.place
                AND (state = 'waiting' OR EXISTS (SELECT FROM held WHERE held.id = mail.id))
        )
"""


def mark(secret: bytes, staff: StaffId) -> str:
    """Return what the bell calls ``staff``: SHA-256 over its ``secret`` and their name, in hexadecimal."""
    return sha256(secret + staff.encode()).hexdigest()


async def keep(connection: Connection, tellings: Sequence[Telling], at: datetime) -> list[Numbered]:
    """Write down who is told, and return where each new one went; who was told of the same fact before is left alone.

    When the transaction commits, whoever listens on :data:`CHANNEL` hears for whom there is something new.
    """
    if not tellings:
        return []
    rows = await connection.fetch(
        KEEP,
        [telling.staff for telling in tellings],
        [telling.fact for telling in tellings],
        [telling.subject for telling in tellings],
        [telling.urgency for telling in tellings],
        [telling.matter for telling in tellings],
        [telling.at for telling in tellings],
        at,
    )
    if rows:
        await connection.execute(RING, CHANNEL, sorted({row["staff"] for row in rows}))
    return [Numbered(StaffId(row["staff"]), FactId(row["fact"]), Place(row["place"])) for row in rows]


async def after(
    connection: Connection, staff: StaffId, place: Place, limit: int, *, unread_only: bool
) -> list[Notification]:
    """Return what ``staff`` was told after ``place``, oldest first."""
    return _notifications(await connection.fetch(AFTER, staff, place, unread_only, limit))


async def before(
    connection: Connection, staff: StaffId, place: Place, limit: int, *, unread_only: bool
) -> list[Notification]:
    """Return what ``staff`` was told before ``place``, newest first."""
    return _notifications(await connection.fetch(BEFORE, staff, place, unread_only, limit))


async def unread(connection: Connection, staff: StaffId) -> int:
    """Return how many notifications ``staff`` has not read."""
    return int(await connection.fetchval(UNREAD, staff))


async def last(connection: Connection, staff: StaffId) -> Place:
    """Return how far the count of ``staff`` has come; 0 for somebody who was never told anything."""
    return Place(await connection.fetchval(LAST, staff) or 0)


@dataclass(frozen=True, slots=True)
class Read:
    """What was marked as read: about what, of which fact, and whether it was unread until now."""

    subject: UUID
    fact: FactId
    now_first: bool


async def read(connection: Connection, staff: StaffId, place: Place) -> Read | None:
    """Mark a notification of ``staff`` as read; ``None`` where they have none at ``place``."""
    row = await connection.fetchrow(READ, staff, place)
    return None if row is None else Read(row["subject"], FactId(row["fact"]), row["now_first"])


async def hand_on(connection: Connection, present: Sequence[StaffId], limit: int) -> list[Unread]:
    """Take up to ``limit`` notifications, oldest first, that somebody who is not ``present`` has not read, each once.

    What has a mail that waits, or lies in the parking lot, is not among them.
    """
    found = [
        Unread(
            staff=StaffId(row["staff"]),
            fact=FactId(row["fact"]),
            subject=row["subject"],
            urgency=Urgency(row["urgency"]),
            matter=Matter(row["matter"]),
            at=row["at"],
            mailed=row["mailed"],
            known=row["known"],
        )
        for row in await connection.fetch(HAND_ON, present, limit)
    ]
    return sorted(found, key=lambda each: each.at)


async def handed_on(connection: Connection, staff: StaffId, fact: FactId) -> None:
    """Say that others were told in the place of ``staff``."""
    await connection.execute(HANDED_ON, staff, fact)


async def forget(connection: Connection, kept: timedelta, present: Sequence[StaffId]) -> int:
    """Delete what was read longer ago than ``kept``, with its mail, and return how many went.

    So goes what was handed on of somebody who is not ``present``. What has a mail that waits, or lies in the parking
    lot, stays.
    """
    return int((await connection.execute(FORGET, kept, present)).removeprefix("DELETE "))


def _notifications(rows: Sequence[Record]) -> list[Notification]:
    return [
        Notification(
            place=Place(row["place"]),
            subject=row["subject"],
            urgency=Urgency(row["urgency"]),
            matter=Matter(row["matter"]),
            at=row["at"],
            read_at=row["read_at"],
        )
        for row in rows
    ]
