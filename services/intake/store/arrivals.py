"""The numbers that have come, and how far each stream of them has got."""

from collections.abc import Mapping, Sequence

from services.intake.domain.admission import Numbered, Speaker
from services.intake.domain.sequence import Looked, Noted, Stream
from shared.contracts.ids import OrganisationId
from shared.storage.pool import Connection

MOST_AT_ONCE = 10_000
"""Numbers of one stream that are looked at together, so that a busy partner hides no gap of another's."""

NOTE = """
INSERT INTO arrival (message, sender, voice, sequence, at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[])
ON CONFLICT (message) DO NOTHING
"""

OPEN = """
INSERT INTO stream (sender, voice)
SELECT DISTINCT sender, voice FROM arrival ORDER BY sender, voice
ON CONFLICT (sender, voice) DO NOTHING
"""

CLAIM = """
SELECT id, sender, voice, reached FROM stream
WHERE EXISTS (SELECT FROM arrival WHERE arrival.sender = stream.sender AND arrival.voice = stream.voice)
ORDER BY id FOR UPDATE SKIP LOCKED
"""

NOTED = """
SELECT stream.id, came.sequence, came.message, came.at
FROM stream CROSS JOIN LATERAL (
    SELECT sequence, message, at FROM arrival
    WHERE arrival.sender = stream.sender AND arrival.voice = stream.voice
    ORDER BY sequence LIMIT $2
) AS came
WHERE stream.id = ANY($1::uuid[])
"""

REACH = """
UPDATE stream SET reached = looked.reached
FROM unnest($1::uuid[], $2::bigint[]) AS looked (id, reached)
WHERE stream.id = looked.id
"""

FORGET = "DELETE FROM arrival WHERE message = ANY($1::uuid[])"


async def note(connection: Connection, numbered: Sequence[Numbered]) -> None:
    """Note down the numbers of what has come; one that is replayed is noted once."""
    if not numbered:
        return
    await connection.execute(
        NOTE,
        [each.message for each in numbered],
        [each.sender for each in numbered],
        [each.speaker for each in numbered],
        [each.sequence for each in numbered],
        [each.at for each in numbered],
    )


async def claim(connection: Connection) -> dict[Stream, list[Noted]]:
    """Return the streams in which something has come, with what came: of each the lowest numbers, so many at once.

    They are locked until the transaction ends; those that another worker looks at are left out.
    """
    await connection.execute(OPEN)
    streams = {
        row["id"]: Stream(row["id"], OrganisationId(row["sender"]), Speaker(row["voice"]), row["reached"])
        for row in await connection.fetch(CLAIM)
    }
    came: dict[Stream, list[Noted]] = {stream: [] for stream in streams.values()}
    for row in await connection.fetch(NOTED, list(streams), MOST_AT_ONCE):
        came[streams[row["id"]]].append(Noted(row["sequence"], row["message"], row["at"]))
    return came


async def reach(connection: Connection, looked: Mapping[Stream, Looked]) -> None:
    """Move the streams on, and forget the numbers that are dealt with."""
    await connection.execute(REACH, [stream.id for stream in looked], [each.reached for each in looked.values()])
    await connection.execute(FORGET, [message for each in looked.values() for message in each.done])
