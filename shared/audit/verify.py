"""Saying whether anybody changed a log since it was written.

What must never happen: that a log is called verified of which a part was not read.
"""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Final

from shared.audit.inspection import Finding, Inspection, Report, open_anchors
from shared.audit.log import EntryCipher
from shared.audit.note import NoteVerifier
from shared.audit.reading import filed, read_leaves, snapshot
from shared.storage.pool import Connection

_BEYOND: Final = "SELECT size, note, peaks, at FROM audit_checkpoint WHERE size > $1 ORDER BY size"

_LEFT: Final = """
    SELECT
        (SELECT count(*) FROM audit_leaf) AS leaves,
        count(*) AS waiting,
        count(*) FILTER (WHERE leaf.id IS NULL OR numbered.leaf_id IS NOT NULL) AS strange
    FROM audit_pending AS waiting
    LEFT JOIN audit_leaf AS leaf ON leaf.id = waiting.leaf_id
    LEFT JOIN audit_position AS numbered ON numbered.leaf_id = waiting.leaf_id
"""


async def verify(
    connection: Connection,
    verifier: NoteVerifier,
    cipher: EntryCipher | None = None,
    *,
    former: Sequence[NoteVerifier] = (),
    anchors: Iterable[str | bytes] = (),
) -> Report:
    """Read the log of the service whose schema ``connection`` is on, and return what is right and wrong with it.

    Args:
        connection: outside a transaction; it only reads.
        verifier: the log's key, from somewhere else than this database.
        cipher: opens entries of cases. Without it, and where a case is erased, an entry counts by its commitment.
        former: earlier keys of the log.
        anchors: checkpoints of this log, as signed notes, that were kept elsewhere: they alone show that somebody who
            has the log's key wrote it anew.

    Raises:
        NoteRefusedError, CheckpointRefusedError: an anchor is not a checkpoint of this log.
    """
    inspection = Inspection(verifier, former=former, anchors=open_anchors(anchors, (verifier, *former)))
    async with snapshot(connection):
        async with aclosing(read_leaves(connection, cipher)) as chunks:
            async for leaves, checkpoints in chunks:
                inspection.take(leaves, checkpoints)
        beyond = await connection.fetch(_BEYOND, inspection.size)
        (left,) = await connection.fetch(_LEFT)
    numbered, waiting = inspection.size - inspection.missing, left["waiting"] - left["strange"]
    inspection.note(Finding.QUEUE_ALTERED, count=left["strange"])
    inspection.note(Finding.LEAF_UNNUMBERED, count=left["leaves"] - numbered - waiting)
    return inspection.finish(map(filed, beyond), pending=waiting)
