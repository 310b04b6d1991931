"""What the services of one node tell one another: that something happened, and nothing about whom it happened to.

A fact has no field for a name, a text, an address, a nationality, a form of exploitation or a service. A member of
staff who is told of it opens the referral to learn more, and that reading is audited.
"""

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.contracts.codes import Urgency
from shared.contracts.ids import FactId, Staff
from shared.contracts.trace import Traceparent


class Frozen(BaseModel):
    """A value that crosses a wall: immutable, and refused when it says more than it should."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class FactCode(StrEnum):
    """What happened, in the past tense; the words for it are found when somebody reads it."""

    REPORT_TAKEN = "report.taken"
    REFERRAL_RECEIVED = "referral.received"
    REFERRAL_RECEIPTED = "referral.receipted"
    REFERRAL_OPENED = "referral.opened"
    REFERRAL_ASKED = "referral.asked"
    REFERRAL_ANSWERED = "referral.answered"
    REFERRAL_ACCEPTED = "referral.accepted"
    REFERRAL_DISCLOSED = "referral.disclosed"
    REFERRAL_DECLINED = "referral.declined"
    REFERRAL_REDIRECTED = "referral.redirected"
    REFERRAL_ARRIVED = "referral.arrived"
    REFERRAL_MISSED = "referral.missed"
    REFERRAL_RESCHEDULED = "referral.rescheduled"
    REFERRAL_PROGRESSED = "referral.progressed"
    REFERRAL_CLOSED = "referral.closed"
    REFERRAL_WITHDRAWN = "referral.withdrawn"
    CONSENT_WITHDRAWN = "referral.consent-withdrawn"
    REFERRAL_CONFLICTED = "referral.conflicted"
    REFERRAL_EMPTIED = "referral.emptied"
    """Words of ours do not reach the partner: nothing allows them any more."""
    REFERRAL_OVERDUE = "referral.overdue"
    RECEIPT_MISSING = "receipt.missing"
    MESSAGE_PARKED = "message.parked"


class Audience(StrEnum):
    """Who must know, by role; notify finds the people."""

    ASSIGNEE = "assignee"
    CASEWORKERS = "caseworkers"
    COORDINATOR = "coordinator"
    OPERATOR = "operator"


class Fact(Frozen):
    """Something happened, and somebody must know."""

    id: FactId
    code: FactCode
    subject: UUID
    """What the fact is about: the alias of a referral, or the id of a report or of a message that is held."""
    urgency: Urgency
    audience: Audience
    assignee: Staff | None = None
    at: AwareDatetime
    traceparent: Traceparent | None = None
    """Where it was decided; noted when the fact leaves."""
