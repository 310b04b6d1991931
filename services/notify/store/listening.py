"""The one connection per process on which PostgreSQL says that somebody has something new (LISTEN and NOTIFY).

It is a connection of its own, outside the pool, because a pool takes listeners away. One that has died without a word
is found out by asking it something from time to time.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg

from services.notify.store.notifications import CHANNEL
from services.notify.store.schema import SCHEMA
from shared.messaging.loops import within

CONNECT_SECONDS: Final = 10.0
CHECK_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 5.0

ALIVE: Final = "SELECT 1"

BELL: Final = "SELECT secret FROM bell"


async def listen(dsn: str, on_start: Callable[[bytes], None], on_news: Callable[[str], None]) -> None:
    """Listen until the connection is lost.

    Args:
        dsn: the service's database.
        on_start: called with the secret of the marks, once nothing can be missed any more; earlier rings may have been.
        on_news: called with the mark of the member for whom there is something new, after the commit.

    Raises:
        OSError, asyncpg.PostgresError: it could not be made, or does not answer any more.
    """
    lost = asyncio.Event()
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_SECONDS,
        server_settings={"application_name": "notify listening", "search_path": SCHEMA},
    )
    try:
        connection.add_termination_listener(lambda _connection: lost.set())
        await connection.add_listener(CHANNEL, lambda _connection, _pid, _channel, said: on_news(str(said)))
        on_start(await connection.fetchval(BELL))
        while not await within(CHECK_SECONDS, lost):
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.execute(ALIVE)
    finally:
        connection.terminate()
