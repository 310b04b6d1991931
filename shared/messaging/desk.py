"""What the batch shell asks of a service. Everything else about receiving, keeping and saying is the shell's.

A service writes one desk for each queue that it hears. ``read`` and ``decide`` ask neither the store nor the broker;
``locate``, ``load``, ``keep`` and ``say`` ask each table once or twice for the whole batch; ``committed`` counts what
is true then.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from types import UnionType
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

from shared.audit.log import Commitment, EntryCipher
from shared.messaging.decision import Decision, Early
from shared.messaging.delivery import Delivery, Heard
from shared.messaging.held import Hold
from shared.messaging.outbox import Letter
from shared.storage.pool import Connection
from shared.values import dataclass

What = TypeVar("What")
State = TypeVar("State")

REUSED = "message-id-reused"

Reading: TypeAlias = Generator[None, None, Heard[What]]
"""A message that is being read: it stops after each step, and ends with what was heard."""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing to say, the trace in which it was decided, and the audit leaf that records it."""

    what: object
    traceparent: str | None = None
    recorded: Commitment | None = None
    """The commitment to the decision's first audit entry: a receipt names its leaf hash."""


class Desk(ABC, Generic[What, State]):
    """A queue's worth of business."""

    name: str
    """The consumer's name in held messages, metrics and spans, such as ``referral``."""
    says: type | UnionType
    """What its decisions may say, all of which ``say`` knows. The shell refuses anything else."""

    @abstractmethod
    def read(self, delivery: Delivery) -> Heard[What]:
        """Decode and verify, with the keys at hand.

        intake looks at its folder for every message, so that a partner who is frozen is frozen at once.

        Raises:
            Unreadable: it is parked, with the code.
            Later: it is tried again.
        """

    def reading(self, delivery: Delivery) -> Reading[What]:
        """Decode and verify step by step: of messages that come together, each step is taken for all before the next.

        A desk whose :meth:`read` is one step need not know.

        Raises:
            Unreadable, Later: as :meth:`read`.
        """
        yield from ()
        return self.read(delivery)

    async def locate(self, connection: Connection, heard: Sequence[Heard[What]]) -> Sequence[Heard[What]]:  # noqa: ARG002
        """Return ``heard``, in order, with the key of its state for each that could not know it when it was read.

        A receipt names the message that it is for, and only the store knows which state sent that.
        """
        return heard

    async def load(self, connection: Connection, keys: Sequence[UUID], whats: Sequence[What]) -> dict[UUID, State]:  # noqa: ARG002
        """Return the states there are for ``keys`` (sorted, each once), locked until the transaction ends.

        Raises:
            Later: one of them cannot be looked at now. Those that it concerns are found, and tried again.
        """
        return {}

    @abstractmethod
    def decide(self, state: State | None, heard: Heard[What], at: datetime) -> Decision[State] | Early:
        """Say what follows, from nothing but the arguments, what is in memory, and fresh random ids and keys.

        Raises:
            Unreadable: a rule of the protocol is broken; the message is parked.
            Later: it is tried again.
        """

    def repeated(self, state: State | None, heard: Heard[What], at: datetime) -> Decision[State]:  # noqa: ARG002
        """Say what follows when the same bytes come again: nothing, unless a desk answers again.

        Of those that come together only the first is asked about.

        Raises:
            Later: it is tried again.
        """
        return Decision()

    def reused(self, state: State | None, heard: Heard[What], at: datetime) -> Decision[State]:  # noqa: ARG002
        """Say what follows when other bytes come under an id that was taken: a refusal, which parks them."""
        return Decision.refused(REUSED)

    async def keep(
        self, connection: Connection, states: Mapping[UUID, State], decisions: Sequence[Decision[State]], at: datetime
    ) -> None:
        """Write the changed ``states``, and what else the ``decisions`` keep: one statement a table."""

    @abstractmethod
    async def say(self, connection: Connection, said: Sequence[Said], at: datetime) -> Sequence[Letter]:
        """Write down what is said, and return the letters that leave for it: addressed, and sealed for a partner."""

    def committed(self, decisions: Sequence[Decision[State]], said: Sequence[Said]) -> None:
        """Count, for the metrics, what is true now."""

    def next_turn(self, state: State) -> int:  # noqa: ARG002
        """Return which number can be decided about next: what waits for it is tried when ``state`` is kept.

        A desk of which nothing that comes early has a number need not know.
        """
        return 0

    def most_kept(self, hold: Hold) -> int | None:  # noqa: ARG002
        """Return how many messages such as ``hold`` are kept whole in its room; ``None``: all of them.

        What no rule has refused may only be bounded where its sender says it again: where it has had no receipt.
        """
        return None

    def parked(self, held: UUID, code: str, at: datetime) -> tuple[object, ...]:  # noqa: ARG002
        """Return what to say when a message is parked: by default nothing."""
        return ()

    def cipher(self, states: Mapping[UUID, State]) -> EntryCipher | None:  # noqa: ARG002
        """Return what encrypts audit entries that belong to a case; ``None`` where a service has no cases."""
        return None


def whole(reading: Reading[What]) -> Heard[What]:
    """Return what is heard when every step of ``reading`` is taken."""
    while True:
        try:
            next(reading)
        except StopIteration as end:
            heard: Heard[What] = end.value
            return heard
