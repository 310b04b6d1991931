"""What the door keeps back, as an operator may see it: why, how large, since when. Never what is in it."""

from datetime import datetime
from uuid import UUID

from shared.storage.pool import Connection
from shared.values import dataclass

LARGEST_PAGE = 100

OLDEST = """
SELECT id, source, reason, attempts, first_at, octet_length(body) AS size
FROM held
WHERE due_at IS NULL
ORDER BY first_at, id LIMIT $1
"""

COUNT = "SELECT count(*) FROM held WHERE due_at IS NULL"


@dataclass(frozen=True, slots=True)
class Kept:
    """One message that is kept back."""

    id: UUID
    source: str
    """The queue that it came from, or ``http``."""
    reason: str
    attempts: int
    first_at: datetime
    size: int
    """In bytes."""


async def oldest(connection: Connection) -> list[Kept]:
    """Return the oldest of them, :data:`LARGEST_PAGE` at most: as each is replayed or dropped, the next one shows."""
    return [Kept(**dict(row)) for row in await connection.fetch(OLDEST, LARGEST_PAGE)]


async def count(connection: Connection) -> int:
    """Return how many there are."""
    return int(await connection.fetchval(COUNT))
