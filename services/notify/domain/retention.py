"""How long notifications are kept. They point to what is kept elsewhere, and old ones only tell who did what when.

The audit log keeps, for as long as its own rules say, that somebody was told; these rows need not.
"""

from datetime import datetime, timedelta
from typing import Final

from shared.values import dataclass

KEEP_READ: Final = timedelta(days=30)
KEEP_UNREAD: Final = timedelta(days=180)
"""Nobody looked for half a year: the clocks of the referral have long told others."""


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """What is older than this goes, and its mail with it."""

    read_before: datetime
    made_before: datetime


def cutoffs(at: datetime) -> Cutoffs:
    """Return what goes at ``at``."""
    return Cutoffs(read_before=at - KEEP_READ, made_before=at - KEEP_UNREAD)
