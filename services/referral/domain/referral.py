"""One organisation's own copy of a referral.

Its course is the two lanes and nothing else; where it stands is worked out from them whenever a copy is made, so that
no stored status can disagree with what was said. What is personal is not here: it is kept in papers, encrypted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from services.referral.domain.lanes import Lane
from services.referral.domain.life import OPEN, Side
from services.referral.domain.standing import Course, Standing
from shared.contracts.codes import ReferralKind, Status, Step, Urgency
from shared.contracts.event_data import Terms
from shared.contracts.ids import Alias, CaseId, ConversationId, OrganisationId, ReferralId, StaffId
from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Until when the receiver should have read the offer and decided, if nothing holds it up."""

    first_read: datetime
    decision: datetime
    arrival: datetime | None = None
    """At the sender, once it has disclosed: until when the person should have come, where nobody has named an hour."""


AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""What is due since then is said as soon as it can be, whatever the clock says."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """When something of ours is said next."""

    times: int
    """How often it has been said; 0 where the partner could not be told."""
    at: datetime


NONE_FIRED: Mapping[str, datetime] = MappingProxyType({})
NO_NUMBERS: frozenset[int] = frozenset()
NO_REPEATS: Mapping[int, Repeat] = MappingProxyType({})
NO_STEPS: frozenset[Step] = frozenset()
NONE_AHEAD: Mapping[Step, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral as the organisation on ``side`` knows it."""

    id: ReferralId
    alias: Alias
    """What our own people call it: in links, numbers and the paths of the API, where the id never stands."""
    conversation: ConversationId
    case: CaseId
    """The organisation's own case, under whose key everything personal of the referral is encrypted."""
    side: Side
    sender: OrganisationId
    receiver: OrganisationId
    kind: ReferralKind
    urgency: Urgency
    course: Course
    terms: Terms
    deadlines: Deadlines
    receipt_at: datetime | None = None
    """When the receiver's intake took the offer in: at the receiver from the first, at the sender with the receipt."""
    assignee: StaffId | None = None
    fired: Mapping[str, datetime] = field(default_factory=lambda: NONE_FIRED)
    """Which clocks have rung, each with the deadline that it rang for."""
    proved: frozenset[int] = NO_NUMBERS
    """Which of our own events the partner holds, by number: a receipt proves it, or what the partner has said since."""
    missing: frozenset[int] = NO_NUMBERS
    """Those of the others of which staff were told that no receipt has come in time."""
    repeats: Mapping[int, Repeat] = field(default_factory=lambda: NO_REPEATS)
    """Which of our own events are said until they are proved, by number."""
    emptied: frozenset[int] = NO_NUMBERS
    """Those of our events that go without their words now; of an open referral, staff were told of each."""
    ahead: Mapping[Step, int] = field(default_factory=lambda: NONE_AHEAD)
    """What of the partner's ends access and came before its turn, each with its number; of several, the last."""
    shut: frozenset[Step] = NO_STEPS
    """What of the partner's ends access and was refused: no turn of it comes, so that it holds for good."""
    version: int = 0
    """How often the copy has been written; the store lets nobody write over what they have not read."""

    @property
    def standing(self) -> Standing:
        """Where both lanes lead."""
        return self.course.standing

    @property
    def status(self) -> Status:
        """Where it stands; the sender's copy is ``offered`` until it knows that the receiver has it."""
        status = self.standing.status
        if status is None:
            raise ValueError(NO_OFFER)
        return Status.RECEIVED if status is Status.OFFERED and self.receipt_at is not None else status

    @property
    def is_open(self) -> bool:
        """Whether somebody still has something to do."""
        return self.status in OPEN

    @property
    def partner(self) -> OrganisationId:
        """The organisation at the other end."""
        return self.receiver if self.side is Side.SENDER else self.sender

    def lane(self, side: Side) -> Lane:
        """Return what ``side`` has said."""
        return self.course.lanes.of(side)

    @property
    def unproved(self) -> tuple[int, ...]:
        """The numbers of this organisation's own events that nothing proves the partner to hold."""
        return tuple(n for n in range(1, len(self.lane(self.side)) + 1) if n not in self.proved)

    @property
    def unsaid(self) -> frozenset[int]:
        """The numbers of this organisation's own events that could not be said yet."""
        return frozenset(n for n, repeat in self.repeats.items() if repeat.times == 0)

    @property
    def told(self) -> int:
        """How many of this organisation's own events the partner can know: those before the first that is unsaid."""
        return min(self.unsaid, default=len(self.lane(self.side)) + 1) - 1

    def with_proof(self, numbers: Iterable[int]) -> "Referral":
        """Return the referral, the partner being known to hold these of this organisation's own events."""
        held = frozenset(numbers)
        if held <= self.proved and held.isdisjoint(self.repeats):
            return self
        repeats = {n: repeat for n, repeat in self.repeats.items() if n not in held}
        return replace(
            self,
            proved=self.proved | held,
            missing=self.missing - held,
            repeats=MappingProxyType(repeats),
            emptied=self.emptied - held,
        )


NO_OFFER = "a referral without its offer"
