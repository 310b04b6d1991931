"""What the desk's API shows."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.referral.domain.cases import Case
from services.referral.domain.clocks import overdue, running
from services.referral.domain.grants import Grant
from services.referral.domain.life import Side
from services.referral.domain.possible import possible
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.reports import ReportFile, ReportStatus
from services.referral.domain.responsibility import responsible
from services.referral.known import Newer, NewerReport
from services.referral.store.papers import KeptPaper
from services.referral.store.proofs import Proof
from shared.contracts.codes import (
    Category,
    Purpose,
    ReferralKind,
    Reorientation,
    Status,
    Step,
    Urgency,
    Verdict,
)
from shared.contracts.ids import (
    Alias,
    CaseId,
    ConversationId,
    GrantId,
    OrganisationId,
    ReferralId,
    ReportId,
    public_number,
)


class Shown(BaseModel):
    """Something of the API: closed, so that it shows what is written here and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ReferralShown(Shown):
    """Where a referral stands: codes, ids and times."""

    id: Alias
    number: str
    """What our people say on the telephone to one another: the partner's have a number of their own."""
    exchange_id: ReferralId
    """What both organisations call it, to be said to the partner; it stands in no address and no notification."""
    conversation: ConversationId
    case: CaseId
    side: Side
    sender: OrganisationId
    receiver: OrganisationId
    kind: ReferralKind
    urgency: Urgency
    status: Status
    responsible: OrganisationId
    assignee: str | None
    overdue: bool
    clocks: dict[str, datetime]
    """The clocks that run, each with its deadline."""
    offered_at: datetime | None
    receipt_at: datetime | None
    ended_at: datetime | None
    possible: tuple[Step, ...]
    """What this organisation can do now, if what it says with it is in order."""

    @classmethod
    def of(cls, referral: Referral, legs: Sequence[Referral] | None, at: datetime) -> "ReferralShown":
        """Show ``referral`` as it stands at ``at``, beside the other ``legs`` of its case, if all can be read."""
        standing = referral.standing
        return cls(
            id=referral.alias,
            number=public_number(referral.alias),
            exchange_id=referral.id,
            conversation=referral.conversation,
            case=referral.case,
            side=referral.side,
            sender=referral.sender,
            receiver=referral.receiver,
            kind=referral.kind,
            urgency=referral.urgency,
            status=referral.status,
            responsible=responsible(referral),
            assignee=referral.assignee,
            overdue=overdue(referral),
            clocks={clock.value: deadline for clock, deadline in running(referral).items()},
            offered_at=standing.offered_at,
            receipt_at=referral.receipt_at,
            ended_at=standing.ended_at,
            possible=possible(referral, legs, at),
        )


class NewerShown(Shown):
    """A referral of a list that this version of Relais cannot read, because a newer one has written it."""

    id: Alias
    number: str
    exchange_id: ReferralId
    case: CaseId
    offered_at: datetime
    code: str
    title: str
    """What the code says, in the language that was asked for."""

    @classmethod
    def of(cls, newer: Newer, say: Callable[[str], str]) -> "NewerShown":
        """Show ``newer``; ``say`` finds the words."""
        return cls(
            id=newer.alias,
            number=public_number(newer.alias),
            exchange_id=newer.id,
            case=newer.case,
            offered_at=newer.offered_at,
            code=Refused.NEWER,
            title=say(Refused.NEWER),
        )


class FoundShown(Shown):
    """A referral that is there, as our people call it."""

    id: Alias
    number: str

    @classmethod
    def of(cls, alias: Alias) -> "FoundShown":
        """Show ``alias``."""
        return cls(id=alias, number=public_number(alias))


class LeftShown(Shown):
    """A referral about which nothing was done."""

    referral: Alias
    code: str
    """Why, as a problem has it: of one that is in the way for now, the same request may be made again."""


class RepeatShown(Shown):
    """How much is said again, and what is left."""

    referrals: int
    """Of how many referrals the whole lane is."""
    left: list[LeftShown]

    @classmethod
    def of(cls, found: Mapping[ReferralId, Alias], left: Mapping[ReferralId, str]) -> "RepeatShown":
        """Show what was done about those that were ``found``, but for those that are ``left``, each with its code."""
        why = [LeftShown(referral=found[referral], code=code) for referral, code in left.items()]
        return cls(referrals=len(found) - len(left), left=why)


class PaperShown(Shown):
    """One document, opened."""

    name: str
    by: Side | None
    n: int
    at: datetime
    content: dict[str, Any]

    @classmethod
    def of(cls, paper: KeptPaper) -> "PaperShown":
        """Show ``paper``."""
        content = paper.content.model_dump(mode="json", exclude_none=True)
        return cls(name=paper.name, by=paper.side, n=paper.n, at=paper.at, content=content)


class ReceiptShown(Shown):
    """A message of ours about a referral, and the proof that the partner has it."""

    message: UUID
    n: int
    said_at: datetime
    proved_at: datetime | None
    note: str | None

    @classmethod
    def of(cls, proof: Proof) -> "ReceiptShown":
        """Show ``proof``."""
        return cls(message=proof.message, n=proof.n, said_at=proof.said_at, proved_at=proof.proved_at, note=proof.note)


class CaseShown(Shown):
    """A case, without anything personal."""

    id: CaseId
    opened_at: datetime
    opened_by: str
    opened_for: UUID | None

    @classmethod
    def of(cls, case: Case) -> "CaseShown":
        """Show ``case``."""
        return cls(id=case.id, opened_at=case.opened_at, opened_by=case.opened_by, opened_for=case.opened_for)


class GrantShown(Shown):
    """What a person has allowed."""

    id: GrantId
    recipient: OrganisationId
    categories: frozenset[Category]
    purposes: frozenset[Purpose]
    begins: datetime
    until: datetime | None
    withdrawn_at: datetime | None

    @classmethod
    def of(cls, grant: Grant) -> "GrantShown":
        """Show ``grant``."""
        return cls(
            id=grant.id,
            recipient=grant.recipient,
            categories=grant.categories,
            purposes=grant.purposes,
            begins=grant.begins,
            until=grant.until,
            withdrawn_at=grant.withdrawn_at,
        )


class ReportShown(Shown):
    """A report, without its content."""

    id: ReportId
    urgency: Urgency
    verdict: Verdict
    taken_at: datetime
    status: ReportStatus
    case: CaseId | None
    reoriented_to: Reorientation | None

    @classmethod
    def of(cls, report: ReportFile) -> "ReportShown":
        """Show ``report``."""
        return cls(
            id=report.id,
            urgency=report.urgency,
            verdict=report.verdict,
            taken_at=report.taken_at,
            status=report.status,
            case=report.case,
            reoriented_to=report.reoriented_to,
        )


class NewerReportShown(Shown):
    """A report of a list that this version of Relais cannot read, because a newer one has written it."""

    id: ReportId
    taken_at: datetime
    code: str
    title: str
    """What the code says, in the language that was asked for."""

    @classmethod
    def of(cls, newer: NewerReport, say: Callable[[str], str]) -> "NewerReportShown":
        """Show ``newer``; ``say`` finds the words."""
        return cls(id=newer.id, taken_at=newer.taken_at, code=Refused.NEWER, title=say(Refused.NEWER))
