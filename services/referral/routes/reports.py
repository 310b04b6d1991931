"""Reports that intake has taken: each becomes a case, joins one, or is re-oriented."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec

from fastapi import APIRouter, Depends

from services.referral.commands import Command
from services.referral.domain import reports
from services.referral.domain.reading import read_report
from services.referral.domain.reports import ReportFile, ReportStatus
from services.referral.domain.ruling import Act, Ruling
from services.referral.routes.asked import LinkAsked, ReorientAsked
from services.referral.routes.office import (
    CASEWORKERS,
    REFUSALS,
    Asked,
    Caller,
    Office,
    Reader,
    TheOffice,
    ThePage,
    TheWords,
)
from services.referral.routes.shown import NewerReportShown, PaperShown, ReportShown
from shared.contracts.ids import ReportId

router = APIRouter(prefix="/reports", tags=["reports"], responses=REFUSALS, dependencies=[Depends(CASEWORKERS)])

P = ParamSpec("P")


@router.get("")
async def list_reports(
    office: TheOffice,
    *,
    status: ReportStatus | None = None,
    page: ThePage,
    say: TheWords,
) -> list[ReportShown | NewerReportShown]:
    """List reports, newest first; ``before`` and ``before_id`` of the last one, together, lead to the next page."""
    async with office.pool.acquire() as connection:
        found = await office.reports.page(connection, status, page.after, page.limit)
    return [ReportShown.of(each) if isinstance(each, ReportFile) else NewerReportShown.of(each, say) for each in found]


@router.get("/{report}/papers")
async def read(office: TheOffice, reader: Reader, report: ReportId) -> list[PaperShown]:
    """Open a report. The reading is written down first."""
    command = Command.about_report(reader.by.id, lambda known, act: read_report(known.thing, act))
    return [PaperShown.of(paper) for paper in await office.open_papers(reader, report, command)]


@router.post("/{report}/open-case")
async def open_case(office: TheOffice, asked: Asked, report: ReportId) -> ReportShown:
    """Open a case for a report."""
    return await _settle(office, asked, report, reports.open_case)


@router.post("/{report}/link")
async def link(office: TheOffice, asked: Asked, report: ReportId, body: LinkAsked) -> ReportShown:
    """Link a report to a case that is there."""
    command = Command.about_report(
        asked.by.id, lambda known, act: reports.link(known.thing, act, body.case), beside=body.case
    )
    return await _settled(office, asked, report, command)


@router.post("/{report}/reorient")
async def reorient(office: TheOffice, asked: Asked, report: ReportId, body: ReorientAsked) -> ReportShown:
    """Note where the reporter was sent instead."""
    return await _settle(office, asked, report, reports.reorient, body.to)


async def _settle(
    office: Office,
    asked: Caller,
    report: ReportId,
    rule: Callable[Concatenate[ReportFile, Act, P], Ruling[ReportFile]],
    *said: P.args,
    **more: P.kwargs,
) -> ReportShown:
    """Apply a rule that looks at the report alone."""
    command = Command.about_report(asked.by.id, lambda known, act: rule(known.thing, act, *said, **more))
    return await _settled(office, asked, report, command)


async def _settled(office: Office, asked: Caller, report: ReportId, command: Command) -> ReportShown:
    """Do what is asked, and show what has become of the report."""
    await office.act(asked, report, command)
    return ReportShown.of(await office.read(lambda connection: office.reports.find(connection, report)))
