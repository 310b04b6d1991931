"""The commands of ``relais audit`` on a node with its own keys and three services' logs."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from deploy.cli.audit_log import (
    AuditCode,
    AuditError,
    Node,
    export_log,
    facts,
    newest_checkpoints,
    sentences,
    summary,
    verify_node,
)
from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from services.referral.store.schema import MIGRATIONS as REFERRAL
from shared.audit.cases import CaseEntries
from shared.audit.checkpoint import open_checkpoint
from shared.audit.export import verify_export
from shared.audit.log import MIGRATIONS, append
from shared.audit.merkle import leaf_hash, root
from shared.audit.sequencer import integrate
from shared.clock import Clock
from shared.contracts.services import Service
from shared.messaging.schema import sources
from shared.sealing.directory import KEYS_SUFFIX, PARTNERS_FOLDER, Directory
from shared.sealing.enrol import Choices, make_organisation, open_identity
from shared.sealing.key_document import publish, sign_key_document
from shared.sealing.keyring import Cost, HeldKey, Holder, read_keyring, write_keyring
from shared.sealing.keys import SigningKey, audit_purpose
from shared.staff import StaffBook
from shared.storage.migrate import migrate
from shared.storage.pool import Connection, open_pool
from shared.storage.vault import Vault
from shared.web.opened import Opened
from tests.integration.audit.conftest import NOW
from tests.support.audit import STRANGER, checkpoint_of, findings, make_leaf
from tests.support.servers import FreshDatabase

PASSPHRASE = "correct horse"
CHEAP = Choices(cost=Cost(memory_kib=64, iterations=1, lanes=1))


@dataclass(frozen=True)
class NodeOnDisk:
    """A node, and a way to do to its database what no service may."""

    database: NodeDatabase
    node: Node

    async def write(self, service: Service, count: int) -> None:
        """Write and number ``count`` entries of no case."""
        async with self.node.connected(service) as connection:
            async with connection.transaction():
                await append(connection, [make_leaf(number) for number in range(count)])
            await self.integrate(service, connection)

    @asynccontextmanager
    async def running(self, service: Service) -> AsyncIterator[Callable[[datetime], Awaitable[bool]]]:
        """Start the service's numbering, with the keys that there are now.

        It gives what lets the sequencer come round at a time, and tells whether nothing waits then.
        """
        folder, keyring = self.node.folder, read_keyring(self.node.folder, Holder(service), PASSPHRASE)
        offset = folder / "offset"
        pool = await open_pool(self.node.databases[service], schema=service.value, application="audit-test")
        try:
            base = Opened(service, Clock(offset), keyring, Directory(folder), StaffBook([]), pool)
            runtime = base.runtime(connections=[], post=base.post({}), consumers=[])
            (sequencer,) = runtime.rounds

            async def number(at: datetime) -> bool:
                offset.write_text(str((at - datetime.now(UTC)).total_seconds()))
                await sequencer.step()
                return not await pool.fetchval("SELECT count(*) FROM audit_pending")

            yield number
        finally:
            await pool.close()

    def renew(self, service: Service, at: datetime, *, beside: bool = False) -> None:
        """Put a new audit key in the place of the old one, or beside it, and publish it beside the old one."""
        folder, us, purpose = self.node.folder, self.node.organisation, audit_purpose(service)
        new = HeldKey(purpose, SigningKey.generate(), at, at + timedelta(days=182))
        keyring = read_keyring(folder, Holder(service), PASSPHRASE)
        others = tuple(held for held in keyring.keys if beside or held.purpose is not purpose)
        write_keyring(folder, replace(keyring, keys=(*others, new)), PASSPHRASE, CHEAP.cost)
        document = Directory(folder).book.document(us)
        published = publish(new.key.public, purpose, new.valid_from, new.valid_until)
        renewed = document.model_copy(update={"serial": document.serial + 1, "keys": (*document.keys, published)})
        note = sign_key_document(renewed, open_identity(folder, PASSPHRASE, at).key)
        (folder / PARTNERS_FOLDER / f"{us}{KEYS_SUFFIX}").write_text(note)

    async def integrate(self, service: Service, connection: Connection) -> None:
        """Number what waits, as the service does."""
        keyring = read_keyring(self.node.folder, Holder(service), PASSPHRASE)
        assert await integrate(connection, keyring.audit_signer(NOW), NOW)


@pytest.fixture
async def on_disk(fresh_database: FreshDatabase, tmp_path: Path) -> NodeOnDisk:
    """Give a node whose services have logs with nothing in them."""
    database = await fresh_database("ccem-fr")
    make_organisation(tmp_path, database.organisation, dict.fromkeys(Holder, PASSPHRASE), NOW, CHEAP)
    owner = await asyncpg.connect(database.dsn(DatabaseRole.OWNER))
    try:
        for service in Service:
            parts = sources(REFERRAL) if service is Service.REFERRAL else {"audit": MIGRATIONS}
            role = role_name(database.organisation, DatabaseRole(service))
            await migrate(owner, schema=service, role=role, sources=parts)
    finally:
        await owner.close(timeout=5)
    databases = {service: database.dsn(DatabaseRole(service)) for service in Service}
    return NodeOnDisk(database, Node(database.organisation, tmp_path, databases, PASSPHRASE))


async def test_a_whole_node_verifies(on_disk: NodeOnDisk) -> None:
    for service, count in ((Service.INTAKE, 3), (Service.REFERRAL, 4)):
        await on_disk.write(service, count)
    reports = await verify_node(on_disk.node)
    said = summary(reports)
    assert (said["entries"], said["verified"]) == (7, True)
    roots = [reports[service].root for service in (Service.INTAKE, Service.NOTIFY, Service.REFERRAL)]
    assert said["root"] == root([leaf_hash(each) for each in roots]).hex()
    assert json.loads(json.dumps(said)) == said
    line = sentences(reports[Service.INTAKE])
    assert line.startswith(f"{on_disk.node.organisation}/audit/intake: verified: 3 entries")
    (alone,) = (await verify_node(on_disk.node, [Service.INTAKE])).values()
    assert summary({Service.INTAKE: alone})["root"] == alone.root.hex()
    assert facts(alone)["problems"] == []


async def test_a_log_goes_on_being_numbered_and_verifies_after_its_key_was_renewed(on_disk: NodeOnDisk) -> None:
    await on_disk.write(Service.NOTIFY, 3)
    later = NOW + timedelta(days=180)
    on_disk.renew(Service.NOTIFY, later)
    async with on_disk.node.connected(Service.NOTIFY) as connection, connection.transaction():
        await append(connection, [make_leaf(number) for number in (3, 4)])
    (on_disk.node.folder / "offset").write_text(str((later - datetime.now(UTC)).total_seconds()))
    async with on_disk.running(Service.NOTIFY) as number:
        assert await number(later)
    (report,) = (await verify_node(on_disk.node, [Service.NOTIFY])).values()
    assert (report.verified, report.entries, report.checkpoints) == (True, 5, 2)


@pytest.mark.parametrize("service", Service)
async def test_the_next_key_of_a_log_takes_over_in_a_service_that_runs(on_disk: NodeOnDisk, service: Service) -> None:
    takes_over = NOW + timedelta(days=90)
    on_disk.renew(service, takes_over, beside=True)
    newest, first = Directory(on_disk.node.folder).book.audit_verifiers(service)
    async with on_disk.running(service) as number, on_disk.node.connected(service) as connection:
        for at, signer in ((NOW, first), (takes_over + timedelta(days=1), newest)):
            async with connection.transaction():
                await append(connection, [make_leaf(at.day)])
            assert await number(at)
            note = await connection.fetchval("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
            assert open_checkpoint(note, [signer])
    (report,) = (await verify_node(on_disk.node, [service])).values()
    assert (report.verified, report.entries, report.checkpoints) == (True, 2, 2)


async def test_entries_of_cases_open_with_the_keyring_and_stay_closed_without(on_disk: NodeOnDisk) -> None:
    keyring = read_keyring(on_disk.node.folder, Holder.REFERRAL, PASSPHRASE)
    vault, kept, gone = Vault(keyring.storage_keys()), uuid4(), uuid4()
    ciphers = {}
    async with on_disk.node.connected(Service.REFERRAL) as connection:
        for case in (kept, gone):
            ciphers[case], wrapped = vault.new_case(case)
            if case == kept:
                insert = "INSERT INTO folder (id, epoch, wrapped) VALUES ($1, $2, $3)"
                await connection.execute(insert, case, wrapped.epoch, wrapped.wrapped)
        leaves = [make_leaf(0, case=kept), make_leaf(1, case=gone), make_leaf(2)]
        async with connection.transaction():
            await append(connection, leaves, CaseEntries(ciphers))
        await on_disk.integrate(Service.REFERRAL, connection)
    with_keys = await verify_node(on_disk.node, [Service.REFERRAL])
    without = await verify_node(replace(on_disk.node, passphrase=None), [Service.REFERRAL])
    seen = [each[Service.REFERRAL] for each in (with_keys, without)]
    assert [(report.opened, report.closed, report.verified) for report in seen] == [(2, 1, True), (1, 2, True)]


async def test_a_log_is_exported_for_its_owner_alone_and_checked_with_the_public_key(
    on_disk: NodeOnDisk, tmp_path: Path
) -> None:
    await on_disk.write(Service.NOTIFY, 5)
    path = tmp_path / "notify.jsonl"
    path.write_text("what was there before")
    assert await export_log(on_disk.node, Service.NOTIFY, path, opened=True) == 5
    assert path.stat().st_mode & 0o777 == 0o600
    (vkey,) = on_disk.node.verifiers(Service.NOTIFY)
    report = verify_export(path, str(vkey))
    assert (report.verified, report.entries, report.opened) == (True, 5, 5)
    assert leftovers(tmp_path) == []


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob(".notify*"))


async def test_checkpoints_that_were_kept_catch_a_history_written_anew(on_disk: NodeOnDisk) -> None:
    await on_disk.write(Service.INTAKE, 3)
    await on_disk.write(Service.NOTIFY, 3)
    kept = list((await newest_checkpoints(on_disk.node)).values())
    assert len(kept) == 2
    assert summary(await verify_node(on_disk.node, checkpoints=kept))["verified"]
    superuser = await asyncpg.connect(on_disk.database.admin_dsn.rpartition("/")[0] + f"/{on_disk.database.name}")
    try:
        await superuser.execute("SET search_path = intake")
        for table in ("audit_leaf", "audit_position", "audit_checkpoint"):
            await superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            await superuser.execute(f"TRUNCATE {table}")
    finally:
        await superuser.close(timeout=5)
    reports = await verify_node(on_disk.node, checkpoints=kept)
    assert findings(reports[Service.INTAKE]) == [("log-truncated", 3)]
    assert reports[Service.NOTIFY].verified
    assert sentences(reports[Service.INTAKE]).splitlines()[1:] == ["  log-truncated at 3"]


async def test_a_checkpoint_of_no_log_here_is_refused(on_disk: NodeOnDisk) -> None:
    with pytest.raises(AuditError) as refused:
        await verify_node(on_disk.node, checkpoints=[checkpoint_of([make_leaf(0)], STRANGER).note])
    assert refused.value.code is AuditCode.CHECKPOINT_OF_NONE


def test_what_is_not_told_is_named(tmp_path: Path) -> None:
    told = {
        "RELAIS_ORGANISATION": "ccem-fr",
        "RELAIS_FOLDER": str(tmp_path),
        "RELAIS_INTAKE_DATABASE": "postgresql://intake@127.0.0.1/x",
        "RELAIS_REFERRAL_DATABASE": "postgresql://referral@127.0.0.1/x",
        "RELAIS_NOTIFY_DATABASE": "postgresql://notify@127.0.0.1/x",
    }
    node = Node.from_environment(told)
    assert node.databases[Service.NOTIFY] == "postgresql://notify@127.0.0.1/x"
    assert "postgresql" not in repr(node)
    for name in told:
        with pytest.raises(AuditError, match=name) as refused:
            Node.from_environment({**told, name: ""})
        assert refused.value.code is AuditCode.NOT_TOLD
