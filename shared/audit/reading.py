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

_CHUNK: Final = 2_000

_LEAVES: Final = """
    SELECT numbered.position, leaf.commitment, leaf.case_id, leaf.content
    FROM audit_position AS numbered
    LEFT JOIN audit_leaf AS leaf ON leaf.id = numbered.leaf_id
    ORDER BY numbered.position
"""

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
    cursor = await connection.cursor(_LEAVES)
    rows = await cursor.fetch(_CHUNK)
    size = 0
    while rows:
        checkpoints = await connection.fetch(_CHECKPOINTS, size, size + len(rows))
        size += len(rows)
        ahead = asyncio.ensure_future(cursor.fetch(_CHUNK))
        try:
            await asyncio.sleep(0)
            yield _columns(rows, cipher), [filed(row) for row in checkpoints]
        finally:
            rows = await ahead


async def newest_checkpoint(connection: Connection) -> str | None:
    """Return the newest checkpoint as a signed note, to be kept somewhere else; ``None`` while there is none."""
    note: str | None = await connection.fetchval(_NEWEST)
    return note


def filed(row: Record) -> Filed:
    """Return a row of ``audit_checkpoint``: ``size``, ``note``, ``peaks`` and ``at``."""
    return Filed(row["size"], row["note"], row["peaks"], row["at"])


def _columns(rows: Sequence[Record], cipher: EntryCipher | None) -> Leaves:
    openings: list[bytes | Finding | None] = [
        row["content"] if row["case_id"] is None else _open(row, cipher) for row in rows
    ]
    return Leaves([row["position"] for row in rows], [row["commitment"] for row in rows], openings)


def _open(row: Record, cipher: EntryCipher | None) -> bytes | Finding | None:
    if cipher is None:
        return None
    try:
        return cipher.open(row["case_id"], row["commitment"], row["content"])
    except VaultError:
        return Finding.ENTRY_UNREADABLE
