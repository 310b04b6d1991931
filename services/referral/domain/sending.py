"""What the sender of a referral can do: a function for each step that it can say (``STEPS`` in ``life.py``).

Whatever discloses goes through the gate, whole or not at all: a packet with one category that nothing covers is refused
with the reason for each, so that nobody believes to have sent what stayed behind. Words disclose as well: they go to
nobody to whom the summary may not go. Codes and times, and what ends access, need no gate. What the other referrals of
the case let be said is in ``handover.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from services.referral.domain.casefile import CaseFile
from services.referral.domain.clocks import arrival_by, deadlines
from services.referral.domain.facts import offer_entry
from services.referral.domain.handover import (
    not_handed_over,
    not_identified,
    not_ours,
    perhaps_expected,
    rivals,
    rivals_in_knowing,
    withdraw_candidates,
)
from services.referral.domain.lanes import Lanes
from services.referral.domain.life import Side
from services.referral.domain.moves import contents, move_of, papers_of, rests_on
from services.referral.domain.policy import Grounds, Recipient, Release, Stage, release
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.repeating import once_said
from services.referral.domain.responsibility import MOVES_ON_ARRIVAL
from services.referral.domain.ruling import Act, Ruling, Tell
from services.referral.domain.saying import refusal_of, say
from services.referral.domain.standing import Course
from services.referral.domain.terms import ended, granted, narrowest, within
from shared.contracts.codes import Category, Purpose, ReferralKind, Step, Urgency, WithdrawReason
from shared.contracts.event import EventId
from shared.contracts.event_data import (
    AnsweredData,
    ConsentWithdrawnData,
    DisclosedData,
    Meeting,
    OfferedData,
    RescheduledData,
    Terms,
    WithdrawnData,
)
from shared.contracts.exchange import (
    ReferralAnswered,
    ReferralConsentWithdrawn,
    ReferralDisclosed,
    ReferralOffered,
    ReferralRescheduled,
    ReferralWithdrawn,
)
from shared.contracts.ids import Alias, CaseId, ConversationId, Organisation, OrganisationId, ReferralId, StaffId
from shared.contracts.personal import Moment, Personal, Text
from shared.values import dataclass


class MayIdentify(Personal):
    """Something to say that may tell who the person is."""

    although_expected: bool = False
    """Staff know that nothing proves an organisation to which the person was on the way to know of the withdrawal."""


class OfferAsked(MayIdentify):
    """A referral to make: the packet is cut from the case, the categories that are named and no others."""

    to: Organisation
    kind: ReferralKind
    urgency: Urgency
    purpose: Purpose = Purpose.SUPPORT
    categories: frozenset[Category] = frozenset({Category.SUMMARY})
    identity_reason: Text | None = None
    conversation: ConversationId | None = None
    """The conversation that this leg belongs to, one of the case's own; without it, see :func:`offer`."""

    @field_validator("categories")
    @classmethod
    def _holds_the_summary(cls, categories: frozenset[Category]) -> frozenset[Category]:
        if Category.SUMMARY not in categories:
            raise PydanticCustomError("summary-missing", "an offer needs the summary")
        return categories


class AnswerAsked(MayIdentify):
    """An answer, with the categories that it needs."""

    answer: Text
    categories: frozenset[Category] = frozenset()
    identity_reason: Text | None = None
    purpose: Purpose = Purpose.SUPPORT


class DiscloseAsked(MayIdentify):
    """What the receiver needs now that it has accepted."""

    categories: frozenset[Category] = Field(min_length=1)
    purpose: Purpose = Purpose.SUPPORT


class RescheduleAsked(Personal):
    """The meeting that is agreed now."""

    meeting: Meeting
    expected: Moment | None = None
    purpose: Purpose = Purpose.SUPPORT


@dataclass(frozen=True, slots=True)
class Leg:
    """Which referral, for which case, whose, and who follows it."""

    referral: ReferralId
    case: CaseId
    sender: OrganisationId
    assignee: StaffId


def offer(leg: Leg, act: Act, asked: OfferAsked, file: CaseFile, to: Recipient) -> Ruling[Referral]:
    """Offer the person whose case ``file`` is to the organisation ``to``.

    A hand-over goes on in the conversation of the case's other hand-overs, unless another of the case is named. A
    service begins one of its own: organisations that help side by side need not know that they help the same person.
    """
    if lacking := file.lacks(asked.categories):
        return _not_in_case(lacking)
    refusal = _not_offered(leg, asked, file, to)
    if refusal is not None:
        return Ruling.refused(refusal)
    reason = asked.identity_reason
    gate = _gate(asked.categories, _grounds(file, to, asked.purpose), Stage.DECIDING, act.at, reason=reason)
    if not gate.whole:
        return _not_released(gate)
    data = OfferedData(
        kind=asked.kind,
        urgency=asked.urgency,
        packet=file.packet(asked.categories),
        terms=gate.terms(asked.purpose),
        identity_reason=reason,
    )
    conversation = _conversation(asked, file)
    others = rivals_in_knowing(asked.kind, asked.categories, file.legs)
    released = _released(asked.categories, gate) | _although(others)
    return _offered(leg, act, data, to=to, conversation=conversation, released=released)


def answer(referral: Referral, act: Act, asked: AnswerAsked, file: CaseFile, to: Recipient) -> Ruling[Referral]:
    """Answer the receiver's question; its words, and what goes with them, pass the same gate as the offer."""
    wanted, reason = asked.categories, asked.identity_reason
    others = rivals_in_knowing(referral.kind, wanted, file.legs)
    refusal = refusal_of(referral, Step.ANSWERED, act.at) or not_identified(others, although=asked.although_expected)
    if refusal is not None:
        return Ruling.refused(refusal, status=referral.status.value)
    if lacking := file.lacks(wanted):
        return _not_in_case(lacking)
    grounds = _grounds(file, to, asked.purpose)
    gate = _under_its_terms(referral, wanted | _WORDS, grounds, Stage.DECIDING, act.at, reason=reason)
    if isinstance(gate, Ruling):
        return gate
    packet = file.packet(wanted) if wanted else None
    said = AnsweredData(answer=asked.answer, packet=packet, identity_reason=reason)
    return say(referral, act, ReferralAnswered, said, gate, **_released(wanted, gate), **_although(others))


def disclose(referral: Referral, act: Act, asked: DiscloseAsked, file: CaseFile, to: Recipient) -> Ruling[Referral]:
    """Give the receiver, who has accepted, what it needs to receive the person.

    While a person is on the way to one organisation, or is there, they are handed to no second one, in whichever
    conversation; while one that was withdrawn may still expect them, only if staff say that they know. The other
    candidates of the case are withdrawn.
    """
    others = rivals(referral.kind, file.legs)
    refusal = refusal_of(referral, Step.DISCLOSED, act.at) or _not_disclosed(referral, asked, file)
    if refusal is not None:
        return Ruling.refused(refusal, status=referral.status.value)
    if lacking := file.lacks(asked.categories):
        return _not_in_case(lacking)
    grounds = _grounds(file, to, asked.purpose)
    gate = _gate(asked.categories, grounds, Stage.ACCEPTED, act.at)
    if not gate.whole:
        return _not_released(gate)
    terms = _terms_for_all(referral, asked.categories | file.gone, grounds, act.at)
    if terms is None:
        return Ruling.refused(Refused.TERMS_NARROWER)
    if ended(terms, act.at):
        return Ruling.refused(Refused.TERMS_ENDED, status=referral.status.value)
    data = DisclosedData(packet=file.packet(asked.categories), terms=terms)
    released = _released(asked.categories, gate) | _although(others)
    said = say(_awaiting(referral, act.at, to), act, ReferralDisclosed, data, gate, **released)
    return replace(said, also=withdraw_candidates(others, act))


def reschedule(referral: Referral, act: Act, asked: RescheduleAsked, file: CaseFile, to: Recipient) -> Ruling[Referral]:
    """Agree a new meeting after the person did not come.

    When they come is always told, so that a clock watches over it; where, who and what to bring are words.
    """
    refusal = refusal_of(referral, Step.RESCHEDULED, act.at)
    if refusal is not None:
        return Ruling.refused(refusal, status=referral.status.value)
    awaiting = _awaiting(referral, act.at, to)
    data = RescheduledData(meeting=asked.meeting, expected=asked.expected)
    if not rests_on(contents(data).items()):
        return say(awaiting, act, ReferralRescheduled, data)
    gate = _under_its_terms(referral, _WORDS, _grounds(file, to, asked.purpose), Stage.ACCEPTED, act.at)
    if isinstance(gate, Ruling):
        return gate
    return say(awaiting, act, ReferralRescheduled, data, gate, **_released(frozenset(), gate))


def withdraw(referral: Referral, act: Act, reason: WithdrawReason) -> Ruling[Referral]:
    """Take the referral back: always possible until the person has arrived."""
    return say(referral, act, ReferralWithdrawn, WithdrawnData(reason=reason))


def withdraw_consent(referral: Referral, act: Act) -> Ruling[Referral]:
    """Pass on that the person takes consent back: possible in every state, so that every holder learns of it.

    Done again it changes nothing: the receiver is told once, and that is said again until it is proved.
    """
    if referral.side is Side.SENDER and referral.standing.consent_withdrawn_at is not None:
        return Ruling()
    return say(referral, act, ReferralConsentWithdrawn, ConsentWithdrawnData())


_WORDS = frozenset({Category.SUMMARY})
"""What words rest on: they have no category, and everything that is offered has its summary with it."""


def _conversation(asked: OfferAsked, file: CaseFile) -> ConversationId | None:
    """Return the conversation that an offer goes on in: of several, one that is open; ``None`` where it begins one."""
    handovers = [leg for leg in file.legs if leg.kind in MOVES_ON_ARRIVAL]
    if asked.conversation is not None or asked.kind not in MOVES_ON_ARRIVAL or not handovers:
        return asked.conversation
    return max(handovers, key=lambda leg: (leg.is_open, leg.lane(Side.SENDER)[0].at)).conversation


def _not_offered(leg: Leg, asked: OfferAsked, file: CaseFile, to: Recipient) -> Refused | None:
    """Return why nothing of the kind may be offered, before the gate looks at what would go; ``None`` where it may."""
    if asked.conversation is not None and all(each.conversation != asked.conversation for each in file.legs):
        return Refused.OTHER_CONVERSATION
    if to.organisation == leg.sender:
        return Refused.NOT_WITH_ITSELF
    if not_ours(asked.kind, file.legs):
        return Refused.NOT_OURS
    others = rivals_in_knowing(asked.kind, asked.categories, file.legs)
    if refusal := not_identified(others, although=asked.although_expected):
        return refusal
    if to.agreed and asked.kind not in to.kinds:
        return Refused.KIND_NOT_AGREED
    return None


def _awaiting(referral: Referral, at: datetime, to: Recipient) -> Referral:
    """Return the referral with the time by which the person should have come, for as long as nobody names an hour."""
    by = arrival_by(referral.urgency, at, to.hours)
    return replace(referral, deadlines=replace(referral.deadlines, arrival=by))


def _not_disclosed(referral: Referral, asked: DiscloseAsked, file: CaseFile) -> Refused | None:
    """Return why the other referrals of the case let nobody be told who it is, or ``None`` where they do."""
    others = rivals(referral.kind, file.legs)
    return not_handed_over(referral, file.legs) or not_identified(others, although=asked.although_expected)


def _although(others: Sequence[Referral]) -> dict[str, str]:
    """Return for the audit trail which organisations may still expect the person, by their referrals: staff knew."""
    expected = perhaps_expected(others)
    return {"although_expected": " ".join(str(leg.id) for leg in expected)} if expected else {}


def _offered(
    leg: Leg,
    act: Act,
    data: OfferedData,
    *,
    to: Recipient,
    conversation: ConversationId | None,
    released: Mapping[str, str],
) -> Ruling[Referral]:
    """Say the first event of a referral; without a ``conversation`` a new one begins with it."""
    event = ReferralOffered(
        id=EventId(next(act.ids)),
        at=act.at,
        conversation=conversation or ConversationId(next(act.ids)),
        referral=leg.referral,
        n=1,
        seen=0,
        data=data,
    )
    referral = Referral(
        id=leg.referral,
        alias=Alias(next(act.ids)),
        conversation=event.conversation,
        case=leg.case,
        side=Side.SENDER,
        sender=leg.sender,
        receiver=to.organisation,
        kind=data.kind,
        urgency=data.urgency,
        course=Course(Lanes(sender=(move_of(event),))),
        terms=data.terms,
        deadlines=deadlines(data.urgency, act.at, to.hours),
        assignee=leg.assignee,
    )
    return Ruling(
        state=once_said(referral, event.n, act.at),
        says=(Tell(to.organisation, event),),
        entries=(offer_entry(referral, act, receiver=to.organisation, **released),),
        papers=papers_of(event, leg.case),
    )


def _under_its_terms(
    referral: Referral,
    wanted: frozenset[Category],
    grounds: Grounds,
    stage: Stage,
    at: datetime,
    *,
    reason: str | None = None,
) -> Release | Ruling[Referral]:
    """Ask the gate for what carries no terms of its own and stands under those of the referral, or say why it stays.

    A grant under which it would end earlier, or serve for less, does not cover it.
    """
    if ended(referral.terms, at):
        return Ruling.refused(Refused.TERMS_ENDED, status=referral.status.value)
    gate = _gate(wanted, grounds, stage, at, reason=reason)
    if not gate.whole:
        return _not_released(gate)
    gate = _gate(wanted, _ample(grounds, referral.terms), stage, at, reason=reason)
    if not (gate.whole and within(referral.terms, gate.terms(grounds.purpose))):
        return Ruling.refused(Refused.TERMS_NARROWER)
    return gate


def _ample(grounds: Grounds, terms: Terms) -> Grounds:
    """Return ``grounds`` without the grants that allow less than ``terms``."""
    return replace(grounds, grants=tuple(grant for grant in grounds.grants if within(terms, granted(grant))))


def _terms_for_all(referral: Referral, categories: frozenset[Category], grounds: Grounds, at: datetime) -> Terms | None:
    """Return the terms for all ``categories`` that the receiver will have; ``None`` where they share no purpose.

    Where the grants of today cover what went before as well, they are its terms from now on: so consent is renewed.
    Where they do not, it keeps the terms under which it went, and what goes now is held to them.
    """
    gate = _gate(categories, grounds, Stage.ACCEPTED, at)
    today = gate.terms(grounds.purpose)
    return today if gate.whole else narrowest(referral.terms, today)


def _grounds(file: CaseFile, to: Recipient, purpose: Purpose) -> Grounds:
    """Return everything on which a disclosure to ``to`` may rest."""
    return Grounds(to, file.age, purpose, file.grants)


def _gate(
    wanted: frozenset[Category], grounds: Grounds, stage: Stage, at: datetime, *, reason: str | None = None
) -> Release:
    return release(wanted, grounds, stage=stage, identity_reason=reason is not None, at=at)


def _released(wanted: frozenset[Category], gate: Release) -> dict[str, str]:
    """Return for the audit trail what left, with words or in them alone, and on which basis."""
    detail = {"categories": " ".join(sorted(wanted))} if wanted else {}
    detail["bases"] = " ".join(sorted({cover.basis.value for cover in gate.goes.values()}))
    grants = sorted({str(cover.grant.id) for cover in gate.goes.values() if cover.grant is not None})
    return detail | ({"grants": " ".join(grants)} if grants else {})


def _not_released(gate: Release) -> Ruling[Referral]:
    return Ruling.refused(
        Refused.NOT_RELEASED, **{category.value: reason.value for category, reason in gate.stays.items()}
    )


def _not_in_case(lacking: frozenset[Category]) -> Ruling[Referral]:
    return Ruling.refused(Refused.NOT_IN_CASE, **dict.fromkeys(sorted(lacking), "missing"))
