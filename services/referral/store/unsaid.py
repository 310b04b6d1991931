"""What was decided and cannot be said yet, each event encrypted under the key of its folder until it is sealed."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.referral.domain.ruling import Tell
from services.referral.known import Folder
from shared.contracts.event import EventId, encode
from shared.contracts.exchange import ReferralEvent, decode
from shared.contracts.ids import OrganisationId, ReferralId
from shared.storage.pool import Connection
from shared.storage.rows import insert

COLUMNS: Final = ("event", "referral", "folder", "recipient", "n", "at", "body")

OF_REFERRAL: Final = "SELECT event, recipient, body FROM unsaid WHERE referral = $1 ORDER BY n"

FORGET: Final = "DELETE FROM unsaid WHERE event = ANY($1::uuid[])"

RECIPIENTS: Final = "SELECT DISTINCT recipient FROM unsaid"

DUE: Final = """
SELECT referral FROM unsaid JOIN folder ON folder.id = unsaid.folder AND folder.wrapped IS NOT NULL
WHERE recipient = ANY($1::text[]) AND referral <> ALL($2::uuid[])
GROUP BY referral ORDER BY min(at) LIMIT $3
"""


async def keep(connection: Connection, tells: Sequence[tuple[Tell, Folder]], at: datetime) -> None:
    """Keep what cannot be said yet, each under the key of its folder."""
    if tells:
        await insert(connection, "unsaid", COLUMNS, [_row(tell, folder, at) for tell, folder in tells])


async def of_referral(connection: Connection, referral: UUID, folder: Folder) -> tuple[Tell, ...]:
    """Return what is unsaid about a referral, in its order; ``folder`` is its case's."""
    rows = await connection.fetch(OF_REFERRAL, referral)
    return tuple(Tell(OrganisationId(row["recipient"]), _opened(row["event"], row["body"], folder)) for row in rows)


async def forget(connection: Connection, events: Collection[EventId]) -> None:
    """Forget what is said now."""
    if events:
        await connection.execute(FORGET, list(events))


async def recipients(connection: Connection) -> list[OrganisationId]:
    """Return the partners that something is unsaid to."""
    return [OrganisationId(row["recipient"]) for row in await connection.fetch(RECIPIENTS)]


async def due(
    connection: Connection, to: Collection[OrganisationId], but: Collection[UUID], limit: int
) -> list[ReferralId]:
    """Return the referrals of which something is unsaid to one of ``to``, oldest first, without those of ``but``."""
    return [ReferralId(row["referral"]) for row in await connection.fetch(DUE, list(to), list(but), limit)]


def _row(tell: Tell, folder: Folder, at: datetime) -> tuple[object, ...]:
    event = tell.event
    body = folder.cipher.seal(encode(event), _label(event.id))
    return event.id, event.referral, folder.id, tell.to, event.n, at, body


def _opened(event: UUID, body: bytes, folder: Folder) -> ReferralEvent:
    opened = decode(folder.cipher.open(body, _label(event)))
    if not isinstance(opened, ReferralEvent):
        raise TypeError(NO_EVENT)
    return opened


def _label(event: UUID) -> bytes:
    return b"unsaid\0" + event.bytes


NO_EVENT: Final = "what is unsaid is an event of a referral"
