"""What happens when a clock rings: staff are told once, and nothing is ever ended by it.

Where the person has not come, the receiver's clock reports the miss itself, as a member of staff would; the sender's
clock only tells its own staff, because only the receiver can know.
"""

from services.referral.domain.clocks import Clock, due, rung
from services.referral.domain.life import Side
from services.referral.domain.receiving import miss
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.telling import entry, fact
from shared.contracts.codes import MissReason, Urgency
from shared.contracts.exchange import MissedData
from shared.contracts.facts import Audience, Fact, FactCode


def expire(referral: Referral, act: Act) -> Ruling[Referral]:
    """Ring the clocks that are due at ``act.at``; a second look at the same moment finds nothing to do."""
    ringing = due(referral, act.at)
    if not ringing:
        return Ruling()
    if Clock.ARRIVAL in ringing and referral.side is Side.RECEIVER:
        return miss(rung(referral, ringing), act, MissedData(reason=MissReason.TIME_PASSED))
    told = rung(referral, ringing)
    return Ruling(
        state=told,
        says=tuple(said for clock in ringing for said in _facts(told, clock, act)),
        entries=tuple(entry(told, "overdue", act, clock=clock.value) for clock in ringing),
    )


def _facts(referral: Referral, clock: Clock, act: Act) -> tuple[Fact, ...]:
    if clock is Clock.RECEIPT:
        operator = fact(referral, FactCode.RECEIPT_MISSING, act.at, act.ids, audience=Audience.OPERATOR)
        return (operator, fact(referral, FactCode.RECEIPT_MISSING, act.at, act.ids))
    urgency = Urgency.IMMEDIATE if clock is Clock.ARRIVAL else referral.urgency
    return (fact(referral, FactCode.REFERRAL_OVERDUE, act.at, act.ids, urgency=urgency),)
