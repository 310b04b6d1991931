"""Numbered SQL files, forward only: what a schema is made of, applied once each, in order, by one process at a time.

A file that was applied and then edited stops the next start: history is not rewritten. Each file runs in a
transaction of its own with a short lock time-out, so that a migration waits for no long reader and no reader waits
long for a migration.

One whose name ends in ``_concurrently`` runs in none, because PostgreSQL makes and drops an index beside readers and
writers in none. It is one statement that may be made twice (``IF NOT EXISTS``, ``IF EXISTS``): should it break off,
the next run takes it up again, and first drops the index that it left half-made.

What must never happen: an index that is not valid is taken for one that is there.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from shared.contracts.coded import Coded
from shared.storage.pool import Connection
from shared.values import dataclass

FILE_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
NAME = re.compile(r"^[a-z_][a-z0-9_]*$")
CONCURRENTLY = "_concurrently.sql"
"""How the name of a file ends that runs outside a transaction."""
ADVISORY_LOCK = 0x52454C41
"""Any number, the same everywhere: "RELA"."""

LOOK_SECONDS = 0.2
"""How often whoever waits for another's migrations looks whether they are done."""

HALF_MADE = r"""
SELECT quote_ident(relname) AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace AND $1 ~ ('\y' || relname || '\y')
"""
"""The indexes that a file names and that somebody began to make, or to drop, and did not end."""

Applied = Mapping[tuple[str, int], bytes]
"""The checksum of each migration, by its part and number."""


class MigrationError(Coded[str]):
    """A schema cannot be brought up to date; ``code`` says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: which part it belongs to, its number there, and its text."""

    source: str
    number: int
    file: str
    text: str

    @property
    def in_transaction(self) -> bool:
        """Whether it runs in a transaction, all of it or nothing."""
        return not self.file.endswith(CONCURRENTLY)

    @property
    def checksum(self) -> bytes:
        """SHA-256 of the text, 32 bytes."""
        return sha256(self.text.encode()).digest()

    def is_in(self, done: Applied) -> bool:
        """Tell whether it is among what was ``done``.

        Raises:
            MigrationError: ``migration-changed``: it is, and its file was edited afterwards.
        """
        checksum = done.get((self.source, self.number))
        if checksum not in (None, self.checksum):
            raise MigrationError("migration-changed", self.file)
        return checksum is not None


def read_migrations(source: str, folder: Path) -> Iterator[Migration]:
    """Yield the migrations of ``folder`` in order.

    Raises:
        MigrationError: ``migration-misnamed`` or ``migration-gap`` when the numbers are not 1, 2, 3 ….
    """
    for expected, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = FILE_NAME.match(path.name)
        if match is None:
            raise MigrationError("migration-misnamed", path.name)
        if int(match[1]) != expected:
            raise MigrationError("migration-gap", path.name)
        yield Migration(source, expected, path.name, path.read_text(encoding="utf-8"))


async def migrate(connection: Connection, *, schema: str, role: str, sources: Mapping[str, Path]) -> int:
    """Bring ``schema`` up to date and return how many files were applied.

    Args:
        connection: as the role that owns the schema.
        schema: made when it is not there.
        role: the service's role; ``{role}`` in a file stands for it.
        sources: folders by part, applied in this order (the shell, the audit log, the service itself).

    Raises:
        MigrationError: a file is misnamed, missing, or was changed after it had been applied (``migration-changed``).
    """
    for name in (schema, role):
        if NAME.match(name) is None:
            raise MigrationError("migration-bad-name", name)
    await _wait_our_turn(connection)
    try:
        await _prepare(connection, schema, role)
        done = await applied(connection)
        count = 0
        for source, folder in sources.items():
            for migration in read_migrations(source, folder):
                if not migration.is_in(done):
                    apply = _apply if migration.in_transaction else _apply_concurrently
                    await apply(connection, migration, role)
                    count += 1
        return count
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK)


async def applied(connection: Connection) -> Applied:
    """Return what has been applied to the schema of ``connection``; nothing, where none ever was."""
    if not await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL"):
        return {}
    rows = await connection.fetch("SELECT source, number, checksum FROM schema_migration")
    return {(row["source"], row["number"]): row["checksum"] for row in rows}


async def _wait_our_turn(connection: Connection) -> None:
    """Wait until nobody else migrates.

    Between two looks no statement runs. One that waited for the lock would have a snapshot all the while, and an index
    that is made concurrently waits for every snapshot that is older: the two would wait for one another.
    """
    while True:
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _prepare(connection: Connection, schema: str, role: str) -> None:
    await connection.execute(
        f"""
        CREATE SCHEMA IF NOT EXISTS {schema};
        GRANT USAGE ON SCHEMA {schema} TO {role};
        SET search_path = {schema};
        CREATE TABLE IF NOT EXISTS schema_migration (
            source text NOT NULL,
            number integer NOT NULL,
            checksum bytea NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (source, number)
        );
        GRANT SELECT ON schema_migration TO {role};
        """,
    )


async def _apply(connection: Connection, migration: Migration, role: str) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '300s'")
        await connection.execute(migration.text.replace("{role}", role))
        await _note(connection, migration)


async def _apply_concurrently(connection: Connection, migration: Migration, role: str) -> None:
    """Apply a file outside a transaction: it is in nobody's way, and may wait long for those who are in its own."""
    await connection.execute("SET lock_timeout = '600s'; SET statement_timeout = '3600s'")
    try:
        for row in await connection.fetch(HALF_MADE, migration.text):
            await connection.execute(f"DROP INDEX CONCURRENTLY {row['name']}")
        await connection.execute(migration.text.replace("{role}", role))
        await _note(connection, migration)
    finally:
        await connection.execute("RESET lock_timeout; RESET statement_timeout")


async def _note(connection: Connection, migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO schema_migration (source, number, checksum) VALUES ($1, $2, $3)",
        migration.source,
        migration.number,
        migration.checksum,
    )
