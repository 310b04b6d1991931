"""Brings the databases of the nodes in containers up to date: made if they are not there, then every migration.

Runs before the services, as the administrator and then as each database's owner; no service has either's password.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg

import services
from deploy.compose.prepare import DATABASE_PLACE
from deploy.local.databases import SERVICES, DatabaseRole, NodeDatabase, ensure_database, role_name
from shared.contracts.ids import OrganisationId
from shared.messaging.schema import sources
from shared.storage.migrate import migrate

GIVEN: Final = Path("/run/relais/databases.json")


async def bring_up_to_date(admin_password: str, nodes: Mapping[str, Mapping[str, str]]) -> int:
    """Make the database of each of ``nodes`` and apply what is missing; return how many files were applied.

    Args:
        admin_password: of the role ``postgres``.
        nodes: for each organisation, the passwords of its database's roles.
    """
    admin_dsn = f"postgresql://postgres:{quote(admin_password, safe='')}@{DATABASE_PLACE}/postgres"
    applied = 0
    for organisation, passwords in nodes.items():
        by_role = {DatabaseRole(role): password for role, password in passwords.items()}
        applied += await migrate_node(await ensure_database(admin_dsn, OrganisationId(organisation), by_role))
    return applied


async def migrate_node(node: NodeDatabase) -> int:
    """Apply every migration of every service that is missing in a node's database."""
    connection = await asyncpg.connect(node.dsn(DatabaseRole.OWNER))
    try:
        return sum(
            [
                await migrate(
                    connection,
                    schema=service,
                    role=role_name(node.organisation, service),
                    sources=migrations(service),
                )
                for service in SERVICES
            ]
        )
    finally:
        await connection.close()


def migrations(service: DatabaseRole) -> Mapping[str, Path]:
    """Return the folders of migrations that a service's schema is made of."""
    return sources(Path(services.__file__).parent / service / "store" / "migrations")


if __name__ == "__main__":
    named = json.loads(GIVEN.read_text(encoding="utf-8"))
    sys.stdout.write(f"{asyncio.run(bring_up_to_date(named['admin'], named['nodes']))} migrations applied\n")
