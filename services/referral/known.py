"""What is known when a decision is made: the state that one message or command concerns, with its key at hand.

One of referral, report and case is what a decision is about; the rest is what it needs to look at. Nothing here is
ever shown.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType

from services.referral.domain.cases import Case
from services.referral.domain.grants import Grant
from services.referral.domain.referral import Referral
from services.referral.domain.reports import ReportFile
from services.referral.domain.ruling import Paper
from shared.contracts.codes import AgeBand, Category
from shared.contracts.ids import CaseId, MessageId
from shared.contracts.packet import Summary
from shared.contracts.personal import Personal
from shared.messaging.decision import Decision
from shared.storage.vault import CaseCipher, WrappedKey
from shared.values import dataclass


class About(StrEnum):
    """What a key names."""

    REFERRAL = "referral"
    REPORT = "report"
    CASE = "case"


NO_PARTS: Mapping[Category, Personal] = MappingProxyType({})


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

    n: int
    """Which event of our lane it carried."""
    digest: bytes
    """SHA-256 of its sealed bytes."""


NOTHING_SENT: Mapping[MessageId, Sent] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Known:
    """What there is for one key."""

    folder: Folder
    referral: Referral | None = None
    report: ReportFile | None = None
    case: Case | None = None
    grants: tuple[Grant, ...] = ()
    parts: Mapping[Category, Personal] = field(default_factory=lambda: NO_PARTS, repr=False)
    """The newest part of each category that the case holds."""
    legs: tuple[Referral, ...] = ()
    """The other referrals of the case."""
    sent: Mapping[MessageId, Sent] = field(default_factory=lambda: NOTHING_SENT)

    @property
    def age(self) -> AgeBand:
        """The person's age band, as far as it is known: in doubt, a child is protected."""
        summary = self.parts.get(Category.SUMMARY)
        return summary.age_band if isinstance(summary, Summary) else AgeBand.IN_DOUBT


@dataclass(frozen=True, slots=True)
class Kept(Decision[Known]):
    """A decision of this service, with what the store must keep beside the next state."""

    folder: Folder | None = None
    """The key for all of it: what a decision keeps belongs to one case, or to one report."""
    others: tuple[Referral, ...] = ()
    """Other referrals of the case that change with this decision."""
    papers: tuple[Paper, ...] = ()
    opens: Case | None = None
    grant: Grant | None = None
    """A grant to record, or to mark as taken back."""
    proof: tuple[MessageId, str] | None = None
    """A receipt to keep: the message that it is for, and the signed note."""
