"""Under which conditions a receiver has what it was given: never wider than the grants that it rests on.

One referral has one set of terms, for all that has gone with it. So what goes later must bear the terms of what went
before, or narrow them.
"""

from datetime import datetime

from services.referral.domain.grants import Grant
from services.referral.domain.referral import Referral
from shared.contracts.event_data import Terms


def granted(grant: Grant) -> Terms:
    """Return what ``grant`` allows at most."""
    return Terms(purposes=grant.purposes, until=grant.until, feedback=grant.feedback)


def ended(terms: Terms, at: datetime) -> bool:
    """Tell whether what the person allowed has run out: what stands under ``terms`` may not be opened, nor added to."""
    return terms.until is not None and at >= terms.until


def news_allowed(referral: Referral, at: datetime) -> bool:
    """Tell whether the person lets the sender know how they are, now that they have arrived."""
    taken_back = referral.standing.consent_withdrawn_at is not None
    return referral.terms.feedback and not taken_back and not ended(referral.terms, at)


def within(terms: Terms, others: Terms) -> bool:
    """Tell whether ``terms`` allow nothing, and at no time, that ``others`` do not."""
    in_time = others.until is None or (terms.until is not None and terms.until <= others.until)
    return in_time and terms.purposes <= others.purposes and terms.feedback <= others.feedback


def narrowest(one: Terms, other: Terms) -> Terms | None:
    """Return the terms that are within both; ``None`` where no purpose is left."""
    purposes = one.purposes & other.purposes
    if not purposes:
        return None
    until = min((terms.until for terms in (one, other) if terms.until is not None), default=None)
    return Terms(purposes=purposes, until=until, feedback=one.feedback and other.feedback)
