"""What of held messages is kept whole: as many of each origin as there is room for; the rest is counted.

Whoever may write to us could otherwise fill the disk, also with what they have signed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from shared.messaging import held
from shared.messaging.held import Hold
from shared.messaging.holding import counted, together
from shared.storage.pool import Connection


async def keep(
    connection: Connection, consumer: str, holds: Sequence[Hold], at: datetime, most: int | None
) -> list[Hold]:
    """Keep ``holds``; return those that are new, and those that are counted, with how many each stands for.

    Args:
        connection: in the transaction of the batch.
        consumer: who holds them.
        holds: any number.
        at: now.
        most: messages of one origin that are kept whole; ``None`` keeps all that are not counted already.
    """
    if not holds:
        return []
    if most is not None:
        there = await held.whole(connection, consumer, sorted({hold.delivery.origin for hold in holds}))
        holds = list(within(consumer, holds, there, most))
    kept = await held.keep(connection, consumer, [hold for hold in holds if not hold.counted])
    return kept + await held.count(connection, consumer, together(hold for hold in holds if hold.counted), at)


def within(consumer: str, holds: Sequence[Hold], there: Mapping[str, int], most: int) -> Iterator[Hold]:
    """Yield ``holds``, counted where ``most`` of their origin are ``there``, by origin, or among those before them.

    What waits for something that is ours to mend is kept whole all the same: nothing is wrong with it.
    """
    taken = Counter(there)
    for hold in holds:
        if hold.counted or hold.ours:
            yield hold
        elif taken[hold.delivery.origin] >= most:
            yield counted(consumer, hold)
        else:
            taken[hold.delivery.origin] += 1
            yield hold
