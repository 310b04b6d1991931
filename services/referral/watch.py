"""What comes round by itself: referrals whose clocks ring, and partners whose documents have changed."""

from services.referral.commands import LOOK_AT_CLOCKS
from services.referral.known import Files
from services.referral.loading import What
from services.referral.store import referrals
from shared.clock import Clock
from shared.messaging.delivery import Heard
from shared.messaging.shell import Shell
from shared.sealing.directory import Directory
from shared.storage.pool import Pool

AT_ONCE = 100


class Watch:
    """Looks at clocks and at the folder of partners. Any number of processes may: a clock rings once."""

    def __init__(self, pool: Pool, clock: Clock, shell: Shell[What, Files], directory: Directory) -> None:
        """Take where referrals are, what time it is, who decides, and the folder."""
        self._pool = pool
        self._clock = clock
        self._shell = shell
        self._directory = directory

    async def step(self) -> bool:
        """Ring the clocks that are due, and say whether more may be."""
        self._directory.refresh()
        async with self._pool.acquire() as connection:
            due = await referrals.due(connection, self._clock.now(), AT_ONCE)
        for referral in due:
            await self._shell.act(Heard(None, b"", referral, LOOK_AT_CLOCKS))
        return len(due) == AT_ONCE
