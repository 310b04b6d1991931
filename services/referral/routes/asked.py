"""What the desk's API takes, where it is for the routes alone.

An offer, an answer, a disclosure and a new meeting are in ``domain/sending.py``: the rules there take them whole.
"""

from datetime import datetime

from pydantic import Field

from services.referral.domain.grants import Grant
from shared.contracts.codes import Category, GrantedBy, GrantForm, Purpose, Reorientation, WithdrawReason
from shared.contracts.event_data import Meeting
from shared.contracts.ids import CaseId, GrantId, Organisation, ReferralId, StaffId
from shared.contracts.personal import Language, Moment, Personal


class GrantAsked(Personal):
    """A grant to record."""

    recipient: Organisation
    categories: frozenset[Category] = Field(min_length=1)
    purposes: frozenset[Purpose] = Field(default=frozenset({Purpose.SUPPORT}), min_length=1)
    until: Moment | None = None
    form: GrantForm
    language: Language
    given_by: GrantedBy
    explained: bool
    feedback: bool = False
    told_of_transfer: bool = False

    def grant(self, id_: GrantId, case: CaseId, *, by: StaffId, at: datetime) -> Grant:
        """Return the grant, as recorded by ``by`` and in force from ``at``."""
        return Grant(
            id=id_,
            case=case,
            recipient=self.recipient,
            categories=self.categories,
            purposes=self.purposes,
            begins=at,
            until=self.until,
            form=self.form,
            language=self.language,
            given_by=self.given_by,
            explained=self.explained,
            feedback=self.feedback,
            told_of_transfer=self.told_of_transfer,
            recorded_by=by,
            recorded_at=at,
        )


class AcceptAsked(Personal):
    """The person is taken in."""

    meeting: Meeting
    expected: Moment | None = None


class WithdrawAsked(Personal):
    """Why a referral is taken back."""

    reason: WithdrawReason


class FindAsked(Personal):
    """A referral, as both organisations call it; in a body, because addresses are written down everywhere."""

    exchange_id: ReferralId


class RepeatAsked(Personal):
    """The partner that has lost what was said to it."""

    partner: Organisation


class LinkAsked(Personal):
    """The case that a report belongs to."""

    case: CaseId


class ReorientAsked(Personal):
    """Where the reporter was sent."""

    to: Reorientation
