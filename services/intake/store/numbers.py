"""The numbers of what intake seals: one count for each recipient, without a gap, whichever of our keys signs.

A number is taken in the transaction that puts its envelope into the outbox. So the count of one recipient belongs to
one transaction at a time, and a transaction that fails leaves no gap.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from shared.contracts.ids import OrganisationId
from shared.storage.pool import Connection

TAKE = """
INSERT INTO sealed AS mine (recipient, last)
SELECT recipient, count FROM unnest($1::text[], $2::bigint[]) AS wanted (recipient, count)
ORDER BY recipient
ON CONFLICT (recipient) DO UPDATE SET last = mine.last + excluded.last
RETURNING recipient, last
"""


async def take(connection: Connection, recipients: Sequence[OrganisationId]) -> Mapping[OrganisationId, Iterator[int]]:
    """Return, for each of ``recipients``, as many further numbers as it is named times."""
    if not recipients:
        return {}
    wanted = Counter(recipients)
    rows = await connection.fetch(TAKE, list(wanted), list(wanted.values()))
    last = {OrganisationId(row["recipient"]): int(row["last"]) for row in rows}
    return {
        recipient: iter(range(last[recipient] - count + 1, last[recipient] + 1)) for recipient, count in wanted.items()
    }
