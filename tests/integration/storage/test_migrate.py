"""Migrations on a real PostgreSQL: each file once, in order, by one process at a time, and never rewritten."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from shared.storage.migrate import MigrationError, migrate
from shared.storage.pool import LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS, open_pool
from tests.support.servers import FreshDatabase
from tests.support.wait import until

FIRST = "CREATE TABLE thing (id integer PRIMARY KEY); GRANT SELECT, INSERT ON thing TO {role};"
SECOND = "ALTER TABLE thing ADD COLUMN name text;"


INDEX = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS thing_name ON thing (name);"
INDEX_FILE = "0003_name_concurrently.sql"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('notify.thing_name')"


@pytest.fixture
async def node(fresh_database: FreshDatabase) -> NodeDatabase:
    """Give a database of its own."""
    return await fresh_database("ccem-fr")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one migration."""
    (tmp_path / "0001_thing.sql").write_text(FIRST)
    return tmp_path


async def run(node: NodeDatabase, folder: Path) -> int:
    """Apply what is missing."""
    connection = await asyncpg.connect(node.dsn(DatabaseRole.OWNER))
    try:
        role = role_name(node.organisation, DatabaseRole.NOTIFY)
        return await migrate(connection, schema="notify", role=role, sources={"service": folder})
    finally:
        await connection.close()


async def test_each_file_is_applied_once(node: NodeDatabase, folder: Path) -> None:
    assert await run(node, folder) == 1
    assert await run(node, folder) == 0
    (folder / "0002_name.sql").write_text(SECOND)
    assert await run(node, folder) == 1


async def test_many_at_once_apply_each_file_once(node: NodeDatabase, folder: Path) -> None:
    (folder / "0002_name.sql").write_text(SECOND)
    assert sorted(await asyncio.gather(*(run(node, folder) for _ in range(5)))) == [0, 0, 0, 0, 2]


@pytest.fixture
async def indexed(node: NodeDatabase, folder: Path) -> Path:
    """Give a folder in which an index has yet to be made, concurrently, on a table that is there and has two rows."""
    (folder / "0002_name.sql").write_text(SECOND)
    await run(node, folder)
    await ask(node, "INSERT INTO notify.thing VALUES (1, 'a'), (2, 'b')")
    (folder / INDEX_FILE).write_text(INDEX)
    return folder


async def ask(node: NodeDatabase, statement: str) -> object:
    """Ask something as the owner, outside a transaction."""
    connection = await asyncpg.connect(node.dsn(DatabaseRole.OWNER))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_an_index_is_made_beside_those_who_write(node: NodeDatabase, indexed: Path) -> None:
    """It waits for a transaction that has written, and meanwhile nobody waits for it."""
    before, beside = [await asyncpg.connect(node.dsn(DatabaseRole.OWNER)) for _ in range(2)]
    transaction = before.transaction()
    await transaction.start()
    await before.execute("INSERT INTO notify.thing VALUES (3, 'c')")
    migrating = asyncio.create_task(run(node, indexed))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE UNIQUE%'"
    await until(lambda: beside.fetchval(waits), what="the index waiting")
    await beside.execute("SET lock_timeout = '2s'")
    await beside.execute("INSERT INTO notify.thing VALUES (4, 'd')")
    await transaction.commit()
    assert await migrating == 1
    assert await beside.fetchval(IS_VALID)
    for connection in (before, beside):
        await connection.close()


async def test_many_at_once_make_an_index_once_and_nobody_is_in_its_way(node: NodeDatabase, folder: Path) -> None:
    (folder / "0002_name.sql").write_text(SECOND)
    (folder / INDEX_FILE).write_text(INDEX)
    assert sorted(await asyncio.gather(*(run(node, folder) for _ in range(5)))) == [0, 0, 0, 0, 3]
    assert await ask(node, IS_VALID)


async def test_an_index_that_broke_off_is_made_anew(node: NodeDatabase, indexed: Path) -> None:
    await ask(node, "UPDATE notify.thing SET name = 'a'")
    with pytest.raises(asyncpg.UniqueViolationError):
        await run(node, indexed)
    assert await ask(node, IS_VALID) is False, "half-made, and in the way of IF NOT EXISTS"
    await ask(node, "DELETE FROM notify.thing WHERE id = 2")
    assert await run(node, indexed) == 1
    assert await ask(node, IS_VALID)


async def test_an_index_that_was_made_and_not_noted_counts(node: NodeDatabase, indexed: Path) -> None:
    """The process ended between the two."""
    await ask(node, INDEX.replace("ON thing", "ON notify.thing"))
    assert await run(node, indexed) == 1
    assert await run(node, indexed) == 0


async def test_another_index_that_is_half_made_is_left_alone(node: NodeDatabase, indexed: Path) -> None:
    """Somebody may be making it."""
    await ask(node, "UPDATE notify.thing SET name = 'a'")
    with pytest.raises(asyncpg.UniqueViolationError):
        await ask(node, "CREATE UNIQUE INDEX CONCURRENTLY thing_name_2 ON notify.thing (name)")
    await ask(node, "UPDATE notify.thing SET name = id::text")
    assert await run(node, indexed) == 1
    assert await ask(node, IS_VALID.replace("thing_name", "thing_name_2")) is False


async def test_a_file_that_was_changed_afterwards_stops_everything(node: NodeDatabase, folder: Path) -> None:
    await run(node, folder)
    (folder / "0001_thing.sql").write_text(FIRST + " -- changed")
    with pytest.raises(MigrationError, match="migration-changed"):
        await run(node, folder)


@pytest.mark.parametrize(("name", "code"), [("0003_later.sql", "migration-gap"), ("second.sql", "migration-misnamed")])
async def test_a_gap_or_a_wrong_name_is_refused(node: NodeDatabase, folder: Path, name: str, code: str) -> None:
    (folder / name).write_text(SECOND)
    with pytest.raises(MigrationError, match=code):
        await run(node, folder)


async def test_a_file_that_fails_leaves_nothing_of_itself(node: NodeDatabase, folder: Path) -> None:
    (folder / "0002_wrong.sql").write_text("CREATE TABLE other (id integer); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await run(node, folder)
    (folder / "0002_wrong.sql").write_text("CREATE TABLE other (id integer);")
    assert await run(node, folder) == 1


async def test_the_services_role_gets_what_a_file_grants_and_no_more(node: NodeDatabase, folder: Path) -> None:
    await run(node, folder)
    pool = await open_pool(node.dsn(DatabaseRole.NOTIFY), schema="notify", application="test")
    async with pool.acquire() as connection:
        await connection.execute("INSERT INTO thing VALUES (1)")
        for forbidden in ("DELETE FROM thing", "DROP TABLE thing", "CREATE TABLE mine (id integer)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
    await pool.close()


async def test_no_statement_and_no_lock_is_waited_for_without_an_end(node: NodeDatabase, folder: Path) -> None:
    await run(node, folder)
    pool = await open_pool(node.dsn(DatabaseRole.NOTIFY), schema="notify", application="test")
    async with pool.acquire() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == f"{STATEMENT_TIMEOUT_SECONDS}s"
        assert await connection.fetchval("SHOW lock_timeout") == f"{LOCK_TIMEOUT_SECONDS}s"
        assert await connection.fetchval("SHOW search_path") == "notify"
    await pool.close()


async def test_a_wrong_password_is_not_waited_for(node: NodeDatabase) -> None:
    dsn = node.dsn(DatabaseRole.NOTIFY).replace(node.passwords[DatabaseRole.NOTIFY], "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await open_pool(dsn, schema="notify", application="test")
