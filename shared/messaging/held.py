"""Messages that wait: for the one they depend on, for a better time, or for a person (the parking lot).

They are kept as they came: sealed where they were sealed. Nothing here is ever shown or logged but a reason code, so
that the parking lot of the referral service holds no readable personal data either.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from json import dumps, loads
from typing import Any
from uuid import UUID

from shared.messaging.delivery import Delivery, Waited
from shared.storage.pool import Connection
from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """A message to keep: why, until when (``None`` parks it), and what it waits for."""

    id: UUID
    delivery: Delivery
    reason: str
    attempts: int
    first_at: datetime
    due_at: datetime | None
    subject: UUID | None
    admitted: bool


@dataclass(frozen=True, slots=True)
class Parked:
    """What an operator may see of a parked message: never its body."""

    id: UUID
    consumer: str
    source: str
    reason: str
    attempts: int
    first_at: datetime
    size: int
    headers: Mapping[str, str]


KEEP = """
INSERT INTO held (id, consumer, source, reason, attempts, first_at, due_at, subject, admitted, headers, body) SELECT
id, $1, source, reason, attempts, first_at, due_at, subject, admitted, headers, body FROM unnest($2::uuid[],
$3::text[], $4::text[], $5::integer[], $6::timestamptz[], $7::timestamptz[], $8::uuid[], $9::boolean[],
            $10::text[], $11::bytea[])
    AS hold (id, source, reason, attempts, first_at, due_at, subject, admitted, headers, body)
ON CONFLICT (id) DO UPDATE SET
    reason = excluded.reason, first_at = excluded.first_at, due_at = excluded.due_at, subject = excluded.subject,
    admitted = excluded.admitted
WHERE held.due_at IS NULL AND excluded.due_at IS NOT NULL
RETURNING id
"""

TAKE = "DELETE FROM held WHERE id = ANY($1::uuid[]) RETURNING id"

WAKE = "UPDATE held SET due_at = $2 WHERE subject = ANY($1::uuid[]) AND (due_at > $2 OR due_at IS NULL)"

DUE = """
SELECT id, source, attempts, first_at, admitted, headers, body
FROM held WHERE consumer = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3
"""

WAITING = "SELECT count(*) FROM held WHERE due_at IS NOT NULL"

WAKE_FOR = "UPDATE held SET due_at = $3 WHERE consumer = $1 AND reason = ANY($2::text[]) AND due_at > $3"

PARKED = """
SELECT id, consumer, source, reason, attempts, first_at, octet_length(body) AS size, headers
FROM held WHERE due_at IS NULL AND ($1::uuid IS NULL OR id = $1) ORDER BY first_at, id LIMIT $2
"""

COUNT_PARKED = "SELECT count(*) FROM held WHERE due_at IS NULL"

REPLAY = "UPDATE held SET due_at = $2, subject = NULL WHERE id = $1 AND due_at IS NULL RETURNING id"

DROP = "DELETE FROM held WHERE id = $1 AND due_at IS NULL RETURNING id"


async def keep(connection: Connection, consumer: str, holds: Sequence[Hold]) -> list[Hold]:
    """Keep the messages of ``holds`` and return those that are new: one that is kept already is kept once.

    One that lies parked and comes again, and now has only to wait, waits.
    """
    if not holds:
        return []
    by_id = {hold.id: hold for hold in holds}
    holds = list(by_id.values())
    rows = await connection.fetch(
        KEEP,
        consumer,
        [hold.id for hold in holds],
        [hold.delivery.source for hold in holds],
        [hold.reason for hold in holds],
        [hold.attempts for hold in holds],
        [hold.first_at for hold in holds],
        [hold.due_at for hold in holds],
        [hold.subject for hold in holds],
        [hold.admitted for hold in holds],
        [dumps(dict(hold.delivery.headers), separators=(",", ":")) for hold in holds],
        [hold.delivery.body for hold in holds],
    )
    return [by_id[row["id"]] for row in rows]


async def take(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Take held messages out and return which were still there: another worker may have been faster."""
    if not ids:
        return set()
    return {row["id"] for row in await connection.fetch(TAKE, sorted(ids))}


async def wake(connection: Connection, subjects: Sequence[UUID], at: datetime) -> bool:
    """Make due at once what waits for ``subjects``, and say whether anything did."""
    return bool(subjects) and await connection.execute(WAKE, subjects, at) != "UPDATE 0"


async def wake_for(connection: Connection, consumer: str, reasons: Sequence[str], at: datetime) -> bool:
    """Make due at once what ``consumer`` holds for one of ``reasons``, and say whether there was anything."""
    return await connection.execute(WAKE_FOR, consumer, reasons, at) != "UPDATE 0"


async def due(connection: Connection, consumer: str, at: datetime, limit: int) -> list[Delivery]:
    """Return held messages whose time has come, oldest first."""
    return [_delivery(row) for row in await connection.fetch(DUE, consumer, at, limit)]


async def waiting(connection: Connection) -> int:
    """Return how many messages wait for their time or for another message."""
    return int(await connection.fetchval(WAITING))


async def parked(connection: Connection, only: UUID | None = None, *, limit: int | None = None) -> list[Parked]:
    """Return what is parked, oldest first and ``limit`` at most, or just the one with the id ``only``."""
    rows = await connection.fetch(PARKED, only, limit)
    return [Parked(**{**dict(row), "headers": loads(row["headers"])}) for row in rows]


async def count_parked(connection: Connection) -> int:
    """Return how many messages are parked."""
    return int(await connection.fetchval(COUNT_PARKED))


async def replay(connection: Connection, held: UUID, at: datetime) -> bool:
    """Let a parked message be tried again, and say whether there was one."""
    return await connection.fetchval(REPLAY, held, at) is not None


async def drop(connection: Connection, held: UUID) -> bool:
    """Throw a parked message away for good, and say whether there was one."""
    return await connection.fetchval(DROP, held) is not None


def _delivery(row: Any) -> Delivery:  # noqa: ANN401 - an asyncpg record
    waited = Waited(row["id"], row["attempts"], row["first_at"], row["admitted"])
    return Delivery(row["body"], loads(row["headers"]), row["source"], waited)
