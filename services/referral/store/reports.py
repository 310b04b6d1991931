"""Reports that intake has taken, without their content, which is a paper.

One that a newer version of Relais has written is treated as such a referral is (docs/decisions/0017): it holds up no
other, and nothing is decided about it until the newer version is back.

What must never happen: it is written over, or taken as not there.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from services.referral.domain.refusals import Refused
from services.referral.domain.reports import ReportFile, ReportStatus
from services.referral.known import Erased, Known, NewerReport
from services.referral.once import Once
from services.referral.store.folders import known
from services.referral.store.rows import UNKNOWN
from shared.contracts.codes import Reorientation, Urgency, Verdict
from shared.contracts.ids import CaseId, ReportId
from shared.messaging import places
from shared.messaging.delivery import Later
from shared.storage.pool import Connection, ContendedError
from shared.storage.vault import Vault
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

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


class Reports:
    """Reports as this version of Relais reads them."""

    def __init__(self, vault: Vault) -> None:
        """Take what opens the keys of their folders."""
        self._vault = vault
        self._told = Once()

    async def lock(
        self, connection: Connection, ids: Collection[UUID]
    ) -> dict[UUID, Known[ReportFile] | Erased[ReportFile]]:
        """Return those of ``ids`` that are there, locked in the order of their ids, each with its key.

        Raises:
            Later: ``newer-version-needed``: this version cannot read one of them; ``keyring-key-missing``.
        """
        if not ids:
            return {}
        return {row["id"]: self._known(row) for row in await connection.fetch(LOCK, ids)}

    async def find(
        self, connection: Connection, report: ReportId
    ) -> ReportFile | Erased[ReportFile] | NewerReport | None:
        """Return a report, if it is there."""
        row = await connection.fetchrow(FIND, report)
        if row is None:
            return None
        found = self._read(row)
        return Erased(found) if row["erased"] and isinstance(found, ReportFile) else found

    async def page(
        self, connection: Connection, status: ReportStatus | None, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[ReportFile | NewerReport]:
        """Return reports, newest first, from ``after`` on; those that were erased are left out."""
        at, id_ = after or (None, None)
        return [self._read(row) for row in await connection.fetch(PAGE, status, at, id_, limit)]

    def _known(self, row: Record) -> Known[ReportFile] | Erased[ReportFile]:
        report = self._read(row)
        if isinstance(report, NewerReport):
            raise Later(Refused.NEWER, ours=True)
        return known(self._vault, report, row["folder"], row["epoch"], row["wrapped"])

    def _read(self, row: Record) -> ReportFile | NewerReport:
        try:
            return _report(row)
        except UNKNOWN as error:
            self._tell(row["id"], error)
            return NewerReport(ReportId(row["id"]), row["taken_at"])

    def _tell(self, report: UUID, why: Exception) -> None:
        """Tell whoever runs the node, once, that this version cannot read a report."""
        if self._told.first(report):
            log.error("report.unreadable", report_id=report, code=Refused.NEWER, error=type(why).__name__)
            metrics.UNREADABLE.add(service=places.REFERRAL)


def _report(row: Record) -> ReportFile:
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
