"""A database and a broker that go away in the middle and come back: waited for, said, and nothing lost or doubled."""

import asyncio
from functools import partial
from pathlib import Path
from uuid import uuid4

import aio_pika
import pytest

from deploy.local.databases import ensure_database
from deploy.local.postgres import private_postgres
from deploy.local.rabbitmq import private_rabbitmq
from shared.storage.pool import UNAVAILABLE
from tests.integration.messaging.conftest import Bench, make_bench
from tests.support.parcels import message
from tests.support.servers import make_broker_pair, unique
from tests.support.wait import until


@pytest.mark.timeout(120)
async def test_nothing_is_lost_or_doubled_when_database_and_broker_are_killed_in_mid_stream(tmp_path: Path) -> None:
    with private_postgres(tmp_path / "postgres") as postgres, private_rabbitmq(tmp_path / "rabbitmq") as rabbitmq:
        pair = make_broker_pair(rabbitmq)
        bench = await make_bench(
            pair,
            lambda organisation: ensure_database(postgres.admin_dsn, unique(organisation)),
            tmp_path,
            largest_batch=20,
        )
        parcel = uuid4()
        await bench.send(message(parcel, 1) for _ in range(300))
        await bench.runtime.start()

        await until(partial(_taken, bench, 60), seconds=20)
        await asyncio.to_thread(postgres.kill)
        assert not (await bench.runtime.ready())["database"]
        await asyncio.to_thread(postgres.restart)

        await until(partial(_taken, bench, 120), seconds=30)
        await asyncio.to_thread(rabbitmq.kill)
        await until(partial(_broker_is_missed, bench), seconds=20)
        await asyncio.to_thread(rabbitmq.restart)

        await until(partial(_taken, bench, 300), seconds=60)
        await until(partial(_all_is_said, bench), seconds=60)
        assert await bench.total(parcel) == 300
        assert await bench.count("audit_leaf") == 300
        await bench.runtime.stop()
        await bench.pool.close()
        await _close(bench.sender)
        await _close(bench.listener)


async def _taken(bench: Bench, count: int) -> bool:
    try:
        return await bench.count("inbox") >= count
    except UNAVAILABLE:
        return False


async def _broker_is_missed(bench: Bench) -> bool:
    return not (await bench.runtime.ready())["node"]


async def _all_is_said(bench: Bench) -> bool:
    bench.clock_file.write_text(str(float(bench.clock_file.read_text() or 0) + 15 if bench.clock_file.exists() else 15))
    return await bench.count("outbox") == 0


async def _close(connection: aio_pika.abc.AbstractConnection) -> None:
    if not connection.is_closed:
        await connection.close()
