"""Of some messages no body is kept: of what nobody signed, which is counted, and of what is too large to be read."""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest

from shared.messaging import held
from shared.messaging.delivery import LARGEST_KEPT, Delivery, Read, Unsigned
from shared.messaging.holding import hold
from shared.telemetry import metrics
from tests.integration.messaging.conftest import Bench
from tests.support.parcels import Add


def handled() -> float:
    """Return how many such messages there were, as the metrics have it."""
    labels = {"service": "referral", "outcome": "parked", "code": "envelope-malformed"}
    return metrics.REGISTRY.get_sample_value("relais_messages_handled_total", labels) or 0.0


async def counted(bench: Bench) -> held.Parked:
    """Return the one thing that is parked."""
    async with bench.pool.acquire() as connection:
        (lot,) = await held.parked(connection)
    return lot


async def test_what_nobody_signed_is_counted_and_told_of_once_a_day(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced, before = list[UUID](), handled()

    def announce(held_id: UUID, _code: str, _at: datetime) -> tuple[object, ...]:
        announced.append(held_id)
        return ()

    async def come(*bodies: bytes) -> None:
        deliveries = [Delivery(body, {"x": "Canary"}, "test", origin="from.ccem-fr").without_body() for body in bodies]
        await bench.shell.take([Read[Add](each, Unsigned("envelope-malformed")) for each in deliveries])

    monkeypatch.setattr(bench.desk, "parked", announce)
    await come(b"1", b"2", b"1")
    await come(b"4444")
    lot = await counted(bench)
    assert (lot.count, lot.size, lot.digest, lot.origin) == (4, 4, sha256(b"4444").digest(), "from.ccem-fr")
    assert lot.headers == {"x": ""}
    assert announced == [lot.id]
    bench.clock_file.write_text(str(timedelta(hours=25).total_seconds()))
    await come(b"5")
    await come(b"6")
    assert announced == [lot.id] * 2
    assert handled() - before == 6
    async with bench.pool.acquire() as connection:
        assert await held.drop(connection, lot.id)
    await come(b"7")
    assert announced == [lot.id] * 3
    lot = await counted(bench)
    assert lot.count == 1


async def test_whoever_is_told_again_is_told_how_many_there_have_been(bench: Bench) -> None:
    now = bench.clock.now()
    one = hold("parcels", Delivery(b"1", {}, "test", origin="from.ccem-fr"), Unsigned("envelope-malformed"), now)
    told = []
    for after in (timedelta(), timedelta(hours=1), timedelta(hours=25)):
        async with bench.pool.acquire() as connection:
            told += await held.count(connection, "parcels", [one], now + after)
    assert [(each.told, each.total) for each in told] == [(True, 1), (False, 2), (True, 3)]


async def test_of_a_message_larger_than_any_that_can_be_read_only_size_and_digest_are_kept(bench: Bench) -> None:
    largest = b"x" * LARGEST_KEPT
    bodies = (largest, largest + b"x", largest + b"y")
    await bench.take([Delivery(body, {"ce-id": "1"}, "test") for body in bodies])
    async with bench.pool.acquire() as connection:
        lots = {lot.digest: lot for lot in await held.parked(connection)}
    digests = [None, *(sha256(body).digest() for body in bodies[1:])]
    assert [lots[each].size for each in digests] == [LARGEST_KEPT, LARGEST_KEPT + 1, LARGEST_KEPT + 1]
    assert [lot.headers for lot in lots.values()] == [{"ce-id": "1"}] * 3
    async with bench.pool.acquire() as connection:
        replayed = [await held.replay(connection, lots[each].id, bench.clock.now()) for each in digests]
    assert replayed == [True, False, False], "what is not kept whole cannot be tried again"
