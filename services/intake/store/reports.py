"""Which report an idempotency key stands for, for a while: ids and a time, and nothing of what the report said."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from shared.contracts.ids import ReportId
from shared.storage.pool import Connection

FIND = "SELECT key, report FROM report WHERE key = ANY($1::uuid[])"

KEEP = """
INSERT INTO report (key, report)
SELECT * FROM unnest($1::uuid[], $2::uuid[])
ON CONFLICT (key) DO NOTHING
"""

FORGET = "DELETE FROM report WHERE key IN (SELECT key FROM report WHERE at < now() - $1::interval ORDER BY at LIMIT $2)"


async def find(connection: Connection, keys: Sequence[UUID]) -> dict[UUID, ReportId]:
    """Return the reports that were taken under ``keys``."""
    return {row["key"]: ReportId(row["report"]) for row in await connection.fetch(FIND, keys)}


async def keep(connection: Connection, taken: Mapping[UUID, ReportId]) -> None:
    """Keep which report each key stands for."""
    if taken:
        await connection.execute(KEEP, list(taken), list(taken.values()))


async def forget(connection: Connection, kept: timedelta, limit: int) -> int:
    """Delete up to ``limit`` keys under which a report was taken longer ago than ``kept``; return how many went."""
    return int((await connection.execute(FORGET, kept, limit)).removeprefix("DELETE "))
