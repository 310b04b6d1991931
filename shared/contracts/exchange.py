"""The events that two organisations say to one another about a referral, as they stand inside the sealed envelope.

Only the referral service may import this module: it alone can open an envelope. There is one model for each event of
the life of a referral; ``docs/protocol/events.md`` describes them for a partner that has another system.

Each organisation numbers its own events of a referral 1, 2, 3 … (its *lane*), and says with each how many of the
other's it had seen. From the two lanes both sides work out the same state, in whichever order the messages came.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from shared.contracts.coded import Coded
from shared.contracts.codes import (
    DeclinedBy,
    DeclineReason,
    MissReason,
    Outcome,
    ProgressCode,
    Purpose,
    ReferralKind,
    Step,
    Urgency,
    WithdrawReason,
)
from shared.contracts.event import Event
from shared.contracts.ids import ConversationId, Organisation, ReferralId
from shared.contracts.packet import IDENTIFYING, Packet
from shared.contracts.personal import Moment, Personal, Text, Word, refuse_together
from shared.contracts.receipt import ReceiptGiven
from shared.contracts.report import ReportTaken

LANE_LIMIT = 1_000
"""How many events one organisation may say about one referral."""


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
        if self.packet.summary is None:
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
    """When the person should have come by. Without it no clock watches over the arrival."""


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


class ReferralEvent(Event):
    """What every event of a referral has besides its own data."""

    step: ClassVar[Step]
    conversation: ConversationId
    """Shared by every leg of one search for help."""
    referral: ReferralId
    n: Annotated[int, Field(ge=1, le=LANE_LIMIT)]
    """Its place in the lane of the organisation that says it."""
    seen: Annotated[int, Field(ge=0, le=LANE_LIMIT)]
    """How many events of the other's lane that organisation had seen when it decided."""
    data: EventData


class ReferralOffered(ReferralEvent):
    """Said by the sender: always its first event."""

    step = Step.OFFERED
    type: Literal["referral.offered.v1"] = "referral.offered.v1"
    data: OfferedData


class ReferralOpened(ReferralEvent):
    """Said by the receiver."""

    step = Step.OPENED
    type: Literal["referral.opened.v1"] = "referral.opened.v1"
    data: OpenedData = OpenedData()


class ReferralAsked(ReferralEvent):
    """Said by the receiver."""

    step = Step.ASKED
    type: Literal["referral.asked.v1"] = "referral.asked.v1"
    data: AskedData


class ReferralAnswered(ReferralEvent):
    """Said by the sender."""

    step = Step.ANSWERED
    type: Literal["referral.answered.v1"] = "referral.answered.v1"
    data: AnsweredData


class ReferralAccepted(ReferralEvent):
    """Said by the receiver."""

    step = Step.ACCEPTED
    type: Literal["referral.accepted.v1"] = "referral.accepted.v1"
    data: AcceptedData


class ReferralDisclosed(ReferralEvent):
    """Said by the sender."""

    step = Step.DISCLOSED
    type: Literal["referral.disclosed.v1"] = "referral.disclosed.v1"
    data: DisclosedData


class ReferralDeclined(ReferralEvent):
    """Said by the receiver."""

    step = Step.DECLINED
    type: Literal["referral.declined.v1"] = "referral.declined.v1"
    data: DeclinedData


class ReferralRedirected(ReferralEvent):
    """Said by the receiver."""

    step = Step.REDIRECTED
    type: Literal["referral.redirected.v1"] = "referral.redirected.v1"
    data: RedirectedData


class ReferralArrived(ReferralEvent):
    """Said by the receiver."""

    step = Step.ARRIVED
    type: Literal["referral.arrived.v1"] = "referral.arrived.v1"
    data: ArrivedData = ArrivedData()


class ReferralMissed(ReferralEvent):
    """Said by the receiver, or by its clock."""

    step = Step.MISSED
    type: Literal["referral.missed.v1"] = "referral.missed.v1"
    data: MissedData


class ReferralRescheduled(ReferralEvent):
    """Said by the sender."""

    step = Step.RESCHEDULED
    type: Literal["referral.rescheduled.v1"] = "referral.rescheduled.v1"
    data: RescheduledData


class ReferralProgressed(ReferralEvent):
    """Said by the receiver."""

    step = Step.PROGRESSED
    type: Literal["referral.progressed.v1"] = "referral.progressed.v1"
    data: ProgressedData


class ReferralClosed(ReferralEvent):
    """Said by the receiver."""

    step = Step.CLOSED
    type: Literal["referral.closed.v1"] = "referral.closed.v1"
    data: ClosedData


class ReferralWithdrawn(ReferralEvent):
    """Said by the sender."""

    step = Step.WITHDRAWN
    type: Literal["referral.withdrawn.v1"] = "referral.withdrawn.v1"
    data: WithdrawnData


class ReferralConsentWithdrawn(ReferralEvent):
    """Said by the sender."""

    step = Step.CONSENT_WITHDRAWN
    type: Literal["referral.consent-withdrawn.v1"] = "referral.consent-withdrawn.v1"
    data: ConsentWithdrawnData = ConsentWithdrawnData()


LifeEvent: TypeAlias = (
    ReferralOffered
    | ReferralOpened
    | ReferralAsked
    | ReferralAnswered
    | ReferralAccepted
    | ReferralDisclosed
    | ReferralDeclined
    | ReferralRedirected
    | ReferralArrived
    | ReferralMissed
    | ReferralRescheduled
    | ReferralProgressed
    | ReferralClosed
    | ReferralWithdrawn
    | ReferralConsentWithdrawn
)
"""An event of the life of a referral."""

Exchanged: TypeAlias = Annotated[LifeEvent | ReceiptGiven | ReportTaken, Field(discriminator="type")]
"""Whatever may stand inside an envelope."""

EVENTS: Mapping[Step, type[ReferralEvent]] = MappingProxyType(
    {model.step: model for model in ReferralEvent.__subclasses__()},
)
"""The model of each step that travels; ``received`` has none, because the receipt says it."""

_EXCHANGED: TypeAdapter[LifeEvent | ReceiptGiven | ReportTaken] = TypeAdapter(Exchanged)


class EventUnreadable(Coded[Literal["event-unreadable", "event-type-unknown"]]):
    """The bytes in an envelope are no event that we know; ``code`` says why and nothing of them is shown."""


def decode(body: bytes) -> LifeEvent | ReceiptGiven | ReportTaken:
    """Return the event that ``body``, UTF-8 JSON, holds.

    Raises:
        EventUnreadable: ``event-type-unknown`` for a type or version that this node does not know,
            ``event-unreadable`` for anything else that the contract does not allow.
    """
    try:
        return _EXCHANGED.validate_json(body, strict=True)
    except ValidationError as error:
        kinds = {
            reason["type"] for reason in error.errors(include_url=False, include_input=False, include_context=False)
        }
    raise EventUnreadable("event-type-unknown" if "union_tag_invalid" in kinds else "event-unreadable")
