"""Whether something that a partner sent has not come: a broker that drops messages is caught by their numbers.

Every organisation numbers what it seals for another, 1, 2, 3 …, once for each voice (docs/protocol/envelope.md). Two
workers may take neighbours in either order, so that a number counts as missing only when a later one has been here for
a while. A number that comes after all is written down too: what was missing may have been late.

What must never happen: a gap is passed over without an entry in the audit log, or written down twice; one wild number
carries the count to where no gap is ever found again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from types import MappingProxyType
from uuid import UUID

from services.intake.domain.admission import Speaker
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import OrganisationId
from shared.values import dataclass

PATIENCE = timedelta(seconds=20)
"""How long a later number may have been here before an earlier one counts as missing."""

LARGEST_GAP = 10_000
"""How many numbers may be missing in a row. One that would leave more is no count, and is written down instead."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What one organisation says to us with one voice."""

    id: UUID
    sender: OrganisationId
    speaker: Speaker
    reached: int
    """Every number up to this one has come, or is known to be missing."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A number that has come, and when."""

    sequence: int
    message: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to see: how far the stream has come now, and what to write down."""

    reached: int
    entries: tuple[Entry, ...]
    done: tuple[UUID, ...]
    """The messages whose numbers are dealt with; the others wait for the next look."""


def look(stream: Stream, noted: Sequence[Noted], at: datetime) -> Looked:
    """Go through the numbers that have come since the last look, in any order.

    ``sequence.gap`` names numbers that have not come in time, ``sequence.late`` one that comes after it was passed,
    ``sequence.repeated`` one that the sender has used twice, and ``sequence.wild`` one that is too far ahead to count.
    """
    reached = stream.reached
    ordered, wild = _tamed(reached, sorted(noted, key=lambda one: (one.sequence, one.at)))
    entries = [_entry(EntryCode.SEQUENCE_WILD, stream, each.sequence, each.sequence, at) for each in wild]
    done = [each.message for each in wild]
    here_since = list(accumulate((each.at for each in reversed(ordered)), min))[::-1]
    for each, since in zip(ordered, here_since, strict=True):
        if each.sequence <= stream.reached:
            entries.append(_entry(EntryCode.SEQUENCE_LATE, stream, each.sequence, each.sequence, at))
        elif each.sequence <= reached:
            entries.append(_entry(EntryCode.SEQUENCE_REPEATED, stream, each.sequence, each.sequence, at))
        elif each.sequence > reached + 1 and at - since < PATIENCE:
            break
        elif each.sequence > reached + 1:
            entries.append(_entry(EntryCode.SEQUENCE_GAP, stream, reached + 1, each.sequence - 1, at))
        reached = max(reached, each.sequence)
        done.append(each.message)
    return Looked(reached, tuple(entries), tuple(done))


def _tamed(reached: int, ordered: Sequence[Noted]) -> tuple[Sequence[Noted], Sequence[Noted]]:
    """Split the numbers where a gap begins that is too large to be one."""
    for place, each in enumerate(ordered):
        if each.sequence > reached + 1 + LARGEST_GAP:
            return ordered[:place], ordered[place:]
        reached = max(reached, each.sequence)
    return ordered, ()


def missing(entries: Iterable[Entry]) -> int:
    """Return how many gaps there are among ``entries``; a wild number hides one, or is a fault."""
    return sum(entry.code in (EntryCode.SEQUENCE_GAP, EntryCode.SEQUENCE_WILD) for entry in entries)


def _entry(code: EntryCode, stream: Stream, first: int, last: int, at: datetime) -> Entry:
    detail = {"voice": stream.speaker.value, "first": str(first), "last": str(last)}
    return Entry(code, actor=stream.sender, subject=stream.id, at=at, detail=MappingProxyType(detail))
