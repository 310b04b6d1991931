"""The tree against known answers and against the definition of RFC 9162, written out without any cleverness."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from shared.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    Hash,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

# The leaves and roots that implementations of Certificate Transparency have shared as a known answer since RFC 6962.
KNOWN_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
STRANGE = Hash(hashlib.sha256(b"in no tree").digest())


def naive_root(leaves: Sequence[Hash]) -> Hash:
    """Follow RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return Hash(hashlib.sha256().digest())
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return Hash(hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest())


def naive_path(index: int, leaves: Sequence[Hash]) -> list[Hash]:
    """Follow RFC 9162, 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(size: int, leaves: Sequence[Hash], *, complete: bool) -> list[Hash]:
    """Follow RFC 9162, 2.1.4.1, word for word."""
    if size == len(leaves):
        return [] if complete else [naive_root(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if size <= k:
        return [*naive_subproof(size, leaves[:k], complete=complete), naive_root(leaves[k:])]
    return [*naive_subproof(size - k, leaves[k:], complete=False), naive_root(leaves[:k])]


def forest(size: int) -> list[Hash]:
    return [leaf_hash(n.to_bytes(4, "big")) for n in range(size)]


sizes = st.integers(1, 130)


def test_the_known_trees_have_their_known_roots() -> None:
    leaves = [leaf_hash(bytes.fromhex(data)) for data in KNOWN_LEAVES]
    assert [root(leaves[:size]).hex() for size in range(9)] == KNOWN_ROOTS
    assert bytes.fromhex(KNOWN_ROOTS[0]) == EMPTY_ROOT


def test_leaves_and_nodes_are_hashed_apart() -> None:
    left, right = forest(2)
    assert leaf_hash(left + right) != node_hash(left, right)


@given(sizes)
def test_roots_follow_the_definition(size: int) -> None:
    assert root(forest(size)) == naive_root(forest(size))


@given(st.lists(st.integers(0, 40), max_size=8))
def test_a_tree_grown_in_steps_is_the_tree_made_at_once(steps: list[int]) -> None:
    leaves = forest(sum(steps))
    frontier, done = Frontier(), 0
    for step in steps:
        frontier = Frontier.from_bytes(frontier.size, frontier.to_bytes()).extended(leaves[done : done + step])
        done += step
        assert (frontier.size, frontier.root()) == (done, naive_root(leaves[:done]))
    assert frontier == Frontier().extended(leaves)


@pytest.mark.parametrize(("size", "raw"), [(0, bytes(32)), (1, b""), (3, bytes(32)), (4, bytes(31)), (-1, b"")])
def test_a_frontier_that_does_not_fit_its_size_is_refused(size: int, raw: bytes) -> None:
    with pytest.raises(ValueError, match="frontier-malformed"):
        Frontier.from_bytes(size, raw)


@given(st.data())
def test_inclusion_proofs_follow_the_definition_and_verify(data: st.DataObject) -> None:
    size = data.draw(sizes)
    index = data.draw(st.integers(0, size - 1))
    leaves = forest(size)
    proof = inclusion_proof(leaves, index)
    assert proof == naive_path(index, leaves)
    assert verify_inclusion(leaves[index], index, size, proof, naive_root(leaves))


@given(st.data())
def test_consistency_proofs_follow_the_definition_and_verify(data: st.DataObject) -> None:
    new = data.draw(sizes)
    old = data.draw(st.integers(1, new))
    leaves = forest(new)
    proof = consistency_proof(leaves, old)
    assert proof == naive_subproof(old, leaves, complete=True)
    assert verify_consistency(old, new, proof, naive_root(leaves[:old]), naive_root(leaves))


def changed_proof(data: st.DataObject, proof: list[Hash]) -> list[bytes]:
    """Return some proof other than the one given: cut, longer, out of order, or with a changed or shortened hash."""
    at = data.draw(st.integers(0, max(0, len(proof) - 1)))
    changes: list[list[bytes]] = [
        [*proof, STRANGE],
        [STRANGE, *proof],
        [*proof[:at], STRANGE, *proof[at + 1 :]],
        [*proof[:at], *proof[at + 1 :]],
        [*proof[:at], *[hash_[:31] for hash_ in proof[at : at + 1]], *proof[at + 1 :]],
        list(reversed(proof)),
        [*proof, *proof],
        [],
    ]
    change = data.draw(st.sampled_from(changes))
    assume(change != proof)
    return change


@given(st.data())
def test_no_other_proof_leaf_place_or_root_is_included(data: st.DataObject) -> None:
    size = data.draw(sizes)
    index = data.draw(st.integers(0, size - 1))
    leaves = forest(size)
    leaf, proof, top = leaves[index], inclusion_proof(leaves, index), root(leaves)
    assert not verify_inclusion(leaf, index, size, changed_proof(data, proof), top)
    assert not verify_inclusion(STRANGE, index, size, proof, top)
    assert not verify_inclusion(leaf, index, size, proof, STRANGE)
    assert not verify_inclusion(leaf[:31], index, size, proof, top)
    other = data.draw(st.integers(-2, 200))
    assert verify_inclusion(leaf, other, size, proof, top) == (other == index)


@given(st.data())
def test_no_other_proof_size_or_root_is_consistent(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 130))
    old = data.draw(st.integers(1, new - 1))
    leaves = forest(new)
    proof, before, after = consistency_proof(leaves, old), root(leaves[:old]), root(leaves)
    assert not verify_consistency(old, new, changed_proof(data, proof), before, after)
    assert not verify_consistency(old, new, proof, STRANGE, after)
    assert not verify_consistency(old, new, proof, before, STRANGE)
    assert not verify_consistency(old, new, proof, after, before)
    assert not verify_consistency(new, old, proof, after, before)
    other = data.draw(st.integers(-2, 200))
    assert verify_consistency(other, new, proof, before, after) == (other == old)


@given(st.integers(-3, 70), st.integers(-3, 70), st.lists(st.binary(max_size=40), max_size=9), st.binary(), st.binary())
@example(0, 0, [], b"", b"")
def test_verifying_is_total(first: int, second: int, proof: list[bytes], before: bytes, after: bytes) -> None:
    assert not verify_inclusion(before, first, second, proof, after)
    assert verify_consistency(first, second, proof, before, after) == (
        first == second >= 0 and not proof and before == after
    )


def test_the_edges_are_decided() -> None:
    (leaf,) = forest(1)
    assert consistency_proof([], 0) == consistency_proof([leaf], 0) == consistency_proof([leaf], 1) == []
    assert inclusion_proof([leaf], 0) == []
    assert verify_inclusion(leaf, 0, 1, [], leaf)
    assert not verify_inclusion(EMPTY_ROOT, 0, 0, [], EMPTY_ROOT)
    assert verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    assert verify_consistency(0, 1, [], EMPTY_ROOT, leaf)
    assert not verify_consistency(0, 1, [], leaf, leaf)
    assert not verify_consistency(0, 1, [leaf], EMPTY_ROOT, leaf)
    assert not verify_consistency(1, 1, [leaf], leaf, leaf)
    assert not verify_consistency(1, 2, [], leaf, leaf)


@pytest.mark.parametrize(("size", "index"), [(0, 0), (1, 1), (3, -1), (3, 3)])
def test_there_is_no_proof_for_a_leaf_that_is_not_there(size: int, index: int) -> None:
    with pytest.raises(IndexError):
        inclusion_proof(forest(size), index)


@pytest.mark.parametrize(("size", "old"), [(0, 1), (3, 4), (3, -1)])
def test_there_is_no_proof_from_a_tree_that_was_never_there(size: int, old: int) -> None:
    with pytest.raises(IndexError):
        consistency_proof(forest(size), old)
