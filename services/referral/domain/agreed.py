"""What an agreement lets two organisations say to one another, and when: one rule for what leaves and what comes in.

While it is in force, everything. Before and after, two things alone, so that what is under way can end: once it is
over, what was said before its end, be it under an agreement before it (said again without its words, because a lane
without it would wait for ever: ``repeating.py`` takes them out, and is not asked here once more), and what has happened
or ends access, in codes. For how long after the end is not asked here: the door hears nobody longer, and nothing is
sealed.

What must never happen: a person's words or a packet leave after the end; consent that is taken back is held up by it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.referral.domain.life import STEPS
from services.referral.domain.moves import has_words
from services.referral.domain.ruling import Ruling
from shared.contracts.codes import Step
from shared.contracts.event import type_of
from shared.contracts.exchange import EVENTS, ReferralEvent
from shared.contracts.heard import EventType
from shared.contracts.ids import OrganisationId
from shared.sealing.codes import DirectoryCode
from shared.values import dataclass

_WITH_AN_OFFER = frozenset({Step.OFFERED, Step.WITHDRAWN, Step.CONSENT_WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Agreed:
    """When the agreement with a partner is in force."""

    since: datetime
    until: datetime
    """The end is not part of it."""


def not_said(event: ReferralEvent, agreed: Agreed | None, at: datetime) -> DirectoryCode | None:
    """Return why ``event`` may not leave at ``at``, or ``None`` when it may."""
    codes_alone = STEPS[event.step].owed and not has_words(event.data)
    return None if codes_alone else _outside(agreed, event.at, at)


def not_heard(event: ReferralEvent, agreed: Agreed | None, at: datetime) -> DirectoryCode | None:
    """Return why ``event``, which has come, is not heard at ``at``, or ``None`` when it is.

    Words that should not have left are heard with what has happened: nobody stays in danger for a note.
    """
    return None if STEPS[event.step].owed else _outside(agreed, event.at, at)


def needed(event: ReferralEvent) -> frozenset[EventType]:
    """Return which types a partner must hear, so that it may be told ``event``.

    Nobody is offered to whoever could not be told that the offer, or consent, is taken back.
    """
    steps = _WITH_AN_OFFER if event.step is Step.OFFERED else {event.step}
    return frozenset(type_of(EVENTS[step]) for step in steps)


def keep_to(ruling: Ruling[Any], agreements: Mapping[OrganisationId, Agreed | None], at: datetime) -> Ruling[Any]:
    """Return ``ruling``, or refuse it where it says what the agreement with a partner does not let out at ``at``.

    What is said again goes in any case: what may not leave is taken out of it, and consent taken back stands beside it.
    """
    faults = (not_said(tell.event, agreements.get(tell.to), at) for tell in ruling.tells if not tell.again)
    fault = next((fault for fault in faults if fault is not None), None)
    return ruling if fault is None else Ruling.refused(fault)


def _outside(agreed: Agreed | None, said: datetime, at: datetime) -> DirectoryCode | None:
    """Return why an agreement covers no time between that at which something was ``said`` and ``at``, or ``None``."""
    if agreed is None or max(said, at) < agreed.since:
        return DirectoryCode.AGREEMENT_NONE
    return None if min(said, at) < agreed.until else DirectoryCode.AGREEMENT_EXPIRED
