"""What a decision of this service holds besides its next state: papers to keep, a case to open, consent to note."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from services.referral.domain.cases import Actor, Case
from services.referral.domain.grants import Grant
from services.referral.domain.life import Side
from shared.contracts.codes import Category
from shared.contracts.exchange import ReferralEvent
from shared.contracts.facts import Fact
from shared.contracts.ids import CaseId, OrganisationId, ReferralId, ReportId
from shared.contracts.personal import Personal, Text
from shared.messaging.decision import Decision, Refusal
from shared.values import dataclass

if TYPE_CHECKING:
    from services.referral.domain.referral import Referral

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something: who, when, and fresh ids for what follows from it."""

    by: Actor
    at: datetime
    ids: Iterator[UUID]
    """Random ids, drawn by whoever calls; as many are taken as are needed."""


@dataclass(frozen=True, slots=True)
class Tell:
    """An event for a partner: to be sealed for ``to`` and for nobody else."""

    to: OrganisationId
    event: ReferralEvent
    again: bool = False
    """Whether it was decided before, and is said again or at last."""


class PaperName(StrEnum):
    """What a personal paper is that is no category of a packet."""

    IDENTITY_REASON = "identity_reason"
    QUESTION = "question"
    ANSWER = "answer"
    MEETING = "meeting"
    DECLINE = "decline"
    REDIRECT = "redirect"
    MISS = "miss"
    PROGRESS = "progress"
    CLOSING = "closing"
    REPORT = "report"


class Note(Personal):
    """A reason or a remark in somebody's own words."""

    text: Text


@dataclass(frozen=True, slots=True)
class Paper:
    """One personal document: kept encrypted under the key of ``case``, never anywhere else."""

    case: CaseId
    about: ReferralId | ReportId | CaseId
    name: Category | PaperName
    content: Personal
    side: Side | None = None
    """Whose event of the referral brought it …"""
    n: int = 0
    """… and that event's number in its lane; 0 where it came with no event."""


@dataclass(frozen=True, slots=True)
class Ruling(Decision[State], Generic[State]):
    """A decision of the referral service."""

    says: tuple[Tell | Fact, ...] = ()
    papers: tuple[Paper, ...] = ()
    opens: Case | None = None
    """A case to open with this decision, before its papers are kept."""
    grant: Grant | None = None
    """A grant to record, or to mark as taken back."""
    also: tuple["Ruling[Referral]", ...] = ()
    """What follows for other referrals of the case, in the same transaction.

    What is decided behind it in one batch does not see this yet: what changes one of them too is decided again, apart
    (``CrossedError`` in ``keeping.py``), and what changes nothing is answered by what its author knew, so that it
    would be answered alike.
    """

    @property
    def tells(self) -> tuple[Tell, ...]:
        """What partners are told, of the other referrals too."""
        rulings: tuple[Ruling[Any], ...] = (self, *self.also)
        return tuple(said for each in rulings for said in each.says if isinstance(said, Tell))

    @classmethod
    def refused(cls, code: str, **detail: str) -> "Ruling[State]":
        """Return a ruling that changes nothing, for the reason ``code``."""
        return cls(refusal=Refusal(code, MappingProxyType(detail)))
