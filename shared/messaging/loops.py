"""Work that comes round: the sweeper, held messages, the sequencer, clocks. A loop survives a round that fails."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.pauses import pause
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.values import dataclass

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """Work that comes round every ``seconds``, or when ``kick`` is set."""

    name: str
    """A code, for the log and the metrics."""
    step: Callable[[], Awaitable[object]]
    seconds: float
    kick: asyncio.Event | None = None


async def come_round(work: Round, service: str) -> None:
    """Do ``work`` of ``service`` in its time until cancelled; at once again when its step returned something.

    A step that fails is counted, logged by the class of its error and tried again with back-off: a database that is
    away is not an accident.
    """
    failures = 0
    metrics.ROUNDS_FAILED.begin(service=service, component=work.name)
    while True:
        try:
            more = await work.step()
            failures = 0
        except Exception as error:  # noqa: BLE001 - the loop must go on, whatever one round met
            failures += 1
            more = None
            metrics.ROUNDS_FAILED.add(service=service, component=work.name)
            log.warning("loop.failed", component=work.name, attempt=failures, error=type(error).__name__)
            await asyncio.sleep(pause(failures))
            continue
        if not more:
            await _wait(work.seconds, work.kick)


async def within(seconds: float, happened: asyncio.Event) -> bool:
    """Wait until ``happened`` is set, and say whether that was within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            await happened.wait()
    except TimeoutError:
        return False
    return True


async def _wait(seconds: float, kick: asyncio.Event | None) -> None:
    if kick is None:
        await asyncio.sleep(seconds)
    elif await within(seconds, kick):
        kick.clear()
