"""What every event has that travels in a sealed envelope, whoever says it."""

from typing import NewType
from uuid import UUID

from shared.contracts.heard import EventType
from shared.contracts.personal import Moment, Personal
from shared.contracts.trace import Traceparent

EventId = NewType("EventId", UUID)
"""An event's own number, which stays the same however often and in however many envelopes it is sent."""


class Event(Personal):
    """Something that happened. Its text is read by the one it is sealed for and by nobody on the way."""

    id: EventId
    at: Moment
    """When it happened, by the clock of whoever says it."""
    traceparent: Traceparent | None = None
    """The span of the sender: to link to, never to continue."""


def type_of(kind: type[Event]) -> EventType:
    """Return under which type an event travels."""
    return str(kind.model_fields["type"].default)


def encode(event: Event) -> bytes:
    """Return ``event`` as UTF-8 JSON, without the fields that are not there."""
    return event.__pydantic_serializer__.to_json(event, exclude_none=True)
