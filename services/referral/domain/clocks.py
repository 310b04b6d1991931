"""Until when, how often told, and what holds a clock up. Nothing expires silently, and no clock ends a referral.

Deadlines follow from urgency. ``immediate`` and ``urgent`` run round the clock; ``standard`` counts the receiver's
working days until the first reading (weekends are left out; public holidays are not known here), and fourteen days of
any kind until the decision. A question to the sender stops the decision clock until it is answered. Where nobody has
named an hour, the sender awaits the arrival for as long as a decision. What only the sender can do, the answer to a
question, the disclosure once the receiver has accepted and a new meeting or a withdrawal once the person did not come,
has as long as a first reading: its own staff are reminded. Each deadline rings once, whichever process looks and
however often: what has rung is part of the state. Whatever this organisation says waits for its receipt, so that
nothing is swallowed on the way, or waits for a key to be sealed with, without a word to staff; a receipt that comes
late still counts.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from types import MappingProxyType

from services.referral.domain.life import Side
from services.referral.domain.referral import Deadlines, Referral
from shared.contracts.codes import Status, Urgency
from shared.values import dataclass

RECEIPT_IN = timedelta(minutes=5)
"""After whatever is said: an offer, a withdrawal, that the person has arrived."""
FIRST_READ_IN: Mapping[Urgency, timedelta] = MappingProxyType(
    {Urgency.IMMEDIATE: timedelta(hours=1), Urgency.URGENT: timedelta(hours=24)},
)
DECISION_IN: Mapping[Urgency, timedelta] = MappingProxyType(
    {Urgency.IMMEDIATE: timedelta(hours=4), Urgency.URGENT: timedelta(hours=72)},
)
STANDARD_READ_DAYS = 5
"""Working days."""
STANDARD_DECISION_IN = timedelta(days=14)

REMINDED_IN: Mapping[Urgency, timedelta] = MappingProxyType({**FIRST_READ_IN, Urgency.STANDARD: timedelta(days=7)})
"""What only the sender can do: as for a first reading. Five working days from a working moment are a week."""

GRACE: Mapping[Side, timedelta] = MappingProxyType(
    {Side.RECEIVER: timedelta(hours=1), Side.SENDER: timedelta(hours=2)},
)
"""How long after the hour agreed a clock says that the person is late. The receiver, who is there, says it first."""


class Awaited(StrEnum):
    """What is waited for."""

    RECEIPT = "receipt"
    FIRST_READ = "first_read"
    DECISION = "decision"
    ANSWER = "answer"
    DISCLOSURE = "disclosure"
    ARRIVAL = "arrival"
    NEW_MEETING = "new_meeting"
    """Or that the sender withdraws: the person did not come."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When an organisation works."""

    zone: tzinfo
    opens: time = time(9)
    closes: time = time(18)
    days: frozenset[int] = field(default=frozenset({0, 1, 2, 3, 4}))
    """Days of the week, Monday being 0. At least one."""

    def working(self, moment: datetime) -> datetime:
        """Return ``moment`` in the organisation's own time, or the next moment at which it works."""
        local = moment.astimezone(self.zone)
        if local.time() >= self.closes:
            local = self._opening(local + timedelta(days=1))
        elif local.time() < self.opens:
            local = self._opening(local)
        while local.weekday() not in self.days:
            local = self._opening(local + timedelta(days=1))
        return local

    def working_days_after(self, moment: datetime, days: int) -> datetime:
        """Return the moment ``days`` working days after ``moment``, at the same hour of the day."""
        local = self.working(moment)
        weekday, later = local.weekday(), 0
        while days > 0:
            later += 1
            days -= (weekday + later) % 7 in self.days
        return local + timedelta(days=later)

    def _opening(self, day: datetime) -> datetime:
        return day.replace(hour=self.opens.hour, minute=self.opens.minute, second=0, microsecond=0)


def deadlines(urgency: Urgency, since: datetime, hours: Hours) -> Deadlines:
    """Return the deadlines, in UTC, of a referral offered at ``since`` to an organisation that works in ``hours``."""
    if urgency is not Urgency.STANDARD:
        return Deadlines(since + FIRST_READ_IN[urgency], since + DECISION_IN[urgency])
    first_read = hours.working_days_after(since, STANDARD_READ_DAYS)
    decision = hours.working(since.astimezone(hours.zone) + STANDARD_DECISION_IN)
    return Deadlines(first_read.astimezone(UTC), decision.astimezone(UTC))


def arrival_by(urgency: Urgency, since: datetime, hours: Hours) -> datetime:
    """Return by when, in UTC, a person should have come whose hour nobody has named since ``since``."""
    return deadlines(urgency, since, hours).decision


def receipts(referral: Referral) -> dict[int, datetime]:
    """Return by when the receipt of each of our own events that is not proved should come, by the event's number."""
    lane = referral.lane(referral.side)
    return {n: lane[n - 1].at + RECEIPT_IN for n in referral.unproved}


def running(referral: Referral) -> dict[Awaited, datetime]:
    """Return the clocks that run for this copy now, each with its deadline; of several receipts, the first."""
    status, standing, until = referral.status, referral.standing, referral.deadlines
    clocks: dict[Awaited, datetime] = {}
    if awaited := receipts(referral):
        clocks[Awaited.RECEIPT] = min(awaited.values())
    if status in (Status.OFFERED, Status.RECEIVED) and standing.read_at is None:
        clocks[Awaited.FIRST_READ] = until.first_read
    if status in (Status.OFFERED, Status.RECEIVED, Status.OPENED):
        clocks[Awaited.DECISION] = until.decision + standing.paused
    if status is Status.DISCLOSED and (arrival := _arrival(referral)) is not None:
        clocks[Awaited.ARRIVAL] = arrival
    return clocks | _owed(referral)


def _owed(referral: Referral) -> dict[Awaited, datetime]:
    """Return by when the sender's own staff are reminded: of a disclosure at the latest when the person should come."""
    standing = referral.standing
    if referral.side is Side.RECEIVER or standing.since is None:
        return {}
    by = standing.since + REMINDED_IN[referral.urgency]
    match referral.status:
        case Status.ASKED:
            return {Awaited.ANSWER: by}
        case Status.ACCEPTED:
            return {Awaited.DISCLOSURE: by if standing.expected is None else min(by, standing.expected)}
        case Status.MISSED:
            return {Awaited.NEW_MEETING: by}
        case _:
            return {}


def _arrival(referral: Referral) -> datetime | None:
    """Return when the person is late: soon after the hour agreed, or at the end of the term that stands in for it."""
    expected = referral.standing.expected
    return referral.deadlines.arrival if expected is None else expected + GRACE[referral.side]


def quiet(referral: Referral) -> dict[Awaited, datetime]:
    """Return the running clocks that have not rung for their deadline; of several receipts, the first that has not."""
    clocks = {clock: at for clock, at in running(referral).items() if referral.fired.get(clock) != at}
    clocks.pop(Awaited.RECEIPT, None)
    if silent := [at for n, at in receipts(referral).items() if n not in referral.missing]:
        clocks[Awaited.RECEIPT] = min(silent)
    return clocks


def due(referral: Referral, now: datetime) -> dict[Awaited, datetime]:
    """Return the clocks whose deadline has passed and that have not rung for it yet."""
    return {clock: deadline for clock, deadline in quiet(referral).items() if deadline <= now}


@dataclass(frozen=True, slots=True)
class Dial:
    """How the running clocks stand."""

    next_due: datetime | None
    """When somebody must look at them again; ``None`` when none will ring."""
    overdue: bool
    """Whether one has rung for something that is still awaited: a flag, not a status."""


def dial(referral: Referral) -> Dial:
    """Return how the clocks of this copy stand."""
    clocks = running(referral)
    if not referral.fired and not referral.missing:
        return Dial(min(clocks.values(), default=None), overdue=False)
    still = quiet(referral)
    return Dial(min(still.values(), default=None), overdue=bool(referral.missing) or len(still) < len(clocks))


def overdue(referral: Referral) -> bool:
    """Whether a clock has rung for something that is still awaited."""
    return dial(referral).overdue


def rung(referral: Referral, clocks: Mapping[Awaited, datetime], now: datetime) -> Referral:
    """Return the referral with ``clocks``, which are due at ``now``, marked as having rung for their deadlines."""
    marks = {clock.value: deadline for clock, deadline in clocks.items() if clock is not Awaited.RECEIPT}
    missing = {n for n, deadline in receipts(referral).items() if deadline <= now}
    return replace(
        referral,
        fired=MappingProxyType({**referral.fired, **marks}),
        missing=referral.missing.union(missing),
    )
