"""Signed notes are read by strangers from strangers: what was not signed exactly so is refused, with its own code."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, example, given
from hypothesis import strategies as st

from shared.audit.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    KeyName,
    NoteFault,
    NoteRefusedError,
    Signer,
    Verifier,
    is_key_name,
    open_note,
    sign,
    vkey,
)

# The example that the Go implementation of signed notes publishes, made by other code than ours.
FOREIGN_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOREIGN_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NAME = KeyName("ccem-fr/receipt")
SIGNER = Signer(NAME, KEY)
OTHER = Signer(KeyName("abri-be/receipt"), OTHER_KEY)
TEXT = "ccem-fr/receipt\nfirst\n\nsecond\n"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(32)] + ["\n"])).map(
    lambda text: f"{text}\n"
)


def code_of(note: str | bytes, *verifiers: Verifier) -> NoteFault:
    with pytest.raises(NoteRefusedError) as refused:
        open_note(note, verifiers or (SIGNER.verifier, OTHER.verifier))
    return refused.value.code


def test_a_note_made_by_other_code_opens_and_its_key_is_written_back_letter_for_letter() -> None:
    opened = open_note(FOREIGN_NOTE.encode(), [Verifier.parse(FOREIGN_KEY)])
    assert opened.text == "This is an example message.\n"
    assert opened.names == {"example.com/foo"}
    assert str(opened.signed_by[0]) == FOREIGN_KEY


@given(st.lists(texts, min_size=1).map("".join))
@example("\n")
@example("a\n\n\n")
def test_what_is_signed_opens_to_the_same_text_and_names_its_signers(text: str) -> None:
    note = sign(text, SIGNER, OTHER)
    for given_note in (note, note.encode()):
        opened = open_note(given_note, [SIGNER.verifier, OTHER.verifier])
        assert opened.text == text
        assert opened.names == {SIGNER.name, OTHER.name}
    assert open_note(note, [OTHER.verifier]).names == {OTHER.name}


@given(st.data())
def test_no_changed_byte_leaves_a_note_that_opens_to_another_text(data: st.DataObject) -> None:
    note = bytearray(sign(TEXT, SIGNER).encode())
    at = data.draw(st.integers(0, len(note) - 1))
    note[at] ^= 1 << data.draw(st.integers(0, 7))
    assert code_of(bytes(note), SIGNER.verifier) in {NoteFault.MALFORMED, NoteFault.FORGED, NoteFault.UNVERIFIED}


@given(st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else_escapes(noise: bytes) -> None:
    assert code_of(noise) in {NoteFault.MALFORMED, NoteFault.UNVERIFIED}


def line(name: str, blob: bytes) -> str:
    return f"— {name} {base64.b64encode(blob).decode()}\n"


def noted(*lines: str, text: str = TEXT) -> str:
    return f"{text}\n{''.join(lines)}"


GOOD_LINE = line(NAME, SIGNER.key_id + SIGNER.signature(TEXT))
STRAY_BITS_LINE = line(NAME, bytes(68)).replace("A=", "B=")
OTHER_LINE = line(OTHER.name, OTHER.key_id + OTHER.signature(TEXT))


@pytest.mark.parametrize(
    ("note", "code"),
    [
        ("", NoteFault.MALFORMED),
        (TEXT, NoteFault.MALFORMED),
        (noted(""), NoteFault.MALFORMED),
        (noted(GOOD_LINE[:-1]), NoteFault.MALFORMED),
        (noted(GOOD_LINE, "trailing\n"), NoteFault.MALFORMED),
        (noted(GOOD_LINE.replace("—", "-")), NoteFault.MALFORMED),
        (noted(GOOD_LINE.replace(NAME, f"{NAME} ")), NoteFault.MALFORMED),
        (noted(GOOD_LINE.replace(NAME, "ccem-fr\u00a0receipt")), NoteFault.MALFORMED),
        (noted(GOOD_LINE.replace(NAME, "ccem-fr\u2028receipt")), NoteFault.MALFORMED),
        (noted(GOOD_LINE.replace(NAME, "ccem-fr+receipt")), NoteFault.MALFORMED),
        (noted(GOOD_LINE.replace(NAME, "x" * 256)), NoteFault.MALFORMED),
        (noted(line(NAME, SIGNER.key_id)), NoteFault.MALFORMED),
        (noted(GOOD_LINE.replace("=", "")), NoteFault.MALFORMED),
        (noted(STRAY_BITS_LINE), NoteFault.MALFORMED),
        (noted(GOOD_LINE, text="tab\t\n"), NoteFault.MALFORMED),
        (noted(GOOD_LINE, text="\ud800\n"), NoteFault.MALFORMED),
        (noted(GOOD_LINE).replace("\n", "\r\n"), NoteFault.MALFORMED),
        (b"\xff" + noted(GOOD_LINE).encode(), NoteFault.MALFORMED),
        (noted(*[GOOD_LINE] * (MAX_SIGNATURES + 1)), NoteFault.OVERSIZED),
        (noted(GOOD_LINE, text="x" * MAX_NOTE_BYTES + "\n"), NoteFault.OVERSIZED),
        (noted(GOOD_LINE, text="é" * (MAX_NOTE_BYTES // 2) + "\n"), NoteFault.OVERSIZED),
        (noted(line(NAME, SIGNER.key_id + bytes(64))), NoteFault.FORGED),
        (noted(line(NAME, SIGNER.key_id + b"short")), NoteFault.FORGED),
        (noted(OTHER_LINE, line(NAME, SIGNER.key_id + bytes(64))), NoteFault.FORGED),
        (noted(GOOD_LINE, line(NAME, SIGNER.key_id + bytes(64))), NoteFault.FORGED),
        (noted(GOOD_LINE, text="first\n"), NoteFault.FORGED),
        (noted(line(NAME, bytes(68))), NoteFault.UNVERIFIED),
        (noted(GOOD_LINE.replace(NAME, "abri-be/elsewhere")), NoteFault.UNVERIFIED),
    ],
)
def test_each_way_of_being_wrong_has_its_code(note: str | bytes, code: NoteFault) -> None:
    assert code_of(note) is code


def test_signatures_by_unknown_keys_are_skipped_whatever_they_hold() -> None:
    strange = line("witness.example/w1", b"\x04\x04\x04\x04" + bytes(2428))
    opened = open_note(f"{TEXT}\n{strange}{GOOD_LINE}{strange}", [SIGNER.verifier])
    assert [verifier.key_id for verifier in opened.signed_by] == [SIGNER.key_id]


def test_sixteen_signers_of_one_text_are_taken() -> None:
    signers = [Signer(KeyName(f"witness.example/w{n}"), KEY) for n in range(16)]
    assert len(open_note(sign(TEXT, *signers), [signer.verifier for signer in signers]).signed_by) == 16


def test_two_keys_of_one_name_are_told_apart_by_their_key_id() -> None:
    older, newer = Signer(NAME, KEY), Signer(NAME, OTHER_KEY)
    opened = open_note(sign(TEXT, older, newer), [newer.verifier, older.verifier])
    assert [verifier.key_id for verifier in opened.signed_by] == [older.key_id, newer.key_id]
    assert opened.names == {NAME}


def test_a_key_that_is_no_point_of_the_curve_never_verifies() -> None:
    no_point = b"\x02" + bytes(31)
    verifier = Verifier(NAME, no_point)
    assert not verifier.verifies(TEXT, SIGNER.signature(TEXT))


@given(st.binary(max_size=80))
def test_a_key_verifies_nothing_but_its_own_signature(signature: bytes) -> None:
    assume(signature != SIGNER.signature(TEXT))
    assert not SIGNER.verifier.verifies(TEXT, signature)


def test_nobody_signs_what_nobody_could_read() -> None:
    for text in ("", "no newline", "tab\t\n", "\ud800\n", "\r\n"):
        with pytest.raises(NoteRefusedError) as refused:
            sign(text, SIGNER)
        assert refused.value.code is NoteFault.MALFORMED
    with pytest.raises(NoteRefusedError) as refused:
        sign("x" * MAX_NOTE_BYTES + "\n", SIGNER)
    assert refused.value.code is NoteFault.OVERSIZED
    with pytest.raises(NoteRefusedError) as refused:
        sign(TEXT)
    assert refused.value.code is NoteFault.MALFORMED


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\x01b", "x" * 256, "\ud800"])
def test_a_name_that_could_be_read_two_ways_is_no_name(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(NoteRefusedError) as refused:
        Signer(KeyName(name), KEY)
    assert refused.value.code is NoteFault.KEY_MALFORMED


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", NoteFault.KEY_MALFORMED),
        ("example.com/foo+530d903a", NoteFault.KEY_MALFORMED),
        (FOREIGN_KEY.replace("530d903a", "530d903b"), NoteFault.KEY_MALFORMED),
        (FOREIGN_KEY.replace("530d903a", "530D903A"), NoteFault.KEY_MALFORMED),
        (FOREIGN_KEY.replace("foo", "bar"), NoteFault.KEY_MALFORMED),
        (FOREIGN_KEY.replace("U2k", "U2l"), NoteFault.KEY_MALFORMED),
        (FOREIGN_KEY + "\n", NoteFault.KEY_MALFORMED),
        (FOREIGN_KEY + "+", NoteFault.KEY_MALFORMED),
        ("ccem fr+530d903a+AQ==", NoteFault.KEY_MALFORMED),
        ("example.com/foo+530d903a+AQ==", NoteFault.KEY_MALFORMED),
        ("example.com/foo+530d903a+BukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", NoteFault.KEY_UNSUPPORTED),
    ],
)
def test_a_verifier_key_that_is_not_exactly_one_is_refused(text: str, code: NoteFault) -> None:
    with pytest.raises(NoteRefusedError) as refused:
        Verifier.parse(text)
    assert refused.value.code is code


@given(st.binary(min_size=32, max_size=32), st.from_regex(r"\A[a-z/-]{1,40}\Z"))
def test_every_key_survives_the_way_through_its_text(seed: bytes, name: str) -> None:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    parsed = Verifier.parse(vkey(KeyName(name), public))
    assert (parsed.name, parsed.public) == (name, public)


def test_a_refusal_says_its_code_and_nothing_of_the_note() -> None:
    canary = f"canary-{datetime.now(UTC).timestamp()}"
    with pytest.raises(NoteRefusedError) as refused:
        open_note(f"{canary}\n\n{GOOD_LINE}", [SIGNER.verifier])
    assert str(refused.value) == "note-forged"
    assert canary not in repr(refused.value)
