"""What the trace page keeps of a span: plain values, whoever sent them.

Ids are the lower-case hexadecimal of OpenTelemetry's (16 and 8 bytes); times are nanoseconds since 1970, in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

TraceId = NewType("TraceId", str)
SpanId = NewType("SpanId", str)

Value = str | int | float | bool


class SpanKind(StrEnum):
    """On which side of a call or a message the span stands."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True, order=True)
class Speaker:
    """A service of an organisation: who made a span."""

    organisation: str
    """Empty when the sender did not say."""
    service: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one moment of a span."""

    name: str
    at: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class LinkTo:
    """From a span to one of another trace that it goes on from."""

    trace: TraceId
    span: SpanId


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work, with its beginning and its end."""

    trace: TraceId
    id: SpanId
    parent: SpanId | None
    speaker: Speaker
    name: str
    kind: SpanKind
    started: int
    ended: int
    failed: bool
    attributes: Mapping[str, Value]
    events: tuple[Event, ...] = ()
    links: tuple[LinkTo, ...] = ()

    @property
    def duration(self) -> int:
        """How long it took, in nanoseconds."""
        return self.ended - self.started
