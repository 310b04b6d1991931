"""What of held messages is kept whole: as many of each origin as there is room for; the rest is counted.

Whoever may write to us could otherwise fill the disk, also with what they have signed. What waits has a room of its
own, of which what is refused takes nothing; what the inbox has taken in waits in any number: nobody can say it again.

What must never happen: a message that the inbox has taken in, and that only comes too early, loses its body.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from shared.messaging import held
from shared.messaging.held import Hold
from shared.messaging.holding import counted, together
from shared.storage.pool import Connection

MOST_KEPT: Final = 500
"""Messages of one partner that are parked whole, or wait: 128 MiB at most."""


class Room(NamedTuple):
    """What is kept of one origin: what waits, or else what is parked."""

    origin: str
    waits: bool


Most: TypeAlias = Callable[[Room], int | None]
"""How many messages are kept whole in a room; ``None`` for all of them."""


async def keep(connection: Connection, consumer: str, holds: Sequence[Hold], at: datetime, most: Most) -> list[Hold]:
    """Keep ``holds``; return those that are new, and those that are counted, with how many each stands for.

    Args:
        connection: in the transaction of the batch.
        consumer: who holds them.
        holds: any number.
        at: now.
        most: messages that are kept whole in each room, where not all are that are not counted already.
    """
    if not holds:
        return []
    bounded = {room for hold in holds if (room := _room(hold)) and most(room) is not None}
    there: dict[Room, int] = {}
    for waits, look in ((False, held.whole), (True, held.waiting_of)):
        if origins := sorted(room.origin for room in bounded if room.waits is waits):
            found = await look(connection, consumer, origins)
            there |= {Room(origin, waits): count for origin, count in found.items()}
    holds = list(within(consumer, holds, there, most))
    kept = await held.keep(connection, consumer, [hold for hold in holds if not hold.counted])
    return kept + await held.count(connection, consumer, together(hold for hold in holds if hold.counted), at)


def within(consumer: str, holds: Sequence[Hold], there: Mapping[Room, int], most: Most) -> Iterator[Hold]:
    """Yield ``holds``, counted where the ``most`` of their room are ``there``, or among those before them."""
    taken = Counter(there)
    for hold in holds:
        room = _room(hold)
        limit = most(room) if room else None
        if room is None or limit is None:
            yield hold
        elif taken[room] >= limit:
            yield counted(consumer, hold)
        else:
            taken[room] += 1
            yield hold


def _room(hold: Hold) -> Room | None:
    """Return whose room ``hold`` takes; ``None`` where it takes none."""
    waits = hold.due_at is not None
    return None if hold.counted or (waits and hold.admitted) else Room(hold.delivery.origin, waits)
