"""One person is handed to one organisation: what the other referrals of a case allow, and what becomes of them.

Of the kinds that hand somebody over, several may ask at the same time, and one is chosen; referrals of the other kinds
run beside it and are left alone. Whoever arrives somewhere is there, whatever was believed before.

What must never happen: one person is on the way to two organisations that would both answer for them, or is handed over
by one that does not.
"""

from collections.abc import Sequence
from dataclasses import replace

from services.referral.domain.facts import alarm, fact
from services.referral.domain.life import BEFORE_ARRIVAL, EXPECTED, Side
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.responsibility import MOVES_ON_ARRIVAL, responsible
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.saying import say
from shared.contracts.codes import Category, ReferralKind, Status, Step, WithdrawReason
from shared.contracts.event_data import WithdrawnData
from shared.contracts.exchange import ReferralWithdrawn
from shared.contracts.facts import FactCode
from shared.contracts.packet import IDENTIFYING

_CANDIDATE = BEFORE_ARRIVAL - EXPECTED


def rivals(kind: ReferralKind, legs: Sequence[Referral]) -> tuple[Referral, ...]:
    """Return those of a case's other ``legs`` that would hand the person over from here, as one of ``kind`` would."""
    if kind not in MOVES_ON_ARRIVAL:
        return ()
    return tuple(leg for leg in legs if leg.side is Side.SENDER and leg.kind in MOVES_ON_ARRIVAL)


def one_is_chosen(others: Sequence[Referral]) -> bool:
    """Tell whether the person is on the way to one organisation, or there, whoever ended that referral since."""
    return any(leg.status in EXPECTED or leg.standing.is_there for leg in others)


def not_ours(kind: ReferralKind, legs: Sequence[Referral]) -> bool:
    """Tell whether a referral of ``kind`` would hand over a person for whom the organisation they came from answers."""
    heard = (leg for leg in legs if leg.side is Side.RECEIVER)
    return kind in MOVES_ON_ARRIVAL and any(responsible(leg) != leg.receiver for leg in heard)


def not_handed_over(referral: Referral, legs: Sequence[Referral]) -> Refused | None:
    """Return why the other ``legs`` of its case let a referral hand the person over to nobody, or ``None``."""
    if not_ours(referral.kind, legs):
        return Refused.NOT_OURS
    return Refused.ANOTHER_CHOSEN if one_is_chosen(rivals(referral.kind, legs)) else None


def rivals_in_knowing(
    kind: ReferralKind, wanted: frozenset[Category], legs: Sequence[Referral]
) -> tuple[Referral, ...]:
    """Return the rivals of a referral that tells ``wanted``: none where that does not say who the person is."""
    return () if wanted.isdisjoint(IDENTIFYING) else rivals(kind, legs)


def not_identified(others: Sequence[Referral], *, although: bool) -> Refused | None:
    """Return why the rivals let nobody else learn who the person is, whatever the reason to know, or ``None``.

    ``although``: staff know that nothing proves one of them to know of its withdrawal.
    """
    if one_is_chosen(others):
        return Refused.ANOTHER_CHOSEN
    return Refused.PERHAPS_EXPECTED if perhaps_expected(others) and not although else None


def perhaps_expected(others: Sequence[Referral]) -> tuple[Referral, ...]:
    """Return the hand-overs that were withdrawn after their disclosure, and whose receivers are not proved to know it.

    A receiver that lacks anything of what was said waits for that before it hears of the withdrawal.
    """
    return tuple(leg for leg in others if leg.status is Status.WITHDRAWN and leg.unproved and _was_disclosed(leg))


def _was_disclosed(leg: Referral) -> bool:
    return any(move.step is Step.DISCLOSED for move in leg.lane(Side.SENDER))


def withdraw_candidates(others: Sequence[Referral], act: Act) -> tuple[Ruling[Referral], ...]:
    """Withdraw the other candidates once one is chosen; none learns who was, nor that one was."""
    return tuple(_withdrawn(leg, act) for leg in others if leg.status in _CANDIDATE)


def withdraw_elsewhere(arrived: Referral, legs: Sequence[Referral], act: Act) -> tuple[Ruling[Referral], ...]:
    """Withdraw what is under way of a case's other ``legs``: the person has come to the receiver of ``arrived``.

    Staff learn of each. Where the person was on the way there, somebody waits for them: staff are told at once.
    """
    under_way = (leg for leg in rivals(arrived.kind, legs) if leg.status in BEFORE_ARRIVAL)
    return tuple(_told(_withdrawn(leg, act, arrived=str(arrived.id)), leg, act) for leg in under_way)


def _withdrawn(leg: Referral, act: Act, **detail: str) -> Ruling[Referral]:
    return say(leg, act, ReferralWithdrawn, WithdrawnData(reason=WithdrawReason.NO_LONGER_NEEDED), **detail)


def _told(withdrawn: Ruling[Referral], leg: Referral, act: Act) -> Ruling[Referral]:
    code = FactCode.REFERRAL_WITHDRAWN
    facts = alarm(leg, code, act) if leg.status in EXPECTED else (fact(leg, code, act.at, act.ids),)
    return replace(withdrawn, says=(*withdrawn.says, *facts))
