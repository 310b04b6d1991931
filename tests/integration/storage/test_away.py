"""A database that goes down while a connection to it is idle: nothing is wrong with what is asked on it next."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole
from shared.storage.pool import is_away, open_pool
from tests.support.servers import FreshDatabase


async def test_a_connection_that_was_told_of_its_end_and_has_yet_to_close_is_away(
    fresh_database: FreshDatabase,
) -> None:
    node = await fresh_database("ccem-fr")
    dsn = node.dsn(DatabaseRole.NOTIFY)
    address, said_all = urlsplit(dsn), asyncio.Event()

    async def relay(reader: StreamReader, writer: StreamWriter) -> None:
        """Hand on what is said, and not that the database has hung up."""
        its_reader, its_writer = await asyncio.open_connection(address.hostname, address.port)
        for each in (writer, its_writer):
            closing.callback(each.close)
        asking = asyncio.create_task(hand_on(reader, its_writer))
        await hand_on(its_reader, writer)
        said_all.set()
        await asking

    async with AsyncExitStack() as closing:
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        closing.callback(server.close)
        between = dsn.replace(f"{address.hostname}:{address.port}", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        pool = await open_pool(between, schema="notify", application="going down")
        closing.callback(pool.terminate)
        async with pool.acquire() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
        admin = await asyncpg.connect(node.admin_dsn)
        await admin.fetchval("SELECT pg_terminate_backend($1)", pid)
        await admin.close()
        await said_all.wait()
        with pytest.raises(asyncpg.InternalClientError) as raised:
            async with pool.acquire() as connection:
                await connection.execute("SELECT 1")
    assert is_away(raised.value)


async def hand_on(reader: StreamReader, writer: StreamWriter) -> None:
    """Hand on what ``reader`` brings, and stop when it has ended."""
    while said := await reader.read(65_536):
        writer.write(said)
        await writer.drain()
