"""What is decided and not yet confirmed: written in the transaction that decides, deleted when the broker has it.

A letter may be published twice (a crash between the confirm and the delete) and never not at all.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from json import loads
from typing import Final
from uuid import UUID

from pydantic_core import to_json

from shared.growing import doubling
from shared.storage.pool import Connection
from shared.storage.rows import insert
from shared.values import dataclass

GRACE = timedelta(seconds=10)
"""How long the process that wrote a letter has it to itself, before a sweeper may take it."""


PAUSES: Final = [doubling(attempt, timedelta(seconds=5), timedelta(minutes=5)) for attempt in range(1, 8)]
"""How long until each further try of a letter that nobody has confirmed; then always the last."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way out: which broker, where to, and the bytes."""

    id: UUID
    """The AMQP message id, by which a letter that comes back is known."""
    broker: str
    """Which of the two that the process speaks to: a :class:`shared.messaging.places.Broker`."""
    exchange: str
    routing_key: str
    headers: Mapping[str, str]
    content_type: str
    """What the body is (RFC 2046); it goes beside the message."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one broker."""

    count: int
    """Letters that it has yet to confirm."""
    oldest: float
    """Seconds since the oldest of these was written, or might leave, by the clock of the database."""
    unagreed: int
    """Letters that wait for an agreement, and so not for the broker."""


NONE_WAITING: Final = Waiting(0, 0.0, 0)

COLUMNS = ("id", "due_at", "broker", "exchange", "routing_key", "headers", "content_type", "body")

CONFIRM = "DELETE FROM outbox WHERE id = ANY($1::uuid[])"

CLAIM = """
UPDATE outbox SET
    attempts = attempts + 1,
    at = CASE WHEN unagreed THEN now() ELSE at END,
    unagreed = false,
    due_at = $1::timestamptz + ($3::interval[])[least(attempts + 1, cardinality($3::interval[]))]
WHERE id IN (
    SELECT id FROM outbox WHERE due_at <= $1 AND broker = $4 ORDER BY due_at, place LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING id, place, broker, exchange, routing_key, headers, content_type, body
"""

WAITING = """
SELECT broker, count(*) FILTER (WHERE NOT unagreed) AS count,
    coalesce(extract(epoch FROM now() - min(at) FILTER (WHERE NOT unagreed)), 0)::float8 AS oldest,
    count(*) FILTER (WHERE unagreed) AS unagreed
FROM outbox GROUP BY broker
"""

UNAGREED = "UPDATE outbox SET unagreed = true WHERE id = $1"

REPLACE = "UPDATE outbox SET id = $2, headers = $3, body = $4 WHERE id = $1"


async def put(connection: Connection, letters: Sequence[Letter], at: datetime) -> None:
    """Write ``letters`` down, in the transaction that decided to send them."""
    if letters:
        await insert(connection, "outbox", COLUMNS, [_row(letter, at + GRACE) for letter in letters])


async def confirm(connection: Connection, ids: Sequence[UUID]) -> None:
    """Forget the letters that the broker has confirmed."""
    await connection.execute(CONFIRM, ids)


async def claim(connection: Connection, broker: str, at: datetime, limit: int) -> list[Letter]:
    """Return letters to ``broker`` that are overdue, in the order they were written.

    The next try of each is put off: later each time.
    """
    rows = await connection.fetch(CLAIM, at, limit, PAUSES, broker)
    return [
        Letter(
            row["id"],
            row["broker"],
            row["exchange"],
            row["routing_key"],
            loads(row["headers"]),
            row["content_type"],
            row["body"],
        )
        for row in sorted(rows, key=lambda row: int(row["place"]))
    ]


async def replace(connection: Connection, id_: UUID, by: Letter) -> None:
    """Let ``by`` leave in the place of the letter ``id_``, which this transaction has claimed."""
    await connection.execute(REPLACE, id_, by.id, _headers(by), by.body)


async def awaits_agreement(connection: Connection, id_: UUID) -> None:
    """Say that the letter ``id_``, which this transaction has claimed, waits for an agreement until its next try."""
    await connection.execute(UNAGREED, id_)


async def waiting(connection: Connection) -> dict[str, Waiting]:
    """Return what waits for each broker; nothing for one that has confirmed all."""
    rows = await connection.fetch(WAITING)
    return {row["broker"]: Waiting(row["count"], row["oldest"], row["unagreed"]) for row in rows}


def _row(letter: Letter, due_at: datetime) -> tuple[object, ...]:
    place = (letter.broker, letter.exchange, letter.routing_key)
    return letter.id, due_at, *place, _headers(letter), letter.content_type, letter.body


def _headers(letter: Letter) -> str:
    return to_json(dict(letter.headers)).decode()
