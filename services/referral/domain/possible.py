"""What staff can do about a referral now: what no rule refuses for what is known already.

Whether a command goes through may still depend on what is said with it: what the person has allowed, what is written in
the case, what the agreement lets out.
"""

from collections.abc import Sequence
from datetime import datetime

from services.referral.domain.handover import not_handed_over
from services.referral.domain.life import FROM_THE_CASE, ONLY_HEARD, STEPS
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.saying import refusal_of
from shared.contracts.codes import Step


def possible(referral: Referral, legs: Sequence[Referral] | None, at: datetime) -> tuple[Step, ...]:
    """Return what this organisation can say at ``at``.

    ``legs`` are the other referrals of the case; ``None`` where one of them cannot be read: then nothing is disclosed.
    """
    said = (step for step in STEPS if step not in ONLY_HEARD)
    return tuple(step for step in said if _refusal(referral, step, legs, at) is None)


def _refusal(referral: Referral, step: Step, legs: Sequence[Referral] | None, at: datetime) -> Refused | None:
    refusal = refusal_of(referral, step, at)
    if legs is None:
        return refusal or (Refused.NEWER if step in FROM_THE_CASE else None)
    return not_handed_over(referral, legs) if refusal is None and step is Step.DISCLOSED else refusal
