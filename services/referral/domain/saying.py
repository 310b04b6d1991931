"""How an organisation says something of its own about a referral: one place for every command.

A command that the table does not allow is refused at once, and so is one that the terms do not let be said. What is
allowed goes to the end of the organisation's own lane with all of the partner's lane seen, so that it stands last in
the common order and takes effect here and now.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.referral.domain.expected import hour_of, likely
from services.referral.domain.facts import entry
from services.referral.domain.life import FEEDBACK, IN_TERMS, REPEATABLE, SAID_BY, STEPS, Side, after
from services.referral.domain.moves import codes_of, contents, has_words, move_of, papers_of, rests_on
from services.referral.domain.policy import NOTHING_GOES, Release
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.repeating import once_said
from services.referral.domain.ruling import Act, Ruling, Tell
from services.referral.domain.terms import ended, news_allowed
from shared.contracts.codes import Step
from shared.contracts.entries import EntryCode
from shared.contracts.event import EventId
from shared.contracts.event_data import DisclosedData, EventData
from shared.contracts.exchange import LANE_LIMIT, ReferralEvent

RESERVED: Final = 10
"""Places at the end of a lane, kept for what must always be possible: to withdraw, to confirm arrival, to close.

Of these each is said once, so that the places do not run out.
"""


def refusal_of(referral: Referral, step: Step, at: datetime) -> Refused | None:
    """Return why this organisation cannot say ``step`` at ``at``, whatever it would say with it, or ``None``."""
    if SAID_BY[step] is not referral.side:
        return Refused.NOT_THIS_SIDE
    if after(referral.status, step) is None:
        return Refused.NOT_IN_TABLE
    if len(referral.lane(referral.side)) >= LANE_LIMIT - (RESERVED if step in REPEATABLE else 0):
        return Refused.LANE_FULL
    if step in IN_TERMS and ended(referral.terms, at):
        return Refused.TERMS_ENDED
    if step in FEEDBACK and not STEPS[step].owed and not news_allowed(referral, at):
        return Refused.NO_FEEDBACK
    return None


def say(
    referral: Referral,
    act: Act,
    model: type[ReferralEvent],
    data: EventData,
    gate: Release = NOTHING_GOES,
    /,
    **detail: str,
) -> Ruling[Referral]:
    """Say ``data`` about the referral, or refuse. ``detail`` joins the codes of ``data`` in the audit trail.

    What a sender discloses is in ``gate``, the gate's answer: a command that has not asked it discloses nothing.
    """
    refusal = refusal_of(referral, model.step, act.at) or _unsayable(referral, model.step, data, gate, act.at)
    if refusal is not None:
        return Ruling.refused(refusal, status=referral.status.value)
    event = model(
        id=EventId(next(act.ids)),
        at=act.at,
        conversation=referral.conversation,
        referral=referral.id,
        n=len(referral.lane(referral.side)) + 1,
        seen=len(referral.lane(referral.side.other)),
        data=data,
    )
    said = replace(
        referral,
        course=referral.course.then(referral.side, move_of(event)),
        terms=data.terms if isinstance(data, DisclosedData) else referral.terms,
    )
    return Ruling(
        state=once_said(said, event.n, act.at),
        says=(Tell(referral.partner, event),),
        entries=(entry(said, EntryCode.of(model.step), act, **coded(data), **detail),),
        papers=papers_of(event, referral.case),
    )


def _unsayable(referral: Referral, step: Step, data: EventData, gate: Release, at: datetime) -> Refused | None:
    """Return why ``data`` is not said with ``step``, or ``None``. A receiver's words rest on no grant of their own."""
    if (hour := hour_of(data)) is not None and not likely(hour, at):
        return Refused.EXPECTED
    if words_of_news(step, data) and not news_allowed(referral, at):
        return Refused.NO_FEEDBACK
    disclosed = rests_on(contents(data).items()) if referral.side is Side.SENDER else frozenset()
    return None if disclosed <= gate.goes.keys() else Refused.NOT_RELEASED


def words_of_news(step: Step, data: EventData) -> bool:
    """Tell whether ``data`` says in words how the person is, which flows back only where they let it."""
    return step in FEEDBACK and has_words(data)


def coded(data: EventData) -> dict[str, str]:
    """Return the codes of ``data`` for the audit trail."""
    codes = " ".join(codes_of(data)).strip()
    return {"codes": codes} if codes else {}
