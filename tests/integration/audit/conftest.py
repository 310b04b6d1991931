"""A log on a real PostgreSQL: a schema for each test, as its service, its owner and a superuser see it."""

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from shared.audit.inspection import Report
from shared.audit.log import MIGRATIONS, EntryCipher, Leaf, append
from shared.audit.sequencer import integrate
from shared.audit.verify import verify
from shared.storage.migrate import migrate
from shared.storage.pool import Connection, Pool, open_pool
from tests.support.audit import SIGNER, make_leaf
from tests.support.servers import FreshDatabase

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class LogOnDisk:
    """Where a log is, the ways to it, and the service's own pool."""

    node: NodeDatabase
    schema: str
    pool: Pool

    @asynccontextmanager
    async def connected(self, role: DatabaseRole | None) -> AsyncIterator[Connection]:
        """Connect for a while as ``role``, or as the server's superuser."""
        dsn = (
            self.node.dsn(role) if role else urlsplit(self.node.admin_dsn)._replace(path=f"/{self.node.name}").geturl()
        )
        connection = await asyncpg.connect(dsn, server_settings={"search_path": self.schema})
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def write(self, leaves: Iterable[Leaf], cipher: EntryCipher | None = None) -> None:
        """Append ``leaves`` as the service does, in one transaction."""
        async with self.pool.acquire() as connection, connection.transaction():
            await append(connection, list(leaves), cipher)

    async def fill(self, *steps: int) -> list[Leaf]:
        """Append and integrate as many leaves as each of ``steps`` says, and return them all."""
        leaves = [make_leaf(number) for number in range(sum(steps))]
        done = 0
        for step in steps:
            await self.write(leaves[done : done + step])
            done += step
            async with self.pool.acquire() as connection:
                assert await integrate(connection, SIGNER, NOW) is not None
        return leaves

    async def verified(self, cipher: EntryCipher | None = None, *, anchors: Sequence[str] = ()) -> Report:
        """Verify the log as the service's role."""
        async with self.pool.acquire() as connection:
            return await verify(connection, SIGNER.verifier, cipher, anchors=anchors)

    @asynccontextmanager
    async def tampering(self) -> AsyncIterator[Connection]:
        """Connect for a while as a superuser who has switched the triggers off, in one transaction."""
        async with self.connected(None) as superuser, superuser.transaction():
            for table in ("audit_leaf", "audit_position", "audit_checkpoint"):
                await superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER audit_append_only")
            yield superuser

    async def tamper(self, *statements: str) -> None:
        """Run ``statements`` one after the other, as a superuser who has switched the triggers off."""
        async with self.tampering() as superuser:
            for statement in statements:
                await superuser.execute(statement)

    async def notes(self) -> list[str]:
        """Return the checkpoints, the smallest first."""
        return [row["note"] for row in await self.pool.fetch("SELECT note FROM audit_checkpoint ORDER BY size")]


@pytest.fixture(scope="session")
async def audit_node(fresh_database: FreshDatabase) -> NodeDatabase:
    """Give the database in which every test's schema is."""
    return await fresh_database("ccem-fr")


@pytest.fixture
async def log(audit_node: NodeDatabase) -> AsyncIterator[LogOnDisk]:
    """Give an empty log."""
    schema = f"log_{secrets.token_hex(4)}"
    owner = await asyncpg.connect(audit_node.dsn(DatabaseRole.OWNER))
    try:
        role = role_name(audit_node.organisation, DatabaseRole.REFERRAL)
        await migrate(owner, schema=schema, role=role, sources={"audit": MIGRATIONS})
    finally:
        await owner.close(timeout=5)
    pool = await open_pool(audit_node.dsn(DatabaseRole.REFERRAL), schema=schema, application="audit-test")
    try:
        yield LogOnDisk(audit_node, schema, pool)
    finally:
        await pool.close()
