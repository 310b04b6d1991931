"""What comes round by itself: referrals whose clocks ring, and partners whose documents have changed.

What must never happen: a referral that cannot be moved now holds up the clocks of another.
"""

from datetime import datetime, timedelta
from typing import Final

from services.referral.commands import LOOK_AT_CLOCKS, Command
from services.referral.domain.clocks import Clock as Awaited
from services.referral.known import Files
from services.referral.loading import What
from services.referral.store import referrals
from shared.clock import Clock
from shared.contracts.ids import ReferralId
from shared.messaging import places
from shared.messaging.decision import Decision, Entry
from shared.messaging.delivery import Heard
from shared.messaging.shell import Shell
from shared.sealing.directory import Directory
from shared.storage.pool import UNAVAILABLE, Pool
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

AT_ONCE: Final = 100

LEFT_FOR: Final = timedelta(minutes=1)
"""How long a referral that could not be moved is left alone, so that the others have their turn."""

log = get_logger(__name__)


class Watch:
    """Looks at clocks and at the folder of partners. Any number of processes may: a clock rings once."""

    def __init__(self, pool: Pool, clock: Clock, shell: Shell[What, Files], directory: Directory) -> None:
        """Take where referrals are, what time it is, who decides, and the folder."""
        self._pool = pool
        self._clock = clock
        self._shell = shell
        self._directory = directory
        self._stuck: dict[ReferralId, datetime] = {}

    async def step(self) -> bool:
        """Ring the clocks that are due, and say whether more may be.

        Raises:
            OSError, asyncpg.PostgresError: the database is away.
        """
        self._directory.refresh()
        now = self._clock.now()
        self._stuck = {referral: until for referral, until in self._stuck.items() if now < until}
        async with self._pool.acquire() as connection:
            due = await referrals.due(connection, now, self._stuck, AT_ONCE)
        for referral in due:
            rung = await self._act(referral, LOOK_AT_CLOCKS)
            if rung is None:
                self._stuck[referral] = now + LEFT_FOR
            elif lost := sum(_is_missing_receipt(entry) for entry in rung.entries):
                metrics.RECEIPTS.add(lost, service=places.REFERRAL, outcome=metrics.Receipt.MISSING)
        return len(due) == AT_ONCE

    async def _act(self, referral: ReferralId, command: Command) -> Decision[Files] | None:
        """Return what was decided about ``referral``, or ``None`` where that changed nothing."""
        try:
            decision = await self._shell.act(Heard(None, b"", referral, command))
        except UNAVAILABLE:
            raise
        except Exception as error:  # noqa: BLE001 - one that cannot be moved must not hold up the others
            log.warning("referral.stuck", referral_id=referral, error=type(error).__name__)
            return None
        if decision.refusal is not None:
            log.warning("referral.stuck", referral_id=referral, reason=decision.refusal.code)
        return decision if decision.entries and decision.refusal is None else None


def _is_missing_receipt(entry: Entry) -> bool:
    return entry.code == "referral.overdue" and entry.detail.get("clock") == Awaited.RECEIPT
