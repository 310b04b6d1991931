"""What every service's schema is made of: the shell's tables, the audit log's, and the service's own.

Migrations run as the owner of the schema, before the service starts; the service's own role may make no table. At its
start a service looks whether that has been done, and says what is missing, rather than failing at the first message.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from shared.audit import log as audit
from shared.storage.migrate import MigrationError, applied, read_migrations
from shared.storage.pool import Pool

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def sources(own: Path) -> Mapping[str, Path]:
    """Return the folders of migrations of a service, in the order in which they are applied; ``own`` is its own."""
    return MappingProxyType({"shell": MIGRATIONS, "audit": audit.MIGRATIONS, "service": own})


async def check_schema(pool: Pool, own: Path) -> None:
    """Make sure that every migration has been applied, as it stands in its file.

    Raises:
        MigrationError: ``migration-missing`` or ``migration-changed``, with the name of the file.
    """
    async with pool.acquire() as connection:
        done = await applied(connection)
    for source, folder in sources(own).items():
        for migration in read_migrations(source, folder):
            if not migration.is_in(done):
                raise MigrationError("migration-missing", migration.file)
