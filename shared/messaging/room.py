"""What of parked messages is kept whole: as many of each origin as there is room for; the rest is counted.

Whoever may write to us could otherwise fill the disk, also with what they have signed. What only waits is kept whole,
and takes no room: nothing is wrong with it, and after a day it is parked, unless it waits for us.

What must never happen: a message that only comes too early loses its body.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from shared.messaging import held
from shared.messaging.held import Hold
from shared.messaging.holding import counted, together
from shared.storage.pool import Connection

MOST_KEPT: Final = 500
"""Messages of one partner that are parked whole: 128 MiB at most."""

Most: TypeAlias = Callable[[str], int | None]
"""How many messages of an origin are parked whole; ``None`` for all of them."""


async def keep(connection: Connection, consumer: str, holds: Sequence[Hold], at: datetime, most: Most) -> list[Hold]:
    """Keep ``holds``; return those that are new, and those that are counted, with how many each stands for.

    Args:
        connection: in the transaction of the batch.
        consumer: who holds them.
        holds: any number.
        at: now.
        most: messages of each origin that are parked whole, where not all are that are not counted already.
    """
    if not holds:
        return []
    bounded = sorted({hold.delivery.origin for hold in holds if most(hold.delivery.origin) is not None})
    if bounded:
        holds = list(within(consumer, holds, await held.whole(connection, consumer, bounded), most))
    kept = await held.keep(connection, consumer, [hold for hold in holds if not hold.counted])
    return kept + await held.count(connection, consumer, together(hold for hold in holds if hold.counted), at)


def within(consumer: str, holds: Sequence[Hold], there: Mapping[str, int], most: Most) -> Iterator[Hold]:
    """Yield ``holds``, counted where the ``most`` of their origin are ``there``, by origin, or among those before them.

    What waits is neither counted nor takes room from what is parked.
    """
    taken = Counter(there)
    for hold in holds:
        limit = most(hold.delivery.origin)
        if hold.counted or hold.due_at is not None or limit is None:
            yield hold
        elif taken[hold.delivery.origin] >= limit:
            yield counted(consumer, hold)
        else:
            taken[hold.delivery.origin] += 1
            yield hold
