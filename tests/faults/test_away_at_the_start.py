"""A database or a broker that is not there yet is waited for, and the log says so."""

import asyncio
from io import StringIO
from pathlib import Path

from deploy.broker.topology import BrokerRole
from deploy.local.databases import DatabaseRole, ensure_database
from deploy.local.postgres import private_postgres
from deploy.local.rabbitmq import private_rabbitmq
from shared.messaging.rabbit import connect, make_broker
from shared.storage.pool import open_pool
from shared.telemetry import logs
from tests.support.servers import make_broker_pair, unique
from tests.support.wait import until


async def test_a_database_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    lines = StringIO()
    logs.configure("info", "json", lines)
    with private_postgres(tmp_path / "postgres") as postgres:
        node = await ensure_database(postgres.admin_dsn, unique("ccem-fr"))
        await asyncio.to_thread(postgres.stop)
        opening = asyncio.create_task(open_pool(node.dsn(DatabaseRole.INTAKE), schema="intake", application="early"))
        await until(lambda: "database.unavailable" in lines.getvalue())
        assert not opening.done()
        await asyncio.to_thread(postgres.restart)
        pool = await asyncio.wait_for(opening, 20)
        assert await pool.fetchval("SELECT 1") == 1
        await pool.close()
    logs.restore()


async def test_a_broker_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    lines = StringIO()
    logs.configure("info", "json", lines)
    with private_rabbitmq(tmp_path / "rabbitmq") as rabbitmq:
        pair = make_broker_pair(rabbitmq)
        await asyncio.to_thread(rabbitmq.stop)
        broker = make_broker(pair.url(pair.ccem, BrokerRole.INTAKE), description="early")
        connecting = asyncio.create_task(connect(broker, "node"))
        await until(lambda: "broker.unavailable" in lines.getvalue(), seconds=20)
        assert not connecting.done()
        await asyncio.to_thread(rabbitmq.restart)
        await asyncio.wait_for(connecting, 40)
        assert await broker.ping(2.0)
        await broker.stop()
    logs.restore()
