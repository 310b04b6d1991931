"""What happens when a clock rings: staff are told once, and nothing is ever ended by it.

Where the person has not come, the receiver's clock reports the miss itself, as a member of staff would; the sender's
clock only tells its own staff, because only the receiver can know. Where the lane has no room left for that report, the
receiver's staff are told all the same.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from services.referral.domain.clocks import Awaited, due, rung
from services.referral.domain.facts import entry, fact, receipt_facts
from services.referral.domain.life import Side
from services.referral.domain.receiving import miss
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act, Ruling
from shared.contracts.codes import MissReason, Urgency
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.event_data import MissedData
from shared.contracts.facts import Fact, FactCode

_NOBODY_CAME: Final = frozenset({Awaited.ARRIVAL, Awaited.NEW_MEETING})
"""The person may be in danger, however urgent the referral was."""


def expire(referral: Referral, act: Act) -> Ruling[Referral]:
    """Ring the clocks that are due at ``act.at``; a second look at the same moment finds nothing to do."""
    ringing = due(referral, act.at)
    if not ringing:
        return Ruling()
    told = rung(referral, ringing, act.at)
    missed = _missed(told, ringing, act)
    told_otherwise = {Awaited.RECEIPT, Awaited.ARRIVAL} if missed.says else {Awaited.RECEIPT}
    late = [clock for clock in ringing if clock not in told_otherwise]
    lost = {n: told.lane(told.side)[n - 1].step for n in sorted(told.missing - referral.missing)}
    return replace(
        missed,
        says=(*missed.says, *(_overdue(told, clock, act) for clock in late), *receipt_facts(told, lost.values(), act)),
        entries=(
            *missed.entries,
            *(_line(told, clock, act) for clock in late),
            *(_line(told, Awaited.RECEIPT, act, n=str(n), step=step.value) for n, step in lost.items()),
        ),
    )


def _missed(referral: Referral, ringing: Collection[Awaited], act: Act) -> Ruling[Referral]:
    """Report that the person did not come, where it is time, and ours to say, and there is room left to say it."""
    if Awaited.ARRIVAL in ringing and referral.side is Side.RECEIVER:
        missed = miss(referral, act, MissedData(reason=MissReason.TIME_PASSED))
        if missed.refusal is None:
            return missed
    return Ruling(state=referral)


def _line(referral: Referral, clock: Awaited, act: Act, **detail: str) -> Entry:
    return entry(referral, EntryCode.REFERRAL_OVERDUE, act, clock=clock.value, **detail)


def _overdue(referral: Referral, clock: Awaited, act: Act) -> Fact:
    urgency = Urgency.IMMEDIATE if clock in _NOBODY_CAME else referral.urgency
    return fact(referral, FactCode.REFERRAL_OVERDUE, act.at, act.ids, urgency=urgency)
