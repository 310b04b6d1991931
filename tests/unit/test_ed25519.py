"""A signature holds for its own key and message, as others have made and published it, and for nothing else."""

from collections.abc import Iterator

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import assume, given
from hypothesis import strategies as st

from shared import ed25519

ORDER = 2**252 + 27742317777372353535851937790883648493
IDENTITY_POINT = b"\x01" + bytes(31)
SEED, MESSAGE = bytes(range(32)), b"what was said"
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC, SIGNATURE = KEY.public_key().public_bytes_raw(), KEY.sign(MESSAGE)


def published() -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield key, signature and message of the 1,024 vectors that came with the reference implementation."""
    with cryptography_vectors.open_vector_file("asymmetric/Ed25519/sign.input", "r") as lines:
        for line in lines:
            _, public, message, signed = map(bytes.fromhex, line.split(":")[:4])
            yield public, signed[: ed25519.SIGNATURE_BYTES], message


def test_every_published_signature_holds_and_for_no_other_message() -> None:
    vectors = list(published())
    assert len(vectors) == 1024
    for public, signature, message in vectors:
        assert ed25519.holds(public, signature, message)
        assert not ed25519.holds(public, signature, message + b"\0")


@given(st.integers(0, 511), st.sampled_from([PUBLIC, SIGNATURE, MESSAGE]))
def test_no_bit_may_be_another(bit: int, part: bytes) -> None:
    assume(bit < len(part) * 8)
    changed = bytearray(part)
    changed[bit // 8] ^= 1 << bit % 8
    parts = [bytes(changed) if each is part else each for each in (PUBLIC, SIGNATURE, MESSAGE)]
    assert not ed25519.holds(*parts)


def test_a_signature_that_nobody_made_holds_under_no_key() -> None:
    """OpenSSL takes it: under a key of low order it holds for any message."""
    anybody = IDENTITY_POINT + bytes(32)
    Ed25519PublicKey.from_public_bytes(IDENTITY_POINT).verify(anybody, MESSAGE)
    assert not ed25519.holds(IDENTITY_POINT, anybody, MESSAGE)


def test_a_signature_has_one_spelling() -> None:
    again = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    assert ed25519.holds(PUBLIC, SIGNATURE, MESSAGE)
    assert not ed25519.holds(PUBLIC, SIGNATURE[:32] + again.to_bytes(32, "little"), MESSAGE)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 63, 65, 128])
def test_another_length_never_holds(length: int) -> None:
    assert not ed25519.holds(PUBLIC, SIGNATURE[:length].ljust(length, b"\0"), MESSAGE)
    assert not ed25519.holds(PUBLIC[:length].ljust(length, b"\0"), SIGNATURE, MESSAGE)
