"""Messages that wait for their sender's key: they are tried again as soon as keys arrive, not when their time comes."""

from datetime import datetime

from shared.storage.pool import Connection

WAKE = "UPDATE held SET due_at = $3 WHERE consumer = $1 AND reason = $2 AND due_at > $3"


async def wake(connection: Connection, consumer: str, reason: str, at: datetime) -> bool:
    """Make due at once what waits for ``reason``, and say whether anything did."""
    return await connection.execute(WAKE, consumer, reason, at) != "UPDATE 0"
