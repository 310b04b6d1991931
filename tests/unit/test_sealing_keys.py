"""Keys are named by their bytes, and a key that nobody should trust never gets in."""

import hashlib
import json
from contextlib import suppress

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.sealing.codes import KeyCode, KeyRefusedError
from shared.sealing.keys import (
    KINDS_FOR,
    InboxKey,
    InboxPublicKey,
    KeyPurpose,
    PublicKey,
    SigningKey,
    StorageKey,
    VerifyKey,
    enrol,
    key_id,
)
from shared.sealing.suites import KeyKind, Suite

P = 2**255 - 19
D = -121_665 * pow(121_666, -1, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)
PUBLISHED_KINDS = (KeyKind.ED25519, KeyKind.X_WING, KeyKind.X25519)

secrets = st.binary(min_size=32, max_size=32)


def little(number: int) -> bytes:
    return number.to_bytes(32, "little")


def refusal(kind: KeyKind, public: bytes) -> KeyCode:
    with pytest.raises(KeyRefusedError) as caught:
        enrol(kind, public)
    assert isinstance(caught.value.code, KeyCode)
    return caught.value.code


def square_root(number: int) -> int | None:
    root = pow(number, (P + 3) // 8, P)
    if root * root % P != number:
        root = root * SQRT_MINUS_ONE % P
    return root if root * root % P == number else None


def eight_torsion() -> list[int]:
    """Return y of every point whose order divides eight: of order 8 those whose double has y = 0, so dy⁴ + 2y² = 1."""
    ys = [0, 1, P - 1]
    discriminant = square_root((1 + D) % P)
    assert discriminant is not None
    for sign in (1, -1):
        y = square_root((-1 + sign * discriminant) * pow(D, -1, P) % P)
        if y is not None:
            ys += [y, P - y]
    return ys


def montgomery(y: int) -> int:
    return 0 if y == 1 else (1 + y) * pow(1 - y, -1, P) % P


@given(secrets)
@settings(max_examples=20, deadline=None)
def test_an_honest_key_of_every_kind_is_taken_and_named_by_its_bytes(secret: bytes) -> None:
    honest: list[PublicKey] = [
        SigningKey.from_secret(secret).public,
        InboxKey.from_secret(KeyKind.X_WING, secret).public,
        InboxKey.from_secret(KeyKind.X25519, secret).public,
    ]
    for public in honest:
        taken = enrol(public.kind, public.public)
        assert taken == public
        assert taken.id == key_id(public.public) == hashlib.sha256(public.public).hexdigest()[:32]


def test_generated_keys_differ() -> None:
    assert SigningKey.generate().id != SigningKey.generate().id
    assert InboxKey.generate().id != InboxKey.generate().id
    assert StorageKey.generate(1).secret != StorageKey.generate(1).secret


def test_there_are_five_low_order_y_and_openssl_would_take_every_one() -> None:
    ys = eight_torsion()
    assert len(set(ys)) == 5
    for y in ys:
        for sign in (0, 1 << 255):
            Ed25519PublicKey.from_public_bytes(little(y | sign))
            assert refusal(KeyKind.ED25519, little(y | sign)) is KeyCode.LOW_ORDER


def test_openssl_accepts_a_signature_that_nobody_made_under_a_low_order_key() -> None:
    identity_point, anybody = little(1), little(1) + bytes(32)
    Ed25519PublicKey.from_public_bytes(identity_point).verify(anybody, b"I never said this")
    assert refusal(KeyKind.ED25519, identity_point) is KeyCode.LOW_ORDER


def test_low_order_inbox_keys_are_refused() -> None:
    x_wing = InboxKey.from_secret(KeyKind.X_WING, bytes(32)).public.public
    for u in {montgomery(y) for y in eight_torsion()} | {P - 1}:
        assert refusal(KeyKind.X25519, little(u)) is KeyCode.LOW_ORDER
        assert refusal(KeyKind.X_WING, x_wing[:-32] + little(u)) is KeyCode.LOW_ORDER


@pytest.mark.parametrize("excess", range(19))
def test_unreduced_numbers_are_refused(excess: int) -> None:
    assert refusal(KeyKind.ED25519, little(P + excess)) is KeyCode.NON_CANONICAL
    assert refusal(KeyKind.ED25519, little(P + excess | 1 << 255)) is KeyCode.NON_CANONICAL
    assert refusal(KeyKind.X25519, little(P + excess)) is KeyCode.NON_CANONICAL


@given(secrets)
@settings(max_examples=20, deadline=None)
def test_the_unused_bit_of_x25519_must_be_clear(secret: bytes) -> None:
    public = bytearray(InboxKey.from_secret(KeyKind.X25519, secret).public.public)
    public[31] |= 0x80
    assert refusal(KeyKind.X25519, bytes(public)) is KeyCode.NON_CANONICAL


def test_about_half_of_all_numbers_are_no_point_of_the_curve() -> None:
    faults = {y: square_root((y * y - 1) * pow(D * y * y + 1, -1, P) % P) is None for y in range(2, 60)}
    assert 15 < sum(faults.values()) < 45
    for y, off_the_curve in faults.items():
        if off_the_curve:
            assert refusal(KeyKind.ED25519, little(y)) is KeyCode.NON_CANONICAL
        else:
            assert VerifyKey.enrol(little(y)).public == little(y)


@pytest.mark.parametrize("kind", PUBLISHED_KINDS)
@given(length=st.integers(0, 2_000))
def test_wrong_lengths_are_refused(kind: KeyKind, length: int) -> None:
    right = 1_216 if kind is KeyKind.X_WING else 32
    if length != right:
        assert refusal(kind, bytes(length)) is KeyCode.WRONG_LENGTH


@pytest.mark.parametrize("place", [0, 600, 1_148])
def test_unreduced_coefficients_of_mlkem_are_refused(place: int) -> None:
    public = bytearray(InboxKey.from_secret(KeyKind.X_WING, bytes(32)).public.public)
    public[place : place + 3] = b"\xff\xff\xff"
    assert refusal(KeyKind.X_WING, bytes(public)) is KeyCode.NON_CANONICAL


@given(st.sampled_from(PUBLISHED_KINDS), st.binary(max_size=1_300))
@settings(max_examples=200, deadline=None)
def test_noise_is_a_key_or_is_refused_and_nothing_else_happens(kind: KeyKind, noise: bytes) -> None:
    with suppress(KeyRefusedError):
        assert enrol(kind, noise).public == noise


def test_a_symmetric_key_is_never_published() -> None:
    with pytest.raises(ValueError, match="no public half"):
        enrol(KeyKind.AES_256, bytes(32))


def test_every_purpose_has_its_kinds() -> None:
    assert set(KINDS_FOR) == set(KeyPurpose)


def test_x_wing_seeds_expand_as_the_published_vectors_say() -> None:
    with cryptography_vectors.open_vector_file("HPKE/hpke-pq-test-vectors.json", "r") as file:
        vectors = [vector for vector in json.load(file) if vector["kem_id"] == 0x647A]
    assert vectors
    for vector in vectors:
        key = InboxKey.from_secret(KeyKind.X_WING, bytes.fromhex(vector["skRm"]))
        assert key.public.public.hex() == vector["pkRm"]


def test_a_signature_holds_for_its_message_alone() -> None:
    key = SigningKey.from_secret(bytes(range(32)))
    signature = key.sign(b"said")
    assert key.public.holds(signature, b"said")
    assert not key.public.holds(signature, b"unsaid")
    assert not key.public.holds(b"", b"said")


@pytest.mark.parametrize("kind", [KeyKind.X_WING, KeyKind.X25519])
@given(noise=st.binary(max_size=1_300))
@settings(max_examples=50, deadline=None)
def test_a_wrap_that_is_noise_does_not_open(kind: KeyKind, noise: bytes) -> None:
    assert InboxKey.from_secret(kind, bytes(range(32))).unwrap(noise, b"info") is None


def test_an_enrolled_key_wraps_for_its_owner() -> None:
    key = InboxKey.from_secret(KeyKind.X25519, bytes(range(32)))
    public = InboxPublicKey.enrol(KeyKind.X25519, key.public.public)
    assert public.suite is Suite.X25519
    assert key.unwrap(public.wrap(bytes(32), b"info"), b"info") == bytes(32)
    assert key.unwrap(public.wrap(bytes(32), b"info"), b"other") is None
