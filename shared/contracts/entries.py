"""A line of the audit log, and every code that may stand in one. It cannot be corrected: it is signed for ever.

A code is never taken away and never given another meaning: logs that were written under it must still be read.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, Self
from uuid import UUID

from shared.contracts.codes import Step

_NO_DETAIL: Mapping[str, str] = MappingProxyType({})


class EntryCode(StrEnum):
    """What happened, in the past tense."""

    REPORT_TAKEN = "report.taken"
    REPORT_LINKED = "report.linked"
    REPORT_REORIENTED = "report.reoriented"
    REPORT_READ = "report.read"

    CASE_OPENED = "case.opened"
    CASE_WRITTEN = "case.written"
    CASE_READ = "case.read"

    GRANT_RECORDED = "grant.recorded"
    GRANT_WITHDRAWN = "grant.withdrawn"
    GRANT_READ = "grant.read"

    REFERRAL_OFFERED = "referral.offered"
    REFERRAL_RECEIVED = "referral.received"
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
    REFERRAL_CONSENT_WITHDRAWN = "referral.consent-withdrawn"
    REFERRAL_READ = "referral.read"
    REFERRAL_OVERDUE = "referral.overdue"
    REFERRAL_SUPERSEDED = "referral.superseded"
    """The partner's step came and has no effect, because another one goes before it."""
    REFERRAL_CONFLICTED = "referral.conflicted"
    """Steps of our own have lost their effect."""
    REFERRAL_AHEAD = "referral.ahead"
    """What ends access came before its turn: the packet is shut, and the step is taken at its turn."""
    REFERRAL_SHUT = "referral.shut"
    """What ends access was refused: the packet is shut all the same."""
    REFERRAL_UNSAID = "referral.unsaid"
    """A step that the partner cannot be told now."""
    REFERRAL_SAID = "referral.said"
    """It has been told, later or again."""
    REFERRAL_REPEATED = "referral.repeated"
    """Staff have all of our steps said again."""
    REFERRAL_HEARD_ERASED = "referral.heard-erased"
    """The partner has said something about a referral whose case was erased here; nothing of it was kept."""

    MESSAGE_RECEIVED = "message.received"
    MESSAGE_REFUSED = "message.refused"
    RECEIPT_RECEIVED = "receipt.received"

    SEQUENCE_GAP = "sequence.gap"
    SEQUENCE_LATE = "sequence.late"
    SEQUENCE_REPEATED = "sequence.repeated"
    SEQUENCE_WILD = "sequence.wild"

    PARKED_REPLAYED = "parked.replayed"
    PARKED_DROPPED = "parked.dropped"

    AUDIT_EXPORTED = "audit.exported"
    """Somebody had the entries of the log opened, those of every case too; the subject is the export."""

    NOTIFICATION_MADE = "notification.made"
    NOTIFICATION_READ = "notification.read"
    NOTIFICATION_SENT = "notification.sent"
    NOTIFICATION_PARKED = "notification.parked"

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return the code for a step in the life of a referral."""
        return cls(f"referral.{step}")


class Entry(NamedTuple):
    """One line of the audit trail: codes and ids, never prose and never personal data."""

    code: EntryCode
    actor: str
    """A member of staff, an organisation, or ``clock``."""
    subject: UUID
    """What it was done to: a case, a referral, a report or a message."""
    at: datetime
    detail: Mapping[str, str] = _NO_DETAIL
    """Further codes and ids, by name."""
    case: UUID | None = None
    """The case under whose key the entry is encrypted, where it has one."""
