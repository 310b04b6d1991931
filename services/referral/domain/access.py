"""Whether this organisation's staff may open what the partner has disclosed: the gate on the reading side.

Access ends by itself: with a decline, a redirection or a withdrawal, when the grant runs out, and at once everywhere
when the person takes consent back. What may not be opened is still kept until it is erased, so nothing here deletes.
"""

from datetime import datetime

from services.referral.domain.life import Side
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.terms import ended
from shared.contracts.codes import Status

_ENDED = frozenset({Status.DECLINED, Status.REDIRECTED, Status.WITHDRAWN})


def closed_to_reader(referral: Referral, at: datetime) -> Refused | None:
    """Return why the packet may not be opened now, or ``None`` when it may.

    The sender's copy holds what the receiver answered, and its own packet, which is cut from its own case: both stay
    open.
    """
    if referral.side is Side.SENDER:
        return None
    if referral.status in _ENDED or referral.standing.consent_withdrawn_at is not None:
        return Refused.ACCESS_ENDED
    return Refused.TERMS_ENDED if ended(referral.terms, at) else None
