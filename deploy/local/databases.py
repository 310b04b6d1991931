"""An organisation's database and its four roles, each allowed its own work and nothing else.

The owner's role makes tables, in migrations only. Each service's role reaches one schema, its own; without a grant
that a migration gives, it reaches nothing even there. No role of one organisation can connect to another's database.
Everything here may run again at any time.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlsplit

import asyncpg

from deploy.local.errors import LocalCode, LocalError
from shared.contracts.ids import OrganisationId
from shared.contracts.services import Service

PREFIX: Final = "relais_"
PASSWORD_BYTES: Final = 24
SALT_BYTES: Final = 16
SCRAM_ITERATIONS: Final = 4096
"""PostgreSQL's own number. More would protect a password that somebody could guess; these are random."""
ADVISORY_LOCK: Final = 0x52454C42
"""Any number of our own, next to the one that migrations take."""
CONNECTIONS: Final = 24
"""How many each service's role may have at once: a pool of 8, a listener and an operator's commands, for two processes,
and some to spare. The servers that we start have room for all of them: no service can take those of the others."""
UNLIMITED: Final = -1


class DatabaseRole(StrEnum):
    """Who connects to an organisation's database."""

    OWNER = "owner"
    INTAKE = Service.INTAKE.value
    REFERRAL = Service.REFERRAL.value
    NOTIFY = Service.NOTIFY.value


SERVICES: Final = tuple(DatabaseRole(service) for service in Service)


@dataclass(frozen=True, slots=True)
class NodeDatabase:
    """Where an organisation's database is, and how each role enters it."""

    organisation: OrganisationId
    admin_dsn: str = field(repr=False)
    passwords: Mapping[DatabaseRole, str] = field(repr=False)

    @property
    def name(self) -> str:
        """The database's name, such as ``relais_ccem_fr``."""
        return database_name(self.organisation)

    def dsn(self, role: DatabaseRole) -> str:
        """Return the address as ``role``."""
        place = urlsplit(self.admin_dsn).netloc.rpartition("@")[2]
        user = role_name(self.organisation, role)
        return f"postgresql://{user}:{quote(self.passwords[role], safe='')}@{place}/{self.name}"


def database_name(organisation: OrganisationId) -> str:
    """Return the database's name; ``-`` is the one character of an organisation's id that SQL would need quoted."""
    return PREFIX + organisation.replace("-", "_")


def role_name(organisation: OrganisationId, role: DatabaseRole) -> str:
    """Return the name of a role, such as ``relais_ccem_fr_intake``."""
    return f"{database_name(organisation)}_{role}"


def new_passwords() -> dict[DatabaseRole, str]:
    """Return a random password for each role."""
    return {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in DatabaseRole}


def scram_verifier(password: str, salt: bytes, iterations: int = SCRAM_ITERATIONS) -> str:
    """Return what PostgreSQL stores for an ASCII ``password``, so that the password itself is in no statement.

    Source: RFC 5803, RFC 7677 (SCRAM-SHA-256).
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


async def ensure_database(
    admin_dsn: str,
    organisation: OrganisationId,
    passwords: Mapping[DatabaseRole, str] | None = None,
) -> NodeDatabase:
    """Make the organisation's database and roles as they must be, whatever is there already.

    Args:
        admin_dsn: a role that may create roles and databases.
        organisation: whose.
        passwords: for every role; made up when not given.

    Raises:
        LocalError: ``address-malformed``.
        asyncpg.PostgresError: the administrator may not do this.
    """
    node = NodeDatabase(organisation, admin_dsn, passwords or new_passwords())
    try:
        connection = await asyncpg.connect(admin_dsn)
    except ValueError:
        raise LocalError(LocalCode.ADDRESS_MALFORMED, "this is no address of a PostgreSQL: postgresql://…") from None
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        await _ensure_roles(connection, node)
        await _ensure_database(connection, node)
        await _enclose(node)
    finally:
        await connection.close()
    return node


async def drop_database(node: NodeDatabase) -> None:
    """Remove the database with all it holds, and its roles; for tests on a server that stays."""
    connection = await asyncpg.connect(node.admin_dsn)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {node.name} WITH (FORCE)")
        for role in DatabaseRole:
            await connection.execute(f"DROP ROLE IF EXISTS {role_name(node.organisation, role)}")
    finally:
        await connection.close()


async def _ensure_roles(connection: "asyncpg.Connection[asyncpg.Record]", node: NodeDatabase) -> None:
    names = [role_name(node.organisation, role) for role in DatabaseRole]
    rows = await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname = any($1)", names)
    existing = {row["rolname"] for row in rows}
    for role, name in zip(DatabaseRole, names, strict=True):
        verb = "ALTER" if name in existing else "CREATE"
        verifier = scram_verifier(node.passwords[role], secrets.token_bytes(SALT_BYTES))
        limit = CONNECTIONS if role in SERVICES else UNLIMITED
        await connection.execute(
            f"{verb} ROLE {name} WITH LOGIN NOINHERIT CONNECTION LIMIT {limit} PASSWORD '{verifier}'"
        )


async def _ensure_database(connection: "asyncpg.Connection[asyncpg.Record]", node: NodeDatabase) -> None:
    owner = role_name(node.organisation, DatabaseRole.OWNER)
    services = ", ".join(role_name(node.organisation, role) for role in SERVICES)
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", node.name):
        # an administrator who is no superuser may give a database away only to a role they are a member of
        await connection.execute(f"GRANT {owner} TO CURRENT_USER")
        await connection.execute(f"CREATE DATABASE {node.name} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8'")
    await connection.execute(f"REVOKE ALL ON DATABASE {node.name} FROM PUBLIC")
    await connection.execute(f"GRANT CONNECT ON DATABASE {node.name} TO {services}")


async def _enclose(node: NodeDatabase) -> None:
    """Give each service one schema to look into, and nobody the one that everybody has."""
    place = urlsplit(node.admin_dsn)
    connection = await asyncpg.connect(place._replace(path=f"/{node.name}").geturl())
    owner = role_name(node.organisation, DatabaseRole.OWNER)
    try:
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for service in SERVICES:
            role = role_name(node.organisation, service)
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {owner}")
            await connection.execute(f"GRANT USAGE ON SCHEMA {service} TO {role}")
            await connection.execute(f"ALTER ROLE {role} IN DATABASE {node.name} SET search_path = {service}")
    finally:
        await connection.close()
