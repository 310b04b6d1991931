"""Reports that intake has taken, without their content, which is a paper."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services.referral.domain.reports import ReportFile, ReportStatus
from services.referral.known import Erased, Known
from services.referral.store.folders import known
from shared.contracts.codes import Reorientation, Urgency, Verdict
from shared.contracts.ids import CaseId, ReportId
from shared.storage.pool import Connection, ContendedError
from shared.storage.vault import Vault

LOCK: Final = """
SELECT
    report.id, report.folder, urgency, verdict, taken_at, status, case_id, reoriented_to, version,
    folder.epoch, folder.wrapped
FROM report LEFT JOIN folder ON folder.id = report.folder
WHERE report.id = ANY($1::uuid[]) ORDER BY report.id FOR UPDATE OF report
"""

SAVE: Final = """
INSERT INTO report (id, folder, urgency, verdict, taken_at, status, case_id, reoriented_to, version)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::uuid[], $8::text[], $9::integer[]
)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, case_id = excluded.case_id, reoriented_to = excluded.reoriented_to,
    version = excluded.version
WHERE report.version = excluded.version - 1
"""

FIND: Final = """
SELECT
    report.id, report.folder, urgency, verdict, taken_at, status, case_id, reoriented_to, version,
    folder.wrapped IS NULL AS erased
FROM report LEFT JOIN folder ON folder.id = report.folder WHERE report.id = $1
"""

PAGE: Final = """
SELECT report.id, report.folder, urgency, verdict, taken_at, status, case_id, reoriented_to, version
FROM report JOIN folder ON folder.id = report.folder
WHERE folder.wrapped IS NOT NULL
    AND ($1::text IS NULL OR status = $1)
    AND ($2::timestamptz IS NULL OR (taken_at, report.id) < ($2, $3::uuid))
ORDER BY taken_at DESC, report.id DESC LIMIT $4
"""


async def lock(
    connection: Connection, vault: Vault, ids: Collection[UUID]
) -> dict[UUID, Known[ReportFile] | Erased[ReportFile]]:
    """Return those of ``ids`` that are there, locked in the order of their ids, each with its key."""
    if not ids:
        return {}
    rows = await connection.fetch(LOCK, ids)
    return {row["id"]: known(vault, _report(row), row["folder"], row["epoch"], row["wrapped"]) for row in rows}


async def save(connection: Connection, reports: Sequence[ReportFile]) -> None:
    """Write ``reports``, each on top of the version that was read.

    Raises:
        ContendedError: somebody has written one of them since.
    """
    if not reports:
        return
    done = await connection.execute(
        SAVE,
        [report.id for report in reports],
        [report.folder for report in reports],
        [report.urgency for report in reports],
        [report.verdict for report in reports],
        [report.taken_at for report in reports],
        [report.status for report in reports],
        [report.case for report in reports],
        [report.reoriented_to for report in reports],
        [report.version + 1 for report in reports],
    )
    if done != f"INSERT 0 {len(reports)}":
        raise ContendedError


async def find(connection: Connection, report: ReportId) -> ReportFile | Erased[ReportFile] | None:
    """Return a report, if it is there."""
    row = await connection.fetchrow(FIND, report)
    if row is None:
        return None
    return Erased(_report(row)) if row["erased"] else _report(row)


async def page(
    connection: Connection, status: ReportStatus | None, after: tuple[datetime, UUID] | None, limit: int
) -> list[ReportFile]:
    """Return reports, newest first, from ``after`` on; those that were erased are left out."""
    at, id_ = after or (None, None)
    return [_report(row) for row in await connection.fetch(PAGE, status, at, id_, limit)]


def _report(row: Any) -> ReportFile:  # noqa: ANN401 - an asyncpg record
    return ReportFile(
        id=ReportId(row["id"]),
        folder=CaseId(row["folder"]),
        urgency=Urgency(row["urgency"]),
        verdict=Verdict(row["verdict"]),
        taken_at=row["taken_at"],
        status=ReportStatus(row["status"]),
        case=row["case_id"],
        reoriented_to=Reorientation(row["reoriented_to"]) if row["reoriented_to"] else None,
        version=row["version"],
    )
