"""Taking a report: it gets a number, it is sealed for the referral service, and the door forgets it.

What must never happen: a word of a report is kept, logged or said anywhere but in the envelope for referral.
"""

from dataclasses import field
from datetime import datetime
from types import MappingProxyType

from services.intake.domain.screening import Screened
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.event import EventId
from shared.contracts.ids import OrganisationId, ReportId
from shared.contracts.report import Report, ReportTaken, ReportTakenData, Screening
from shared.messaging.decision import Decision
from shared.values import dataclass

REPORTER = "reporter"
"""Who did it, in the audit log: somebody from outside, who may have given no name."""


@dataclass(frozen=True, slots=True)
class TakeReport:
    """Take this report, under this number, with what the screening found."""

    id: ReportId
    event: EventId
    report: Report = field(repr=False)
    screened: Screened = field(repr=False)


def take_report(command: TakeReport, us: OrganisationId, at: datetime) -> Decision[ReportId]:
    """Decide on a report that has not been here before: it is taken, whatever the screening says."""
    found = command.screened
    taken = ReportTaken(
        id=command.event,
        at=at,
        report=command.id,
        by=us,
        data=ReportTakenData(
            report=command.report,
            screening=Screening(
                verdict=found.verdict,
                criteria_met=found.signs.criteria,
                indicators_met=found.signs.indicators,
                reorientation=found.reorientation,
            ),
        ),
    )
    detail = MappingProxyType({"verdict": found.verdict.value})
    entry = Entry(EntryCode.REPORT_TAKEN, actor=REPORTER, subject=command.id, at=at, detail=detail)
    return Decision(state=command.id, says=(taken,), entries=(entry,))
