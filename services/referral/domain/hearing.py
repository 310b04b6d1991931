"""How an organisation hears what its partner says about a referral.

An event is taken into the partner's lane only if it is the next one and if its author, knowing what it says it knew,
was allowed to say it. A partner that breaks these rules is refused and the message is parked: it changes nothing
here, but that the packet is shut by what ends access (``access.py``). An event that was allowed and lost a race is kept
and has no effect; its personal papers are not kept. Nor are words about how the person is that they do not let flow
back: the step counts, and its codes.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from services.referral.domain.cases import Case, opened
from services.referral.domain.clocks import Hours, deadlines
from services.referral.domain.expected import likely
from services.referral.domain.facts import alarm, conflict, entry, fact, offer_entry, step_facts
from services.referral.domain.handover import withdraw_elsewhere
from services.referral.domain.lanes import Lane, Lanes
from services.referral.domain.life import ENDS_ACCESS, SAID_BY, Side, after
from services.referral.domain.moves import move_of, papers_of
from services.referral.domain.referral import Deadlines, Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.saying import coded, words_of_news
from services.referral.domain.standing import Course, standing_of
from services.referral.domain.terms import news_allowed
from shared.contracts.codes import ReferralKind, Status, Step
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.event_data import DisclosedData
from shared.contracts.exchange import ReferralEvent, ReferralOffered
from shared.contracts.facts import Fact, FactCode
from shared.contracts.ids import Alias, CaseId, OrganisationId
from shared.messaging.decision import Early, Refusal

AHEAD: Final = timedelta(hours=1)
"""How far a partner's clock may be ahead of ours; the door, which goes by the envelope's time, lets in much less."""


def hear_offer(
    event: ReferralOffered,
    speaker: OrganisationId,
    me: OrganisationId,
    act: Act,
    *,
    case: CaseId,
    hours: Hours,
    kinds: frozenset[ReferralKind],
) -> Ruling[Referral]:
    """Take in an offer that ``speaker`` has made to ``me``: open a case for it and start the clocks.

    They run since it was made; none is due before it came, or what is dated back would ring before all else.
    ``kinds`` are what the agreement lets ``speaker`` send; ``case`` is a fresh id; ``hours`` are when ``me`` works;
    ``act`` is this organisation's hearing of it.
    """
    if speaker == me:
        return Ruling.refused(Refused.NOT_WITH_ITSELF)
    if event.data.kind not in kinds:
        return Ruling.refused(Refused.KIND_NOT_AGREED)
    if (event.n, event.seen) != (1, 0):
        return Ruling.refused(Refused.NOT_IN_TABLE)
    if event.at > act.at + AHEAD:
        return Ruling.refused(Refused.AHEAD)
    until = deadlines(event.data.urgency, min(event.at, act.at), hours)
    referral = Referral(
        id=event.referral,
        alias=Alias(next(act.ids)),
        conversation=event.conversation,
        case=case,
        side=Side.RECEIVER,
        sender=speaker,
        receiver=me,
        kind=event.data.kind,
        urgency=event.data.urgency,
        course=Course(Lanes(sender=(move_of(event),))),
        terms=event.data.terms,
        deadlines=Deadlines(max(until.first_read, act.at), max(until.decision, act.at)),
        receipt_at=act.at,
    )
    by_partner = Act(speaker, act.at, act.ids)
    file = Case(case, act.at, speaker, referral.alias)
    return Ruling(
        state=referral,
        says=step_facts(referral, Step.OFFERED, act),
        entries=(opened(file), offer_entry(referral, by_partner)),
        papers=papers_of(event, case),
        opens=file,
    )


def hear(
    referral: Referral | None,
    event: ReferralEvent,
    speaker: OrganisationId,
    act: Act,
    legs: Sequence[Referral] = (),
) -> Ruling[Referral] | Early:
    """Take in what ``speaker`` says about a referral that was offered before, as far as the rules let it.

    ``legs`` are the other referrals of the case: whoever arrives is not awaited anywhere else.
    """
    if referral is None:
        return _before_the_offer(event)
    side = referral.side.other
    lane = referral.lane(side)
    broken = _broken(referral, event, speaker, act.at) or _out_of_place(referral, event, lane)
    if broken is not None:
        return _refused(referral, event, broken, act)
    if event.n <= len(lane):
        return Ruling()
    if event.n > len(lane) + 1:
        return Early(referral.id, event.n, _ends_ahead(referral, event, act))
    taken = _taken(referral, event, act)
    if event.step is not Step.ARRIVED or taken.state is None:
        return taken
    return replace(taken, also=withdraw_elsewhere(taken.state, legs, act))


def hear_too_late(referral: Referral, event: ReferralEvent, speaker: OrganisationId, act: Act) -> Ruling[Referral]:
    """Write down that ``speaker`` says something about a referral whose case was erased here; nothing else follows.

    The entry belongs to no case, because that has no key any more.
    """
    if speaker != referral.partner:
        return Ruling.refused(Refused.UNKNOWN)
    detail = {"step": event.step.value, "n": str(event.n)}
    return Ruling(entries=(Entry(EntryCode.REFERRAL_HEARD_ERASED, speaker, referral.id, act.at, detail),))


def hear_receipt(referral: Referral, act: Act, n: int = 1) -> Ruling[Referral]:
    """Note that the partner's intake holds our event ``n``; staff are told of the first receipt of an offer."""
    known = referral.with_proof({n})
    if n > 1 or referral.side is Side.RECEIVER or referral.receipt_at is not None:
        return Ruling() if known is referral else Ruling(state=known)
    known = replace(known, receipt_at=act.at)
    return Ruling(
        state=known,
        says=(fact(known, FactCode.REFERRAL_RECEIPTED, act.at, act.ids),) if known.is_open else (),
        entries=(entry(known, EntryCode.REFERRAL_RECEIVED, replace(act, by=referral.partner)),),
    )


def _ends_ahead(referral: Referral, event: ReferralEvent, act: Act) -> Ruling[Referral] | None:
    """Note that ``event``, which has come before its turn, ends access, and tell staff; ``None`` where that is known.

    It is taken into the lane at its turn, and staff are told then what became of the referral.
    """
    if event.step not in ENDS_ACCESS or referral.ahead.get(event.step, 0) >= event.n:
        return None
    shut = replace(referral, ahead=MappingProxyType({**referral.ahead, event.step: event.n}))
    return _shut(shut, event, act, EntryCode.REFERRAL_AHEAD)


def _refused(referral: Referral, event: ReferralEvent, why: Refused, act: Act) -> Ruling[Referral]:
    """Refuse ``event``; note where it ends access all the same, and tell staff, unless that is known."""
    foreign = why in (Refused.UNKNOWN, Refused.NOT_THIS_SIDE, Refused.OTHER_CONVERSATION)
    if foreign or event.step not in ENDS_ACCESS - referral.shut or after(referral.status, event.step) is None:
        return Ruling.refused(why)
    shut = replace(referral, shut=referral.shut | {event.step})
    return replace(_shut(shut, event, act, EntryCode.REFERRAL_SHUT, reason=why.value), refusal=Refusal(why))


def _shut(shut: Referral, event: ReferralEvent, act: Act, code: EntryCode, **why: str) -> Ruling[Referral]:
    """Keep the referral, which ``event`` has ``shut`` without standing in its lane, and tell staff."""
    line = entry(shut, code, replace(act, by=shut.partner), step=event.step.value, n=str(event.n), **why)
    return Ruling(state=shut, says=step_facts(shut, event.step, act), entries=(line,))


def _before_the_offer(event: ReferralEvent) -> Ruling[Referral] | Early:
    """Let the sender's events wait for the offer that they overtook; the receiver's concern what was never offered."""
    if SAID_BY[event.step] is Side.SENDER and event.n > 1:
        return Early(event.referral, event.n)
    return Ruling.refused(Refused.UNKNOWN)


def _broken(referral: Referral, event: ReferralEvent, speaker: OrganisationId, now: datetime) -> Refused | None:
    """Return which rule of the protocol ``event`` breaks whatever the referral's course, or ``None``.

    Whoever loads the referral looks for the one that the event names; it is asked here once more.
    """
    if event.referral != referral.id or speaker != referral.partner:
        return Refused.UNKNOWN
    if SAID_BY[event.step] is referral.side:
        return Refused.NOT_THIS_SIDE
    if event.conversation != referral.conversation:
        return Refused.OTHER_CONVERSATION
    if event.seen > referral.told:
        return Refused.SEEN_AHEAD
    return Refused.AHEAD if event.at > now + AHEAD else None


def _out_of_place(referral: Referral, event: ReferralEvent, lane: Lane) -> Refused | None:
    """Return why ``event`` cannot stand in the partner's ``lane``, or ``None`` when it can, did, or is early."""
    if event.n <= len(lane):
        return None if lane[event.n - 1] == move_of(event) else Refused.FORKED
    if event.n > len(lane) + 1:
        return None
    if lane and event.seen < lane[-1].seen:
        return Refused.SEEN_BACK
    return None if _allowed(referral, event) else Refused.NOT_IN_TABLE


def _allowed(referral: Referral, event: ReferralEvent) -> bool:
    """Tell whether the author of ``event``, knowing what it says it knew, was allowed to say it."""
    if event.seen == len(referral.lane(referral.side)):
        known = referral.standing
    else:
        known = standing_of(referral.course.lanes.as_seen(referral.side.other, event.seen))
    return after(known.status, event.step) is not None


def _taken(referral: Referral, event: ReferralEvent, act: Act) -> Ruling[Referral]:
    """Put the event into the partner's lane, tell staff what it changed, and which of their own it made void."""
    side = referral.side.other
    data = event.data
    course = referral.course.then(side, move_of(event))
    void = (side, event.n) in course.standing.superseded
    terms = data.terms if isinstance(data, DisclosedData) and not void else referral.terms
    heard = replace(referral, course=course, terms=terms).with_proof(range(1, event.seen + 1))
    by_partner = replace(act, by=referral.partner)
    says, entries = conflict(referral, heard, by_partner)
    if void:
        lost = entry(heard, EntryCode.REFERRAL_SUPERSEDED, by_partner, step=event.step.value, **coded(data))
        return Ruling(state=heard, says=says, entries=(*entries, lost))
    left_out = _left_out(heard, event)
    why = {} if left_out is None else {"refused": left_out.value}
    return Ruling(
        state=heard,
        says=(*_facts(referral, heard, event.step, act), *says),
        entries=(entry(heard, EntryCode.of(event.step), by_partner, **coded(data), **why), *entries),
        papers=() if left_out is Refused.NO_FEEDBACK else papers_of(event, heard.case),
    )


def _left_out(heard: Referral, event: ReferralEvent) -> Refused | None:
    """Return why a part of an event that counts does not, or ``None``.

    An hour that nobody can mean is none; words of news that the person does not let flow back are not kept.
    Whether the terms ran is asked of the time at which it was said: what was on its way when they ended was allowed.
    """
    if words_of_news(event.step, event.data) and not news_allowed(heard, event.at):
        return Refused.NO_FEEDBACK
    move = move_of(event)
    return None if move.expected is None or likely(move.expected, move.at) else Refused.EXPECTED


def _facts(before: Referral, heard: Referral, step: Step, act: Act) -> tuple[Fact, ...]:
    """Tell staff of ``step``: at once, and the coordinator too, where they believed that nobody would come."""
    if step is Step.ARRIVED and before.status is Status.WITHDRAWN:
        return alarm(heard, FactCode.REFERRAL_ARRIVED, act)
    return step_facts(heard, step, act)
