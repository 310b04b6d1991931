"""Makes what two nodes in containers need before anything starts: keys, passwords, an agreement, the broker's topology.

Everything is made afresh in one volume, a folder for each container, and each container is given its own folder alone:
referral's keyring is nowhere that intake can look, and the identity keys with their passphrase stay in ``safe``, which
no service sees. A second run finds it done and changes nothing; one that was interrupted starts again, for nothing has
used it yet. A marker says which it is, and where there is none, only an empty volume is made use of.

What must never happen: that a key or a password is written over once a database holds something under it.
"""

import json
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from deploy.broker.definitions import SALT_BYTES, hash_password
from deploy.broker.topology import BrokerRole, Member, render, user_name
from deploy.compose.launch import ENVIRONMENT_FILE, write_environment
from deploy.local.errors import LocalCode, LocalError
from deploy.nodes import (
    SECRET_BYTES,
    TOKENS_FILE,
    Made,
    let_agree,
    make_node,
    settings,
)
from shared.clock import Clock
from shared.contracts.ids import OrganisationId
from shared.contracts.services import Service
from shared.files import write_private
from shared.sealing.directory import IDENTITY_FILE, PARTNERS_FOLDER
from shared.sealing.keyring import Holder, keyring_path
from shared.staff import STAFF_FILE, Role, StaffBook, StaffMember

ROOT: Final = Path("/prepared")
BEGUN: Final = "begun"
DONE: Final = "done"
IDENTITY_PASSPHRASE: Final = "identity.passphrase"  # noqa: S105 - the name of a file
SAFE: Final = "safe"
ORGANISATIONS: Final = (OrganisationId("ccem-fr"), OrganisationId("abri-be"))
SERVICES: Final = tuple(BrokerRole(service) for service in Service)
DATABASE_PLACE: Final = "postgres:5432"
BROKER_PLACE: Final = "broker:5672"


def prepare(root: Path, at: datetime) -> bool:
    """Make everything under ``root``; return whether there was anything to do.

    Raises:
        LocalError: ``folder-not-ours``: there is something, such as a backup, and neither marker.
    """
    if (root / DONE).exists():
        return False
    begin(root)
    made = {organisation: make_node(root / organisation / SAFE, organisation, at) for organisation in ORGANISATIONS}
    one, other = (each.identity for each in made.values())
    let_agree(one, other, {organisation: root / organisation / SAFE for organisation in ORGANISATIONS}, at)
    for organisation, each in made.items():
        for service in SERVICES:
            give(root, organisation, service, each)
        write_private(root / organisation / SAFE / IDENTITY_PASSPHRASE, each.passphrases[Holder.IDENTITY])
    give_servers(root, made)
    (root / BEGUN).replace(root / DONE)
    return True


def begin(root: Path) -> None:
    """Mark ``root`` as begun; remove what a run has left that did not come to its end, and nothing else.

    Raises:
        LocalError: ``folder-not-ours``.
    """
    found = [path for path in root.iterdir() if path.name != BEGUN]
    if found and not (root / BEGUN).exists():
        raise LocalError(
            LocalCode.FOLDER_NOT_OURS,
            f"{root} holds what was not begun here: put the file `{DONE}` back where this is a backup, or empty it",
        )
    for left in found:
        shutil.rmtree(left)
    (root / BEGUN).touch()


def give(root: Path, organisation: OrganisationId, service: BrokerRole, made: Made) -> None:
    """Give a service the folder that it sees: its own keyring, what is public, whom it must know, its own secrets."""
    safe, folder = root / organisation / SAFE, root / organisation / service
    folder.mkdir(mode=0o700)
    shutil.copytree(safe / PARTNERS_FOLDER, folder / PARTNERS_FOLDER)
    for path in (safe / IDENTITY_FILE, keyring_path(safe, Holder(service))):
        shutil.copy2(path, folder / path.name)
    known_to(service, StaffBook.load(safe / STAFF_FILE)).save(folder / STAFF_FILE)
    told = settings(organisation, service, made, database_place=DATABASE_PLACE, broker_place=BROKER_PLACE)
    write_environment(folder / ENVIRONMENT_FILE, dict(told))


def known_to(service: BrokerRole, staff: StaffBook) -> StaffBook:
    """Return whom of ``staff`` a service must know: intake operators alone, and nobody's address but notify."""
    match service:
        case BrokerRole.INTAKE:
            return StaffBook(without_address(member) for member in staff.members if Role.OPERATOR in member.roles)
        case BrokerRole.REFERRAL:
            return StaffBook(without_address(member) for member in staff.members)
        case _:
            return staff


def without_address(member: StaffMember) -> StaffMember:
    """Return a member as a service sees them that sends no mail."""
    return member.model_copy(update={"email": None})


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


def write_readable(path: Path, text: str) -> None:
    """Write a file for a server that runs as another user; only its container sees the folder."""
    path.parent.mkdir(mode=0o755)
    path.touch(mode=0o644)
    path.write_text(text, encoding="utf-8")


def tokens(root: Path) -> Iterator[str]:
    """Yield who may sign in to each node, and with which token."""
    for organisation in ORGANISATIONS:
        for name, token in json.loads((root / organisation / SAFE / TOKENS_FILE).read_text()).items():
            yield f"{organisation}  {name:<14}{token}"


if __name__ == "__main__":
    if sys.argv[1:] == ["tokens"]:
        sys.stdout.writelines(f"{line}\n" for line in tokens(ROOT))
    else:
        try:
            sys.stdout.write("prepared\n" if prepare(ROOT, Clock().now()) else "nothing to prepare\n")
        except LocalError as error:
            sys.exit(str(error))
