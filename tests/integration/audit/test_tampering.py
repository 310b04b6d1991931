"""A superuser does to the tables what he likes. Each thing is found; most cannot even be done by mistake."""

from uuid import UUID

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole
from shared.audit.cases import CaseEntries
from shared.audit.checkpoint import Checkpoint
from shared.audit.log import Leaf
from shared.audit.merkle import Frontier, leaf_hash
from shared.audit.note import Signer
from shared.audit.sequencer import integrate
from shared.storage.vault import CaseCipher
from tests.integration.audit.conftest import NOW, LogOnDisk
from tests.support.audit import ORIGIN, SIGNER, STRANGER, findings, make_leaf

TABLES = ["audit_leaf", "audit_position", "audit_checkpoint"]

# A log of ten leaves, with checkpoints at 3, 6 and 10; ids of leaves run as positions do.
EDIT = """
    UPDATE audit_leaf SET content = set_byte(content, octet_length(content) - 2, 50)
    WHERE id = (SELECT leaf_id FROM audit_position WHERE position = 4)
"""
BACKDATE = """
    UPDATE audit_leaf SET content = overlay(content PLACING '2025'::bytea FROM position('2026'::bytea IN content))
    WHERE id = (SELECT leaf_id FROM audit_position WHERE position = 4)
"""
COMMIT_AGAIN = "UPDATE audit_leaf SET commitment = sha256(content)"
SWAP_LEAVES = """
    UPDATE audit_leaf AS one SET content = other.content, commitment = other.commitment FROM audit_leaf AS other
    WHERE one.id IN (SELECT leaf_id FROM audit_position WHERE position IN (1, 4))
    AND other.id IN (SELECT leaf_id FROM audit_position WHERE position IN (1, 4)) AND one.id <> other.id
"""
SWAP_POSITIONS = (
    "UPDATE audit_position SET position = position + 1000 WHERE position IN (1, 4)",
    "UPDATE audit_position SET position = 1005 - position WHERE position > 1000",
)
DELETE_LEAF = "DELETE FROM audit_leaf WHERE id = (SELECT leaf_id FROM audit_position WHERE position = 4)"
DELETE_POSITION = "DELETE FROM audit_position WHERE position = 4"
CLOSE_RANKS = (
    "UPDATE audit_position SET position = position + 1000 WHERE position > 4",
    "UPDATE audit_position SET position = position - 1001 WHERE position > 1000",
)
CUT = "DELETE FROM audit_position WHERE position >= 6"
CUT_LEAVES = "DELETE FROM audit_leaf WHERE id IN (SELECT leaf_id FROM audit_position WHERE position >= 6)"
CUT_CHECKPOINT = "DELETE FROM audit_checkpoint WHERE size > 6"
COPY_LEAF = """
    INSERT INTO audit_leaf (commitment, content)
    SELECT sha256(content), content FROM audit_leaf ORDER BY id LIMIT 1
"""
INSERT = (
    "UPDATE audit_position SET position = position + 1000 WHERE position >= 4",
    "UPDATE audit_position SET position = position - 999 WHERE position >= 1000",
    COPY_LEAF,
    "INSERT INTO audit_position (position, leaf_id) SELECT 4, max(id) FROM audit_leaf",
)
APPEND = (COPY_LEAF, "INSERT INTO audit_position (position, leaf_id) SELECT 10, max(id) FROM audit_leaf")
FAR_AWAY = "INSERT INTO audit_position (position, leaf_id) VALUES (4611686018427387904, 0)"
MISPLACE = "UPDATE audit_checkpoint SET note = (SELECT note FROM audit_checkpoint WHERE size = 3) WHERE size = 6"
RESIZE = r"UPDATE audit_checkpoint SET note = replace(note, E'\n6\n', E'\n7\n') WHERE size = 6"
EMPTY = "UPDATE audit_checkpoint SET note = '' WHERE size = 6"
TURN_BACK = "UPDATE audit_checkpoint SET at = at - interval '1 minute' WHERE size = 6"
CHANGE_PEAK = "UPDATE audit_checkpoint SET peaks = set_byte(peaks, 0, get_byte(peaks, 0) # 1) WHERE size = 6"
QUEUE_NOTHING = "INSERT INTO audit_pending (leaf_id) VALUES (0)"
QUEUE_AGAIN = "INSERT INTO audit_pending (leaf_id) SELECT min(leaf_id) FROM audit_position"


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        pytest.param([EDIT], [("entry-altered", 4)], id="edit"),
        pytest.param([BACKDATE], [("entry-altered", 4)], id="backdate"),
        pytest.param([BACKDATE, COMMIT_AGAIN], [("root-mismatch", 3)], id="backdate, with its commitment"),
        pytest.param([SWAP_LEAVES], [("root-mismatch", 0)], id="swap leaves"),
        pytest.param(SWAP_POSITIONS, [("root-mismatch", 0)], id="swap positions"),
        pytest.param([DELETE_LEAF], [("entry-missing", 4), ("root-mismatch", 3)], id="delete a leaf"),
        pytest.param(
            [DELETE_POSITION],
            [
                ("position-gap", 4),
                ("root-mismatch", 3),
                ("leaf-unnumbered", None),
                ("log-truncated", 10),
                ("log-unsigned", 6),
            ],
            id="delete a position",
        ),
        pytest.param(
            [DELETE_LEAF, DELETE_POSITION, *CLOSE_RANKS],
            [("root-mismatch", 3), ("log-truncated", 10), ("log-unsigned", 6)],
            id="delete and close ranks",
        ),
        pytest.param([CUT], [("leaf-unnumbered", None), ("log-truncated", 10)], id="cut positions"),
        pytest.param([CUT_LEAVES, CUT], [("log-truncated", 10)], id="cut leaves too"),
        pytest.param([CUT, CUT_CHECKPOINT], [("leaf-unnumbered", None)], id="cut positions and checkpoint"),
        pytest.param([CUT_CHECKPOINT], [("log-unsigned", 6)], id="cut a checkpoint"),
        pytest.param(INSERT, [("root-mismatch", 3), ("log-unsigned", 10)], id="insert in the middle"),
        pytest.param(APPEND, [("log-unsigned", 10)], id="append past the sequencer"),
        pytest.param(
            [FAR_AWAY],
            [("position-gap", 10), ("entry-missing", 4611686018427387904), ("log-unsigned", 10)],
            id="append far away",
        ),
        pytest.param([MISPLACE], [("checkpoint-misplaced", 6)], id="misplace a checkpoint"),
        pytest.param([RESIZE], [("checkpoint-forged", 6)], id="change a checkpoint"),
        pytest.param([EMPTY], [("checkpoint-forged", 6)], id="empty a checkpoint"),
        pytest.param([TURN_BACK], [("checkpoint-backdated", 6)], id="backdate a checkpoint"),
        pytest.param([CHANGE_PEAK], [("frontier-altered", 6)], id="change a peak"),
        pytest.param([QUEUE_NOTHING], [("queue-altered", None)], id="queue what is not there"),
        pytest.param([QUEUE_AGAIN], [("queue-altered", None)], id="queue what is numbered"),
    ],
)
async def test_what_was_done_is_found(
    log: LogOnDisk, statements: list[str], found: list[tuple[str, int | None]]
) -> None:
    await log.fill(3, 3, 4)
    assert (await log.verified()).verified
    await log.tamper(*statements)
    assert findings(await log.verified()) == found


async def test_an_entry_that_never_got_its_number_is_missed(log: LogOnDisk) -> None:
    await log.fill(3)
    await log.write([make_leaf(3)])
    async with log.pool.acquire() as service:
        await service.execute("DELETE FROM audit_pending")
    assert findings(await log.verified()) == [("leaf-unnumbered", None)]


@pytest.mark.parametrize(
    "change",
    [
        "content = set_byte(content, 20, get_byte(content, 20) # 1)",
        "content = (SELECT content FROM audit_leaf ORDER BY id DESC LIMIT 1)",
        "content = ''",
        "case_id = (SELECT case_id FROM audit_leaf ORDER BY id DESC LIMIT 1)",
    ],
    ids=["changed", "swapped", "emptied", "under another case"],
)
async def test_an_encrypted_entry_that_is_changed_is_found(log: LogOnDisk, change: str) -> None:
    first, second = UUID(int=1), UUID(int=2)
    cipher = CaseEntries({first: CaseCipher(bytes(32)), second: CaseCipher(bytes(31) + b"\x01")})
    await log.write([make_leaf(0, case=first), make_leaf(1, case=second)], cipher)
    async with log.pool.acquire() as service:
        await integrate(service, SIGNER, NOW)
    await log.tamper(f"UPDATE audit_leaf SET {change} WHERE id = 1")  # noqa: S608 - changes from the list above
    assert findings(await log.verified(cipher)) == [("entry-unreadable", 0)]


async def test_an_entry_of_a_case_that_is_passed_off_as_one_in_clear_is_found(log: LogOnDisk) -> None:
    case = UUID(int=1)
    await log.write([make_leaf(0, case=case)], CaseEntries({case: CaseCipher(bytes(32))}))
    async with log.pool.acquire() as service:
        await integrate(service, SIGNER, NOW)
    await log.tamper("UPDATE audit_leaf SET case_id = NULL")
    assert findings(await log.verified()) == [("entry-altered", 0)]


def signed_again(leaves: list[Leaf], signer: Signer) -> tuple[str, bytes]:
    """Return the checkpoint over ``leaves``, and its peaks, as somebody with a key would put them in place."""
    frontier = Frontier().extended(leaf_hash(leaf.commitment) for leaf in leaves)
    return Checkpoint(ORIGIN, frontier.size, frontier.root()).sign(signer), frontier.to_bytes()


@pytest.mark.parametrize(
    ("signer", "found"),
    [(STRANGER, [("checkpoint-forged", 6), ("log-unsigned", 3)]), (SIGNER, [])],
    ids=["without the key", "with the key"],
)
async def test_a_history_written_anew_and_signed_again_is_found_by_whoever_kept_a_checkpoint(
    log: LogOnDisk, signer: Signer, found: list[tuple[str, int | None]]
) -> None:
    leaves = await log.fill(3, 3)
    kept = await log.notes()
    leaves[4] = make_leaf(99)
    note, peaks = signed_again(leaves, signer)
    async with log.tampering() as superuser:
        await superuser.execute(
            "UPDATE audit_leaf SET content = $1, commitment = $2"
            " WHERE id = (SELECT leaf_id FROM audit_position WHERE position = 4)",
            leaves[4].opening,
            leaves[4].commitment,
        )
        await superuser.execute("UPDATE audit_checkpoint SET note = $1, peaks = $2 WHERE size = 6", note, peaks)
    assert findings(await log.verified()) == found
    assert findings(await log.verified(anchors=kept)) == [("history-rewritten", 6), *found]


async def test_a_log_cut_back_to_an_older_checkpoint_is_found_by_whoever_kept_a_newer_one(log: LogOnDisk) -> None:
    await log.fill(3, 3, 4)
    kept = await log.notes()
    await log.tamper(CUT_LEAVES, CUT, CUT_CHECKPOINT)
    assert (await log.verified()).verified
    assert findings(await log.verified(anchors=kept)) == [("log-truncated", 10)]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize(
    "role", [DatabaseRole.REFERRAL, DatabaseRole.OWNER, None], ids=["service", "owner", "superuser"]
)
async def test_nobody_changes_the_log_by_mistake(
    log: LogOnDisk, table: str, statement: str, role: DatabaseRole | None
) -> None:
    await log.fill(2)
    column = {"audit_leaf": "content", "audit_position": "leaf_id", "audit_checkpoint": "note"}[table]
    async with log.connected(role) as connection:
        if role is None:
            await connection.execute("SET session_replication_role = replica")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(table, column, column))
    assert (await log.verified()).entries == 2


async def test_the_service_cannot_switch_the_triggers_off(log: LogOnDisk) -> None:
    async with log.connected(DatabaseRole.REFERRAL) as service:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("ALTER TABLE audit_leaf DISABLE TRIGGER audit_append_only")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("SET session_replication_role = replica")


@pytest.mark.parametrize("role", [DatabaseRole.INTAKE, DatabaseRole.NOTIFY])
async def test_another_service_does_not_even_read_the_log(log: LogOnDisk, role: DatabaseRole) -> None:
    async with log.connected(role) as stranger:
        for table in (*TABLES, "audit_pending"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await stranger.execute(f"SELECT FROM {log.schema}.{table}")
