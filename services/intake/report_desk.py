"""What intake takes over HTTP: reports, each sealed for our own referral service before anything is kept of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from services.intake.domain.taking import TakeReport, take_report
from services.intake.store import reports
from shared.contracts.ids import OrganisationId, ReportId
from shared.contracts.report import ReportTaken
from shared.messaging.decision import Decision
from shared.messaging.delivery import Delivery, Heard, Unreadable
from shared.messaging.desk import REUSED, Desk, Said
from shared.messaging.outbox import Letter
from shared.messaging.sealer import Outgoing, Sealer
from shared.storage.pool import Connection

OVER_HTTP_ONLY: Final = "report-over-http-only"


class ReportDesk(Desk[TakeReport, ReportId]):
    """Reports in; the same reports, sealed, to referral out."""

    name = "intake-reports"
    says = ReportTaken

    def __init__(self, us: OrganisationId, sealer: Sealer) -> None:
        """Take whose door it is, and what seals."""
        self._us = us
        self._sealer = sealer

    def read(self, delivery: Delivery) -> Heard[TakeReport]:  # noqa: ARG002
        """Read nothing: no queue brings reports.

        Raises:
            Unreadable: always.
        """
        raise Unreadable(OVER_HTTP_ONLY)

    async def load(
        self,
        connection: Connection,
        keys: Sequence[UUID],
        whats: Sequence[TakeReport],  # noqa: ARG002
    ) -> dict[UUID, ReportId]:
        """Return the reports that were taken under these keys already."""
        return await reports.find(connection, keys)

    def decide(self, state: ReportId | None, heard: Heard[TakeReport], at: datetime) -> Decision[ReportId]:  # noqa: ARG002
        """Take it."""
        return take_report(heard.what, self._us, at)

    def repeated(self, state: ReportId | None, heard: Heard[TakeReport], at: datetime) -> Decision[ReportId]:  # noqa: ARG002
        """Answer with the number that the report was given the first time; refuse a key whose report is forgotten."""
        return Decision.refused(REUSED) if state is None else Decision(state=state)

    async def keep(
        self,
        connection: Connection,
        states: Mapping[UUID, ReportId],
        decisions: Sequence[Decision[ReportId]],  # noqa: ARG002
        at: datetime,  # noqa: ARG002
    ) -> None:
        """Keep which report each idempotency key stands for; a report without one is known by its own number."""
        await reports.keep(connection, {key: number for key, number in states.items() if key != number})

    async def say(self, connection: Connection, said: Sequence[Said], at: datetime) -> Sequence[Letter]:
        """Return the reports, sealed.

        Intake holds a key to sign with and none to open with: what it has sealed it cannot read again.

        Raises:
            DirectoryError: ``key-unknown``: our referral service has no key to seal to, so that nothing is taken.
        """
        outgoing = [
            Outgoing(self._us, each.what, each.traceparent) for each in said if isinstance(each.what, ReportTaken)
        ]
        return await self._sealer.seal(connection, outgoing, at)
