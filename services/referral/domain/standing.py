"""Where a referral stands: the moves of both lanes, taken in their one order and put through the table."""

from dataclasses import field
from datetime import datetime, timedelta

from services.referral.domain.expected import NAMES_AN_HOUR, likely
from services.referral.domain.lanes import Lanes, Move, in_order
from services.referral.domain.life import OPEN, Side, after
from shared.contracts.codes import Status, Step
from shared.values import dataclass

NO_TIME = timedelta()


@dataclass(frozen=True, slots=True)
class Standing:
    """What the two lanes come to."""

    status: Status | None = None
    """``None`` before the offer."""
    superseded: frozenset[tuple[Side, int]] = frozenset()
    """The moves without effect, by side and number."""
    since: datetime | None = None
    """Since when it stands there: the latest time that was named by then."""
    offered_at: datetime | None = None
    read_at: datetime | None = None
    """When the receiver first showed that a human had read the offer."""
    asked_at: datetime | None = None
    """Since when a question waits for its answer."""
    paused: timedelta = NO_TIME
    """How long answered questions have held up the decision."""
    expected: datetime | None = None
    """When the person should have come by, as last agreed; ``None`` where no likely hour was named."""
    arrived_at: datetime | None = None
    left_at: datetime | None = None
    """When the receiver closed. Consent taken back ends a referral as well, and moves nobody."""
    consent_withdrawn_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_there(self) -> bool:
        """Tell whether the person has come to the receiver and has not left."""
        return self.arrived_at is not None and self.left_at is None


def standing_of(lanes: Lanes) -> Standing:
    """Work out where a referral stands. The receipt is not in the lanes: ``offered`` may have been received already."""
    status: Status | None = None
    superseded: set[tuple[Side, int]] = set()
    times: dict[str, datetime] = {}
    paused, now = NO_TIME, None
    for side, number, move in in_order(lanes):
        reached = after(status, move.step)
        if reached is None:
            superseded.add((side, number))
            continue
        status = reached
        now = max(now or move.at, move.at)
        paused += _note(times, side, move, now)
        if status not in OPEN:
            times.setdefault("ended_at", move.at)
    return Standing(status=status, superseded=frozenset(superseded), since=now, paused=paused, **times)


@dataclass(frozen=True, slots=True)
class Course:
    """Both lanes, and where they lead: worked out once, when the lanes are put together."""

    lanes: Lanes
    standing: Standing = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Work out where the referral stands."""
        object.__setattr__(self, "standing", standing_of(self.lanes))

    def then(self, side: Side, move: Move) -> "Course":
        """Return the course after ``side`` said one thing more."""
        return Course(self.lanes.with_move(side, move))


def _note(times: dict[str, datetime], side: Side, move: Move, now: datetime) -> timedelta:
    """Keep the times that ``move`` sets, and return for how long it shows that the decision was held up.

    ``now`` is the latest time that was named so far. A question counts from there: whoever dates it back to before what
    they had seen holds up no decision by that.
    """
    if side is Side.RECEIVER:
        times.setdefault("read_at", move.at)
    asked_at = times.pop("asked_at", None)
    if move.step in NAMES_AN_HOUR:
        times.pop("expected", None)
        if move.expected is not None and likely(move.expected, move.at):
            times["expected"] = move.expected
    match move.step:
        case Step.OFFERED:
            times["offered_at"] = move.at
        case Step.ASKED:
            times["asked_at"] = now
        case Step.ARRIVED:
            times["arrived_at"] = move.at
        case Step.CLOSED:
            times["left_at"] = move.at
        case Step.CONSENT_WITHDRAWN:
            times.setdefault("consent_withdrawn_at", move.at)
        case Step.ANSWERED if asked_at is not None:
            return now - asked_at
        case _:
            pass
    return NO_TIME
