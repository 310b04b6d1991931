"""An envelope opens for whom it was sealed, byte for byte; whatever else is done to it is refused with a code."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.contracts.ids import MessageId, OrganisationId
from shared.sealing.codes import EnvelopeCode, EnvelopeError
from shared.sealing.envelope import SIZES, Dispatch, Envelope, open_body, parse, seal
from shared.sealing.keys import InboxKey, SigningKey
from shared.sealing.suites import KIND_OF, WRAP_BYTES, Suite
from tests.support import stranger
from tests.support.plain_hpke import wrap

AT = datetime(2026, 11, 24, 10, 23, 45, tzinfo=UTC)
CCEM, ABRI = OrganisationId("ccem-fr"), OrganisationId("abri-be")
DISPATCH = Dispatch(
    id=MessageId(UUID("0b5f9c6e-3f0a-4d7c-9a53-7d4a3f1f6c21")),
    source=CCEM,
    recipient=ABRI,
    sequence=42,
    at=AT,
    expires=AT + timedelta(days=7),
)
SIGNER = SigningKey.from_secret(bytes(range(32)))
OTHER_SIGNER = SigningKey.from_secret(bytes(range(1, 33)))
INBOX = {suite: InboxKey.from_secret(KIND_OF[suite], bytes(range(2, 34))) for suite in Suite}
SECOND_INBOX = {suite: InboxKey.from_secret(KIND_OF[suite], bytes(range(3, 35))) for suite in Suite}
PAIR = {suite: stranger.Pair(suite, SIGNER.secret, (INBOX[suite].secret,)) for suite in Suite}
BODY = '{"type":"referral.offered.v1","name":"Zoë ليلى"}'.encode()
CONTENT_KEY = bytes(range(7, 39))

both_suites = pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)


def sealed(suite: Suite, body: bytes = BODY) -> bytes:
    return seal(body, DISPATCH, SIGNER, [INBOX[suite].public])


def opened(raw: bytes, inbox: InboxKey) -> bytes:
    envelope = parse(raw)
    envelope.verify(SIGNER.public)
    return open_body(envelope, inbox)


def verify(raw: bytes) -> None:
    parse(raw).verify(SIGNER.public)


def code(step: Callable[..., object], *arguments: object) -> EnvelopeCode:
    """Return the code with which a step refuses, having seen that the error carries nothing else."""
    with pytest.raises(EnvelopeError) as caught:
        step(*arguments)
    error = caught.value
    assert isinstance(error.code, EnvelopeCode)
    assert error.args == (str(error.code),)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    return error.code


def largest_body(suite: Suite, size: int) -> int:
    header = len(PAIR[suite].header())
    return size - 12 - header - WRAP_BYTES[suite] - 32 - 64 - 4 - 16


@both_suites
@given(st.binary(max_size=6_000))
@settings(max_examples=25, deadline=None)
def test_what_is_sealed_opens_to_the_same_bytes(suite: Suite, body: bytes) -> None:
    raw = sealed(suite, body)
    assert len(raw) in SIZES
    assert opened(raw, INBOX[suite]) == body


@both_suites
@pytest.mark.parametrize("size", SIZES)
def test_a_body_that_just_fits_gets_this_size_and_one_byte_more_the_next(suite: Suite, size: int) -> None:
    body = os.urandom(largest_body(suite, size))
    raw = sealed(suite, body)
    assert len(raw) == size
    assert opened(raw, INBOX[suite]) == body
    if size == SIZES[-1]:
        assert code(sealed, suite, body + b"x") is EnvelopeCode.OVERSIZED
    else:
        assert len(sealed(suite, body + b"x")) == SIZES[SIZES.index(size) + 1]


@both_suites
def test_a_stranger_opens_what_we_seal_and_we_open_what_a_stranger_seals(suite: Suite) -> None:
    assert stranger.read(sealed(suite), SIGNER.public.public, INBOX[suite].secret) == BODY
    assert opened(PAIR[suite].parts(BODY, CONTENT_KEY).envelope, INBOX[suite]) == BODY


@both_suites
def test_a_stranger_makes_the_same_header_letter_for_letter(suite: Suite) -> None:
    assert parse(sealed(suite)).header.encode() == PAIR[suite].header()


@both_suites
def test_each_recipient_key_opens_it(suite: Suite) -> None:
    raw = seal(BODY, DISPATCH, SIGNER, [INBOX[suite].public, SECOND_INBOX[suite].public])
    assert opened(raw, INBOX[suite]) == BODY
    assert opened(raw, SECOND_INBOX[suite]) == BODY
    assert stranger.read(raw, SIGNER.public.public, SECOND_INBOX[suite].secret) == BODY


@both_suites
def test_nothing_secret_repeats_when_the_same_is_sealed_twice(suite: Suite) -> None:
    one, other = parse(sealed(suite)), parse(sealed(suite))
    assert one.header == other.header
    for part in ("wraps", "commitment", "signature", "ciphertext"):
        assert getattr(one, part) != getattr(other, part)


@both_suites
def test_every_flipped_byte_is_refused(suite: Suite) -> None:
    raw = sealed(suite)
    codes = set()
    for place in range(len(raw)):
        flipped = bytearray(raw)
        flipped[place] ^= 1 << place % 8
        codes.add(code(verify, bytes(flipped)))
    assert codes >= {
        EnvelopeCode.ALTERED,
        EnvelopeCode.MALFORMED,
        EnvelopeCode.UNKNOWN_KEY,
        EnvelopeCode.UNKNOWN_SUITE,
        EnvelopeCode.UNKNOWN_VERSION,
    }


@both_suites
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_overwritten_stretch_is_refused(suite: Suite, data: st.DataObject) -> None:
    raw = sealed(suite)
    start = data.draw(st.integers(0, len(raw) - 1))
    stretch = data.draw(st.binary(min_size=1, max_size=min(64, len(raw) - start)))
    changed = raw[:start] + stretch + raw[start + len(stretch) :]
    if changed != raw:
        code(verify, changed)


@both_suites
def test_every_truncation_and_every_extension_is_refused(suite: Suite) -> None:
    raw = sealed(suite)
    for length in range(len(raw)):
        assert code(parse, raw[:length]) is EnvelopeCode.TRUNCATED
    for extra in (1, 16, 4_096):
        assert code(parse, raw + bytes(extra)) is EnvelopeCode.TRUNCATED
    grown = raw + bytes(SIZES[1] - len(raw))
    assert code(verify, grown) is EnvelopeCode.ALTERED
    assert code(parse, bytes(SIZES[-1] + 1)) is EnvelopeCode.OVERSIZED


@given(st.sampled_from(SIZES[:2]), st.binary(max_size=2_000), st.binary(max_size=300))
@example(SIZES[0], b"", b"")
@settings(max_examples=200, deadline=None)
def test_noise_is_refused(size: int, noise: bytes, header: bytes) -> None:
    for start in (noise, b"RELAIS" + noise, b"RELAIS\x01\x01" + len(header).to_bytes(2, "big") + b"\0\x01" + header):
        code(parse, start[:size].ljust(size, b"\0"))


@both_suites
@pytest.mark.parametrize("part", ["header", "wraps", "commitment", "signature", "ciphertext"])
def test_a_part_of_another_envelope_between_the_same_two_is_refused(suite: Suite, part: str) -> None:
    def pieces(raw: bytes) -> dict[str, bytes]:
        header_end = 12 + int.from_bytes(raw[8:10], "big")
        wraps_end = header_end + WRAP_BYTES[suite]
        return {
            "preamble": raw[:12],
            "header": raw[12:header_end],
            "wraps": raw[header_end:wraps_end],
            "commitment": raw[wraps_end : wraps_end + 32],
            "signature": raw[wraps_end + 32 : wraps_end + 96],
            "ciphertext": raw[wraps_end + 96 :],
        }

    earlier = Dispatch(DISPATCH.id, CCEM, ABRI, 41, AT, DISPATCH.expires)
    mixed = pieces(sealed(suite)) | {
        part: pieces(seal(BODY, earlier, SIGNER, [INBOX[suite].public]))[part],
    }
    assert code(verify, b"".join(mixed.values())) is EnvelopeCode.ALTERED


@both_suites
def test_another_signer_cannot_pass_for_the_sender(suite: Suite) -> None:
    forger = stranger.Pair(suite, OTHER_SIGNER.secret, (INBOX[suite].secret,))
    as_ccem = forger.parts(BODY, CONTENT_KEY, PAIR[suite].header()).envelope
    assert code(verify, as_ccem) is EnvelopeCode.ALTERED
    assert code(parse(sealed(suite)).verify, OTHER_SIGNER.public) is EnvelopeCode.UNKNOWN_KEY


@both_suites
def test_an_empty_signature_is_told_from_a_wrong_one(suite: Suite) -> None:
    raw = sealed(suite)
    envelope = parse(raw)
    unsigned = raw.replace(envelope.signature, bytes(64))
    assert code(verify, unsigned) is EnvelopeCode.UNSIGNED


@both_suites
def test_it_opens_for_nobody_else(suite: Suite) -> None:
    assert code(opened, sealed(suite), SECOND_INBOX[suite]) is EnvelopeCode.UNKNOWN_KEY


@both_suites
def test_a_wrap_made_for_another_key_under_our_id_does_not_open(suite: Suite) -> None:
    parts = PAIR[suite].parts(BODY, CONTENT_KEY)
    info = stranger.wrap_info(suite, parts.header)
    elsewhere = wrap(suite, SECOND_INBOX[suite].public.public, info, CONTENT_KEY)
    raw = parts.but(wraps=elsewhere).envelope
    assert code(opened, raw, INBOX[suite]) is EnvelopeCode.UNOPENABLE


@both_suites
def test_a_wrap_made_for_another_header_does_not_open(suite: Suite) -> None:
    parts = PAIR[suite].parts(BODY, CONTENT_KEY)
    later = PAIR[suite].header(sequence="0000000000000043")
    raw = parts.but(header=later).envelope
    assert code(opened, raw, INBOX[suite]) is EnvelopeCode.UNOPENABLE


@both_suites
def test_a_content_key_that_is_not_the_committed_one_is_refused(suite: Suite) -> None:
    parts = PAIR[suite].parts(BODY, CONTENT_KEY)
    raw = parts.but(commitment=stranger.commitment(suite, bytes(32))).envelope
    assert code(opened, raw, INBOX[suite]) is EnvelopeCode.UNCOMMITTED


@both_suites
def test_a_body_encrypted_under_another_key_than_the_wrapped_one_does_not_open(suite: Suite) -> None:
    raw = PAIR[suite].parts(BODY, CONTENT_KEY).but(content_key=bytes(32)).envelope
    assert code(opened, raw, INBOX[suite]) is EnvelopeCode.UNOPENABLE


@both_suites
def test_a_wrapped_key_of_another_length_is_refused(suite: Suite) -> None:
    parts = PAIR[suite].parts(BODY, CONTENT_KEY)
    envelope = parse(parts.envelope)
    short = wrap(suite, INBOX[suite].public.public, stranger.wrap_info(suite, parts.header), bytes(31))
    wrong = Envelope(
        suite, envelope.header, envelope.header_hash, short, envelope.commitment, bytes(64), envelope.ciphertext
    )
    assert code(open_body, wrong, INBOX[suite]) is EnvelopeCode.UNOPENABLE


@both_suites
@pytest.mark.parametrize(
    "padding",
    [
        pytest.param(lambda room: b"\0\0\0\x05hello".ljust(room - 1, b"\0") + b"\x01", id="a stray byte at the end"),
        pytest.param(lambda room: b"\0\0\0\x04hello".ljust(room, b"\0"), id="a body longer than it says"),
        pytest.param(lambda room: (room - 3).to_bytes(4, "big").ljust(room, b"\0"), id="one byte more than there is"),
        pytest.param(lambda room: b"\xff" * 4 + bytes(room - 4), id="four gigabytes"),
    ],
)
def test_padding_has_one_form(suite: Suite, padding: Callable[[int], bytes]) -> None:
    parts = PAIR[suite].parts(BODY, CONTENT_KEY)
    raw = parts.but(padded=padding(len(parts.padded))).envelope
    assert code(opened, raw, INBOX[suite]) is EnvelopeCode.MALFORMED


@both_suites
def test_an_empty_body_is_a_body(suite: Suite) -> None:
    assert opened(sealed(suite, b""), INBOX[suite]) == b""


@both_suites
def test_preamble_says_what_is_not_understood(suite: Suite) -> None:
    raw = sealed(suite)
    assert code(parse, b"RELAIT" + raw[6:]) is EnvelopeCode.MALFORMED
    assert code(parse, raw[:6] + b"\x02" + raw[7:]) is EnvelopeCode.UNKNOWN_VERSION
    for unknown in (0, 3, 255):
        assert code(parse, raw[:7] + bytes([unknown]) + raw[8:]) is EnvelopeCode.UNKNOWN_SUITE


@pytest.mark.parametrize("count", [0, 2, 8, 9, 65_535])
@both_suites
def test_a_wrong_count_of_wraps_is_refused_before_anything_is_cut(suite: Suite, count: int) -> None:
    raw = sealed(suite)
    wrong = raw[:10] + count.to_bytes(2, "big") + raw[12:]
    assert code(parse, wrong) is EnvelopeCode.MALFORMED


@pytest.mark.parametrize("length", [0, 1, 318, 320, 1_024, 1_025, 65_535])
@both_suites
def test_a_wrong_length_of_the_header_is_refused_before_anything_is_cut(suite: Suite, length: int) -> None:
    raw = sealed(suite)
    assert int.from_bytes(raw[8:10], "big") == 319
    assert code(parse, raw[:8] + length.to_bytes(2, "big") + raw[10:]) is EnvelopeCode.MALFORMED


def test_the_other_suite_s_key_does_not_open_it() -> None:
    envelope = parse(sealed(Suite.X_WING))
    header = parse(sealed(Suite.X25519)).header
    mixed = Envelope(
        Suite.X_WING, header, envelope.header_hash, envelope.wraps, envelope.commitment, bytes(64), envelope.ciphertext
    )
    assert code(open_body, mixed, INBOX[Suite.X25519]) is EnvelopeCode.UNKNOWN_SUITE


def test_what_no_reader_would_take_is_not_sealed() -> None:
    key = INBOX[Suite.X_WING].public
    x25519 = INBOX[Suite.X25519].public
    too_long = Dispatch(DISPATCH.id, CCEM, ABRI, 1, AT, AT + timedelta(days=32))
    nobody = Dispatch(DISPATCH.id, CCEM, OrganisationId("Abri"), 1, AT, DISPATCH.expires)
    unnumbered = Dispatch(DISPATCH.id, CCEM, ABRI, 0, AT, DISPATCH.expires)
    for dispatch in (too_long, nobody, unnumbered):
        assert code(seal, BODY, dispatch, SIGNER, [key]) is EnvelopeCode.MALFORMED
    for recipients in ([], [key] * 2, [key] * 9):
        assert code(seal, BODY, DISPATCH, SIGNER, recipients) is EnvelopeCode.MALFORMED
    assert code(seal, BODY, DISPATCH, SIGNER, [key, x25519]) is EnvelopeCode.UNKNOWN_SUITE


def test_secrets_do_not_show() -> None:
    for key in (SIGNER, INBOX[Suite.X_WING], INBOX[Suite.X25519]):
        assert repr(key.secret) not in repr(key)
        assert key.secret.hex() not in repr(key)
