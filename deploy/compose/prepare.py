"""Makes what two nodes in containers need before anything starts: keys, passwords, an agreement, the broker's topology.

Everything is made afresh in one volume, a folder for each container, and each container is given its own folder alone:
referral's keyring is nowhere that intake can look, and the identity keys stay in ``safe``, which no service sees. A
second run finds it done and changes nothing; one that was interrupted starts again, for nothing has used it yet.

What must never happen: that a key or a password is written over once a database holds something under it.
"""

import json
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from deploy.broker.definitions import SALT_BYTES, hash_password
from deploy.broker.topology import EXCHANGE_HOST, BrokerRole, Member, node_host, render, user_name
from deploy.compose.launch import ENVIRONMENT_FILE, write_environment
from deploy.local.databases import DatabaseRole, database_name, new_passwords, role_name
from shared.clock import Clock
from shared.contracts.ids import OrganisationId, StaffId
from shared.sealing.directory import IDENTITY_FILE, PARTNERS_FOLDER
from shared.sealing.enrol import Identity, Terms, agree, introduce, make_organisation, published_document
from shared.sealing.keyring import Holder, keyring_path
from shared.staff import Role, StaffBook, StaffMember, new_token, token_digest

ROOT: Final = Path("/prepared")
DONE: Final = "done"
SAFE: Final = "safe"
STAFF_FILE: Final = "staff.json"
ORGANISATIONS: Final = (OrganisationId("ccem-fr"), OrganisationId("abri-be"))
SERVICES: Final = (BrokerRole.INTAKE, BrokerRole.REFERRAL, BrokerRole.NOTIFY)
DATABASE_PLACE: Final = "postgres:5432"
BROKER_PLACE: Final = "broker:5672"
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

    identity: Identity
    passphrase: str
    databases: Mapping[DatabaseRole, str]
    broker: Mapping[BrokerRole, str]


def prepare(root: Path, at: datetime) -> bool:
    """Make everything under ``root``; return whether there was anything to do."""
    if (root / DONE).exists():
        return False
    for left in root.iterdir():
        shutil.rmtree(left)
    made = {organisation: make_node(root / organisation / SAFE, organisation, at) for organisation in ORGANISATIONS}
    let_agree(root, [each.identity for each in made.values()], at)
    for organisation, each in made.items():
        for service in SERVICES:
            give(root, organisation, service, each)
    give_servers(root, made)
    (root / DONE).touch()
    return True


def make_node(safe: Path, organisation: OrganisationId, at: datetime) -> Made:
    """Make an organisation's keys, staff and passwords."""
    passphrase = secrets.token_urlsafe(SECRET_BYTES)
    identity = make_organisation(safe, organisation, passphrase, at)
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
    ).save(safe / STAFF_FILE)
    write_private(safe / "tokens.json", json.dumps(tokens, indent=2))
    broker = {role: secrets.token_urlsafe(SECRET_BYTES) for role in SERVICES}
    return Made(identity, passphrase, new_passwords(), broker)


def let_agree(root: Path, identities: Sequence[Identity], at: datetime) -> None:
    """Let the two organisations sign an agreement, and give each the other's documents."""
    one, other = identities
    agreement = agree(one, other, Terms(valid_from=at, valid_until=at + AGREED_FOR))
    for us, them in ((one, other), (other, one)):
        document = published_document(root / them.organisation / SAFE, them.organisation)
        introduce(root / us.organisation / SAFE, agreement, document)


def give(root: Path, organisation: OrganisationId, service: BrokerRole, made: Made) -> None:
    """Give a service the folder that it sees: its own keyring, what is public, staff, and its own secrets."""
    safe, folder = root / organisation / SAFE, root / organisation / service
    folder.mkdir(mode=0o700)
    shutil.copytree(safe / PARTNERS_FOLDER, folder / PARTNERS_FOLDER)
    for path in (safe / IDENTITY_FILE, safe / STAFF_FILE, keyring_path(safe, Holder(service))):
        shutil.copy2(path, folder / path.name)
    write_environment(folder / ENVIRONMENT_FILE, dict(environment(organisation, service, made)))


def environment(organisation: OrganisationId, service: BrokerRole, made: Made) -> Iterator[tuple[str, str]]:
    """Yield the settings of a service that hold a secret."""
    prefix = f"RELAIS_{service.upper()}"
    role = DatabaseRole(service)
    credentials = f"{role_name(organisation, role)}:{quote(made.databases[role], safe='')}"
    yield f"{prefix}_DATABASE", f"postgresql://{credentials}@{DATABASE_PLACE}/{database_name(organisation)}"
    yield f"{prefix}_PASSPHRASE", made.passphrase
    user = f"{user_name(organisation, service)}:{quote(made.broker[service], safe='')}"
    yield f"{prefix}_NODE_BROKER", f"amqp://{user}@{BROKER_PLACE}/{node_host(organisation)}"
    if service is not BrokerRole.NOTIFY:
        yield f"{prefix}_EXCHANGE_BROKER", f"amqp://{user}@{BROKER_PLACE}/{EXCHANGE_HOST}"


def give_servers(root: Path, made: Mapping[OrganisationId, Made]) -> None:
    """Give PostgreSQL, the broker and the migration what each needs."""
    administrator = secrets.token_urlsafe(SECRET_BYTES)
    write_readable(root / "postgres" / "password", administrator)
    databases = {organisation: dict(each.databases) for organisation, each in made.items()}
    (root / "migrate").mkdir(mode=0o700)
    write_private(root / "migrate" / "databases.json", json.dumps({"admin": administrator, "nodes": databases}))
    hashes = {
        user_name(organisation, role): hash_password(password, secrets.token_bytes(SALT_BYTES))
        for organisation, each in made.items()
        for role, password in each.broker.items()
    }
    definitions = render([Member(organisation) for organisation in made], [ORGANISATIONS], hashes)
    write_readable(root / "broker" / "definitions.json", json.dumps(definitions, indent=2))


def write_private(path: Path, text: str) -> None:
    """Write a file for our own user."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def write_readable(path: Path, text: str) -> None:
    """Write a file for a server that runs as another user; only its container sees the folder."""
    path.parent.mkdir(mode=0o755)
    path.touch(mode=0o644)
    path.write_text(text, encoding="utf-8")


def tokens(root: Path) -> Iterator[str]:
    """Yield who may sign in to each node, and with which token."""
    for organisation in ORGANISATIONS:
        for name, token in json.loads((root / organisation / SAFE / "tokens.json").read_text()).items():
            yield f"{organisation}  {name:<14}{token}"


if __name__ == "__main__":
    if sys.argv[1:] == ["tokens"]:
        sys.stdout.writelines(f"{line}\n" for line in tokens(ROOT))
    else:
        sys.stdout.write("prepared\n" if prepare(ROOT, Clock().now()) else "nothing to prepare\n")
