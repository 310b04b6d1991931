"""A message as it came, before anybody looked inside, and what became of it."""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Generic, TypeVar
from uuid import UUID

from shared.contracts.coded import Coded
from shared.uuids import uuid_of
from shared.values import dataclass

What_co = TypeVar("What_co", covariant=True)

NOTHING: Mapping[str, UUID] = MappingProxyType({})

LARGEST_KEPT = 262_144
"""Bytes of a message that cannot be read and is kept all the same: as many as the largest envelope has."""


@dataclass(frozen=True, slots=True)
class Waited:
    """What is remembered of a message that was held: since when, how often tried, and whether the inbox has it."""

    id: UUID
    attempts: int
    first_at: datetime
    admitted: bool


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a body that is not kept."""

    size: int
    """Bytes, as it came."""
    digest: bytes
    """SHA-256, 32 bytes."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The bytes, the headers and where they came from: ``source`` is a queue's name, or ``http``."""

    body: bytes
    headers: Mapping[str, str]
    source: str
    waited: Waited | None = None
    origin: str = ""
    """Who brought it, as somebody vouches for it: the exchange that the broker let them write to, or whose signature
    holds; empty where nobody does."""
    left: Left | None = None
    """Set when the body is not kept; it is empty then."""

    def digest(self) -> bytes:
        """SHA-256 of the body as it came, 32 bytes."""
        return self.left.digest if self.left else sha256(self.body).digest()

    def brought_by(self, origin: str) -> "Delivery":
        """Return the delivery as ``origin`` brought it; where that is empty, as it is."""
        if not origin:
            return self
        return Delivery(self.body, self.headers, self.source, self.waited, origin, self.left)

    def without_body(self) -> "Delivery":
        """Return the delivery with the size and the digest of its body in place of that."""
        return self if self.left else replace(self, body=b"", left=Left(len(self.body), self.digest()))

    def without_excess(self) -> "Delivery":
        """Return the delivery as it may be kept: of a body larger than anything that can be read, size and digest."""
        return self if len(self.body) <= LARGEST_KEPT else self.without_body()


@dataclass(frozen=True, slots=True)
class Heard(Generic[What_co]):
    """A message that could be read: who it is for the inbox, which state it concerns, and what it says."""

    id: UUID | None
    """Names the message for ever, whoever repeats it: see :func:`inbox_id`. ``None`` for what cannot come twice."""
    digest: bytes
    """SHA-256 of its bytes: the same id with another digest is a forgery or a fault."""
    key: UUID
    """The state that it concerns; a batch loads each once and locks them in one order."""
    what: What_co
    traceparent: str | None = None
    links: tuple[str, ...] = ()
    """Traces of other nodes that this one goes on from."""
    attributes: Mapping[str, UUID] = field(default_factory=lambda: NOTHING)
    """Ids by which its span can be found: of a message, a referral, a conversation."""
    origin: str = ""
    """Whose signature holds, where that says more than the way on which it came; else empty."""


class Unreadable(Coded[str]):
    """The message cannot be read or is not allowed: it is parked under ``code``, and nothing of it is shown."""

    def __init__(self, code: str, *, origin: str = "") -> None:
        """Take the stable reason ``code``, and whose signature holds, where one does (:attr:`Heard.origin`)."""
        super().__init__(code)
        self.origin = origin


class Unsigned(Unreadable):
    """Nobody whom we know has signed it, so that it may be anybody's, and there may be any number of it.

    It is counted, and of what came last the size, the digest and the names of the headers are kept, and nothing else.
    """


class Later(Coded[str]):
    """The message cannot be dealt with yet, though nothing is wrong with it: it is tried again, later and later."""

    def __init__(self, code: str, *, ours: bool = False) -> None:
        """Take the stable reason ``code``; what is ``ours`` to mend is waited for as long as that takes."""
        super().__init__(code)
        self.ours = ours


@dataclass(frozen=True, slots=True)
class Read(Generic[What_co]):
    """A message after a first look at it: what it says, or why that could not be read."""

    delivery: Delivery
    heard: Heard[What_co] | Unreadable | Later


def inbox_id(sender: str, message: UUID) -> UUID:
    """Return the inbox's name for ``message``: two senders that choose the same id cannot silence one another."""
    return uuid_of(sha256(sender.encode() + b"\0" + message.bytes).digest()[:16])
