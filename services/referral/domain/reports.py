"""Reports that intake has taken: each becomes a case, joins one that is there, or is re-oriented. None is forgotten.

A report is kept under a key of its own, its *folder*, because it belongs to no case yet and most never will. A case
that is opened for it takes that folder over; a report that is linked to another case stays in its folder.
"""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from services.referral.domain.cases import Case, opened
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Act, Paper, PaperName, Ruling
from shared.contracts.codes import Reorientation, Urgency, Verdict
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import CaseId, FactId, OrganisationId, ReportId
from shared.contracts.report import ReportTaken
from shared.values import dataclass


class ReportStatus(StrEnum):
    """What has become of a report."""

    WAITING = "waiting"
    IN_CASE = "in_case"
    REORIENTED = "reoriented"


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report as the referral service keeps it, without its content."""

    id: ReportId
    folder: CaseId
    urgency: Urgency
    verdict: Verdict
    taken_at: datetime
    status: ReportStatus = ReportStatus.WAITING
    case: CaseId | None = None
    reoriented_to: Reorientation | None = None
    version: int = 0


def hear_report(
    known: ReportFile | None, event: ReportTaken, me: OrganisationId, act: Act, folder: CaseId
) -> Ruling[ReportFile]:
    """Keep a report that this organisation's own intake has taken, and tell the caseworkers that it waits."""
    if event.by != me:
        return Ruling.refused(Refused.UNKNOWN)
    if known is not None:
        return Ruling()
    screening = event.data.screening
    report = ReportFile(event.report, folder, event.data.report.urgency, screening.verdict, event.at)
    told = Fact(
        id=FactId(next(act.ids)),
        code=FactCode.REPORT_TAKEN,
        subject=report.id,
        urgency=report.urgency,
        audience=Audience.CASEWORKERS,
        at=act.at,
    )
    return Ruling(
        state=report,
        says=(told,),
        entries=(_entry(EntryCode.REPORT_TAKEN, report, act, verdict=screening.verdict.value),),
        papers=(Paper(folder, report.id, PaperName.REPORT, event.data),),
    )


def open_case(report: ReportFile, act: Act) -> Ruling[ReportFile]:
    """Open a case for a report; its folder becomes the case's."""
    if report.status is not ReportStatus.WAITING:
        return Ruling.refused(Refused.REPORT_SETTLED, status=report.status.value)
    settled = replace(report, status=ReportStatus.IN_CASE, case=report.folder)
    case = Case(report.folder, act.at, act.by, report.id)
    linked = _entry(EntryCode.REPORT_LINKED, settled, act, case=str(case.id))
    return Ruling(state=settled, entries=(opened(case), linked), opens=case)


def link(report: ReportFile, act: Act, case: CaseId) -> Ruling[ReportFile]:
    """Link a report to a case that is there: more is told of somebody who is known."""
    if report.status is not ReportStatus.WAITING:
        return Ruling.refused(Refused.REPORT_SETTLED, status=report.status.value)
    settled = replace(report, status=ReportStatus.IN_CASE, case=case)
    return Ruling(state=settled, entries=(_entry(EntryCode.REPORT_LINKED, settled, act, case=str(case)),))


def reorient(report: ReportFile, act: Act, to: Reorientation) -> Ruling[ReportFile]:
    """Note where the reporter was sent instead."""
    if report.status is not ReportStatus.WAITING:
        return Ruling.refused(Refused.REPORT_SETTLED, status=report.status.value)
    settled = replace(report, status=ReportStatus.REORIENTED, reoriented_to=to)
    return Ruling(state=settled, entries=(_entry(EntryCode.REPORT_REORIENTED, settled, act, to=to.value),))


def _entry(code: EntryCode, report: ReportFile, act: Act, **detail: str) -> Entry:
    return Entry(code, act.by, report.id, act.at, detail, report.folder)
