"""What is known when a decision is made: a referral, a report or a case, with its key at hand; none of it is shown."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

from services.referral.domain.casefile import CaseFile
from services.referral.domain.retelling import Papers
from services.referral.domain.ruling import Ruling, Tell
from shared.contracts.facts import Fact
from shared.contracts.ids import Alias, CaseId, MessageId, ReferralId, ReportId
from shared.messaging.decision import Decision
from shared.storage.vault import CaseCipher, WrappedKey
from shared.values import dataclass

Thing_co = TypeVar("Thing_co", covariant=True)


class About(StrEnum):
    """What an id names."""

    REFERRAL = "referral"
    REPORT = "report"
    CASE = "case"


@dataclass(frozen=True, slots=True)
class Folder:
    """A key, opened, and as the database keeps it."""

    id: CaseId
    cipher: CaseCipher = field(repr=False)
    key: WrappedKey = field(repr=False)
    new: bool = False
    """Whether it has been made for this decision and has yet to be kept."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours that a partner's receipt may be for."""

    referral: ReferralId
    n: int
    """Which event of our lane it carried."""
    digest: bytes
    """SHA-256 of its sealed bytes."""
    emptied: bool = False
    """Whether its words were taken out before it left."""


NO_PAPERS: Mapping[int, Papers] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Erased(Generic[Thing_co]):
    """A referral, report or case whose key was destroyed: what stood in clear is left, and what is owed."""

    thing: Thing_co
    changed: bool = False
    """Whether it was decided anew, and has yet to be written."""

    def become(self, thing: Any) -> "Erased[Any]":  # noqa: ANN401
        """Return it as it was decided."""
        return Erased(thing, changed=True)

    @property
    def file(self) -> CaseFile:
        """What can be read of its case: nothing."""
        return CaseFile()

    @property
    def own(self) -> Mapping[int, Papers]:
        """The papers of our own events: none."""
        return NO_PAPERS


@dataclass(frozen=True, slots=True)
class Newer:
    """A referral that this version of Relais cannot read, because a newer one has written it: what finds it is left."""

    id: ReferralId
    alias: Alias
    case: CaseId
    offered_at: datetime


@dataclass(frozen=True, slots=True)
class NewerReport:
    """A report that this version of Relais cannot read, because a newer one has written it."""

    id: ReportId
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class Known(Generic[Thing_co]):
    """One referral, report or case, and what a decision about it looks at."""

    thing: Thing_co
    folder: Folder
    """The key for all that is personal of it."""
    file: CaseFile = CaseFile()
    """What its case holds, for a command that looks at it."""
    own: Mapping[int, Papers] = field(default_factory=lambda: NO_PAPERS)
    """The papers of our own events, by their number, for the command that says them again."""
    changed: bool = False
    """Whether it was decided anew, and has yet to be written: not all that shares an id is."""

    def become(self, thing: Any) -> "Known[Any]":  # noqa: ANN401
        """Return it as it was decided; what a decision may be about next."""
        return Known(thing, self.folder, self.file, self.own, changed=True)


Files: TypeAlias = Mapping[About, Known[Any] | Erased[Any]]
"""All that one id names here. A partner chooses the ids of its referrals, so that one may name a report besides."""

NO_FILES: Files = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Decision[Files]):
    """A decision of this service, with what the store must keep beside the next state."""

    says: tuple[Tell | Fact, ...] = ()
    folder: Folder | None
    """The key for all of it: what a decision keeps belongs to one case, or to one report. ``None`` when erased."""
    rulings: tuple[Ruling[Any], ...] = ()
    """What was ruled, and then what follows from it for other referrals of the case."""
    proof: tuple[MessageId, str] | None = None
    """A receipt to keep: the message that it is for, and the signed note."""
    repeated: bool = False
    """Whether the same has been here before: nothing follows now."""
