"""Looks whether an agreement has come or begun, and lets those try again who waited for it.

An agreement is renewed early on one side and late on the other. What a partner says meanwhile has its receipt, and is
not said again: it waits here, and with it all that stands behind it in its lane. What has waited so long that it was
parked is tried as well.
"""

from typing import Final

from services.referral.known import Files
from services.referral.loading import What
from shared.clock import Clock
from shared.messaging import held
from shared.messaging.shell import Shell
from shared.sealing.codes import DirectoryCode
from shared.sealing.directory import Directory
from shared.storage.pool import Pool

FOR_AN_AGREEMENT: Final = (DirectoryCode.AGREEMENT_NONE, DirectoryCode.AGREEMENT_EXPIRED)
"""Why a message waits for an agreement: none is there or has begun, or it has ended."""


class AwaitedAgreements:
    """The agreements, and those who wait for one."""

    def __init__(self, directory: Directory, shell: Shell[What, Files], pool: Pool, clock: Clock) -> None:
        """Take where agreements arrive, and the desk's shell."""
        self._directory = directory
        self._shell = shell
        self._pool = pool
        self._clock = clock
        self._known: frozenset[object] = frozenset()

    async def step(self) -> None:
        """Look once; the first look lets all try that wait.

        Raises:
            OSError, asyncpg.PostgresError: the database is away; the next look finds the same.
        """
        self._directory.refresh()
        now = self._clock.now()
        agreements = self._directory.book.agreements.items()
        known = frozenset(
            (who, each.valid_from, each.valid_until, each.valid_from <= now)
            for who, ours in agreements
            for each in ours
        )
        if not known <= self._known:
            async with self._pool.acquire() as connection:
                woken = await held.wake_for(connection, self._shell.desk.name, FOR_AN_AGREEMENT, now, parked=True)
            if woken:
                self._shell.woken.set()
        self._known = known
