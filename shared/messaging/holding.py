"""How a message is held: named by what came, for a while that grows, and after a day for a person to look at.

Pure. What must never happen: a message that nobody can deal with goes round for ever, or is forgotten.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from pydantic_core import to_json

from shared.messaging.delivery import Delivery, Later, Unreadable
from shared.messaging.held import Hold
from shared.storage.pool import pause
from shared.uuids import uuid_of

PATIENCE = timedelta(hours=24)
"""How long a message may wait or be retried before a person must look at it."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0


def hold(
    consumer: str,
    delivery: Delivery,
    why: Unreadable | Later,
    at: datetime,
    *,
    subject: UUID | None = None,
    admitted: bool = False,
) -> Hold:
    """Hold what cannot be read until a person has looked at it, and what comes too soon for a while, each time longer.

    ``subject`` is what it waits for, where that is known: when that changes, it is tried at once. ``admitted`` says
    that the inbox has taken the message in, and need not be asked again. What has waited for a day is parked, unless
    what it waits for is ours to mend; it is tried all the same when its subject changes after that.
    """
    waited = delivery.waited
    first_at, attempts = (waited.first_at, waited.attempts) if waited else (at, 0)
    parked = isinstance(why, Unreadable) or (at - first_at > PATIENCE and not why.ours)
    wait = timedelta(seconds=pause(attempts + 1, first=FIRST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS))
    return Hold(
        id=waited.id if waited else _name(consumer, delivery),
        delivery=delivery,
        reason=why.code,
        attempts=attempts + 1,
        first_at=first_at,
        due_at=None if parked else at + wait,
        subject=subject,
        admitted=admitted or (waited is not None and waited.admitted),
    )


def _name(consumer: str, delivery: Delivery) -> UUID:
    """Name a held message by all that came, so that the same one is held once however often the broker brings it."""
    headers = to_json(sorted(delivery.headers.items()))
    parts = (consumer.encode(), delivery.source.encode(), delivery.digest(), headers)
    return uuid_of(sha256(b"\0".join(parts)).digest()[:16])
