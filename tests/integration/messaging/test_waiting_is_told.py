"""What waits is told to the metrics as it is now, whether or not anything has ever gone well: alarms go by it."""

from uuid import uuid4

from shared.messaging import held, outbox, places
from shared.messaging.delivery import Delivery
from shared.messaging.outbox import Letter
from shared.messaging.places import Broker
from shared.telemetry import metrics
from tests.integration.messaging.conftest import OURS, Bench


def told(name: str, **labels: str) -> float | None:
    """Return what the metrics say of the service."""
    return metrics.REGISTRY.get_sample_value(name, {"service": "referral", **labels})


async def test_what_is_parked_is_told_until_a_person_has_dealt_with_it(bench: Bench) -> None:
    await bench.shell.take_due(1)
    assert told("relais_parked_messages") == 0
    await bench.take([Delivery(b"unreadable", {}, "test"), Delivery(b"this too", {}, "test")])
    await bench.shell.take_due(1)
    assert told("relais_parked_messages") == 2
    async with bench.pool.acquire() as connection:
        for each in await held.parked(connection):
            await held.drop(connection, each.id)
    await bench.shell.take_due(1)
    assert told("relais_parked_messages") == 0


async def test_how_long_the_oldest_waits_for_a_broker_is_told_though_it_never_confirmed_anything(bench: Bench) -> None:
    async def sweep() -> float | None:
        await bench.runtime.post.sweep(Broker.NODE)
        return told("relais_outbox_oldest_seconds", dependency="node")

    assert await sweep() == 0
    letter = Letter(uuid4(), Broker.NODE, OURS, places.NOTIFY, {}, "text/plain", b"")
    async with bench.pool.acquire() as connection:
        await outbox.put(connection, [letter], bench.clock.now())
        await connection.execute("UPDATE outbox SET at = at - interval '7 minutes'")
    assert 420 <= (await sweep() or 0) < 480
    assert told("relais_outbox_pending") == 1
    async with bench.pool.acquire() as connection:
        await outbox.awaits_agreement(connection, letter.id)
    assert await sweep() == 0
    assert (told("relais_outbox_pending"), told("relais_outbox_unagreed")) == (0, 1)
    async with bench.pool.acquire() as connection, connection.transaction():
        [_] = await outbox.claim(connection, Broker.NODE, bench.clock.now() + outbox.GRACE, 1)
    assert 0 <= (await sweep() or 0) < 60, "it waits for the broker since it might leave"
    assert (told("relais_outbox_pending"), told("relais_outbox_unagreed")) == (1, 0)
    async with bench.pool.acquire() as connection:
        await outbox.confirm(connection, [letter.id])
    assert await sweep() == 0
