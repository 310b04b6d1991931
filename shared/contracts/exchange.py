"""The events that two organisations say to one another about a referral, as they stand inside the sealed envelope.

Only the referral service may import this module: it alone can open an envelope. There is one model for each event of
the life of a referral; ``docs/protocol/events.md`` describes them for a partner that has another system.

Each organisation numbers its own events of a referral 1, 2, 3 … (its *lane*), and says with each how many of the
other's it had seen. From the two lanes both sides work out the same state, in whichever order the messages came.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, TypeAlias, get_args

from pydantic import Field, TypeAdapter, ValidationError

from shared.contracts.coded import Coded
from shared.contracts.codes import Step
from shared.contracts.event import Event
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
    MissedData,
    OfferedData,
    OpenedData,
    ProgressedData,
    RedirectedData,
    RescheduledData,
    WithdrawnData,
)
from shared.contracts.ids import ConversationId, ReferralId
from shared.contracts.receipt import ReceiptGiven
from shared.contracts.report import ReportTaken

LANE_LIMIT = 1_000
"""How many events one organisation may say about one referral."""


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


def by_step(models: Iterable[type[ReferralEvent]]) -> Mapping[Step, type[ReferralEvent]]:
    """Return each event by its step.

    Raises:
        TypeError: two events have one step.
    """
    found: dict[Step, type[ReferralEvent]] = {}
    for model in models:
        if (other := found.setdefault(model.step, model)) is not model:
            message = f"{other.__name__} and {model.__name__} have the same step, {model.step.value}"
            raise TypeError(message)
    return MappingProxyType(found)


EVENTS: Mapping[Step, type[ReferralEvent]] = by_step(get_args(LifeEvent))
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
