"""An event of our own, put together again from what is kept of it: its move in the lane, and its papers.

Nothing else is kept of what was said, so that there is one place to look for what is personal, and one to erase. Where
the papers may not leave any more, the event is put together without them: it says what its move says, and takes its
number, so that what comes after it is not waited for in vain. An offer or a redirection that must have a part says
nobody and nothing in it.

A paper that cannot be opened takes all words of its event with it: nobody could ask the gate about them.

What must never happen: an event says anything that the one before did not, under the same number.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from services.referral.domain.lanes import Move
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Note, PaperName
from shared.contracts.codes import (
    Category,
    DeclinedBy,
    DeclineReason,
    MissReason,
    Outcome,
    ProgressCode,
    Step,
    WithdrawReason,
)
from shared.contracts.event_data import (
    AcceptedData,
    AnsweredData,
    ArrivedData,
    AskedData,
    ClosedData,
    ConsentWithdrawnData,
    DeclinedData,
    DisclosedData,
    EventData,
    Meeting,
    MeetingPart,
    MissedData,
    OfferedData,
    OpenedData,
    ProgressedData,
    RedirectedData,
    RescheduledData,
    WithdrawnData,
)
from shared.contracts.exchange import EVENTS, ReferralEvent
from shared.contracts.ids import OrganisationId
from shared.contracts.packet import NOTHING_DISCLOSED, Packet
from shared.contracts.personal import Personal

Papers: TypeAlias = Mapping[str, Personal]
"""The papers of one event, by name."""


class Unreadable(Personal):
    """Stands for a paper that is there and cannot be opened."""


NO_WORDS: Final = "-"
"""Stands where an event must have words, and they may not leave any more."""
WITHHELD: Final = Meeting(withheld=frozenset(MeetingPart))
Model = TypeVar("Model", bound=Personal)


def wordless(papers: Papers) -> Papers:
    """Return what of ``papers`` is no words: of a decline, the day on which to ask again."""
    decline = _kept(papers, PaperName.DECLINE, DeclinedData)
    if decline is None:
        return MappingProxyType({})
    note = NO_WORDS if decline.reason is DeclineReason.OTHER else None
    return MappingProxyType({PaperName.DECLINE: decline.model_copy(update={"note": note})})


def readable(papers: Papers) -> bool:
    """Tell whether all of ``papers`` could be opened."""
    return not any(isinstance(paper, Unreadable) for paper in papers.values())


def retold(referral: Referral, n: int, papers: Papers) -> ReferralEvent:
    """Return our event ``n`` as it was, or with less where ``papers`` are less.

    Its terms are those of today. Whoever has it already takes it for the same: docs/protocol/events.md, section 4.
    """
    move = referral.lane(referral.side)[n - 1]
    return EVENTS[move.step](
        id=move.id,
        at=move.at,
        conversation=referral.conversation,
        referral=referral.id,
        n=n,
        seen=move.seen,
        data=RETOLD[move.step](referral, move, papers),
    )


def _offered(referral: Referral, _move: Move, papers: Papers) -> OfferedData:
    return OfferedData(
        kind=referral.kind,
        urgency=referral.urgency,
        packet=_packet(papers) or NOTHING_DISCLOSED,
        terms=referral.terms,
        identity_reason=_text(papers, PaperName.IDENTITY_REASON),
    )


def _asked(_referral: Referral, _move: Move, papers: Papers) -> AskedData:
    return _kept(papers, PaperName.QUESTION, AskedData) or AskedData(question=NO_WORDS)


def _answered(_referral: Referral, _move: Move, papers: Papers) -> AnsweredData:
    answer, reason = _text(papers, PaperName.ANSWER) or NO_WORDS, _text(papers, PaperName.IDENTITY_REASON)
    return AnsweredData(answer=answer, packet=_packet(papers), identity_reason=reason)


def _accepted(_referral: Referral, move: Move, papers: Papers) -> AcceptedData:
    return AcceptedData(meeting=_meeting(papers), expected=move.expected)


def _disclosed(referral: Referral, _move: Move, papers: Papers) -> DisclosedData:
    return DisclosedData(packet=_packet(papers) or NOTHING_DISCLOSED, terms=referral.terms)


def _declined(_referral: Referral, move: Move, papers: Papers) -> DeclinedData:
    reason, by = DeclineReason(move.codes[0]), DeclinedBy(move.codes[1])
    until = move.at.date() if reason is DeclineReason.WAITING_LIST else None
    note = NO_WORDS if reason is DeclineReason.OTHER else None
    return _kept(papers, PaperName.DECLINE, DeclinedData) or DeclinedData(reason=reason, by=by, until=until, note=note)


def _redirected(_referral: Referral, move: Move, papers: Papers) -> RedirectedData:
    reason, to = DeclineReason(move.codes[0]), OrganisationId(move.codes[1]) if move.codes[1] else None
    name = NO_WORDS if to is None else None
    return _kept(papers, PaperName.REDIRECT, RedirectedData) or RedirectedData(to=to, name=name, reason=reason)


def _missed(_referral: Referral, move: Move, papers: Papers) -> MissedData:
    return _kept(papers, PaperName.MISS, MissedData) or MissedData(reason=MissReason(move.codes[0]))


def _rescheduled(_referral: Referral, move: Move, papers: Papers) -> RescheduledData:
    return RescheduledData(meeting=_meeting(papers), expected=move.expected)


def _progressed(_referral: Referral, move: Move, papers: Papers) -> ProgressedData:
    return _kept(papers, PaperName.PROGRESS, ProgressedData) or ProgressedData(code=ProgressCode(move.codes[0]))


def _closed(_referral: Referral, move: Move, papers: Papers) -> ClosedData:
    outcome = Outcome(move.codes[0])
    note = NO_WORDS if outcome is Outcome.OTHER else None
    return _kept(papers, PaperName.CLOSING, ClosedData) or ClosedData(outcome=outcome, note=note)


def _withdrawn(_referral: Referral, move: Move, _papers: Papers) -> WithdrawnData:
    return WithdrawnData(reason=WithdrawReason(move.codes[0]))


RETOLD: Mapping[Step, Callable[[Referral, Move, Papers], EventData]] = MappingProxyType(
    {
        Step.OFFERED: _offered,
        Step.OPENED: lambda *_: OpenedData(),
        Step.ASKED: _asked,
        Step.ANSWERED: _answered,
        Step.ACCEPTED: _accepted,
        Step.DISCLOSED: _disclosed,
        Step.DECLINED: _declined,
        Step.REDIRECTED: _redirected,
        Step.ARRIVED: lambda *_: ArrivedData(),
        Step.MISSED: _missed,
        Step.RESCHEDULED: _rescheduled,
        Step.PROGRESSED: _progressed,
        Step.CLOSED: _closed,
        Step.WITHDRAWN: _withdrawn,
        Step.CONSENT_WITHDRAWN: lambda *_: ConsentWithdrawnData(),
    },
)
"""What each step said."""


def _packet(papers: Papers) -> Packet | None:
    parts = {category.value: papers[category] for category in Category if category in papers}
    return Packet.model_validate(parts) if parts else None


def _meeting(papers: Papers) -> Meeting:
    return _kept(papers, PaperName.MEETING, Meeting) or WITHHELD


def _text(papers: Papers, name: PaperName) -> str | None:
    note = _kept(papers, name, Note)
    return note.text if note is not None else None


def _kept(papers: Papers, name: PaperName, model: type[Model]) -> Model | None:
    found = papers.get(name)
    return found if isinstance(found, model) else None
