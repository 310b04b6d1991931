"""Whatever is done to a log, the inspection says that it was done, and where."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.checkpoint import Checkpoint
from shared.audit.inspection import MOST_PROBLEMS, Finding, Inspection, Leaves, open_anchors
from shared.audit.log import Commitment
from shared.audit.merkle import EMPTY_ROOT, Hash, leaf_hash, root
from shared.audit.note import KeyName, NoteRefusedError, Signer
from tests.support.audit import KEY, ORIGIN, SIGNER, STRANGER, Book, checkpoint_of, findings, make_leaf

ELSEWHERE = Signer(KeyName("abri-be/audit/referral"), KEY)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6, unique=True), st.data())
def test_a_sound_log_is_sound_however_it_is_cut(sizes: list[int], data: st.DataObject) -> None:
    book = Book.of(*sorted(sizes))
    cuts = data.draw(st.lists(st.integers(0, max(sizes)), max_size=4).map(sorted))
    anchor = data.draw(st.integers(1, max(sizes)))
    kept = open_anchors([checkpoint_of(book.leaves[:anchor]).note], [SIGNER.verifier])
    report = book.inspected(*cuts, anchors=kept)
    assert report.verified
    assert (report.entries, report.opened, report.closed) == (max(sizes), max(sizes), 0)
    assert report.checkpoints == len(sizes)
    assert report.root == root([leaf_hash(leaf.commitment) for leaf in book.leaves])
    assert report.origin == ORIGIN


def test_an_empty_log_is_sound() -> None:
    report = Inspection(SIGNER.verifier).finish()
    assert report.verified
    assert (report.entries, report.root) == (0, EMPTY_ROOT)


def test_an_entry_that_cannot_be_read_any_more_counts_by_its_commitment() -> None:
    book = Book.of(3)
    book.openings[1] = None
    report = book.inspected()
    assert report.verified
    assert (report.opened, report.closed) == (2, 1)


@given(st.integers(0, 9), st.integers(0, 60), st.integers(0, 7))
def test_a_changed_entry_is_found_at_its_position(position: int, at: int, bit: int) -> None:
    book = Book.of(5, 10)
    opening = bytearray(book.leaves[position].opening)
    opening[at] ^= 1 << bit
    book.openings[position] = bytes(opening)
    assert findings(book.inspected()) == [("entry-altered", position)]


@given(st.integers(0, 9), st.integers(0, 31), st.integers(0, 7))
def test_a_changed_commitment_breaks_the_tree_after_the_last_sound_checkpoint(position: int, at: int, bit: int) -> None:
    book = Book.of(5, 10)
    commitment = bytearray(book.leaves[position].commitment)
    commitment[at] ^= 1 << bit
    book.leaves[position] = replace(book.leaves[position], commitment=Commitment(bytes(commitment)))
    book.openings[position] = None
    assert findings(book.inspected()) == [("root-mismatch", 0 if position < 5 else 5)]


@given(st.permutations(range(8)))
def test_another_order_is_found(order: list[int]) -> None:
    book = Book.of(4, 8)
    book.leaves = [book.leaves[place] for place in order]
    book.openings = [leaf.opening for leaf in book.leaves]
    report = book.inspected()
    assert report.verified == (order == list(range(8)))
    assert set(findings(report)) <= {("root-mismatch", 0), ("root-mismatch", 4)}


@given(st.integers(0, 7))
def test_an_entry_that_was_taken_out_or_put_in_is_found(position: int) -> None:
    shorter, longer = Book.of(4, 8), Book.of(4, 8)
    del shorter.leaves[position], shorter.openings[position], shorter.positions[-1]
    longer.leaves.insert(position, make_leaf(99))
    longer.openings.insert(position, make_leaf(99).opening)
    longer.positions.append(8)
    before = 0 if position < 4 else 4
    assert ("log-truncated", 8) in findings(shorter.inspected())
    assert findings(longer.inspected()) == [("root-mismatch", before), ("log-unsigned", 8)]


def test_a_log_that_was_cut_short_is_found_while_one_checkpoint_is_left() -> None:
    book = Book.of(4, 8)
    del book.leaves[6:], book.openings[6:], book.positions[6:]
    assert findings(book.inspected()) == [("log-truncated", 8), ("log-unsigned", 4)]


def test_leaves_that_nobody_signed_are_found() -> None:
    book = Book.of(4, 8)
    del book.checkpoints[1]
    assert findings(book.inspected()) == [("log-unsigned", 4)]


def test_missing_leaves_and_gaps_are_found_where_they_are() -> None:
    commitments = [None if number == 1 else make_leaf(number).commitment for number in range(3)]
    openings: list[bytes | Finding | None] = [make_leaf(number).opening for number in range(3)]
    inspection = Inspection(SIGNER.verifier)
    inspection.take(Leaves([0, 1, 5], commitments, openings), ())
    assert findings(inspection.finish()) == [("position-gap", 2), ("entry-missing", 1), ("log-unsigned", 0)]
    assert inspection.missing == 1


def test_an_entry_that_its_key_does_not_open_is_found() -> None:
    book = Book.of(3)
    book.openings[2] = Finding.ENTRY_UNREADABLE
    assert findings(book.inspected()) == [("entry-unreadable", 2)]


@pytest.mark.parametrize(
    "note",
    [
        "no checkpoint",
        checkpoint_of([make_leaf(number) for number in range(4)], STRANGER).note,
        Checkpoint(ELSEWHERE.name, 4, EMPTY_ROOT).sign(ELSEWHERE),
        Checkpoint(ELSEWHERE.name, 4, EMPTY_ROOT).sign(SIGNER),
    ],
    ids=["noise", "another key", "another log", "about another log"],
)
def test_a_checkpoint_that_is_not_the_logs_own_is_forged(note: str) -> None:
    book = Book.of(4, 8)
    book.checkpoints[0] = book.checkpoints[0]._replace(note=note)
    assert findings(book.inspected()) == [("checkpoint-forged", 4)]


def test_a_checkpoint_in_the_place_of_another_is_found() -> None:
    book = Book.of(4, 8)
    book.checkpoints[0] = book.checkpoints[0]._replace(note=book.checkpoints[1].note)
    assert findings(book.inspected()) == [("checkpoint-misplaced", 4)]


def test_a_checkpoint_of_another_tree_is_found() -> None:
    book = Book.of(4)
    book.checkpoints = [checkpoint_of([make_leaf(number) for number in (9, 1, 2, 3)])]
    assert findings(book.inspected()) == [("root-mismatch", 0)]


def test_a_former_key_of_the_log_is_known_only_when_it_is_named() -> None:
    book = Book.of(4, 8)
    book.checkpoints[0] = checkpoint_of(book.leaves[:4], STRANGER)
    assert book.inspected(former=[STRANGER]).verified
    assert findings(book.inspected()) == [("checkpoint-forged", 4)]


def test_hashes_from_which_the_tree_would_go_on_wrongly_are_found() -> None:
    book = Book.of(3, 8)
    book.checkpoints[0] = book.checkpoints[0]._replace(peaks=bytes(64))
    assert findings(book.inspected()) == [("frontier-altered", 3)]


def test_a_checkpoint_that_claims_an_earlier_time_is_found() -> None:
    book = Book.of(3, 8)
    at = book.checkpoints[0].at
    assert at is not None
    book.checkpoints[1] = book.checkpoints[1]._replace(at=at - timedelta(seconds=1))
    assert findings(book.inspected()) == [("checkpoint-backdated", 8)]


def test_a_history_written_anew_and_signed_again_is_found_by_whoever_kept_a_checkpoint() -> None:
    kept = open_anchors([Book.of(6).checkpoints[0].note, Book.of(20).checkpoints[0].note], [SIGNER.verifier])
    book = Book.of(4, 8)
    book.leaves[5] = make_leaf(99)
    book.openings[5] = make_leaf(99).opening
    book.checkpoints[1] = checkpoint_of(book.leaves)
    assert book.inspected().verified
    assert findings(book.inspected(anchors=kept)) == [("history-rewritten", 6), ("log-truncated", 20)]


def test_an_anchor_of_the_empty_log_fits_every_log() -> None:
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert Inspection(SIGNER.verifier, anchors=[empty]).finish().verified
    assert Book.of(2).inspected(anchors=[empty]).verified
    assert not Book.of(2).inspected(anchors=[replace(empty, root=Hash(bytes(32)))]).verified


def test_an_anchor_of_another_log_is_refused_at_once() -> None:
    with pytest.raises(NoteRefusedError):
        open_anchors([checkpoint_of([make_leaf(1)], STRANGER).note], [SIGNER.verifier])


def test_a_report_lists_the_first_problems_and_counts_all() -> None:
    inspection = Inspection(SIGNER.verifier)
    inspection.note(Finding.LEAF_UNNUMBERED, count=0)
    for position in range(MOST_PROBLEMS + 5):
        inspection.note(Finding.ENTRY_ALTERED, position)
    inspection.note(Finding.LEAF_UNNUMBERED, count=7)
    report = inspection.finish()
    assert (len(report.problems), report.problem_count) == (MOST_PROBLEMS, MOST_PROBLEMS + 12)
    assert not report.verified
