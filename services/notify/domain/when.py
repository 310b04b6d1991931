"""When a mail is due, and when it is tried again. The bell rings at once and for everything; mail is for what waits.

An immediate or urgent matter is mailed at once. A standard one is mailed only where nobody looked at the bell for an
hour, so that mail keeps its weight. What merely informs never leaves the bell. That something is parked is mailed once,
however much it is.
"""

from datetime import datetime, timedelta
from typing import Final, assert_never

from services.notify.domain.notice import Matter
from shared.contracts.codes import Urgency
from shared.contracts.facts import FactCode
from shared.growing import doubling

PATIENCE: Final = timedelta(hours=1)
"""How long a standard matter waits at the bell before it is mailed."""

REMIND_AFTER: Final = timedelta(days=1)
"""How long one mail that something is parked stands for all that is parked after it, unread."""

FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(hours=1)
TRIES_END: Final = timedelta(hours=24)
"""How long a mail that the server will not take yet is tried. While the server is away nothing is tried or counted."""

INFORMS: Final = frozenset(
    {
        FactCode.REFERRAL_RECEIPTED,
        FactCode.REFERRAL_OPENED,
        FactCode.REFERRAL_PROGRESSED,
        FactCode.REFERRAL_CLOSED,
    }
)
"""What asks nothing of its reader."""


def mail_wait(code: FactCode, urgency: Urgency) -> timedelta | None:
    """Return how long to wait before what was heard is mailed; ``None`` where the bell is enough."""
    if code in INFORMS:
        return None
    match urgency:
        case Urgency.IMMEDIATE | Urgency.URGENT:
            return timedelta()
        case Urgency.STANDARD:
            return PATIENCE
        case _:
            assert_never(urgency)


def needs_mail(matter: Matter, reminded: datetime | None, at: datetime, *, read: bool) -> bool:
    """Say whether a mail that is due at ``at`` needs to go out.

    Not what was ``read`` at the bell. And of many messages that are parked, whoever must look is mailed of one: anybody
    who sends us junk could else fill their mailbox until they read none.

    Args:
        matter: what it is about.
        reminded: when its reader was last mailed that something is parked, if they have not looked since.
        at: now.
        read: whether it was read at the bell.
    """
    if read:
        return False
    return matter is not Matter.PARKED or reminded is None or not reminded <= at < reminded + REMIND_AFTER


def next_try(attempts: int, first_tried: datetime, at: datetime, jitter: float) -> timedelta | None:
    """Return how long to wait before a mail that the server would not take is tried again; ``None`` to give up.

    Args:
        attempts: how often it was tried, from 1.
        first_tried: when it was tried the first time.
        at: when it was tried now.
        jitter: from 0 to 1, a fresh one for each call: it spreads the tries over the second half of the pause.
    """
    if at - first_tried >= TRIES_END:
        return None
    return doubling(attempts, FIRST_PAUSE, LONGEST_PAUSE) * (0.5 + jitter / 2)
