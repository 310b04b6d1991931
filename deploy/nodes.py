"""What a node is made of, wherever it runs: keys, staff, passwords, settings, a database that is up to date.

What must never happen: that a key or a password is written over once a database holds something under it.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg

import services
from deploy.broker.topology import EXCHANGE_HOST, BrokerRole, node_host, user_name
from deploy.local.databases import (
    SERVICES,
    DatabaseRole,
    NodeDatabase,
    database_name,
    new_passwords,
    role_name,
)
from shared.contracts.codes import RecipientKind
from shared.contracts.ids import OrganisationId, StaffId
from shared.files import write_private
from shared.messaging.schema import sources
from shared.sealing.enrol import Identity, Terms, agree, introduce, make_organisation, published_document
from shared.sealing.keyring import Holder
from shared.staff import STAFF_FILE, Role, StaffBook, StaffMember, new_token, token_digest
from shared.storage.migrate import migrate

TOKENS_FILE: Final = "tokens.json"
SECRET_BYTES: Final = 24
AGREED_FOR: Final = timedelta(days=365)
STAFF: Final = {
    "casework": (Role.CASEWORKER,),
    "coordination": (Role.COORDINATOR,),
    "operations": (Role.OPERATOR,),
}
"""The made-up people of each node, by what they are there for."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made for one organisation and that others must be told of."""

    identity: Identity = field(repr=False)
    passphrases: Mapping[Holder, str] = field(repr=False)
    databases: Mapping[DatabaseRole, str] = field(repr=False)
    broker: Mapping[BrokerRole, str] = field(repr=False)
    tokens: Mapping[str, str] = field(repr=False)
    """By member of staff."""


def make_node(folder: Path, organisation: OrganisationId, at: datetime) -> Made:
    """Make an organisation's keys, staff and passwords.

    Raises:
        KeyringError: ``keyring-exists``: there is an organisation in this folder already.
    """
    passphrases = {holder: secrets.token_urlsafe(SECRET_BYTES) for holder in Holder}
    identity = make_organisation(folder, organisation, passphrases, at)
    tokens = {name: new_token() for name in STAFF}
    StaffBook(
        StaffMember(
            id=StaffId(name),
            roles=frozenset(roles),
            languages=("fr", "en"),
            email=f"{name}@{organisation}.example",
            token_sha256=token_digest(tokens[name]),
        )
        for name, roles in STAFF.items()
    ).save(folder / STAFF_FILE)
    write_private(folder / TOKENS_FILE, json.dumps(tokens, indent=2))
    broker = {BrokerRole(service): secrets.token_urlsafe(SECRET_BYTES) for service in SERVICES}
    return Made(identity, passphrases, new_passwords(), broker, tokens)


def let_agree(one: Identity, other: Identity, folders: Mapping[OrganisationId, Path], at: datetime) -> None:
    """Let two organisations that support people sign an agreement, and give each the other's documents."""
    kinds = dict.fromkeys((one.organisation, other.organisation), RecipientKind.SUPPORT)
    agreement = agree(one, other, Terms(valid_from=at, valid_until=at + AGREED_FOR, kinds=kinds))
    for us, them in ((one, other), (other, one)):
        document = published_document(folders[them.organisation], them.organisation)
        introduce(folders[us.organisation], agreement, document)


def settings(
    organisation: OrganisationId, service: BrokerRole, made: Made, *, database_place: str, broker_place: str
) -> Iterator[tuple[str, str]]:
    """Yield the settings of a service that hold a secret.

    Args:
        organisation: whose node.
        service: which of its services.
        made: its passwords.
        database_place: ``host:port`` of PostgreSQL.
        broker_place: ``host:port`` of RabbitMQ.
    """
    prefix = f"RELAIS_{service.upper()}"
    role = DatabaseRole(service)
    credentials = f"{role_name(organisation, role)}:{quote(made.databases[role], safe='')}"
    yield f"{prefix}_DATABASE", f"postgresql://{credentials}@{database_place}/{database_name(organisation)}"
    yield f"{prefix}_PASSPHRASE", made.passphrases[Holder(service)]
    user = f"{user_name(organisation, service)}:{quote(made.broker[service], safe='')}"
    yield f"{prefix}_NODE_BROKER", f"amqp://{user}@{broker_place}/{node_host(organisation)}"
    if service is not BrokerRole.NOTIFY:
        yield f"{prefix}_EXCHANGE_BROKER", f"amqp://{user}@{broker_place}/{EXCHANGE_HOST}"


async def migrate_node(node: NodeDatabase) -> int:
    """Apply every migration of every service that is missing in a node's database; return how many there were."""
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
