"""Cases: an organisation's own files on the people it helps.

A case never leaves the organisation; only packets cut from it do. It is the unit of secrecy and of erasure: everything
personal belongs to one case and is encrypted under that case's key.
"""

from datetime import datetime
from typing import Final, Literal, TypeAlias

from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import Alias, CaseId, OrganisationId, ReportId, StaffId
from shared.values import dataclass

CLOCK: Final = "clock"
Actor: TypeAlias = StaffId | OrganisationId | Literal["clock"]
"""Who did it, as the audit trail writes it: a member of staff, an organisation, or the clock."""


@dataclass(frozen=True, slots=True)
class Case:
    """One file."""

    id: CaseId
    opened_at: datetime
    opened_by: Actor
    opened_for: Alias | ReportId | None = None
    """The referral, by its alias, or the report that gave rise to it, if one did."""


def opened(case: Case) -> Entry:
    """Return the audit trail's line for a case that is opened."""
    detail = {} if case.opened_for is None else {"for": str(case.opened_for)}
    return Entry(EntryCode.CASE_OPENED, case.opened_by, case.id, case.opened_at, detail, case.id)
