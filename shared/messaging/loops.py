"""Work that comes round: the sweeper, held messages, the sequencer, clocks. A loop survives a round that fails."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.storage.pool import pause
from shared.telemetry.logs import get_logger

log = get_logger(__name__)


async def come_round(
    name: str,
    step: Callable[[], Awaitable[object]],
    *,
    seconds: float,
    kick: asyncio.Event | None = None,
) -> None:
    """Run ``step`` every ``seconds`` until cancelled; sooner when ``kick`` is set, at once when it returned something.

    A step that fails is logged by the class of its error and tried again with back-off: a database that is away is
    not an accident.
    """
    failures = 0
    while True:
        try:
            more = await step()
            failures = 0
        except Exception as error:  # noqa: BLE001 - the loop must go on, whatever one round met
            failures += 1
            more = None
            log.warning("loop.failed", component=name, attempt=failures, error=type(error).__name__)
            await asyncio.sleep(pause(failures))
            continue
        if not more:
            await _wait(seconds, kick)


async def _wait(seconds: float, kick: asyncio.Event | None) -> None:
    if kick is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await kick.wait()
    except TimeoutError:
        return
    kick.clear()
