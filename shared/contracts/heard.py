"""Which events this release hears from partners: what an organisation says of itself in its key document.

Only referral may know what the events are like; their names are no secret. A type stands here as soon as it is heard,
and is said to a partner once the partner's document names it (docs/protocol/keys.md, 5).
"""

from typing import Annotated, Final

from pydantic import StringConstraints

EventType = Annotated[
    str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+\.v[1-9][0-9]{0,3}$", max_length=64)
]
"""The type of an event, with its version: ``referral.offered.v1``."""


FIRST: Final[tuple[EventType, ...]] = (
    "receipt.given.v1",
    "referral.accepted.v1",
    "referral.answered.v1",
    "referral.arrived.v1",
    "referral.asked.v1",
    "referral.closed.v1",
    "referral.consent-withdrawn.v1",
    "referral.declined.v1",
    "referral.disclosed.v1",
    "referral.missed.v1",
    "referral.offered.v1",
    "referral.opened.v1",
    "referral.progressed.v1",
    "referral.redirected.v1",
    "referral.rescheduled.v1",
    "referral.withdrawn.v1",
)
"""The types of version 1 of the protocol. The list is closed: a type that comes later stands in ``LATER``."""

LATER: Final[tuple[EventType, ...]] = ()
"""The types that have come since."""

HEARD: Final[tuple[EventType, ...]] = tuple(sorted((*FIRST, *LATER)))
"""In alphabetical order."""
