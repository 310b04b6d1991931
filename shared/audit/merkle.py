"""The tree that makes a log tamper-evident: RFC 6962 and RFC 9162, SHA-256, and nothing else.

All pure and total. A verifying function never raises on what a stranger sent: a wrong index, size, length or hash is
``False``. What must never happen: that a proof verifies for a tree other than the one it was made for.

What the RFCs leave open is decided here:

- the empty tree has the root SHA-256 of nothing (RFC 9162, 2.1.1);
- from size 0 every tree follows: the proof is empty, as C2SP tlog-witness asks, and the old root is the empty tree's;
- from a size to itself the proof is empty and the two roots are equal, whatever they are;
- every other hash is 32 bytes, and a proof that is shorter or longer than its sizes ask for is refused;
- in a tree of one leaf the proof is empty and the leaf hash is the root.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NewType

from shared.values import dataclass

Hash = NewType("Hash", bytes)
"""32 bytes of SHA-256: a leaf, a node or a root."""

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = Hash(sha256(b"").digest())

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"

Span = tuple[int, int]
"""The leaves from one position up to, but without, another."""


def leaf_hash(data: bytes) -> Hash:
    """Return the hash of a leaf that holds ``data`` (RFC 9162, 2.1.1)."""
    return Hash(sha256(_LEAF + data).digest())


def node_hash(left: Hash, right: Hash) -> Hash:
    """Return the hash of a node over two others."""
    return Hash(sha256(_NODE + left + right).digest())


def root(leaves: Sequence[Hash]) -> Hash:
    """Return the root of the tree over ``leaves``, which are leaf hashes in order."""
    return Frontier().extended(leaves).root()


def inclusion_proof(leaves: Sequence[Hash], index: int) -> list[Hash]:
    """Return the hashes that lead from the leaf at ``index`` to the root of the tree over ``leaves``.

    Source: RFC 9162, 2.1.3.1. ``leaves`` are leaf hashes in order.

    Raises:
        IndexError: there is no such leaf.
    """
    return [root(leaves[start:end]) for start, end in inclusion_path(index, len(leaves))]


def consistency_proof(leaves: Sequence[Hash], size: int) -> list[Hash]:
    """Return the hashes that show that the tree over ``leaves`` begins with the tree over its first ``size``.

    Source: RFC 9162, 2.1.4.1. ``leaves`` are leaf hashes in order.

    Raises:
        IndexError: the tree is smaller than ``size``, or ``size`` is negative.
    """
    return [root(leaves[start:end]) for start, end in consistency_path(size, len(leaves))]


def inclusion_path(index: int, size: int) -> list[Span]:
    """Return which leaves each hash of an inclusion proof covers, from the leaf's neighbour up to below the root.

    Raises:
        IndexError: a tree of ``size`` has no leaf at ``index``.
    """
    if not 0 <= index < size:
        raise IndexError
    path: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    path.reverse()
    return path


def consistency_path(old: int, new: int) -> list[Span]:
    """Return which leaves each hash of a consistency proof from ``old`` to ``new`` leaves covers, in the proof's order.

    Raises:
        IndexError: ``old`` is negative or greater than ``new``.
    """
    if not 0 <= old <= new:
        raise IndexError
    if old in {0, new}:
        return []
    path: list[Span] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    if start > 0:
        path.append((start, end))
    path.reverse()
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> bool:
    """Tell whether ``proof`` shows that ``leaf``, a leaf hash, stands at ``index`` of the tree with that size and root.

    Source: RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size or not _are_hashes(leaf, root_hash, *proof):
        return False
    position, last, node = index, size - 1, Hash(leaf)
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(Hash(sibling), node)
            while not position & 1:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, Hash(sibling))
        position >>= 1
        last >>= 1
    return last == 0 and node == root_hash


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Tell whether ``proof`` shows that the tree of size ``old`` is the beginning of the tree of size ``new``.

    Source: RFC 9162, 2.1.4.2.
    """
    if old == new:
        return old >= 0 and not proof and old_root == new_root
    if not 0 <= old < new or not _are_hashes(old_root, new_root, *proof):
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if not proof:
        return False
    hashes = [Hash(hash_) for hash_ in proof]
    if old.bit_count() == 1:
        hashes.insert(0, Hash(old_root))
    return _climb(old, new, hashes) == (old_root, new_root)


def _climb(old: int, new: int, hashes: Sequence[Hash]) -> tuple[Hash, Hash] | None:
    """Return the two roots to which a consistency proof leads; ``None`` when it is too short or too long."""
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    before = after = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if position & 1 or position == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not position & 1:
                position >>= 1
                last >>= 1
        else:
            after = node_hash(after, sibling)
        position >>= 1
        last >>= 1
    return (before, after) if last == 0 else None


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that must be kept of a tree to make it grow: the roots of its full subtrees, largest first.

    At most 63 hashes for any log that a database can number. Appending n leaves costs n hashes and the logarithm of
    what is there already.
    """

    size: int = 0
    """How many leaves the tree has."""
    peaks: tuple[Hash, ...] = ()
    """One hash for each bit that is set in ``size``."""

    @classmethod
    def from_bytes(cls, size: int, raw: bytes) -> "Frontier":
        """Read what ``to_bytes`` wrote for a tree of ``size``.

        Raises:
            ValueError: the number of hashes does not follow from the size.
        """
        if size < 0 or len(raw) != size.bit_count() * HASH_BYTES:
            message = "frontier-malformed"
            raise ValueError(message)
        return cls(size, tuple(Hash(raw[at : at + HASH_BYTES]) for at in range(0, len(raw), HASH_BYTES)))

    def to_bytes(self) -> bytes:
        """Return the peaks one after the other, largest first, 32 bytes each."""
        return b"".join(self.peaks)

    def extended(self, leaves: Iterable[Hash]) -> "Frontier":
        """Return the frontier once ``leaves``, which are leaf hashes in order, have been appended.

        Works through the tree one level at a time, so that a large batch costs little more than its hashes.
        """
        nodes = list(leaves)
        size = self.size + len(nodes)
        waiting = list(self.peaks)
        peaks: list[Hash] = []
        rest = self.size
        while nodes or rest:
            if rest & 1:
                nodes.insert(0, waiting.pop())
            if len(nodes) & 1:
                peaks.append(nodes.pop())
            pairs = iter(nodes)
            nodes = [Hash(sha256(_NODE + left + right).digest()) for left, right in zip(pairs, pairs, strict=True)]
            rest >>= 1
        peaks.reverse()
        return Frontier(size, tuple(peaks))

    def root(self) -> Hash:
        """Return the root of the tree."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            node = node_hash(peak, node)
        return node


def _split(size: int) -> int:
    """Return the largest power of two that is smaller than ``size`` (at least 2): where RFC 9162 divides a tree."""
    return 1 << (size - 1).bit_length() - 1


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
