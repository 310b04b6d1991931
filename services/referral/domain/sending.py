"""What the sender of a referral can do: offer, answer, disclose, reschedule, withdraw, withdraw consent.

Whatever discloses goes through the gate, whole or not at all: a packet with one category that nothing covers is refused
with the reason for each, so that nobody believes to have sent what stayed behind.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from services.referral.domain import grants
from services.referral.domain.clocks import Hours, deadlines
from services.referral.domain.grants import Grant
from services.referral.domain.lanes import Lanes
from services.referral.domain.life import Side
from services.referral.domain.moves import move_of, papers_of
from services.referral.domain.policy import Grounds, Release, Stage, release
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.responsibility import MOVES_ON_ARRIVAL
from services.referral.domain.ruling import Act, Ruling, Tell
from services.referral.domain.saying import refusal_of, say
from services.referral.domain.standing import Course
from services.referral.domain.telling import entry
from shared.contracts.codes import ReferralKind, Status, Step, Urgency, WithdrawReason
from shared.contracts.event import EventId
from shared.contracts.exchange import (
    AnsweredData,
    ConsentWithdrawnData,
    DisclosedData,
    Meeting,
    OfferedData,
    ReferralAnswered,
    ReferralConsentWithdrawn,
    ReferralDisclosed,
    ReferralOffered,
    ReferralRescheduled,
    ReferralWithdrawn,
    RescheduledData,
    WithdrawnData,
)
from shared.contracts.ids import CaseId, ConversationId, OrganisationId, ReferralId, StaffId
from shared.contracts.packet import Packet
from shared.contracts.personal import Personal, Text
from shared.values import dataclass


class Offer(Personal):
    """What a member of staff asks another organisation."""

    kind: ReferralKind
    urgency: Urgency
    packet: Packet
    identity_reason: Text | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """Which referral of which conversation, for which case, and whose."""

    referral: ReferralId
    conversation: ConversationId
    case: CaseId
    sender: OrganisationId


def joins(conversation: ConversationId, referrals: Sequence[Referral]) -> bool:
    """Whether a further leg of ``conversation`` may start from the case that ``referrals`` are of."""
    return any(referral.conversation == conversation for referral in referrals)


def offer(asked: Offer, leg: Leg, act: Act, *, by: StaffId, grounds: Grounds, hours: Hours) -> Ruling[Referral]:
    """Offer a person to the recipient of ``grounds``, who works in ``hours``; ``by`` follows it from now on."""
    receiver = grounds.recipient.organisation
    if receiver == leg.sender:
        return Ruling.refused(Refused.NOT_WITH_ITSELF)
    if asked.kind not in grounds.recipient.kinds:
        return Ruling.refused(Refused.KIND_NOT_AGREED)
    gate = _gate(asked.packet, grounds, Stage.DECIDING, act.at, identity_reason=asked.identity_reason is not None)
    if not gate.whole:
        return _not_released(gate)
    terms = gate.terms(grounds.purpose)
    event = ReferralOffered(
        id=EventId(next(act.ids)),
        at=act.at,
        conversation=leg.conversation,
        referral=leg.referral,
        n=1,
        seen=0,
        data=OfferedData(
            kind=asked.kind,
            urgency=asked.urgency,
            packet=asked.packet,
            terms=terms,
            identity_reason=asked.identity_reason,
        ),
    )
    referral = Referral(
        id=leg.referral,
        conversation=leg.conversation,
        case=leg.case,
        side=Side.SENDER,
        sender=leg.sender,
        receiver=receiver,
        kind=asked.kind,
        urgency=asked.urgency,
        course=Course(Lanes(sender=(move_of(event),))),
        terms=terms,
        deadlines=deadlines(asked.urgency, act.at, hours),
        assignee=by,
    )
    return Ruling(
        state=referral,
        says=(Tell(receiver, event),),
        entries=(
            entry(referral, Step.OFFERED.value, act, receiver=receiver, kind=asked.kind.value, **_released(gate)),
        ),
        papers=papers_of(event, leg.case),
    )


def answer(referral: Referral, act: Act, said: AnsweredData, grounds: Grounds) -> Ruling[Referral]:
    """Answer the receiver's question; what it discloses passes the same gate as the offer."""
    refusal = refusal_of(referral, Step.ANSWERED)
    if refusal is not None or said.packet is None:
        return say(referral, act, ReferralAnswered, said)
    reason = said.identity_reason is not None
    gate = _gate(said.packet, grounds, Stage.DECIDING, act.at, identity_reason=reason)
    return say(referral, act, ReferralAnswered, said, **_released(gate)) if gate.whole else _not_released(gate)


def disclose(
    referral: Referral, act: Act, packet: Packet, grounds: Grounds, legs: Sequence[Referral] = ()
) -> Ruling[Referral]:
    """Give the receiver, who has accepted, what it needs to receive the person.

    ``legs`` are the other referrals of the case. While a person is on the way to one organisation of a conversation, or
    has arrived there, they are handed to no second one; the other candidates of the conversation are withdrawn.
    """
    others = _rivals(referral, legs)
    refusal = refusal_of(referral, Step.DISCLOSED)
    if refusal is None and any(leg.status in _ON_THE_WAY for leg in others):
        refusal = Refused.ANOTHER_CHOSEN
    if refusal is not None:
        return Ruling.refused(refusal, status=referral.status.value)
    gate = _gate(packet, grounds, Stage.ACCEPTED, act.at, identity_reason=False)
    if not gate.whole:
        return _not_released(gate)
    data = DisclosedData(packet=packet, terms=gate.terms(grounds.purpose))
    said = say(referral, act, ReferralDisclosed, data, **_released(gate))
    return replace(said, also=withdraw_others(others, act))


def reschedule(referral: Referral, act: Act, meeting: Meeting, expected: datetime | None = None) -> Ruling[Referral]:
    """Agree a new meeting after the person did not come."""
    return say(referral, act, ReferralRescheduled, RescheduledData(meeting=meeting, expected=expected))


def withdraw(referral: Referral, act: Act, reason: WithdrawReason) -> Ruling[Referral]:
    """Take the referral back: always possible until the person has arrived."""
    return say(referral, act, ReferralWithdrawn, WithdrawnData(reason=reason))


def withdraw_consent(referral: Referral, act: Act) -> Ruling[Referral]:
    """Pass on that the person takes consent back: possible in every state, so that every holder learns of it."""
    return say(referral, act, ReferralConsentWithdrawn, ConsentWithdrawnData())


def withdraw_others(candidates: Sequence[Referral], act: Act) -> tuple[Ruling[Referral], ...]:
    """Withdraw the other candidates once one is chosen; none learns who was, nor that one was."""
    return tuple(
        withdraw(candidate, act, WithdrawReason.NO_LONGER_NEEDED)
        for candidate in candidates
        if candidate.status in _CANDIDATE
    )


def take_back(grant: Grant, referrals: Sequence[Referral], act: Act) -> Ruling[Grant]:
    """Mark that the person has taken ``grant`` back, and let every holder of what it may have covered know.

    ``referrals`` are those of the case. All that went to the grant's recipient is affected, under whichever grant it
    went: to take one of two grants back and keep the other going takes a new offer. Always possible; done again, it
    reaches those that could not be reached before.
    """
    taken = grants.take_back(grant, act)
    affected = (
        referral
        for referral in referrals
        if referral.side is Side.SENDER
        and referral.receiver == grant.recipient
        and referral.standing.consent_withdrawn_at is None
    )
    return Ruling(
        state=taken.state, entries=taken.entries, also=tuple(withdraw_consent(referral, act) for referral in affected)
    )


_ON_THE_WAY = frozenset({Status.DISCLOSED, Status.MISSED, Status.ARRIVED})
_CANDIDATE = frozenset({Status.OFFERED, Status.RECEIVED, Status.OPENED, Status.ASKED, Status.ACCEPTED})


def _rivals(referral: Referral, legs: Sequence[Referral]) -> tuple[Referral, ...]:
    """Return the other referrals of the conversation that would hand the person over; a service leaves them be."""
    if referral.kind not in MOVES_ON_ARRIVAL:
        return ()
    return tuple(
        leg
        for leg in legs
        if leg.id != referral.id
        and leg.conversation == referral.conversation
        and leg.side is Side.SENDER
        and leg.kind in MOVES_ON_ARRIVAL
    )


def _gate(packet: Packet, grounds: Grounds, stage: Stage, at: datetime, *, identity_reason: bool) -> Release:
    return release(packet.categories(), grounds, stage=stage, identity_reason=identity_reason, at=at)


def _released(gate: Release) -> dict[str, str]:
    """Return for the audit trail what left and on which basis."""
    detail = {"categories": " ".join(sorted(gate.goes))}
    detail["bases"] = " ".join(sorted({cover.basis.value for cover in gate.goes.values()}))
    grants = sorted({str(cover.grant.id) for cover in gate.goes.values() if cover.grant is not None})
    return detail | ({"grants": " ".join(grants)} if grants else {})


def _not_released(gate: Release) -> Ruling[Referral]:
    return Ruling.refused(
        Refused.NOT_RELEASED, **{category.value: reason.value for category, reason in gate.stays.items()}
    )
