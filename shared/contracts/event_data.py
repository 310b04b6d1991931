"""What each event of a referral says: one model for each, personal by default.

Only the referral service may import this module, as :mod:`shared.contracts.exchange`, which puts them into events;
``docs/protocol/events.md`` describes them for a partner that has another system. A rule that spans fields is checked
here, so that what contradicts itself can neither be said nor heard.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator

from shared.contracts.codes import (
    DeclinedBy,
    DeclineReason,
    MissReason,
    Outcome,
    ProgressCode,
    Purpose,
    ReferralKind,
    Urgency,
    WithdrawReason,
)
from shared.contracts.ids import Organisation
from shared.contracts.packet import IDENTIFYING, NOTHING_DISCLOSED, Packet
from shared.contracts.personal import Moment, Personal, Text, Word, refuse_together


def _refuse_identity_without_reason(packet: Packet, reason: str | None) -> None:
    """Before acceptance, refuse what could tell who the person is, unless it is said why the receiver must know."""
    if reason is None and not packet.categories().isdisjoint(IDENTIFYING):
        refuse_together("identity-without-reason", "packet", "identity_reason")


class Terms(Personal):
    """Under which conditions the person lets the receiver have what is disclosed."""

    purposes: Annotated[frozenset[Purpose], Field(min_length=1)]
    until: Moment | None = None
    """After this the receiver may no longer open it; ``None`` is until it is withdrawn."""
    feedback: bool = False
    """Whether the receiver may tell the sender afterwards how the person is doing."""


class MeetingPart(StrEnum):
    """What a meeting is made of."""

    WHEN = "when"
    WHERE = "where"
    WHO = "who"


class Meeting(Personal):
    """When and where the person is met, and by whom. A part may be kept back, and then says that it is."""

    when: Moment | None = None
    where: Text | None = None
    who: Word | None = None
    withheld: frozenset[MeetingPart] = frozenset()
    """What the receiver keeps to itself, such as the address of a shelter."""
    bring: Text | None = None

    @model_validator(mode="after")
    def _every_part_is_said_or_withheld(self) -> Self:
        for part in MeetingPart:
            if (getattr(self, part.value) is None) != (part in self.withheld):
                refuse_together("meeting-part-missing", part.value, "withheld")
        return self


class OfferedData(Personal):
    """Asks an organisation for help for one person."""

    kind: ReferralKind
    urgency: Urgency
    packet: Packet
    terms: Terms
    identity_reason: Text | None = None
    """Why the receiver must know who it is in order to decide; without it no identifying category is there."""

    @model_validator(mode="after")
    def _has_a_summary(self) -> Self:
        """Refuse an offer of nobody knows whom, but for one that is said again and may not say it any more."""
        if self.packet.summary is None and self.packet != NOTHING_DISCLOSED:
            refuse_together("summary-missing", "packet.summary")
        _refuse_identity_without_reason(self.packet, self.identity_reason)
        return self


class OpenedData(Personal):
    """A human has read the offer. Who, is the receiver's own business."""


class AskedData(Personal):
    """What the receiver must know before it decides."""

    question: Text


class AnsweredData(Personal):
    """The answer, with the categories that it needs."""

    answer: Text
    packet: Packet | None = None
    identity_reason: Text | None = None
    """As in an offer."""

    @model_validator(mode="after")
    def _identifies_only_with_a_reason(self) -> Self:
        if self.packet is not None:
            _refuse_identity_without_reason(self.packet, self.identity_reason)
        return self


class AcceptedData(Personal):
    """The receiver will take the person in."""

    meeting: Meeting
    expected: Moment | None = None
    """When the person should have come by. Without a likely hour the sender's clock waits for a term of its own."""


class DisclosedData(Personal):
    """What the receiver needs now that it has accepted."""

    packet: Packet
    terms: Terms

    @model_validator(mode="after")
    def _discloses_something(self) -> Self:
        if not self.packet.categories():
            refuse_together("packet-empty", "packet")
        return self


class DeclinedData(Personal):
    """The receiver does not take the person in."""

    reason: DeclineReason
    by: DeclinedBy
    until: date | None = None
    """For a waiting list: the day on which to ask again."""
    note: Text | None = None

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if self.reason is DeclineReason.OTHER and self.note is None:
            refuse_together("note-missing", "note")
        if (self.reason is DeclineReason.WAITING_LIST) != (self.until is not None):
            refuse_together("waiting-list-until", "reason", "until")
        if self.reason is DeclineReason.PERSON_DECLINED and self.by is not DeclinedBy.PERSON:
            refuse_together("declined-by-whom", "reason", "by")
        return self


class RedirectedData(Personal):
    """The receiver proposes another organisation; the sender and the person decide."""

    to: Organisation | None = None
    name: Word | None = None
    """An organisation that is not on the exchange, by its name."""
    reason: DeclineReason
    note: Text | None = None

    @model_validator(mode="after")
    def _proposes_somebody(self) -> Self:
        if (self.to is None) == (self.name is None):
            refuse_together("redirect-to-whom", "to", "name")
        return self


class ArrivedData(Personal):
    """A human confirms that the person is there."""


class MissedData(Personal):
    """The person did not come."""

    reason: MissReason
    note: Text | None = None


class RescheduledData(Personal):
    """The person will come after all."""

    meeting: Meeting
    expected: Moment | None = None


class ProgressedData(Personal):
    """How the person is doing, where the grant lets that flow back."""

    code: ProgressCode
    note: Text | None = None


class ClosedData(Personal):
    """How it ended."""

    outcome: Outcome
    note: Text | None = None

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if self.outcome is Outcome.OTHER and self.note is None:
            refuse_together("note-missing", "note")
        return self


class WithdrawnData(Personal):
    """The sender takes the referral back."""

    reason: WithdrawReason


class ConsentWithdrawnData(Personal):
    """The person takes consent back: access ends at once, and the receiver erases or states its legal ground."""


EventData: TypeAlias = (
    OfferedData
    | OpenedData
    | AskedData
    | AnsweredData
    | AcceptedData
    | DisclosedData
    | DeclinedData
    | RedirectedData
    | ArrivedData
    | MissedData
    | RescheduledData
    | ProgressedData
    | ClosedData
    | WithdrawnData
    | ConsentWithdrawnData
)
"""What one of the events says."""
