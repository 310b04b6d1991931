"""Whether this organisation's staff may open what the partner has disclosed: the gate on the reading side.

Access ends by itself: with a decline, a redirection or a withdrawal, when the grant runs out, and at once everywhere
when the person takes consent back. What says so may come before its turn, because what stands before it is lost or
set aside, or be refused, because one of the two has lost data: it can only protect, so that the packet stays shut from
then on. What may not be opened is still kept until it is erased, so nothing here deletes.
"""

from datetime import datetime

from services.referral.domain.life import NEVER_CAME, Side, after
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.terms import ended


def closed_to_reader(referral: Referral, at: datetime) -> Refused | None:
    """Return why the packet may not be opened now, or ``None`` when it may.

    The sender's copy holds what the receiver answered, and its own packet, which is cut from its own case: both stay
    open.
    """
    if referral.side is Side.SENDER:
        return None
    if referral.status in NEVER_CAME or referral.standing.consent_withdrawn_at is not None or _ends_besides(referral):
        return Refused.ACCESS_ENDED
    return Refused.TERMS_ENDED if ended(referral.terms, at) else None


def _ends_besides(referral: Referral) -> bool:
    """Tell whether something that waits for its turn, or was refused, ends access from where the referral stands."""
    heard = len(referral.lane(Side.SENDER))
    waits = {step for step, n in referral.ahead.items() if n > heard}
    return any(after(referral.status, step) is not None for step in waits | referral.shut)
