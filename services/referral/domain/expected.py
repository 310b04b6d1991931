"""When a person should have come by: of the hours that somebody names, those that a clock waits for.

An hour that is years ahead would silence the clock that watches over the arrival, and one that is long past is a
mistake. Ours is refused where staff name it. A partner's counts as none, and the event counts all the same: refused, it
would leave the referral deaf to all that follows. Both stores measure from when the event was said, so that they agree.
"""

from datetime import datetime, timedelta
from typing import Final

BEFORE: Final = timedelta(hours=1)
"""The person may be at the door while somebody still writes that they are expected."""
AFTER: Final = timedelta(days=90)
"""Longer than anybody keeps a place for somebody who has not come."""


def likely(expected: datetime, said_at: datetime) -> bool:
    """Tell whether somebody may be ``expected`` by then, as was said at ``said_at``."""
    return said_at - BEFORE <= expected <= said_at + AFTER
