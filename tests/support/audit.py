"""Logs to tamper with: signed and numbered as the sequencer does it, without a database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.audit.checkpoint import Checkpoint
from shared.audit.inspection import Filed, Finding, Inspection, Leaves, Report
from shared.audit.log import Leaf, prepare
from shared.audit.merkle import Frontier, leaf_hash, root
from shared.audit.note import KeyName, Signer
from shared.contracts.entries import Entry, EntryCode

ORIGIN = KeyName("ccem-fr/audit/referral")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer(ORIGIN, KEY)
STRANGER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
"""Another key under the same name."""

BEGIN = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)


def make_entry(number: int, *, case: UUID | None = None, code: EntryCode = EntryCode.REFERRAL_OPENED) -> Entry:
    """Return one of any number of entries."""
    return Entry(
        code, "advocate.one", UUID(int=number), BEGIN + timedelta(seconds=number), {"number": str(number)}, case
    )


def make_leaf(number: int, *, case: UUID | None = None) -> Leaf:
    """Return the leaf of ``make_entry``, always the same."""
    return prepare(make_entry(number, case=case), sha256(number.to_bytes(8, "big")).digest())


def checkpoint_of(leaves: Sequence[Leaf], signer: Signer = SIGNER) -> Filed:
    """Return the checkpoint over ``leaves``, filed as the sequencer files it."""
    frontier = Frontier().extended(leaf_hash(leaf.commitment) for leaf in leaves)
    note = Checkpoint(ORIGIN, len(leaves), root([leaf_hash(leaf.commitment) for leaf in leaves])).sign(signer)
    return Filed(len(leaves), note, frontier.to_bytes(), BEGIN + timedelta(seconds=len(leaves)))


@dataclass
class Book:
    """A whole log: change any part of it, then have it inspected."""

    leaves: list[Leaf]
    checkpoints: list[Filed]
    openings: list[bytes | Finding | None] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, *sizes: int) -> "Book":
        """Return a sound log with a checkpoint at each of ``sizes``."""
        leaves = [make_leaf(number) for number in range(max(sizes, default=0))]
        return cls(
            leaves,
            [checkpoint_of(leaves[:size]) for size in sizes],
            [leaf.opening for leaf in leaves],
            list(range(len(leaves))),
        )

    def inspected(self, *cuts: int, anchors: Sequence[Checkpoint] = (), former: Sequence[Signer] = ()) -> Report:
        """Return the report on the log, when it is read in chunks that end at ``cuts``."""
        inspection = Inspection(SIGNER.verifier, former=[signer.verifier for signer in former], anchors=anchors)
        reached = 0
        for end in (*cuts, len(self.leaves)):
            columns = Leaves(
                self.positions[reached:end],
                [leaf.commitment for leaf in self.leaves[reached:end]],
                self.openings[reached:end],
            )
            inspection.take(columns, [filed for filed in self.checkpoints if reached < filed.size <= end])
            reached = end
        return inspection.finish([filed for filed in self.checkpoints if filed.size > reached])


def findings(report: Report) -> list[tuple[str, int | None]]:
    """Return what is wrong, and where."""
    assert report.verified == (not report.problems)
    return [(problem.code.value, problem.position) for problem in report.problems]
