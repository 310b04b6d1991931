"""Checkpoints are kept for years by people who do not trust us: one text for one state of one log, and no other."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.checkpoint import (
    MAX_SIZE,
    Checkpoint,
    CheckpointFault,
    CheckpointRefusedError,
    log_name,
    open_checkpoint,
)
from shared.audit.merkle import EMPTY_ROOT, Hash
from shared.audit.note import KeyName, NoteFault, NoteRefusedError, Signer, Verifier, open_note, sign
from shared.contracts.ids import OrganisationId

ORIGIN = log_name(OrganisationId("ccem-fr"), "referral")
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ROOT_TEXT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
EXAMPLE = f"example.com/behind-the-sofa\n20852163\n{ROOT_TEXT}\n"

roots = st.binary(min_size=32, max_size=32).map(Hash)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
checkpoints = st.builds(
    Checkpoint,
    st.just(ORIGIN),
    st.integers(0, MAX_SIZE),
    roots,
    st.lists(lines, max_size=3).map(tuple),
)


def refused(text: str) -> CheckpointFault:
    with pytest.raises(CheckpointRefusedError) as error:
        Checkpoint.parse(text)
    return error.value.code


def test_the_example_of_the_specification_is_read_and_written_back_letter_for_letter() -> None:
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e")
    assert checkpoint.text() == EXAMPLE


def test_a_log_is_named_as_the_key_that_signs_it() -> None:
    assert ORIGIN == "ccem-fr/audit/referral"


@given(checkpoints)
def test_what_is_signed_is_what_is_opened(checkpoint: Checkpoint) -> None:
    assert open_checkpoint(checkpoint.sign(SIGNER), [SIGNER.verifier]) == checkpoint
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "example.com/log\n3\n",
        EXAMPLE[:-1],
        f"{EXAMPLE}\n",
        f"{EXAMPLE}\nmore\n",
        EXAMPLE.replace("example.com/behind-the-sofa", ""),
        EXAMPLE.replace("20852163", "020852163"),
        EXAMPLE.replace("20852163", "+20852163"),
        EXAMPLE.replace("20852163", "-1"),
        EXAMPLE.replace("20852163", "2e3"),
        EXAMPLE.replace("20852163", "٣"),
        EXAMPLE.replace("20852163", " 3"),
        EXAMPLE.replace("20852163", str(MAX_SIZE + 1)),
        EXAMPLE.replace("20852163", "9" * 5000),
        EXAMPLE.replace(ROOT_TEXT, ROOT_TEXT[:-1]),
        EXAMPLE.replace(ROOT_TEXT, "AAAA"),
        EXAMPLE.replace(ROOT_TEXT, "é" * 44),
        EXAMPLE.replace("q2I=", "q2J="),
        EXAMPLE.replace("q2I=", "q2I"),
        EXAMPLE.replace("/Xajj", "_Xajj"),
    ],
)
def test_a_text_that_could_be_read_two_ways_is_refused(text: str) -> None:
    assert refused(text) is CheckpointFault.MALFORMED


@given(st.text())
def test_noise_is_refused_and_nothing_else_escapes(text: str) -> None:
    assert refused(text) is CheckpointFault.MALFORMED


def test_only_the_log_itself_speaks_for_the_log() -> None:
    other = Signer(KeyName("abri-be/audit/referral"), Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
    note = Checkpoint(ORIGIN, 0, EMPTY_ROOT).sign(other)
    with pytest.raises(CheckpointRefusedError) as about_another:
        open_checkpoint(note, [SIGNER.verifier, other.verifier])
    assert about_another.value.code is CheckpointFault.OTHER_LOG
    with pytest.raises(NoteRefusedError) as unsigned:
        open_checkpoint(note, [SIGNER.verifier])
    assert unsigned.value.code is NoteFault.UNVERIFIED
    both = Checkpoint(ORIGIN, 0, EMPTY_ROOT).sign(other, SIGNER)
    assert open_checkpoint(both, [SIGNER.verifier]).size == 0


def test_a_note_of_the_log_that_is_no_checkpoint_is_none() -> None:
    with pytest.raises(CheckpointRefusedError) as error:
        open_checkpoint(sign(f"{ORIGIN}\nsomething else\n", SIGNER), [SIGNER.verifier])
    assert error.value.code is CheckpointFault.MALFORMED


def test_a_key_that_was_replaced_still_opens_what_it_signed() -> None:
    newer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))))
    note = Checkpoint(ORIGIN, 0, EMPTY_ROOT).sign(SIGNER)
    assert open_checkpoint(note, [newer.verifier, Verifier.parse(str(SIGNER.verifier))]).origin == ORIGIN
    assert open_note(note, [SIGNER.verifier]).names == {ORIGIN}
