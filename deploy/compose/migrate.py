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

from deploy.compose.prepare import DATABASE_PLACE
from deploy.local.databases import DatabaseRole, ensure_database
from deploy.nodes import migrate_node
from shared.contracts.ids import OrganisationId

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


if __name__ == "__main__":
    named = json.loads(GIVEN.read_text(encoding="utf-8"))
    sys.stdout.write(f"{asyncio.run(bring_up_to_date(named['admin'], named['nodes']))} migrations applied\n")
