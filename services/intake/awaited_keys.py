"""Looks, every few seconds, whether keys or agreements have arrived, and lets those try again who waited for them.

A message may come before the key document that it is signed under. It is retried later and later; without this it would
wait up to five minutes more than it need, and that is all the time that a receipt has. What waits for a key of our own
is tried again with the first look: the service was started anew, and with new keys perhaps.
"""

from typing import Final

from services.intake.domain.admission import Arrival, Given
from shared.clock import Clock
from shared.messaging import held
from shared.messaging.shell import Shell
from shared.sealing.codes import DirectoryCode, KeyringCode
from shared.sealing.directory import Directory
from shared.storage.pool import Pool

FOR_KEYS: Final = (DirectoryCode.KEY_UNKNOWN, KeyringCode.KEY_MISSING)
"""Why a message waits for a key: the sender's has not come, or ours has run out."""


class AwaitedKeys:
    """The directory, and those who wait for something to stand in it."""

    def __init__(self, directory: Directory, shell: Shell[Arrival, Given], pool: Pool, clock: Clock) -> None:
        """Take where keys arrive, and the door's shell."""
        self._directory = directory
        self._shell = shell
        self._pool = pool
        self._clock = clock
        self._looked_at: object = None

    async def step(self) -> None:
        """Look once."""
        self._directory.refresh(each_file=True)
        book = self._directory.book
        if book is self._looked_at:
            return
        async with self._pool.acquire() as connection:
            woken = await held.wake_for(connection, self._shell.desk.name, FOR_KEYS, self._clock.now())
        self._looked_at = book
        if woken:
            self._shell.woken.set()
