"""The receipts that were given: the same message gets the same receipt, for as long as its envelope may be taken."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from services.intake.domain.admission import Given
from shared.storage.pool import Connection, ContendedError

FIND = "SELECT message, event, at, note FROM receipt WHERE message = ANY($1::uuid[])"

KEEP = """
INSERT INTO receipt (message, event, at, note)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[]) AS given (message, event, at, note)
ORDER BY message
ON CONFLICT (message) DO NOTHING
"""

FORGET = """
DELETE FROM receipt WHERE message IN (SELECT message FROM receipt WHERE at < now() - $1::interval ORDER BY at LIMIT $2)
"""


async def find(connection: Connection, messages: Sequence[UUID]) -> dict[UUID, Given]:
    """Return the receipts that ``messages``, by their names in the inbox, have been given."""
    rows = await connection.fetch(FIND, messages)
    return {row["message"]: Given(row["event"], row["at"], row["note"]) for row in rows}


async def keep(connection: Connection, given: Mapping[UUID, Given]) -> None:
    """Keep the receipts that are given now, each the first of its message.

    Raises:
        ContendedError: another worker has given one of them meanwhile: its message is let in already.
    """
    if not given:
        return
    receipts = given.values()
    kept = await connection.execute(
        KEEP,
        list(given),
        [receipt.event for receipt in receipts],
        [receipt.at for receipt in receipts],
        [receipt.note for receipt in receipts],
    )
    if kept != f"INSERT 0 {len(given)}":
        raise ContendedError


async def forget(connection: Connection, kept: timedelta, limit: int) -> int:
    """Delete up to ``limit`` receipts that were given longer ago than ``kept``, and return how many went."""
    return int((await connection.execute(FORGET, kept, limit)).removeprefix("DELETE "))
