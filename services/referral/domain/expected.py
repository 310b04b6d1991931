"""When a person should have come by: of the hours that somebody names, those that a clock waits for.

An hour that is years ahead would silence the clock that watches over the arrival, and one that is long past is a
mistake. Ours is refused where staff name it. A partner's counts as none, and the event counts all the same: refused, it
would leave the referral deaf to all that follows. Both stores measure from when the event was said, so that they agree.
"""

from datetime import datetime, timedelta
from typing import Final

from shared.contracts.event_data import EventData
from shared.contracts.exchange import EVENTS

BEFORE: Final = timedelta(hours=1)
"""The person may be at the door while somebody still writes that they are expected."""
AFTER: Final = timedelta(days=90)
"""Longer than anybody keeps a place for somebody who has not come."""

NAMES_AN_HOUR = frozenset(
    step
    for step, event in EVENTS.items()
    if "expected" in getattr(event.model_fields["data"].annotation, "model_fields", ())
)
"""The steps with a field ``expected``. Each does away with the hour that was named before."""


def hour_of(data: EventData) -> datetime | None:
    """Return when the person should have come by, as ``data`` of whatever step says; ``None`` where it does not."""
    hour: datetime | None = vars(data).get("expected")
    return hour


def likely(expected: datetime, said_at: datetime) -> bool:
    """Tell whether somebody may be ``expected`` by then, as was said at ``said_at``."""
    return said_at - BEFORE <= expected <= said_at + AFTER
