"""What of held messages is kept whole: as many of each origin as there is room for; the rest is counted.

Whoever may write to us could otherwise fill the disk, also with what they have signed. What waits has a room of its
own, of which what is parked takes nothing. The desk says of what there is a bound; what is kept in any number takes no
room of what has one.

What must never happen: a message that the inbox has taken in, and that no rule has refused, loses its body: nobody can
say it again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from shared.messaging import held
from shared.messaging.held import Hold
from shared.messaging.holding import counted, together
from shared.storage.pool import Connection

MOST_KEPT: Final = 500
"""Messages of one partner that are parked whole, or wait, where there is a bound: 128 MiB at most."""


class Room(NamedTuple):
    """What is kept of one origin: what waits, or else what is parked."""

    origin: str
    waits: bool


Most: TypeAlias = Callable[[Hold], int | None]
"""How many messages such as this one are kept whole in its room; ``None`` for all of them."""


async def keep(connection: Connection, consumer: str, holds: Sequence[Hold], at: datetime, most: Most) -> list[Hold]:
    """Keep ``holds``; return those that are new, and those that are counted, with how many each stands for.

    Args:
        connection: in the transaction of the batch.
        consumer: who holds them.
        holds: any number.
        at: now.
        most: of which messages there is a bound, and how many are kept whole.
    """
    if not holds:
        return []
    origins = sorted({hold.delivery.origin for hold in holds if _limit(hold, most) is not None})
    taken = await held.taken(connection, consumer, origins) if origins else {}
    there = {Room(*room): count for room, count in taken.items()}
    holds = list(within(consumer, holds, there, most))
    kept = await held.keep(connection, consumer, [hold for hold in holds if not hold.counted])
    return kept + await held.count(connection, consumer, together(hold for hold in holds if hold.counted), at)


def within(consumer: str, holds: Sequence[Hold], there: Mapping[Room, int], most: Most) -> Iterator[Hold]:
    """Yield ``holds``, counted where the ``most`` of their room are ``there``, or among those before them."""
    taken = Counter(there)
    for hold in holds:
        limit, room = _limit(hold, most), Room(hold.delivery.origin, waits=hold.due_at is not None)
        if limit is None:
            yield hold
        elif taken[room] >= limit:
            yield counted(consumer, hold)
        else:
            taken[room] += 1
            yield replace(hold, bounded=True)


def _limit(hold: Hold, most: Most) -> int | None:
    """Return how many such as ``hold`` are kept whole; ``None`` where it takes no room."""
    return None if hold.counted or (hold.admitted and not hold.refused) else most(hold)
