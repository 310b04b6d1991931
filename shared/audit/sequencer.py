"""Numbering the log: leaves that wait get their positions, and a new checkpoint is signed over all of them.

One step is one transaction under a lock that only one process of a service can hold, so that it may stop at any
point, and run in any number of processes: either the queue is shorter, the positions continue and a checkpoint covers
them, or nothing happened. What must never happen: that a checkpoint is signed that does not continue the last one,
which is looked at each time.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from shared.audit.checkpoint import Checkpoint, open_checkpoint
from shared.audit.log import Commitment
from shared.audit.merkle import Frontier, leaf_hash
from shared.audit.note import NoteVerifier, Signer
from shared.clock import Clock
from shared.storage.pool import Connection, Pool
from shared.telemetry import metrics

LARGEST_STEP: Final = 10_000
"""Leaves that one transaction numbers at most: some tenths of a second."""


LogKeys: TypeAlias = Callable[[datetime], tuple[Signer, Iterable[NoteVerifier]]]
"""Returns what signs at a time, and which earlier keys may have signed until then."""


class LogAlteredError(Exception):
    """The tables are not as the sequencer left them. It goes no further; ``relais audit verify`` says what is wrong."""

    code: Final = "audit-log-altered"


_LOCK: Final = "SELECT one FROM audit_sequencer FOR UPDATE SKIP LOCKED"

_NEWEST: Final = "SELECT size, note, peaks, at FROM audit_checkpoint ORDER BY size DESC LIMIT 1"

# The array and the fence (OFFSET 0) hold the planner to look-ups by key, however long it believes the queue to be.
_TAKE: Final = """
    WITH taken AS (
        DELETE FROM audit_pending
        WHERE leaf_id = ANY (ARRAY(SELECT leaf_id FROM audit_pending ORDER BY leaf_id LIMIT $1))
        RETURNING leaf_id
    )
    SELECT taken.leaf_id, leaf.commitment
    FROM taken
    LEFT JOIN LATERAL (SELECT commitment FROM audit_leaf WHERE id = taken.leaf_id OFFSET 0) AS leaf ON true
    ORDER BY taken.leaf_id
"""

_NUMBER: Final = """
    INSERT INTO audit_position (position, leaf_id)
    SELECT $1::bigint + place - 1, leaf_id FROM unnest($2::bigint[]) WITH ORDINALITY AS new (leaf_id, place)
"""

_SIGN: Final = "INSERT INTO audit_checkpoint (size, note, peaks, at) VALUES ($1, $2, $3, $4)"

_STATE: Final = """
    SELECT (SELECT count(*) FROM audit_pending) AS pending, (SELECT max(size) FROM audit_checkpoint) AS size
"""


async def integrate(
    connection: Connection,
    signer: Signer,
    at: datetime,
    *,
    limit: int = LARGEST_STEP,
    former: Iterable[NoteVerifier] = (),
) -> Checkpoint | None:
    """Number up to ``limit`` waiting leaves and return the checkpoint that covers them.

    ``None`` when no leaf waits, or when another process is at it.

    Args:
        connection: outside a transaction.
        signer: the log's key; its name is the log's origin.
        at: the time that is noted beside the checkpoint, unless the one before is later.
        limit: leaves at most.
        former: earlier keys of the log, which may have signed the checkpoint before.

    Raises:
        LogAlteredError: a leaf, a position or the newest checkpoint was changed or removed.
        NoteRefusedError, CheckpointRefusedError: the newest checkpoint is not signed by this log.
    """
    async with connection.transaction(isolation="read_committed"):
        if not await connection.fetchval(_LOCK):
            return None
        waiting = await connection.fetch(_TAKE, limit)
        if not waiting:
            return None
        frontier, at = await _continue(connection, (signer.verifier, *former), at)
        await connection.execute(_NUMBER, frontier.size, [row["leaf_id"] for row in waiting])
        frontier = _extend(frontier, [row["commitment"] for row in waiting])
        checkpoint = Checkpoint(signer.name, frontier.size, frontier.root())
        await connection.execute(_SIGN, checkpoint.size, checkpoint.sign(signer), frontier.to_bytes(), at)
    return checkpoint


async def _continue(
    connection: Connection, verifiers: Sequence[NoteVerifier], at: datetime
) -> tuple[Frontier, datetime]:
    """Return the tree so far, as the newest checkpoint vouches for it, and the time from which to go on."""
    row = await connection.fetchrow(_NEWEST)
    if row is None:
        return Frontier(), at
    checkpoint = open_checkpoint(row["note"], verifiers)
    try:
        frontier = Frontier.from_bytes(row["size"], row["peaks"])
    except ValueError:
        raise LogAlteredError from None
    if (frontier.size, frontier.root()) != (checkpoint.size, checkpoint.root):
        raise LogAlteredError
    return frontier, max(at, row["at"])


def _extend(frontier: Frontier, commitments: Sequence[Commitment | None]) -> Frontier:
    present = [commitment for commitment in commitments if commitment is not None]
    if len(present) < len(commitments):
        raise LogAlteredError
    return frontier.extended(map(leaf_hash, present))


class Sequencer:
    """The sequencer of one service, as work that comes round. Every process of the service may run one."""

    def __init__(self, pool: Pool, service: str, keys: LogKeys, clock: Clock, *, limit: int = LARGEST_STEP) -> None:
        """Take where connections come from, whose log it is, and what ``integrate`` needs.

        ``keys`` is asked each time, so that the next key takes over without a restart.
        """
        self._pool = pool
        self._service = service
        self._keys = keys
        self._clock = clock
        self._limit = limit
        self._size = 0

    async def step(self) -> bool:
        """Integrate once, and tell whether more may be waiting: then the next step should not wait.

        Whatever keeps it from that, entries are still written and wait in the queue, and how many wait and how many are
        signed is told.

        Raises:
            LogAlteredError, NoteRefusedError, CheckpointRefusedError: somebody tampered with the log.
            KeyringError: ``keyring-key-missing``: the log's key has run out.
            asyncpg.PostgresError, OSError: the database is away; nothing has happened.
        """
        at = self._clock.now()
        async with self._pool.acquire() as connection:
            try:
                signer, former = self._keys(at)
                checkpoint = await integrate(connection, signer, at, limit=self._limit, former=former)
            finally:
                [state] = await connection.fetch(_STATE)
                metrics.AUDIT_PENDING.set(state["pending"], service=self._service)
                metrics.AUDIT_SIZE.set(state["size"] or 0, service=self._service)
        if checkpoint is None:
            return False
        grown, self._size = checkpoint.size - self._size, checkpoint.size
        return grown >= self._limit
