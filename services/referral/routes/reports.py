"""Reports that intake has taken: each becomes a case, joins one, or is re-oriented."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from services.referral.domain import reports
from services.referral.domain.reading import read_report
from services.referral.domain.reports import ReportFile, ReportStatus
from services.referral.domain.ruling import Act, Ruling
from services.referral.hears import Rule
from services.referral.known import About, Known
from services.referral.routes.office import REFUSALS, Asked, Caller, Caseworker, Office, Reader, TheOffice
from services.referral.routes.shown import LinkAsked, PaperShown, ReorientAsked, ReportShown
from services.referral.store import folders, papers
from services.referral.store import reports as store
from shared.contracts.ids import CaseId, ReportId
from shared.messaging.decision import Decision
from shared.web.problem import NOT_FOUND, Problem

router = APIRouter(prefix="/reports", tags=["reports"], responses=REFUSALS)

LONGEST_PAGE = 200


@router.get("")
async def list_reports(
    office: TheOffice,
    member: Caseworker,  # noqa: ARG001 - who may
    *,
    status: ReportStatus | None = None,
    before: datetime | None = None,
    before_id: ReportId | None = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
) -> list[ReportShown]:
    """List reports, newest first; ``before`` and ``before_id`` of the last one lead to the next page."""
    after = (before, before_id) if before and before_id else None
    async with office.pool.acquire() as connection:
        return [ReportShown.of(report) for report in await store.page(connection, status, after, limit)]


@router.get("/{report}/papers")
async def read(office: TheOffice, reader: Reader, report: ReportId) -> list[PaperShown]:
    """Open a report. The reading is written down first."""
    seen: list[ReportFile] = []

    def rule(known: Known, act: Act) -> Decision[ReportFile]:
        seen[:] = [_of(known)]
        return read_report(seen[0], act)

    await office.act(reader, report, About.REPORT, rule)
    async with office.pool.acquire() as connection:
        folder = (await folders.find(connection, [seen[0].folder], office.vault))[seen[0].folder]
        return [PaperShown.of(paper) for paper in await papers.about(connection, report, folder)]


@router.post("/{report}/open-case")
async def open_case(office: TheOffice, asked: Asked, report: ReportId) -> ReportShown:
    """Open a case for a report."""
    return await _settle(office, asked, report, lambda known, act: reports.open_case(_of(known), act))


@router.post("/{report}/link")
async def link(office: TheOffice, asked: Asked, report: ReportId, body: LinkAsked) -> ReportShown:
    """Link a report to a case that is there."""

    def rule(known: Known, act: Act) -> Ruling[ReportFile]:
        return reports.link(_of(known), known.case.id, act) if known.case else Ruling.refused(NOT_FOUND)

    return await _settle(office, asked, report, rule, case=body.case)


@router.post("/{report}/reorient")
async def reorient(office: TheOffice, asked: Asked, report: ReportId, body: ReorientAsked) -> ReportShown:
    """Note where the reporter was sent instead."""
    return await _settle(office, asked, report, lambda known, act: reports.reorient(_of(known), body.to, act))


async def _settle(
    office: Office, asked: Caller, report: ReportId, rule: Rule, *, case: CaseId | None = None
) -> ReportShown:
    await office.act(asked, report, About.REPORT, rule, case=case)
    return ReportShown.of(await office.read(lambda connection: store.find(connection, report)))


def _of(known: Known) -> ReportFile:
    if known.report is None:
        raise Problem(404, NOT_FOUND)
    return known.report
