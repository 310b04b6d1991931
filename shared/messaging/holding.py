"""How a message is held: named by what came, for a while that grows, and after a day for a person to look at.

What anybody may have sent is not held, but counted: named by who brought it and why it is refused.

No I/O; chance has a part in how long a pause is, and in nothing else. What must never happen: a message that nobody can
deal with goes round for ever, or is forgotten; somebody who has signed nothing stores with us what they like, or as
much as they like; a message counts as refused that only a fault of ours, or a long wait, has parked.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from pydantic_core import to_json

from shared.contracts.entries import Entry
from shared.messaging.decision import Early
from shared.messaging.delivery import Delivery, Later, Unreadable, Unsigned
from shared.messaging.held import Hold
from shared.pauses import pause
from shared.uuids import uuid_of

PATIENCE = timedelta(hours=24)
"""How long a message may wait or be retried before a person must look at it."""

FAILED: Final = "decision-failed"
"""A fault of ours met it."""
GIVEN_UP: Final = "delivery-limit"
"""The broker gave it out too often: whoever took it died of it, again and again."""
OURS: Final = frozenset({FAILED, GIVEN_UP})
"""Why a message is parked in which nothing need be wrong."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0

MOST_NAMES: Final = 20
"""Names of headers that are kept of what is counted."""
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
"""What the name of a header must look like to be kept."""


def hold(
    consumer: str,
    delivery: Delivery,
    why: Unreadable | Later,
    at: datetime,
    *,
    early: Early | None = None,
    admitted: bool = False,
    entries: tuple[Entry, ...] = (),
) -> Hold:
    """Hold what cannot be read until a person has looked at it, and what comes too soon for a while, each time longer.

    ``early`` is the turn that it waits for, where it waits for one: then it is tried at once, also when it has been
    parked. ``admitted`` says that the inbox has taken the message in, and need not be asked again. What has waited for
    a day is parked, unless what it waits for is ours to mend; it is not refused, as what met a fault of ours is not.
    ``entries`` are what the audit log says of it.
    """
    waited = delivery.waited
    first_at, attempts = (waited.first_at, waited.attempts) if waited else (at, 0)
    parked = isinstance(why, Unreadable) or (at - first_at > PATIENCE and not why.ours)
    wait = timedelta(seconds=pause(attempts + 1, first=FIRST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS))
    held = Hold(
        id=_place(consumer, delivery, early) if early else waited.id if waited else _name(consumer, delivery),
        delivery=delivery,
        reason=why.code,
        attempts=attempts + 1,
        first_at=first_at,
        due_at=None if parked else at + wait,
        subject=early.subject if early else None,
        turn=early.turn if early else 0,
        entries=entries,
        admitted=admitted or (waited is not None and waited.admitted),
        refused=isinstance(why, Unreadable) and why.code not in OURS,
    )
    return counted(consumer, held) if isinstance(why, Unsigned) else held


def counted(consumer: str, held: Hold) -> Hold:
    """Return what is kept of a message that is not kept whole: it is one of those from its origin, for its reason."""
    delivery = held.delivery.without_body()
    names = [name for name in sorted(delivery.headers) if _NAME.fullmatch(name)][:MOST_NAMES]
    parts = (consumer, delivery.source, delivery.origin, held.reason)
    return replace(
        held,
        id=_uuid("counted", *parts),
        delivery=replace(delivery, headers=dict.fromkeys(names, "")),
        due_at=None,
        subject=None,
        turn=0,
        admitted=False,
        counted=True,
    )


def together(holds: Iterable[Hold]) -> Sequence[Hold]:
    """Return counted messages, each id once: the last one, with how many there are."""
    found: dict[UUID, Hold] = {}
    for each in holds:
        before = found.get(each.id)
        found[each.id] = replace(each, count=each.count + before.count) if before else each
    return list(found.values())


def _name(consumer: str, delivery: Delivery) -> UUID:
    """Name a held message by all that came, so that the same one is held once however often the broker brings it."""
    headers = to_json(sorted(delivery.headers.items()))
    return _uuid(consumer, delivery.source, delivery.digest(), headers)


def _place(consumer: str, delivery: Delivery, early: Early) -> UUID:
    """Name what waits for its turn by that, so that one message has it, whatever else its sender says in its place."""
    return _uuid("early", consumer, delivery.origin, early.subject.bytes, str(early.turn))


def _uuid(*parts: str | bytes) -> UUID:
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return uuid_of(sha256(joined).digest()[:16])
