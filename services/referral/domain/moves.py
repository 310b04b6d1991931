"""What of an event stays in a lane (codes and times), and what of it is a personal paper."""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final, assert_never

from services.referral.domain.expected import hour_of
from services.referral.domain.lanes import Move
from services.referral.domain.life import SAID_BY
from services.referral.domain.ruling import Note, Paper, PaperName
from shared.contracts.codes import Category
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
    MissedData,
    OfferedData,
    OpenedData,
    ProgressedData,
    RedirectedData,
    RescheduledData,
    WithdrawnData,
)
from shared.contracts.exchange import ReferralEvent
from shared.contracts.ids import CaseId, Organisation
from shared.contracts.packet import Packet
from shared.contracts.personal import Personal

KEPT_WHOLE: Mapping[type[EventData], PaperName] = MappingProxyType(
    {
        AskedData: PaperName.QUESTION,
        DeclinedData: PaperName.DECLINE,
        RedirectedData: PaperName.REDIRECT,
        MissedData: PaperName.MISS,
        ProgressedData: PaperName.PROGRESS,
        ClosedData: PaperName.CLOSING,
    }
)
"""What is one paper as it was said, under this name."""


def move_of(event: ReferralEvent) -> Move:
    """Return what the lane keeps of ``event``."""
    return Move(event.step, event.id, event.at, event.seen, codes_of(event.data), hour_of(event.data))


def codes_of(data: EventData) -> tuple[str, ...]:
    """Return what an event says in codes, in a fixed order for each kind of event."""
    match data:
        case (
            OfferedData()
            | OpenedData()
            | AskedData()
            | AnsweredData()
            | AcceptedData()
            | DisclosedData()
            | ArrivedData()
            | RescheduledData()
            | ConsentWithdrawnData()
        ):
            return ()
        case DeclinedData():
            return (data.reason.value, data.by.value)
        case RedirectedData():
            return (data.reason.value, data.to or "")
        case MissedData() | WithdrawnData():
            return (data.reason.value,)
        case ProgressedData():
            return (data.code.value,)
        case ClosedData():
            return (data.outcome.value,)
        case _:
            assert_never(data)


def has_words(data: EventData) -> bool:
    """Tell whether an event says anything but codes, times and an organisation's id."""
    fields = type(data).model_fields
    said = {name: value for name, value in data if value is not None and fields[name].annotation != _AN_ORGANISATION}
    return not all(isinstance(value, StrEnum | date) for value in said.values())


def papers_of(event: ReferralEvent, case: CaseId) -> tuple[Paper, ...]:
    """Return the personal papers that ``event`` brings, to be kept under the key of ``case``."""
    side = SAID_BY[event.step]
    return tuple(
        Paper(case, event.referral, name, content, side, event.n) for name, content in contents(event.data).items()
    )


def contents(data: EventData) -> dict[Category | PaperName, Personal]:
    """Return what an event says that is personal, by the name under which it is kept."""
    match data:
        case OfferedData() | AnsweredData():
            return _packet(data.packet) | _deciding(data)
        case DisclosedData():
            return _packet(data.packet)
        case AcceptedData() | RescheduledData():
            return {PaperName.MEETING: data.meeting}
        case AskedData() | DeclinedData() | RedirectedData() | MissedData() | ProgressedData() | ClosedData():
            return {KEPT_WHOLE[type(data)]: data}
        case OpenedData() | ArrivedData() | WithdrawnData() | ConsentWithdrawnData():
            return {}
        case _:
            assert_never(data)


def rests_on(papers: Iterable[tuple[str, Personal]]) -> frozenset[Category]:
    """Return what the gate must let go for a sender to say ``papers``, each with its name.

    Words have no category: they rest on the summary, which went with whatever was offered. An hour is no words.
    """
    named = dict(papers)
    categories = frozenset(Category(name) for name in named if name in _CATEGORIES)
    words = any(name not in _CATEGORIES and not _is_an_hour(paper) for name, paper in named.items())
    return categories | {Category.SUMMARY} if words else categories


def _is_an_hour(paper: Personal) -> bool:
    """Tell whether ``paper`` is a meeting of which nothing but the time is said."""
    return isinstance(paper, Meeting) and not any((paper.where, paper.who, paper.bring))


_CATEGORIES: Final = frozenset(category.value for category in Category)
_AN_ORGANISATION = Organisation | None


def _packet(packet: Packet | None) -> dict[Category | PaperName, Personal]:
    return {} if packet is None else dict(packet.parts().items())


def _deciding(data: OfferedData | AnsweredData) -> dict[Category | PaperName, Personal]:
    words: dict[Category | PaperName, Personal] = {}
    if data.identity_reason is not None:
        words[PaperName.IDENTITY_REASON] = Note(text=data.identity_reason)
    if isinstance(data, AnsweredData):
        words[PaperName.ANSWER] = Note(text=data.answer)
    return words
