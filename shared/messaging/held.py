"""Messages that wait: for the one they depend on, for a better time, or for a person (the parking lot).

They are kept as they came: sealed where they were sealed. Nothing here is ever shown or logged but a reason code, so
that the parking lot of the referral service holds no readable personal data either. What is only counted has one row
for each origin and reason, however much of it comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from json import dumps, loads
from typing import Any, Final
from uuid import UUID

from shared.contracts.entries import Entry
from shared.messaging.delivery import Delivery, Waited
from shared.storage.pool import Connection
from shared.values import dataclass

TOLD_AGAIN: Final = timedelta(days=1)
"""How long after somebody was told of what is counted they are told again, if more of it has come."""


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
    refused: bool = False
    """Whether a rule has refused it, or nobody can read it; not what met a fault of ours, or has waited too long."""
    turn: int = 0
    """Which number of its subject's it has: it is tried when that can come; 0: at each change of its subject."""
    counted: bool = False
    """Whether it is not kept whole, but counted with all that has its id."""
    bounded: bool = False
    """Whether it is kept whole, and takes of the room of its origin."""
    count: int = 1
    """How many messages it stands for."""
    total: int = 1
    """How many it has come to stand for, all together."""
    told: bool = True
    """Whether somebody is told of it now, if it is parked."""
    entries: tuple[Entry, ...] = ()
    """What the audit log says of it: where it is kept whole, and of what is counted whenever somebody is told."""

    def lines(self) -> tuple[Entry, ...]:
        """Return what the audit log says of it now; of what is counted, with how many there have been so far."""
        if not self.counted:
            return self.entries
        so_far = {"count": str(self.total)}
        return tuple(line._replace(detail={**line.detail, **so_far}) for line in self.entries) if self.told else ()


@dataclass(frozen=True, slots=True)
class Parked:
    """What an operator may see of a parked message: never its body."""

    id: UUID
    consumer: str
    source: str
    reason: str
    attempts: int
    first_at: datetime
    last_at: datetime
    """When the last of them came; the others of ``count`` came since ``first_at``."""
    count: int
    origin: str
    """Who brought it, as the broker or a signature vouches for it; empty where nobody does."""
    size: int
    """Of the last one, in bytes, as it came."""
    digest: bytes | None
    """SHA-256 of the last one, where it is not kept whole."""
    headers: Mapping[str, str]
    """Of what is counted, the names alone."""


KEEP = """
INSERT INTO held (id, consumer, source, origin, reason, attempts, first_at, due_at, subject, turn, admitted, bounded,
    headers, body, size, digest)
SELECT id, $1, source, origin, reason, attempts, first_at, due_at, subject, turn, admitted, bounded,
    headers, body, size, digest
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::timestamptz[], $8::timestamptz[],
            $9::uuid[], $10::integer[], $11::boolean[], $12::boolean[], $13::text[], $14::bytea[], $15::bigint[],
            $16::bytea[])
    AS hold (id, source, origin, reason, attempts, first_at, due_at, subject, turn, admitted, bounded, headers, body,
             size, digest)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET
    reason = excluded.reason, first_at = excluded.first_at, due_at = excluded.due_at, subject = excluded.subject,
    turn = excluded.turn, admitted = excluded.admitted, bounded = excluded.bounded
WHERE held.due_at IS NULL AND excluded.due_at IS NOT NULL
RETURNING id
"""

COUNT = """
INSERT INTO held AS mine
    (id, consumer, source, origin, reason, attempts, first_at, last_at, told_at, admitted, headers, body, size, digest,
     count)
SELECT id, $1, source, origin, reason, 1, $2, $2, $2, false, headers, '', size, digest, count
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bytea[], $10::bigint[])
    AS counted (id, source, origin, reason, headers, size, digest, count)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET
    headers = excluded.headers, size = excluded.size, digest = excluded.digest, last_at = excluded.last_at,
    count = mine.count + excluded.count,
    told_at = CASE WHEN mine.told_at <= excluded.told_at - $11::interval THEN excluded.told_at ELSE mine.told_at END
RETURNING id, told_at = last_at AS told, count
"""

TAKEN = """
SELECT origin, due_at IS NOT NULL AS waits, count(*) AS count FROM held
WHERE consumer = $1 AND origin = ANY($2::text[]) AND bounded GROUP BY origin, waits
"""

FULLEST = """
SELECT coalesce(max(count), 0) FROM
    (SELECT count(*) AS count FROM held WHERE consumer = $1 AND due_at IS NULL AND bounded GROUP BY origin)
    AS by_origin
"""

FORGET = "DELETE FROM held WHERE consumer = $1 AND size IS NOT NULL AND last_at < $2"

TAKE = "DELETE FROM held WHERE id = ANY($1::uuid[]) RETURNING id"

WAKE = """
WITH RECURSIVE ready (subject, turn) AS (
    SELECT subject, unnest(ARRAY[0, turn]) FROM unnest($1::uuid[], $2::integer[]) AS changed (subject, turn)
    UNION
    SELECT ready.subject, ready.turn + 1 FROM ready
    WHERE EXISTS (SELECT FROM held WHERE held.subject = ready.subject AND held.turn = ready.turn)
)
UPDATE held SET due_at = $3
FROM ready WHERE held.subject = ready.subject AND held.turn = ready.turn AND (due_at > $3 OR due_at IS NULL)
"""
"""Only what can go now is tried: the number whose turn it is, and those that wait for one another behind it."""

DUE = """
SELECT id, source, origin, attempts, first_at, admitted, headers, body
FROM (SELECT *, row_number() OVER (PARTITION BY origin ORDER BY due_at, turn) AS place
      FROM held WHERE consumer = $1 AND due_at <= $2) AS due
ORDER BY place, due_at LIMIT $3
"""
"""Each origin in its turn, so that nobody who has much waiting keeps what another sent from being tried."""

WAITING = "SELECT count(*) FROM held WHERE due_at IS NOT NULL"

WAKE_FOR = """
UPDATE held SET due_at = $3
WHERE consumer = $1 AND reason = ANY($2::text[]) AND size IS NULL AND (due_at > $3 OR $4 AND due_at IS NULL)
"""

PARKED = """
SELECT id, consumer, source, origin, reason, attempts, first_at, coalesce(last_at, first_at) AS last_at, count,
    coalesce(size, octet_length(body)) AS size, digest, headers
FROM held WHERE due_at IS NULL AND ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR reason = $2)
ORDER BY first_at, id LIMIT $3
"""

COUNT_PARKED = "SELECT count(*) FROM held WHERE due_at IS NULL"

REPLAY = """
UPDATE held SET due_at = $2, subject = NULL WHERE id = $1 AND due_at IS NULL AND size IS NULL RETURNING id
"""

DROP = "DELETE FROM held WHERE id = $1 AND due_at IS NULL RETURNING id"


async def keep(connection: Connection, consumer: str, holds: Sequence[Hold]) -> list[Hold]:
    """Keep the messages of ``holds`` and return those that are new: of those with one id the first is kept, once.

    One that lies parked and comes again, and now has only to wait, waits.
    """
    if not holds:
        return []
    by_id = {hold.id: hold for hold in reversed(holds)}
    holds = list(by_id.values())
    rows = await connection.fetch(
        KEEP,
        consumer,
        [hold.id for hold in holds],
        [hold.delivery.source for hold in holds],
        [hold.delivery.origin for hold in holds],
        [hold.reason for hold in holds],
        [hold.attempts for hold in holds],
        [hold.first_at for hold in holds],
        [hold.due_at for hold in holds],
        [hold.subject for hold in holds],
        [hold.turn for hold in holds],
        [hold.admitted for hold in holds],
        [hold.bounded for hold in holds],
        [_spelt(hold.delivery.headers) for hold in holds],
        [hold.delivery.body for hold in holds],
        [hold.delivery.left.size if hold.delivery.left else None for hold in holds],
        [hold.delivery.left.digest if hold.delivery.left else None for hold in holds],
    )
    return [by_id[row["id"]] for row in rows]


async def count(connection: Connection, consumer: str, holds: Sequence[Hold], at: datetime) -> list[Hold]:
    """Count messages that came until ``at`` and are not kept whole, each id once; return whether each is told of now.

    That is when the first comes, and after a day again.
    """
    if not holds:
        return []
    by_id = {hold.id: hold for hold in holds}
    left = [hold.delivery.without_body().left for hold in holds]
    rows = await connection.fetch(
        COUNT,
        consumer,
        at,
        [hold.id for hold in holds],
        [hold.delivery.source for hold in holds],
        [hold.delivery.origin for hold in holds],
        [hold.reason for hold in holds],
        [_spelt(hold.delivery.headers) for hold in holds],
        [each.size for each in left if each],
        [each.digest for each in left if each],
        [hold.count for hold in holds],
        TOLD_AGAIN,
    )
    return [replace(by_id[row["id"]], told=row["told"], total=row["count"]) for row in rows]


async def taken(connection: Connection, consumer: str, origins: Sequence[str]) -> dict[tuple[str, bool], int]:
    """Return how many messages of each of ``origins`` take of its room, parked and (``True``) waiting, where any do."""
    rows = await connection.fetch(TAKEN, consumer, origins)
    return {(row["origin"], row["waits"]): row["count"] for row in rows}


async def fullest(connection: Connection, consumer: str) -> int:
    """Return how many messages are parked that take of its room, of the origin that has most."""
    return int(await connection.fetchval(FULLEST, consumer))


async def forget(connection: Connection, consumer: str, before: datetime) -> None:
    """Forget what is only counted and has not come again since ``before``."""
    await connection.execute(FORGET, consumer, before)


async def take(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Take held messages out and return which were still there: another worker may have been faster."""
    if not ids:
        return set()
    return {row["id"] for row in await connection.fetch(TAKE, sorted(ids))}


async def wake(connection: Connection, turns: Mapping[UUID, int], at: datetime) -> bool:
    """Make due at once what can go now that it is the turn of these numbers, by subject; say whether anything can.

    What waits for any change of these subjects is made due as well.
    """
    if not turns:
        return False
    return await connection.execute(WAKE, list(turns), list(turns.values()), at) != "UPDATE 0"


async def wake_for(
    connection: Connection, consumer: str, reasons: Sequence[str], at: datetime, *, parked: bool = False
) -> bool:
    """Make due at once what ``consumer`` holds for one of ``reasons``, and say whether there was anything.

    With ``parked``, that too which has waited so long that it lies with a person, as long as it is kept whole.
    """
    return await connection.execute(WAKE_FOR, consumer, reasons, at, parked) != "UPDATE 0"


async def due(connection: Connection, consumer: str, at: datetime, limit: int) -> list[Delivery]:
    """Return held messages whose time has come: of each origin in turn the oldest, in the order of their numbers."""
    return [_delivery(row) for row in await connection.fetch(DUE, consumer, at, limit)]


async def waiting(connection: Connection) -> int:
    """Return how many messages wait for their time or for another message."""
    return int(await connection.fetchval(WAITING))


async def parked(
    connection: Connection, only: UUID | None = None, *, reason: str | None = None, limit: int | None = None
) -> list[Parked]:
    """Return what is parked, oldest first and ``limit`` at most: the one with the id ``only``, those for ``reason``."""
    rows = await connection.fetch(PARKED, only, reason, limit)
    return [Parked(**{**dict(row), "headers": loads(row["headers"])}) for row in rows]


async def count_parked(connection: Connection) -> int:
    """Return how many messages are parked."""
    return int(await connection.fetchval(COUNT_PARKED))


async def replay(connection: Connection, held: UUID, at: datetime) -> bool:
    """Let a parked message be tried again, and say whether there was one that is kept whole."""
    return await connection.fetchval(REPLAY, held, at) is not None


async def drop(connection: Connection, held: UUID) -> bool:
    """Throw a parked message away for good, and say whether there was one."""
    return await connection.fetchval(DROP, held) is not None


def _delivery(row: Any) -> Delivery:  # noqa: ANN401 - an asyncpg record
    waited = Waited(row["id"], row["attempts"], row["first_at"], row["admitted"])
    return Delivery(row["body"], loads(row["headers"]), row["source"], waited, row["origin"])


def _spelt(headers: Mapping[str, str]) -> str:
    return dumps(dict(headers), separators=(",", ":"))
