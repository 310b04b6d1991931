"""A referral as one row: clear columns for what queries need, and its course as one JSON text. Nothing personal.

The status, the clocks and the responsible organisation stand in columns for searching only: they are written from the
lanes and never read back, so that no row can claim what was not said.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from pydantic_core import from_json, to_json

from services.referral.domain.clocks import dial
from services.referral.domain.lanes import Lane, Lanes, LanesTangledError, Move
from services.referral.domain.life import Side
from services.referral.domain.referral import Deadlines, Referral, Repeat
from services.referral.domain.responsibility import responsible
from services.referral.domain.standing import Course
from shared.contracts.codes import ReferralKind, Step, Urgency
from shared.contracts.event import EventId
from shared.contracts.event_data import Terms
from shared.contracts.ids import Alias, CaseId, ConversationId, OrganisationId, ReferralId, StaffId

MEMBERS: Final = frozenset(
    {
        "sender",
        "receiver",
        "terms",
        "deadlines",
        "arrival",
        "fired",
        "unproved",
        "missing",
        "repeats",
        "emptied",
        "ahead",
        "shut",
    }
)
"""All that a course says. One that says more is a newer version's: read here, it would be written back without it."""

UNKNOWN: Final = (ValueError, LookupError, TypeError, AttributeError, LanesTangledError)
"""What a row ends in that holds what this version does not know: a step, a code, a member, a form."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class ReferralRow(NamedTuple):
    """One row, its fields in the order of the table's columns."""

    id: UUID
    conversation: UUID
    case_id: UUID
    side: str
    partner: str
    kind: str
    urgency: str
    status: str
    responsible: str
    assignee: str | None
    overdue: bool
    due_at: datetime | None
    """When a clock must be looked at again."""
    offered_at: datetime
    ended_at: datetime | None
    receipt_at: datetime | None
    course: str
    """Both lanes, terms, deadlines, what has rung, is not proved, goes again or emptied. In microseconds since 1970."""
    version: int
    repeat_at: datetime | None
    """When something of ours must be said again."""
    alias: UUID


def to_row(referral: Referral) -> ReferralRow:
    """Return the row that keeps ``referral``; ``version`` is the one that was read, for the store to compare."""
    standing, clocks = referral.standing, dial(referral)
    return ReferralRow(
        id=referral.id,
        conversation=referral.conversation,
        case_id=referral.case,
        side=referral.side,
        partner=referral.partner,
        kind=referral.kind,
        urgency=referral.urgency,
        status=referral.status,
        responsible=responsible(referral),
        assignee=referral.assignee,
        overdue=clocks.overdue,
        due_at=clocks.next_due,
        offered_at=referral.course.lanes.sender[0].at,
        ended_at=standing.ended_at,
        receipt_at=referral.receipt_at,
        course=_course(referral),
        version=referral.version,
        repeat_at=min((repeat.at for repeat in referral.repeats.values()), default=None),
        alias=referral.alias,
    )


def from_row(row: ReferralRow, me: OrganisationId) -> Referral:
    """Return the referral that ``row`` of the organisation ``me`` keeps.

    A row that was written before receipts were kept count of has no ``unproved``, and a deadline more; in one that was
    written before anything was said again, all that is not proved is said again at once.

    Raises:
        UNKNOWN: a newer version has written it, and it holds what this one does not know.
    """
    side = Side(row.side)
    partner = OrganisationId(row.partner)
    course = from_json(row.course)
    if not course.keys() <= MEMBERS:
        raise LookupError
    lanes = Lanes(_lane(course["sender"]), _lane(course["receiver"]))
    own, unproved = range(1, len(lanes.of(side)) + 1), course.get("unproved", ())
    repeats = course.get("repeats", [(n, 1, 0) for n in unproved])
    first_read, decision = map(_moment, course["deadlines"] if "unproved" in course else course["deadlines"][1:])
    return Referral(
        id=ReferralId(row.id),
        alias=Alias(row.alias),
        conversation=ConversationId(row.conversation),
        case=CaseId(row.case_id),
        side=side,
        sender=me if side is Side.SENDER else partner,
        receiver=partner if side is Side.SENDER else me,
        kind=ReferralKind(row.kind),
        urgency=Urgency(row.urgency),
        course=Course(lanes),
        terms=Terms.model_validate(course["terms"]),
        deadlines=Deadlines(first_read, decision, _perhaps(course.get("arrival"))),
        receipt_at=row.receipt_at,
        assignee=StaffId(row.assignee) if row.assignee is not None else None,
        fired=MappingProxyType({clock: _moment(at) for clock, at in course["fired"].items()}),
        proved=frozenset(own).difference(unproved),
        missing=frozenset(course.get("missing", ())),
        repeats=MappingProxyType({n: Repeat(times, _moment(at)) for n, times, at in repeats}),
        emptied=frozenset(course.get("emptied", ())),
        ahead=MappingProxyType({Step(step): n for step, n in course.get("ahead", {}).items()}),
        shut=frozenset(map(Step, course.get("shut", ()))),
        version=row.version,
    )


def _course(referral: Referral) -> str:
    until = referral.deadlines
    return to_json(
        {
            "sender": [_compact(move) for move in referral.course.lanes.sender],
            "receiver": [_compact(move) for move in referral.course.lanes.receiver],
            "terms": referral.terms,
            "deadlines": [_micros(until.first_read), _micros(until.decision)],
            "arrival": None if until.arrival is None else _micros(until.arrival),
            "fired": {clock: _micros(at) for clock, at in referral.fired.items()},
            "unproved": referral.unproved,
            "missing": sorted(referral.missing),
            "repeats": [(n, repeat.times, _micros(repeat.at)) for n, repeat in sorted(referral.repeats.items())],
            "emptied": sorted(referral.emptied),
            "ahead": {step.value: n for step, n in referral.ahead.items()},
            "shut": sorted(referral.shut),
        },
    ).decode()


def _compact(move: Move) -> list[Any]:
    expected = None if move.expected is None else _micros(move.expected)
    return [move.step.value, move.id.hex, _micros(move.at), move.seen, move.codes, expected]


def _lane(moves: Sequence[Sequence[Any]]) -> Lane:
    return tuple(
        Move(
            Step(step),
            EventId(UUID(hex=id_)),
            _moment(at),
            seen,
            tuple(codes),
            _perhaps(expected),
        )
        for step, id_, at, seen, codes, expected in moves
    )


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _perhaps(micros: int | None) -> datetime | None:
    return None if micros is None else _moment(micros)
