"""Work that comes round goes on whatever one round met, and says how often it failed."""

import asyncio

from shared.messaging.loops import Round, come_round
from shared.telemetry import metrics
from tests.support.wait import until

LABELS = {"service": "intake", "component": "test-round"}


def failed() -> float | None:
    """Return how many rounds failed, as the metrics have it."""
    return metrics.REGISTRY.get_sample_value("relais_rounds_failed_total", LABELS)


async def test_a_round_that_fails_is_counted_from_zero_and_comes_again() -> None:
    seen = list[float | None]()

    async def step() -> None:
        seen.append(failed())
        if len(seen) < 3:
            raise OSError

    task = asyncio.create_task(come_round(Round("test-round", step, seconds=0.01), "intake"))
    await until(lambda: len(seen) > 3, seconds=10, what="it goes on")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen[:4] == [0, 1, 2, 2]
