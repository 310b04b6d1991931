"""A grant: what a person has allowed, to whom, for what, until when, and how it was given.

A grant is never changed: to take it back is to mark when, and to renew it is to record another. Nothing is read into
one: what it does not name, it does not allow.
"""

from datetime import datetime

from shared.contracts.codes import Category, GrantedBy, GrantForm, Purpose
from shared.contracts.ids import CaseId, GrantId, OrganisationId, StaffId
from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """One act of consent."""

    id: GrantId
    case: CaseId
    recipient: OrganisationId
    categories: frozenset[Category]
    purposes: frozenset[Purpose]
    begins: datetime
    until: datetime | None
    """``None`` is until it is taken back."""
    form: GrantForm
    language: str
    """The language in which it was explained, ISO 639-3."""
    given_by: GrantedBy
    explained: bool
    """Whether it was explained how long data is kept and how to take consent back. Without that it allows nothing."""
    feedback: bool
    """Whether the recipient may tell how the person is doing."""
    told_of_transfer: bool
    """Whether the person was told that the data goes where the GDPR does not protect it (its article 49)."""
    recorded_by: StaffId
    recorded_at: datetime
    withdrawn_at: datetime | None = None
