"""A grant: what a person has allowed, to whom, for what, until when, and how it was given.

A grant is never changed: to take it back is to mark when, and to renew it is to record another. Nothing is read into
one: what it does not name, it does not allow.
"""

from dataclasses import replace
from datetime import datetime

from services.referral.domain.ruling import Act
from shared.contracts.codes import Category, GrantedBy, GrantForm, Purpose
from shared.contracts.ids import CaseId, GrantId, OrganisationId, StaffId
from shared.messaging.decision import Decision, Entry
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


def record(grant: Grant) -> Decision[Grant]:
    """Keep a grant that was given."""
    return Decision(state=grant, entries=(_entry("grant.recorded", grant, grant.recorded_by, grant.recorded_at),))


def take_back(grant: Grant, act: Act) -> Decision[Grant]:
    """Mark that the person has taken the grant back; always possible, and the first time is what counts."""
    if grant.withdrawn_at is not None:
        return Decision()
    withdrawn = replace(grant, withdrawn_at=act.at)
    return Decision(state=withdrawn, entries=(_entry("grant.withdrawn", grant, act.by, act.at),))


def _entry(code: str, grant: Grant, actor: str, at: datetime) -> Entry:
    detail = {
        "recipient": grant.recipient,
        "categories": " ".join(sorted(grant.categories)),
        "purposes": " ".join(sorted(grant.purposes)),
        "form": grant.form.value,
        "given_by": grant.given_by.value,
    }
    return Entry(code, actor, grant.id, at, detail, grant.case)
