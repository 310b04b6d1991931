"""What comes round by itself: clocks that ring, what is said again, partners whose documents have changed.

What must never happen: a referral that cannot be moved now holds up another.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from services.referral.commands import LOOK_AT_CLOCKS, Command, saying_again
from services.referral.domain.clocks import Awaited
from services.referral.domain.refusals import Refused
from services.referral.known import Files
from services.referral.loading import What
from services.referral.recipients import Recipients
from services.referral.store import referrals
from shared.clock import Clock
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import ReferralId
from shared.messaging import places
from shared.messaging.decision import Decision
from shared.messaging.delivery import Heard
from shared.messaging.sealer import Sealer
from shared.messaging.shell import Shell
from shared.storage.pool import CONTENDED, Pool, is_away
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

AT_ONCE: Final = 100

LEFT_FOR: Final = timedelta(minutes=1)
"""How long a referral that could not be moved is left alone, so that the others have their turn."""

BUSY_FOR: Final = timedelta(seconds=5)
"""How long one that somebody else has at hand is: nothing is wrong with it."""

log = get_logger(__name__)


class Watch:
    """Looks at clocks, at what is not proved to have come and at the folder of partners.

    Any number of processes may: a clock rings once, and what is due is said once.
    """

    def __init__(
        self, pool: Pool, clock: Clock, shell: Shell[What, Files], recipients: Recipients, sealer: Sealer
    ) -> None:
        """Take where referrals are, what time it is, who decides, the partners, and what seals."""
        self._pool = pool
        self._clock = clock
        self._shell = shell
        self._directory = recipients.directory
        self._sealer = sealer
        metrics.RECEIPTS.begin(service=places.REFERRAL, outcome=metrics.Receipt.MISSING)
        metrics.UNREADABLE.begin(service=places.REFERRAL)
        self._say = saying_again(recipients)
        self._stuck: dict[Command, dict[ReferralId, datetime]] = {LOOK_AT_CLOCKS: {}, self._say: {}}

    async def step(self) -> bool:
        """Ring the clocks that are due, say again what is not proved, and tell whether there may be more of either.

        Raises:
            OSError, asyncpg.PostgresError: the database is away.
        """
        self._directory.refresh(each_file=True)
        now = self._clock.now()
        rang, said = await self._ring(now), await self._say_again(now)
        return rang or said

    async def _ring(self, now: datetime) -> bool:
        stuck = self._still_stuck(LOOK_AT_CLOCKS, now)
        async with self._pool.acquire() as connection:
            due = await referrals.due(connection, now, stuck, AT_ONCE)
        for referral in due:
            rung = await self._act(referral, LOOK_AT_CLOCKS, now)
            if lost := sum(_is_missing_receipt(entry) for entry in rung.entries):
                metrics.RECEIPTS.add(lost, service=places.REFERRAL, outcome=metrics.Receipt.MISSING)
        return len(due) == AT_ONCE

    async def _say_again(self, now: datetime) -> bool:
        stuck = self._still_stuck(self._say, now)
        async with self._pool.acquire() as connection:
            partners = await referrals.repeating_to(connection, now)
            told = [each for each in partners if self._sealer.hindrance(each, now) is None]
            due = await referrals.repeating(connection, now, told, stuck, AT_ONCE) if told else []
        for referral in due:
            await self._act(referral, self._say, now)
        return len(due) == AT_ONCE

    def _still_stuck(self, command: Command, now: datetime) -> Collection[ReferralId]:
        """Return what is left alone by ``command``, and forget what has been for long enough."""
        self._stuck[command] = {each: until for each, until in self._stuck[command].items() if now < until}
        return self._stuck[command]

    async def _act(self, referral: ReferralId, command: Command, now: datetime) -> Decision[Files]:
        """Return what was decided about ``referral``; leave it alone for a while where that changed nothing."""
        try:
            decision = await self._shell.act(Heard(None, b"", referral, command))
        except CONTENDED:
            self._stuck[command][referral] = now + BUSY_FOR
            return Decision()
        except Exception as error:
            if is_away(error):
                raise
            # one that cannot be moved must not hold up the others
            log.warning("referral.stuck", referral_id=referral, error=type(error).__name__)
            decision = Decision()
        if decision.refusal is not None and decision.refusal.code != Refused.NEWER:  # which the store has said, once
            log.warning("referral.stuck", referral_id=referral, reason=decision.refusal.code)
        if not decision.entries:
            self._stuck[command][referral] = now + LEFT_FOR
        return decision


def _is_missing_receipt(entry: Entry) -> bool:
    return entry.code is EntryCode.REFERRAL_OVERDUE and entry.detail.get("clock") == Awaited.RECEIPT
