"""Writing, numbering and verifying, with everything that happens to a database in between."""

import asyncio
from io import BytesIO
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole
from shared.audit.cases import CaseEntries
from shared.audit.checkpoint import open_checkpoint
from shared.audit.export import export, verify_export
from shared.audit.log import append
from shared.audit.merkle import leaf_hash, root
from shared.audit.sequencer import LogAlteredError, Sequencer, integrate
from shared.clock import Clock
from shared.sealing.codes import KeyringCode, KeyringError
from shared.storage.pool import Connection
from shared.storage.vault import CaseCipher
from shared.telemetry import metrics
from tests.integration.audit.conftest import NOW, LogOnDisk
from tests.support.audit import BEGIN, ORIGIN, SIGNER, findings, make_leaf
from tests.support.wait import until

FIRST_CASE, SECOND_CASE = UUID(int=1), UUID(int=2)
FIRST, SECOND = CaseCipher(bytes(32)), CaseCipher(bytes(31) + b"\x01")


async def test_a_log_that_nothing_was_written_to_is_sound(log: LogOnDisk) -> None:
    async with log.pool.acquire() as connection:
        await append(connection, [])
        assert await integrate(connection, SIGNER, NOW) is None
    report = await log.verified()
    assert report.verified
    assert (report.entries, report.pending) == (0, 0)


async def test_what_was_written_waits_is_numbered_in_order_and_verifies(log: LogOnDisk) -> None:
    leaves = [make_leaf(number) for number in range(7)]
    await log.write(leaves[:4])
    await log.write(leaves[4:])
    waiting = await log.verified()
    assert waiting.verified
    assert (waiting.entries, waiting.pending) == (0, 7)
    async with log.pool.acquire() as connection:
        first = await integrate(connection, SIGNER, NOW, limit=5)
        second = await integrate(connection, SIGNER, NOW, limit=5)
        assert await integrate(connection, SIGNER, NOW, limit=5) is None
    assert first is not None
    assert second is not None
    hashes = [leaf_hash(leaf.commitment) for leaf in leaves]
    assert [(each.size, each.root) for each in (first, second)] == [(5, root(hashes[:5])), (7, root(hashes))]
    report = await log.verified(anchors=await log.notes())
    assert report.verified
    assert (report.entries, report.opened, report.pending, report.checkpoints) == (7, 7, 0, 2)
    assert report.root == second.root
    assert open_checkpoint((await log.notes())[1], [SIGNER.verifier]) == second


async def test_entries_of_a_case_are_encrypted_and_go_with_its_key(log: LogOnDisk) -> None:
    cipher = CaseEntries({FIRST_CASE: FIRST, SECOND_CASE: SECOND})
    leaves = [make_leaf(0, case=FIRST_CASE), make_leaf(1, case=SECOND_CASE), make_leaf(2)]
    await log.write(leaves, cipher)
    async with log.pool.acquire() as connection:
        await integrate(connection, SIGNER, NOW)
    contents = [bytes(row["content"]) for row in await log.pool.fetch("SELECT content FROM audit_leaf ORDER BY id")]
    assert [b"advocate.one" in content for content in contents] == [False, False, True]
    seen = [await log.verified(each) for each in (cipher, CaseEntries({FIRST_CASE: FIRST}), None)]
    assert [(report.opened, report.closed) for report in seen] == [(3, 0), (2, 1), (1, 2)]
    assert all(report.verified for report in seen)
    assert len({report.root for report in seen}) == 1


async def test_what_is_rolled_back_leaves_no_trace(log: LogOnDisk) -> None:
    await log.write([make_leaf(0)])
    async with log.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await append(connection, [make_leaf(number) for number in range(1, 30)])
        await transaction.rollback()
        await log.write([make_leaf(30)])
        checkpoint = await integrate(connection, SIGNER, NOW)
    assert checkpoint is not None
    assert checkpoint.size == 2
    report = await log.verified()
    assert (report.verified, report.opened) == (True, 2)


async def test_a_transaction_that_commits_late_comes_late_and_is_not_lost(log: LogOnDisk) -> None:
    async with log.pool.acquire() as slow, log.pool.acquire() as connection:
        transaction = slow.transaction()
        await transaction.start()
        await append(slow, [make_leaf(0), make_leaf(1)])
        await log.write([make_leaf(2)])
        before = await integrate(connection, SIGNER, NOW)
        await transaction.commit()
        after = await integrate(connection, SIGNER, NOW)
    hashes = [leaf_hash(make_leaf(number).commitment) for number in (2, 0, 1)]
    assert before is not None
    assert after is not None
    assert [(each.size, each.root) for each in (before, after)] == [(1, root(hashes[:1])), (3, root(hashes))]
    assert (await log.verified()).verified


async def test_many_processes_write_and_number_at_once(log: LogOnDisk) -> None:
    total, writers, sequencers = 600, 3, 2
    written = asyncio.Event()

    async def write(first: int) -> None:
        for number in range(first, total, writers * 5):
            await log.write(make_leaf(each) for each in range(number, min(number + 5 * writers, total), writers))

    async def number() -> None:
        sequencer = Sequencer(log.pool, "referral", lambda _: (SIGNER, ()), Clock(), limit=50)
        while not written.is_set():
            await sequencer.step()
        while await sequencer.step():
            pass

    numbering = [asyncio.create_task(number()) for _ in range(sequencers)]
    await asyncio.gather(*(write(first) for first in range(writers)))
    written.set()
    await asyncio.gather(*numbering)
    await until(lambda: drained(log), what="everything numbered")
    report = await log.verified()
    assert report.verified
    assert (report.entries, report.opened, report.pending) == (total, total, 0)


async def drained(log: LogOnDisk) -> bool:
    return not await Sequencer(log.pool, "referral", lambda _: (SIGNER, ()), Clock()).step()


async def test_while_one_process_is_at_it_another_does_nothing(log: LogOnDisk) -> None:
    await log.write([make_leaf(0)])
    async with log.connected(None) as blocker, log.pool.acquire() as first, log.pool.acquire() as second:
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE audit_checkpoint IN ACCESS EXCLUSIVE MODE")
            held = asyncio.create_task(integrate(first, SIGNER, NOW))
            await until(lambda: waits(blocker, first.get_server_pid()), what="the first waits for the table")
            assert await integrate(second, SIGNER, NOW) is None
        checkpoint = await held
    assert checkpoint is not None
    assert checkpoint.size == 1


async def test_no_lock_of_another_role_of_the_database_keeps_a_log_from_being_signed(log: LogOnDisk) -> None:
    await log.write([make_leaf(0)])
    async with log.connected(DatabaseRole.INTAKE) as thief, log.pool.acquire() as connection, thief.transaction():
        guessed = "SELECT pg_try_advisory_xact_lock(hashtextextended('referral.audit_checkpoint', 0))"
        assert await thief.fetchval(guessed)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with thief.transaction():
                await thief.execute("SELECT one FROM referral.audit_sequencer FOR UPDATE")
        assert await integrate(connection, SIGNER, NOW) is not None


async def waits(connection: Connection, pid: int) -> bool:
    """Say whether the server process ``pid`` waits for a lock."""
    kind = await connection.fetchval("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1", pid)
    return bool(kind == "Lock")


@pytest.mark.parametrize("table", ["audit_pending", "audit_leaf", "audit_position", "audit_checkpoint"])
async def test_a_process_killed_at_any_table_leaves_nothing_half_done(log: LogOnDisk, table: str) -> None:
    await log.fill(3)
    await log.write([make_leaf(3)])
    async with log.connected(None) as superuser:
        victim = await asyncpg.connect(log.node.dsn(DatabaseRole.REFERRAL), server_settings={"search_path": log.schema})
        async with superuser.transaction():
            await superuser.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            step = asyncio.create_task(integrate(victim, SIGNER, NOW))
            await until(lambda: waits(superuser, victim.get_server_pid()), what="the victim waits for the table")
            await superuser.execute("SELECT pg_terminate_backend($1)", victim.get_server_pid())
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
                await step
    killed = await log.verified()
    assert (killed.verified, killed.entries, killed.pending) == (True, 3, 1)
    async with log.pool.acquire() as connection:
        assert await integrate(connection, SIGNER, NOW) is not None
    report = await log.verified()
    assert (report.verified, report.entries, report.pending) == (True, 4, 0)


async def test_the_sequencer_says_when_more_waits(log: LogOnDisk) -> None:
    await log.write(make_leaf(number) for number in range(25))
    sequencer = Sequencer(log.pool, "referral", lambda _: (SIGNER, ()), Clock(), limit=10)
    assert [await sequencer.step() for _ in range(4)] == [True, True, False, False]
    assert (await log.verified()).checkpoints == 3


async def test_without_a_key_entries_wait_and_it_shows_how_many(log: LogOnDisk) -> None:
    def run_out(_: object) -> NoReturn:
        raise KeyringError(KeyringCode.KEY_MISSING)

    await log.write(make_leaf(number) for number in range(3))
    with pytest.raises(KeyringError):
        await Sequencer(log.pool, "referral", run_out, Clock()).step()
    assert metrics.REGISTRY.get_sample_value("relais_audit_pending", {"service": "referral"}) == 3


async def test_how_much_is_signed_is_known_from_the_start(log: LogOnDisk) -> None:
    def size() -> float | None:
        return metrics.REGISTRY.get_sample_value("relais_audit_size", {"service": "referral"})

    def at_work() -> Sequencer:
        return Sequencer(log.pool, "referral", lambda _: (SIGNER, ()), Clock())

    await at_work().step()
    assert size() == 0
    await log.fill(3)
    await at_work().step()
    assert size() == 3


async def test_the_time_beside_a_checkpoint_never_goes_back(log: LogOnDisk) -> None:
    await log.fill(1)
    await log.write([make_leaf(1)])
    async with log.pool.acquire() as connection:
        await integrate(connection, SIGNER, BEGIN)
    times = [row["at"] for row in await log.pool.fetch("SELECT at FROM audit_checkpoint ORDER BY size")]
    assert times == [NOW, NOW]
    assert (await log.verified()).verified


async def test_a_longer_log_takes_the_reader_through_many_chunks(log: LogOnDisk) -> None:
    leaves = await log.fill(1_999, 1, 1, 2_500)
    report = await log.verified()
    assert report.verified
    assert (report.entries, report.opened, report.checkpoints) == (4_501, 4_501, 4)
    assert report.root == root([leaf_hash(leaf.commitment) for leaf in leaves])


async def test_an_export_says_the_same_as_the_database_and_needs_only_the_key(log: LogOnDisk, tmp_path: Path) -> None:
    cipher = CaseEntries({FIRST_CASE: FIRST, SECOND_CASE: SECOND})
    leaves = [make_leaf(number, case=(None, FIRST_CASE, SECOND_CASE)[number % 3]) for number in range(10)]
    for step in (leaves[:4], leaves[4:]):
        await log.write(step, cipher)
        async with log.pool.acquire() as connection:
            await integrate(connection, SIGNER, NOW)
    in_database = await log.verified(CaseEntries({FIRST_CASE: FIRST}))
    for opened, expected in ((True, (7, 3)), (False, (0, 10))):
        out = BytesIO()
        async with log.pool.acquire() as connection:
            written = await export(connection, ORIGIN, out, opened=opened, cipher=CaseEntries({FIRST_CASE: FIRST}))
        path = tmp_path / f"{opened}.jsonl"
        path.write_bytes(out.getvalue())
        report = verify_export(path, str(SIGNER.verifier), anchors=await log.notes())
        assert report.verified
        assert (written, report.entries, report.checkpoints) == (10, 10, 2)
        assert (report.opened, report.closed) == expected
        assert report.root == in_database.root
        assert (b"advocate.one" in out.getvalue()) == opened


async def test_an_altered_log_is_not_gone_on_from(log: LogOnDisk) -> None:
    await log.fill(3)
    await log.tamper("UPDATE audit_checkpoint SET peaks = decode(repeat('00', 64), 'hex')")
    await log.write([make_leaf(3)])
    async with log.pool.acquire() as connection:
        with pytest.raises(LogAlteredError):
            await integrate(connection, SIGNER, NOW)
    report = await log.verified()
    assert findings(report) == [("frontier-altered", 3)]
    assert report.pending == 1
