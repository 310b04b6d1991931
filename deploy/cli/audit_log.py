"""What ``relais audit`` does: verify a node's logs, write one to a file, check such a file, keep checkpoints.

A log's public key comes from the organisation's key document, which its identity key has signed, and never from the
database whose log is checked. Nothing here writes to a database.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Self
from uuid import UUID

import asyncpg

from shared.audit import export as exports
from shared.audit.cases import CaseEntries
from shared.audit.inspection import Report
from shared.audit.log import EntryCipher
from shared.audit.merkle import leaf_hash, root
from shared.audit.note import Verifier
from shared.audit.reading import newest_checkpoint
from shared.audit.verify import verify
from shared.contracts.coded import Told
from shared.contracts.ids import OrganisationId
from shared.contracts.services import Service
from shared.files import SECRET_MODE, replacing
from shared.sealing.directory import Directory
from shared.sealing.keyring import Holder, read_keyring
from shared.sealing.keys import audit_purpose
from shared.storage.pool import Connection, DatabaseAddressError
from shared.storage.vault import CaseCipher, Vault, VaultError, WrappedKey


class AuditCode(StrEnum):
    """Why a log cannot be looked at."""

    NOT_TOLD = "audit-not-told"
    """A variable that says where the node is, is missing."""
    KEY_UNKNOWN = "audit-key-unknown"
    """The organisation's key document has no key for the log."""
    CHECKPOINT_OF_NONE = "audit-checkpoint-of-none"
    """A checkpoint that was kept is of none of the logs that are verified."""


class AuditError(Told[AuditCode]):
    """A log cannot be looked at."""


@dataclass(frozen=True, slots=True)
class Node:
    """Where a node is, as its own services are told."""

    organisation: OrganisationId
    folder: Path
    """Holds the identity's public key, ``partners/`` and the keyrings."""
    databases: Mapping[Service, str] = field(repr=False)
    """The address of the database as each service's own role."""
    passphrase: str | None = field(default=None, repr=False)
    """Opens ``referral.keys``, and with it entries of cases; without it they count by their commitments."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables that the services read: ``RELAIS_ORGANISATION``, ``RELAIS_FOLDER``, ``RELAIS_*_DATABASE``.

        Raises:
            AuditError: ``audit-not-told``.
        """

        def told(name: str) -> str:
            if not environment.get(name):
                raise AuditError(AuditCode.NOT_TOLD, f"{name} is not set; it says where the node is")
            return environment[name]

        return cls(
            OrganisationId(told("RELAIS_ORGANISATION")),
            Path(told("RELAIS_FOLDER")),
            {service: told(f"RELAIS_{service.upper()}_DATABASE") for service in Service},
            environment.get("RELAIS_REFERRAL_PASSPHRASE") or None,
        )

    def verifiers(self, service: Service) -> list[Verifier]:
        """Return the public keys of a log, the newest first.

        Raises:
            AuditError: ``audit-key-unknown``.
            DirectoryError: the key document is missing, or not signed by the identity.
        """
        verifiers = Directory(self.folder).book.audit_verifiers(service)
        if not verifiers:
            purpose = audit_purpose(service)
            raise AuditError(
                AuditCode.KEY_UNKNOWN, f"the key document of {self.organisation} has no key for {purpose}; publish one"
            )
        return verifiers

    @asynccontextmanager
    async def connected(self, service: Service) -> AsyncIterator[Connection]:
        """Connect for a while as a service's role, with its schema as the search path.

        Raises:
            DatabaseAddressError: what the node is told is not the address of a database.
            asyncpg.PostgresError, OSError: the database is away, or refuses.
        """
        settings = {"search_path": service.value, "application_name": "relais-audit"}
        try:
            connection = await asyncpg.connect(self.databases[service], server_settings=settings)
        except ValueError:
            raise DatabaseAddressError from None
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def cipher(self, service: Service, connection: Connection) -> EntryCipher | None:
        """Return what opens the entries of cases, where the log has any and the passphrase is known.

        Raises:
            KeyringError: the passphrase is wrong, or the keyring is missing or damaged.
        """
        if service is not Service.REFERRAL or self.passphrase is None:
            return None
        keyring = read_keyring(self.folder, Holder.REFERRAL, self.passphrase)
        return CaseEntries(await read_case_keys(connection, Vault(keyring.storage_keys())))


_CASE_KEYS: Final = "SELECT id, epoch, wrapped FROM folder"


async def read_case_keys(connection: Connection, vault: Vault) -> Mapping[UUID, CaseCipher]:
    """Return the cipher of every case whose key still opens; an altered key is left out, as a destroyed one is."""
    ciphers: dict[UUID, CaseCipher] = {}
    for row in await connection.fetch(_CASE_KEYS):
        try:
            ciphers[row["id"]] = vault.case(row["id"], WrappedKey(row["epoch"], row["wrapped"]))
        except VaultError:
            continue
    return ciphers


async def verify_node(
    node: Node, services: Sequence[Service] = tuple(Service), *, checkpoints: Sequence[str] = ()
) -> dict[Service, Report]:
    """Verify the logs of a node.

    Args:
        node: whose.
        services: which logs.
        checkpoints: signed notes that were kept elsewhere, of any of these logs.

    Raises:
        AuditError: ``audit-key-unknown``, or ``audit-checkpoint-of-none``.
        NoteRefusedError, CheckpointRefusedError: a checkpoint is not signed by its log.
        DirectoryError, KeyringError: the node's own keys cannot be read.
        asyncpg.PostgresError, OSError: the database is away.
    """
    verifiers = {service: node.verifiers(service) for service in services}
    kept = _sort(checkpoints, {service: keys[0] for service, keys in verifiers.items()})
    reports = {}
    for service, (newest, *former) in verifiers.items():
        async with node.connected(service) as connection:
            cipher = await node.cipher(service, connection)
            reports[service] = await verify(connection, newest, cipher, former=former, anchors=kept[service])
    return reports


def _sort(checkpoints: Sequence[str], logs: Mapping[Service, Verifier]) -> dict[Service, list[str]]:
    """Give each checkpoint to the log that its first line names."""
    kept: dict[Service, list[str]] = {service: [] for service in logs}
    for note in checkpoints:
        named = [service for service, verifier in logs.items() if note.startswith(f"{verifier.name}\n")]
        if not named:
            raise AuditError(AuditCode.CHECKPOINT_OF_NONE, "a checkpoint is of none of the logs that are verified")
        kept[named[0]].append(note)
    return kept


async def newest_checkpoints(node: Node, services: Sequence[Service] = tuple(Service)) -> dict[Service, str]:
    """Return the newest checkpoint of each log that has one, to be kept where the node's keeper cannot reach it."""
    notes = {}
    for service in services:
        async with node.connected(service) as connection:
            note = await newest_checkpoint(connection)
        if note is not None:
            notes[service] = note
    return notes


async def export_log(node: Node, service: Service, path: Path, *, opened: bool) -> int:
    """Write a log to ``path``, readable by its owner alone, and return how many leaves it has.

    A file that is there already is replaced in one step, when the export is complete.

    Raises:
        AuditError, DirectoryError, KeyringError, asyncpg.PostgresError, OSError: as for ``verify_node``.
    """
    origin = node.verifiers(service)[0].name
    async with node.connected(service) as connection:
        cipher = await node.cipher(service, connection) if opened else None
        with replacing(path, SECRET_MODE) as out:
            return await exports.export(connection, origin, out, opened=opened, cipher=cipher)


def summary(reports: Mapping[Service, Report]) -> dict[str, object]:
    """Return what was found in a node's logs, for programs.

    ``root`` stands for all of them: the root of one log, or that of the tree whose leaves are the logs' roots in the
    order of the services' names. Roots are in hexadecimal.
    """
    roots = [reports[service].root for service in sorted(reports)]
    together = roots[0] if len(roots) == 1 else root([leaf_hash(each) for each in roots])
    return {
        "entries": sum(report.entries for report in reports.values()),
        "root": together.hex(),
        "verified": all(report.verified for report in reports.values()),
        "logs": {service.value: facts(reports[service]) for service in sorted(reports)},
    }


def facts(report: Report) -> dict[str, object]:
    """Return what was found in one log, for programs."""
    return {
        "origin": report.origin,
        "entries": report.entries,
        "opened": report.opened,
        "closed": report.closed,
        "checkpoints": report.checkpoints,
        "pending": report.pending,
        "root": report.root.hex(),
        "verified": report.verified,
        "problems": [{"code": problem.code.value, "position": problem.position} for problem in report.problems],
        "problem_count": report.problem_count,
    }


def sentences(report: Report) -> str:
    """Return what was found in one log, for people: one line, and one for each problem."""
    head = "verified" if report.verified else "NOT VERIFIED"
    entries = f"{report.entries} entries ({report.opened} opened, {report.closed} closed, {report.pending} pending)"
    lines = [f"{report.origin}: {head}: {entries}, {report.checkpoints} checkpoints, root {report.root.hex()}"]
    for problem in report.problems:
        place = "" if problem.position is None else f" at {problem.position}"
        lines.append(f"  {problem.code}{place}")
    if report.problem_count > len(report.problems):
        lines.append(f"  {report.problem_count - len(report.problems)} more")
    return "\n".join(lines)
