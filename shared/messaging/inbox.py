"""Which messages have been taken in, for ever: at-least-once delivery, effects exactly once."""

from collections.abc import Mapping
from uuid import UUID

from shared.storage.pool import Connection
from shared.uuids import in_order

ADMIT = """
INSERT INTO inbox (id, digest)
SELECT * FROM unnest($1::uuid[], $2::bytea[])
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

KNOWN = "SELECT id, digest FROM inbox WHERE id = ANY($1::uuid[])"


async def admit(connection: Connection, messages: Mapping[UUID, bytes]) -> dict[UUID, bytes]:
    """Take in ``messages`` (digest by id) and return those that were taken in before, with the digest they had then.

    Ids go in sorted, so that two workers with the same messages wait for one another and never for ever.
    """
    if not messages:
        return {}
    ids = sorted(messages, key=in_order)
    fresh = {row["id"] for row in await connection.fetch(ADMIT, ids, [messages[id_] for id_ in ids])}
    if len(fresh) == len(ids):
        return {}
    known = await connection.fetch(KNOWN, [id_ for id_ in ids if id_ not in fresh])
    return {row["id"]: row["digest"] for row in known}
