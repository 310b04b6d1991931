"""Reading a log in its database, in order and as of one moment, while it goes on being written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from asyncpg import Record

from shared.audit.inspection import Filed, Finding, Leaves
from shared.audit.log import EntryCipher
from shared.storage.pool import Connection
from shared.storage.vault import VaultError

_CHUNK: Final = 4_000

_POSITIONS: Final = """
    SELECT array_agg(position ORDER BY position) AS positions, array_agg(leaf_id ORDER BY position) AS leaves
    FROM (SELECT position, leaf_id FROM audit_position WHERE position >= $1 ORDER BY position LIMIT $2) AS numbered
"""

# Leaves got their ids in nearly the order in which they got their positions, and reading a range takes half the time.
_RANGE: Final = "SELECT id, commitment, case_id, content FROM audit_leaf WHERE id BETWEEN $1 AND $2 ORDER BY id"
_SOME: Final = "SELECT id, commitment, case_id, content FROM audit_leaf WHERE id = ANY ($1::bigint[])"

_CHECKPOINTS: Final = """
    SELECT size, note, peaks, at FROM audit_checkpoint WHERE size > $1 AND size <= $2 ORDER BY size
"""

_NEWEST: Final = "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"


@asynccontextmanager
async def snapshot(connection: Connection) -> AsyncIterator[None]:
    """Hold ``connection``, which must be outside a transaction, to what is committed now; nothing can be written."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # Compiling would take longer than running, and a long log may take its time.
        await connection.execute("SET LOCAL jit = off; SET LOCAL statement_timeout = 0")
        yield


async def read_leaves(
    connection: Connection, cipher: EntryCipher | None = None
) -> AsyncGenerator[tuple[Leaves, list[Filed]], None]:
    """Yield the leaves that have positions, some thousands at a time, each time with the checkpoints that end there.

    The database finds the next leaves while the caller works on these. Use it with ``contextlib.aclosing``.

    Args:
        connection: inside ``snapshot``, and used for nothing else until this is closed.
        cipher: opens entries of cases; without it they stay closed.
    """
    size = 0
    positions, ids = await _positions(connection, 0)
    rows = await _leaves(connection, ids)
    while positions:
        checkpoints = await connection.fetch(_CHECKPOINTS, size, size + len(positions))
        size += len(positions)
        next_positions, ids = await _positions(connection, positions[-1] + 1)
        ahead = asyncio.ensure_future(_leaves(connection, ids))
        try:
            await asyncio.sleep(0)
            yield _columns(positions, rows, cipher), [filed(row) for row in checkpoints]
        finally:
            positions, rows = next_positions, await ahead


async def _positions(connection: Connection, first: int) -> tuple[list[int], list[int]]:
    """Return the next positions from ``first`` on, and the ids of their leaves."""
    (row,) = await connection.fetch(_POSITIONS, first, _CHUNK)
    return row["positions"] or [], row["leaves"] or []


async def _leaves(connection: Connection, ids: Sequence[int]) -> Sequence[Record | None]:
    """Return the leaves of these ids, in their order; ``None`` for one that is not there."""
    if not ids:
        return []
    first, last = min(ids), max(ids)
    near = last - first < 2 * len(ids)
    rows = await connection.fetch(_RANGE, first, last) if near else await connection.fetch(_SOME, ids)
    if [row["id"] for row in rows] == ids:
        return rows
    by_id = {row["id"]: row for row in rows}
    return [by_id.get(each) for each in ids]


async def newest_checkpoint(connection: Connection) -> str | None:
    """Return the newest checkpoint as a signed note, to be kept somewhere else; ``None`` while there is none."""
    note: str | None = await connection.fetchval(_NEWEST)
    return note


def filed(row: Record) -> Filed:
    """Return a row of ``audit_checkpoint``: ``size``, ``note``, ``peaks`` and ``at``."""
    return Filed(row["size"], row["note"], row["peaks"], row["at"])


def _columns(positions: Sequence[int], rows: Sequence[Record | None], cipher: EntryCipher | None) -> Leaves:
    return Leaves(
        positions,
        [None if row is None else row["commitment"] for row in rows],
        [None if row is None else row["content"] if row["case_id"] is None else _open(row, cipher) for row in rows],
    )


def _open(row: Record, cipher: EntryCipher | None) -> bytes | Finding | None:
    if cipher is None:
        return None
    try:
        return cipher.open(row["case_id"], row["commitment"], row["content"])
    except VaultError:
        return Finding.ENTRY_UNREADABLE
