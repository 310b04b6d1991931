"""Somebody is in the way, or the database is too slow: the message is not wrong, and nothing waits behind it."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.messaging.batch import Batch
from shared.messaging.decision import Decision
from shared.messaging.delivery import Delivery
from shared.storage.pool import Connection
from tests.integration.messaging.conftest import Bench
from tests.support.parcels import Add, Parcel, message
from tests.support.wait import until


async def comes_to(bench: Bench, parcel: UUID, total: int) -> bool:
    """Say whether the parcel comes to ``total``."""
    return await bench.total(parcel) == total


async def test_a_row_that_somebody_has_locked_stops_nothing_behind_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked, free, original = uuid4(), uuid4(), bench.desk.load

    async def load(connection: Connection, keys: Sequence[UUID], whats: Sequence[Add]) -> dict[UUID, Parcel]:
        await connection.execute("SET LOCAL lock_timeout = '200ms'")
        return await original(connection, keys, whats)

    monkeypatch.setattr(bench.desk, "load", load)
    monkeypatch.setattr("shared.messaging.shell.CONTENTIONS", 1)
    both = [Delivery(message(parcel, 1)[1], {}, "test") for parcel in (blocked, free)]
    await bench.take([Delivery(message(blocked, 1)[1], {}, "test")])
    async with asyncio.timeout(30), bench.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM parcel WHERE id = $1 FOR UPDATE", blocked)
        outcomes = await bench.take(both)
        assert [outcome.refusal and outcome.refusal.code for outcome in outcomes] == ["database-busy", None]
        assert await bench.total(free) == 1
    await bench.runtime.start()
    await until(lambda: comes_to(bench, blocked, 2), seconds=10)
    assert await bench.count("held") == 0


async def test_a_message_that_the_database_is_too_slow_for_waits_and_is_not_parked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel, slow, original = uuid4(), asyncio.Event(), bench.desk.load

    async def load(connection: Connection, keys: Sequence[UUID], whats: Sequence[Add]) -> dict[UUID, Parcel]:
        if keys and slow.is_set():
            await connection.execute("SET LOCAL statement_timeout = '50ms'")
            await connection.execute("SELECT pg_sleep(60)")
        return await original(connection, keys, whats)

    monkeypatch.setattr(bench.desk, "load", load)
    monkeypatch.setattr("shared.messaging.shell.CONTENTIONS", 1)
    slow.set()
    await bench.take([Delivery(message(parcel, 1)[1], {}, "test")])
    assert await bench.pool.fetchval("SELECT reason FROM held WHERE due_at IS NOT NULL") == "database-busy"
    slow.clear()
    await bench.runtime.start()
    await until(lambda: comes_to(bench, parcel, 1), seconds=10)
    assert await bench.count("held") == 0


async def test_what_is_to_be_parked_while_the_database_is_too_slow_is_told_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, original = list[bool](), bench.shell._transact  # noqa: SLF001

    async def transact(batch: Batch[Add]) -> dict[int, Decision[Parcel]]:
        tries.append(batch.announced)
        if len(tries) <= 3:
            raise asyncpg.QueryCanceledError
        return await original(batch)

    monkeypatch.setattr(bench.shell, "_transact", transact)
    monkeypatch.setattr("shared.messaging.shell.CONTENTIONS", 1)
    await bench.take([Delivery(b"no parcel", {}, "test")])
    assert tries == [True] * 4
