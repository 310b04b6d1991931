"""What one transaction of the shell deals with, and what it has decided until that is written.

No I/O. What must never happen: a half of a batch loses a message that the whole had, or changes their order.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import field, replace
from typing import Generic, TypeVar
from uuid import UUID

from opentelemetry.trace import Span

from shared.audit import log as audit
from shared.messaging.decision import Decision
from shared.messaging.delivery import Delivery, Heard
from shared.messaging.desk import Said
from shared.messaging.held import Hold
from shared.telemetry import traces
from shared.telemetry.metrics import Outcome
from shared.values import dataclass

What = TypeVar("What")
State = TypeVar("State")


@dataclass(slots=True)
class Item(Generic[What]):
    """One message of a batch, on its way through: the slot it came in, and what it says."""

    slot: int
    heard: Heard[What]
    delivery: Delivery | None
    """As it came; ``None`` for a command, which is answered and never held."""
    span: Span = traces.NO_SPAN

    @property
    def admitted(self) -> bool:
        """Whether the inbox has taken it in already, before it was held."""
        return self.delivery is not None and self.delivery.waited is not None and self.delivery.waited.admitted


@dataclass(frozen=True, slots=True)
class Batch(Generic[What]):
    """What one transaction deals with: messages to decide, and messages only to be held."""

    items: Sequence[Item[What]]
    holds: Sequence[Hold]
    announced: bool = True
    """Whether somebody is told of what is parked."""

    def halves(self) -> "tuple[Batch[What], Batch[What]]":
        """Return both halves, in order."""
        middle = (len(self.items) + len(self.holds) + 1) // 2
        beyond = max(middle - len(self.items), 0)
        return (
            replace(self, items=self.items[:middle], holds=self.holds[:beyond]),
            replace(self, items=self.items[middle:], holds=self.holds[beyond:]),
        )


@dataclass(slots=True)
class Work(Generic[State]):
    """What a batch has decided, until it is written."""

    states: dict[UUID, State]
    changed: dict[UUID, State] = field(default_factory=dict)
    outcomes: dict[int, Decision[State]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    leaves: list[audit.Leaf] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    became: Counter[Outcome] = field(default_factory=Counter)
    """What became of the messages that are not held."""
