"""What makes a log sound, without a database or a file: the checks that ``verify`` and ``verify_export`` share.

Leaves come in order, in columns, with the checkpoints that end among them. Each commitment is made again from its salt
and entry, the tree is grown again from the commitments, and each signed root is compared with it. Linear, and bound by
SHA-256. What must never happen: that a log passes of which one byte under a signature is not what was signed.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from shared.audit.checkpoint import Checkpoint, CheckpointRefusedError, open_checkpoint
from shared.audit.log import Commitment, commit
from shared.audit.merkle import Frontier, Hash, leaf_hash
from shared.audit.note import NoteRefusedError, NoteVerifier
from shared.values import dataclass

MOST_PROBLEMS: Final = 1_000
"""How many problems a report lists; the others are counted."""

NO_COMMITMENT: Final = Commitment(bytes(32))
"""Stands for the commitment of a leaf that is gone, so that the leaves after it keep their places."""


class Finding(StrEnum):
    """What can be wrong with a log."""

    ENTRY_ALTERED = "entry-altered"
    """The entry, or the salt beside it, is not the one that was committed to."""
    ENTRY_UNREADABLE = "entry-unreadable"
    """The case's key is there, and does not open the entry: it was changed, or put under another case."""
    ENTRY_MISSING = "entry-missing"
    """A position has no leaf any more."""
    POSITION_GAP = "position-gap"
    """Positions do not follow one another."""
    LEAF_UNNUMBERED = "leaf-unnumbered"
    """A leaf was written, has no position, and does not wait for one: it was taken out of the log."""
    QUEUE_ALTERED = "queue-altered"
    """What waits for a position is not a leaf, or has a position already."""
    ROOT_MISMATCH = "root-mismatch"
    """The leaves are not those that the checkpoint was signed over. Said once, of the first checkpoint that differs."""
    LOG_TRUNCATED = "log-truncated"
    """A signed checkpoint covers more leaves than there are."""
    LOG_UNSIGNED = "log-unsigned"
    """Leaves have positions beyond the last checkpoint."""
    CHECKPOINT_FORGED = "checkpoint-forged"
    """A checkpoint is not signed by this log's key, or is no checkpoint of this log."""
    CHECKPOINT_MISPLACED = "checkpoint-misplaced"
    """A checkpoint that the log signed stands after more or fewer leaves than it covers."""
    CHECKPOINT_BACKDATED = "checkpoint-backdated"
    """The time beside a checkpoint is earlier than that of the checkpoint before."""
    FRONTIER_ALTERED = "frontier-altered"
    """The hashes from which the tree goes on are not those of the checkpoint."""
    HISTORY_REWRITTEN = "history-rewritten"
    """The log does not continue a checkpoint of its own that somebody kept elsewhere."""
    EXPORT_MALFORMED = "export-malformed"
    """A line of an export cannot be read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    code: Finding
    position: int | None
    """The entry's position, counted from 0; for a checkpoint, its size; for a root that differs, the size of the last
    checkpoint that fits, after which something was changed; ``None`` for what has no position."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a log."""

    origin: str
    """Which log."""
    entries: int
    """Leaves that have a position."""
    opened: int
    """Entries that were read and compared with their commitments."""
    closed: int
    """Entries that were taken at their commitment: their case is erased, or their key is not at hand."""
    checkpoints: int
    """Checkpoints whose signature and root are right."""
    pending: int
    """Leaves that wait for their position: no checkpoint vouches for them yet."""
    root: Hash
    """The root of the tree over the leaves that were found."""
    problems: tuple[Problem, ...]
    """In the order in which they were found, the first 1,000."""
    problem_count: int
    """All of them."""

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem_count == 0


class Filed(NamedTuple):
    """A checkpoint as the log keeps it."""

    size: int
    note: str
    peaks: bytes | None = None
    """The frontier beside it; ``None`` where none is kept."""
    at: datetime | None = None


class Leaves(NamedTuple):
    """Some leaves that follow one another, in columns of one length."""

    positions: Sequence[int]
    commitments: Sequence[Commitment | None]
    """``None``: the leaf is gone."""
    openings: Sequence[bytes | Finding | None]
    """Salt and entry; ``None`` where they cannot be read any more; what is wrong where they should be readable."""


class Inspection:
    """A log while it is read, from its first leaf on."""

    def __init__(
        self,
        verifier: NoteVerifier,
        *,
        former: Sequence[NoteVerifier] = (),
        anchors: Sequence[Checkpoint] = (),
    ) -> None:
        """Begin with nothing.

        Args:
            verifier: the key that signs the checkpoints; its name is the log's origin.
            former: earlier keys of the same log.
            anchors: checkpoints of the log that were kept elsewhere, from ``open_anchors``.
        """
        self._origin = verifier.name
        self._verifiers = (verifier, *former)
        self._anchors = deque(anchors)
        self._frontier = Frontier()
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._opened = self._closed = self._checkpoints = 0
        self._signed = 0
        """The size of the last checkpoint whose signature is right."""
        self._sound = 0
        """The size of the last checkpoint whose root is right as well."""
        self._diverged = False
        self._time: datetime | None = None
        self._next = 0
        """The position that must come next."""
        self.missing = 0
        """Positions whose leaf is gone."""

    @property
    def size(self) -> int:
        """How many leaves have been taken."""
        return self._frontier.size

    def note(self, code: Finding, position: int | None = None, *, count: int = 1) -> None:
        """Write down that something is wrong; nothing when ``count`` is 0."""
        if count <= 0:
            return
        self._problem_count += count
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(Problem(code, position))

    def take(self, leaves: Leaves, checkpoints: Iterable[Filed]) -> None:
        """Go on with the next leaves, and with the checkpoints whose sizes they reach, in the order of the sizes."""
        self._compare_positions(leaves.positions)
        self._compare_entries(leaves)
        start = self.size
        hashes = [leaf_hash(NO_COMMITMENT if each is None else each) for each in leaves.commitments]
        for size, stop in self._stops(start + len(hashes), checkpoints):
            self._frontier = self._frontier.extended(hashes[self.size - start : size - start])
            if isinstance(stop, Filed):
                self._compare_checkpoint(stop)
            else:
                self._compare_anchor(stop)
        self._frontier = self._frontier.extended(hashes[self.size - start :])

    def finish(self, beyond: Iterable[Filed] = (), *, pending: int = 0) -> Report:
        """Return what was found, once all leaves have been taken.

        Args:
            beyond: checkpoints of sizes that were never reached.
            pending: leaves that wait for a position.
        """
        for anchor in self._due_anchors(self.size):
            self._compare_anchor(anchor)
        for size in sorted({*(filed.size for filed in beyond), *(anchor.size for anchor in self._anchors)}):
            self.note(Finding.LOG_TRUNCATED, size)
        if self._signed < self.size:
            self.note(Finding.LOG_UNSIGNED, self._signed)
        return Report(
            origin=self._origin,
            entries=self.size,
            opened=self._opened,
            closed=self._closed,
            checkpoints=self._checkpoints,
            pending=pending,
            root=self._frontier.root(),
            problems=tuple(self._problems),
            problem_count=self._problem_count,
        )

    def _compare_positions(self, positions: Sequence[int]) -> None:
        if positions == list(range(self._next, self._next + len(positions))):
            self._next += len(positions)
            return
        for position in positions:
            if position != self._next:
                self.note(Finding.POSITION_GAP, self._next)
            self._next = position + 1

    def _compare_entries(self, leaves: Leaves) -> None:
        """Make every commitment again; whole columns are compared first, because they are nearly always right."""
        openings = leaves.openings
        if [sha256(opening).digest() for opening in openings if type(opening) is bytes] == leaves.commitments:
            self._opened += len(openings)
            return
        for position, commitment, opening in zip(*leaves, strict=True):
            if commitment is None:
                self.missing += 1
                self.note(Finding.ENTRY_MISSING, position)
            elif isinstance(opening, Finding):
                self.note(opening, position)
            elif opening is None:
                self._closed += 1
            elif commit(opening) == commitment:
                self._opened += 1
            else:
                self.note(Finding.ENTRY_ALTERED, position)

    def _stops(self, end: int, checkpoints: Iterable[Filed]) -> Iterator[tuple[int, Filed | Checkpoint]]:
        """Yield the sizes at which a root must be compared, in order."""
        for filed in checkpoints:
            for anchor in self._due_anchors(filed.size):
                yield anchor.size, anchor
            yield filed.size, filed
        for anchor in self._due_anchors(end):
            yield anchor.size, anchor

    def _due_anchors(self, size: int) -> Iterator[Checkpoint]:
        while self._anchors and self._anchors[0].size <= size:
            yield self._anchors.popleft()

    def _compare_anchor(self, anchor: Checkpoint) -> None:
        if self._frontier.root() != anchor.root:
            self.note(Finding.HISTORY_REWRITTEN, anchor.size)

    def _compare_checkpoint(self, filed: Filed) -> None:
        if filed.at is not None:
            if self._time is not None and filed.at < self._time:
                self.note(Finding.CHECKPOINT_BACKDATED, filed.size)
            self._time = filed.at
        try:
            checkpoint = open_checkpoint(filed.note, self._verifiers)
        except (NoteRefusedError, CheckpointRefusedError):
            self.note(Finding.CHECKPOINT_FORGED, filed.size)
            return
        if checkpoint.size != filed.size:
            self.note(Finding.CHECKPOINT_MISPLACED, filed.size)
            return
        self._signed = filed.size
        if self._frontier.root() == checkpoint.root:
            self._sound = filed.size
            self._checkpoints += 1
            if filed.peaks is not None and filed.peaks != self._frontier.to_bytes():
                self.note(Finding.FRONTIER_ALTERED, filed.size)
        elif not self._diverged:
            self._diverged = True
            self.note(Finding.ROOT_MISMATCH, self._sound)


def open_anchors(notes: Iterable[str | bytes], verifiers: Sequence[NoteVerifier]) -> tuple[Checkpoint, ...]:
    """Return checkpoints that were kept elsewhere, in the order of their sizes.

    Raises:
        NoteRefusedError, CheckpointRefusedError: one is not a checkpoint of this log.
    """
    return tuple(sorted((open_checkpoint(note, verifiers) for note in notes), key=lambda each: each.size))
