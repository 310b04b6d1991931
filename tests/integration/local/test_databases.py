"""An organisation's roles try to see, change and enter what is not theirs, and are refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeAlias

import asyncpg
import pytest

from deploy.local.databases import (
    CONNECTIONS,
    SERVICES,
    DatabaseRole,
    NodeDatabase,
    drop_database,
    ensure_database,
    new_passwords,
    role_name,
)
from deploy.local.errors import LocalCode, LocalError
from shared.contracts.ids import OrganisationId
from tests.support.servers import FreshDatabase, Postgres, unique

OWNER, INTAKE, REFERRAL, NOTIFY = DatabaseRole
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TABLE = """
    CREATE TABLE {schema}.secret (word text);
    INSERT INTO {schema}.secret VALUES ('{schema}');
    GRANT SELECT, INSERT ON {schema}.secret TO {role};
"""
FORBIDDEN_ANYWHERE = (
    "CREATE TABLE mine (word text)",
    "CREATE TABLE public.mine (word text)",
    "CREATE SCHEMA mine",
    "CREATE TEMPORARY TABLE mine (word text)",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "COPY secret TO '/dev/null'",
    "COPY secret TO PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT * FROM pg_authid",
    "ALTER SYSTEM SET fsync = off",
    "SET session_replication_role = replica",
    "UPDATE secret SET word = ''",
    "DELETE FROM secret",
    "TRUNCATE secret",
    "DROP TABLE secret",
    "ALTER TABLE secret DISABLE TRIGGER ALL",
)
FORBIDDEN_ELSEWHERE = (
    "SELECT * FROM {other}.secret",
    "SELECT count(*) FROM {other}.secret",
    "INSERT INTO {other}.secret VALUES ('mine')",
    "CREATE TABLE {other}.mine (word text)",
    "SELECT '{other}.secret'::regclass",
    "SET ROLE {other_role}",
    "SET ROLE {owner}",
    "SET SESSION AUTHORIZATION {other_role}",
    "ALTER ROLE {other_role} PASSWORD 'mine'",
)


@pytest.fixture(scope="module")
async def node(fresh_database: FreshDatabase) -> NodeDatabase:
    """Give a database with one table in each service's schema."""
    node = await fresh_database("ccem-fr")
    owner = await asyncpg.connect(node.dsn(OWNER))
    for service in SERVICES:
        await owner.execute(TABLE.format(schema=service, role=role_name(node.organisation, service)))
    await owner.close()
    return node


@pytest.fixture(params=SERVICES)
async def service(request: pytest.FixtureRequest, node: NodeDatabase) -> AsyncIterator[tuple[DatabaseRole, Connection]]:
    """Give each service, connected."""
    connection = await asyncpg.connect(node.dsn(request.param))
    yield request.param, connection
    await connection.close()


async def is_refused(connection: Connection, statement: str) -> bool:
    """Say whether the server refuses ``statement`` for want of a right."""
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def test_each_service_finds_its_own_schema_without_naming_it(service: tuple[DatabaseRole, Connection]) -> None:
    role, connection = service
    assert await connection.fetchval("SELECT word FROM secret") == role.value
    assert await connection.fetchval("SHOW search_path") == role.value


async def test_no_service_does_more_than_it_was_granted(service: tuple[DatabaseRole, Connection]) -> None:
    for statement in FORBIDDEN_ANYWHERE:
        assert await is_refused(service[1], statement), statement


async def test_no_service_sees_anothers_schema(node: NodeDatabase, service: tuple[DatabaseRole, Connection]) -> None:
    role, connection = service
    for other in set(SERVICES) - {role}:
        names = {
            "other": other,
            "other_role": role_name(node.organisation, other),
            "owner": role_name(node.organisation, OWNER),
        }
        for statement in FORBIDDEN_ELSEWHERE:
            assert await is_refused(connection, statement.format(**names)), statement
    visible = await connection.fetch(
        "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE') AND nspname !~ '^(pg_|information_)'"
    )
    assert [row["nspname"] for row in visible] == [role.value]


async def test_a_service_that_takes_all_connections_takes_its_own_alone(fresh_database: FreshDatabase) -> None:
    node = await fresh_database("ccem-fr")
    taken = [await asyncpg.connect(node.dsn(INTAKE)) for _ in range(CONNECTIONS)]
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await asyncpg.connect(node.dsn(INTAKE))
    for other in (REFERRAL, NOTIFY, OWNER):
        await (await asyncpg.connect(node.dsn(other))).close()
    for connection in taken:
        await connection.close()


async def test_no_role_enters_another_organisations_database(node: NodeDatabase, fresh_database: FreshDatabase) -> None:
    other = await fresh_database("abri-be")
    for role in DatabaseRole:
        for database in (other.name, "postgres", "template1"):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidAuthorizationSpecificationError)):
                await asyncpg.connect(node.dsn(role).replace(f"/{node.name}", f"/{database}"))


async def test_the_owner_is_no_superuser(node: NodeDatabase) -> None:
    owner = await asyncpg.connect(node.dsn(OWNER))
    for statement in ("CREATE ROLE mine", "CREATE DATABASE mine", "SELECT pg_read_file('PG_VERSION')"):
        assert await is_refused(owner, statement), statement
    await owner.close()


async def test_making_it_again_keeps_what_it_holds_and_sets_the_passwords(
    postgres: Postgres, fresh_database: FreshDatabase
) -> None:
    node = await fresh_database("ccem-fr")
    owner = await asyncpg.connect(node.dsn(OWNER))
    await owner.execute("CREATE TABLE intake.kept (word text)")
    await owner.close()
    passwords = new_passwords()
    again = await ensure_database(postgres.admin_dsn, node.organisation, passwords)
    assert again.passwords == passwords
    owner = await asyncpg.connect(again.dsn(OWNER))
    assert await owner.fetchval("SELECT count(*) FROM intake.kept") == 0
    await owner.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(node.dsn(OWNER))


async def test_two_at_once_do_not_collide(postgres: Postgres, fresh_database: FreshDatabase) -> None:
    node = await fresh_database("ccem-fr")
    makers: list[Awaitable[NodeDatabase]] = [
        ensure_database(postgres.admin_dsn, node.organisation, node.passwords) for _ in range(4)
    ]
    assert len(await asyncio.gather(*makers)) == 4


async def test_no_password_is_in_the_servers_catalogue(postgres: Postgres, node: NodeDatabase) -> None:
    connection = await asyncpg.connect(postgres.admin_dsn)
    stored = await connection.fetch(
        "SELECT rolpassword FROM pg_authid WHERE rolname = any($1)",
        [role_name(node.organisation, role) for role in DatabaseRole],
    )
    await connection.close()
    assert len(stored) == len(DatabaseRole)
    assert all(row["rolpassword"].startswith("SCRAM-SHA-256$4096:") for row in stored)


async def test_an_administrator_who_is_no_superuser_can_do_it(postgres: Postgres, node: NodeDatabase) -> None:
    """On a server that somebody else keeps, CREATEROLE and CREATEDB are enough."""
    superuser = await asyncpg.connect(postgres.admin_dsn)
    name = f"{node.name}_maker"
    await superuser.execute(f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD 'maker-word'")
    await superuser.execute(f"CREATE DATABASE {name} OWNER {name}")
    place = postgres.admin_dsn.rpartition("@")[2].rpartition("/")[0]
    admin_dsn = f"postgresql://{name}:maker-word@{place}/{name}"
    for _ in ("made", "made again"):
        made = await ensure_database(admin_dsn, unique("abri-be", "maker"))
        service = await asyncpg.connect(made.dsn(INTAKE))
        assert await is_refused(service, "CREATE TABLE mine (word text)")
        await service.close()
    await drop_database(made)
    await superuser.execute(f"DROP DATABASE {name}")
    await superuser.execute(f"DROP ROLE {name}")
    await superuser.close()


async def test_what_is_no_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(LocalError) as refused:
        await ensure_database("postgresql://u:kanarienvogel/@127.0.0.1/n", OrganisationId("ccem-fr"))
    assert refused.value.code is LocalCode.ADDRESS_MALFORMED
    assert "kanarienvogel" not in str(refused.value)
