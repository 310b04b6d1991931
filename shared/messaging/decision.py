"""What every rule of the business returns: the next state, what to say and what to write down, or why not.

Pure values. A decision does nothing: the batch shell makes it true, all of it in one transaction, or none of it.
"""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from uuid import UUID

from shared.contracts.entries import Entry
from shared.values import dataclass

State = TypeVar("State")

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing happens: a stable code for programs, which the edge puts into the reader's words."""

    code: str
    detail: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Codes and ids that the words need. Never a value that somebody typed."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[State]):
    """What follows from what is known and what happened."""

    state: State | None = None
    """The next state to keep; ``None`` keeps what there is."""
    says: tuple[object, ...] = ()
    """What its desk says, such as facts for this node and events for partners; each kind of decision narrows it."""
    entries: tuple[Entry, ...] = ()
    refusal: Refusal | None = None
    """Set when what came may not count. State and says are then empty, or what follows from it all the same.

    Entries may record the attempt.
    """

    @classmethod
    def refused(cls, code: str, **detail: str) -> "Decision[State]":
        """Return a decision that changes nothing, for the reason ``code``."""
        return cls(refusal=Refusal(code, MappingProxyType(detail)))


@dataclass(frozen=True, slots=True)
class Early:
    """The message came before one that it depends on: keep it, and try again when it is its turn.

    Of several of one origin that wait for the same turn, the first is kept.
    """

    subject: UUID
    turn: int
    """Its number among what is said about the subject, from 1."""
    meanwhile: Decision[Any] | None = None
    """What follows already, before its turn; it is decided once, though the message is tried many times."""
