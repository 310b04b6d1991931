"""Which message said what, and the partners' signed receipts for them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.referral.known import Sent
from shared.contracts.ids import MessageId, OrganisationId, ReferralId
from shared.storage.pool import Connection
from shared.values import dataclass

SAY: Final = """
INSERT INTO said (message, referral, n, recipient, digest, emptied, at)
SELECT message, referral, n, recipient, digest, emptied, $7
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::boolean[])
    AS new (message, referral, n, recipient, digest, emptied)
"""

FIND: Final = "SELECT message, referral, n, digest, emptied FROM said WHERE message = ANY($1::uuid[])"

PROVE: Final = """
INSERT INTO proof (message, note, at) SELECT message, note, $3 FROM unnest($1::uuid[], $2::text[]) AS new (message,
note) ON CONFLICT (message) DO NOTHING
"""

OF_REFERRAL: Final = """
SELECT said.message, said.n, said.at AS said_at, proof.at AS proved_at, proof.note
FROM said LEFT JOIN proof USING (message) WHERE said.referral = $1 ORDER BY said.n, said.at
"""


@dataclass(frozen=True, slots=True)
class SaidEvent:
    """One event of ours in the envelope that carried it."""

    message: MessageId
    referral: ReferralId
    n: int
    recipient: OrganisationId
    digest: bytes
    emptied: bool = False
    """Whether it takes the place of one whose words may not leave any more."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves that a partner holds one of our messages, if it has come."""

    message: MessageId
    n: int
    said_at: datetime
    proved_at: datetime | None
    note: str | None


async def say(connection: Connection, said: Sequence[SaidEvent], at: datetime) -> None:
    """Note which messages say what."""
    if said:
        await connection.execute(
            SAY,
            [each.message for each in said],
            [each.referral for each in said],
            [each.n for each in said],
            [each.recipient for each in said],
            [each.digest for each in said],
            [each.emptied for each in said],
            at,
        )


async def find(connection: Connection, messages: Collection[UUID]) -> dict[MessageId, Sent]:
    """Return what those of ``messages`` that are ours have said."""
    rows = await connection.fetch(FIND, list(messages))
    return {
        MessageId(row["message"]): Sent(ReferralId(row["referral"]), row["n"], row["digest"], row["emptied"])
        for row in rows
    }


async def prove(connection: Connection, proofs: Sequence[tuple[MessageId, str]], at: datetime) -> None:
    """Keep receipts; the first one for a message counts."""
    if proofs:
        await connection.execute(PROVE, [message for message, _ in proofs], [note for _, note in proofs], at)


async def of_referral(connection: Connection, referral: ReferralId) -> list[Proof]:
    """Return our messages about a referral, with their receipts: in the order of the events, and of the times."""
    rows = await connection.fetch(OF_REFERRAL, referral)
    return [Proof(MessageId(row["message"]), row["n"], row["said_at"], row["proved_at"], row["note"]) for row in rows]
