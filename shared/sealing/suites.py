"""The two ways to wrap a content key. One byte in the envelope says which; nothing is negotiated at run time.

Both are HPKE (RFC 9180) in base mode with HKDF-SHA256 and AES-256-GCM. A person's file stays dangerous for decades, so
that the first suite, which tomorrow's computer cannot open in an archive of today's messages, is the one to use.
"""

from enum import IntEnum, StrEnum
from typing import Final

from cryptography.hazmat.primitives import hpke

CONTENT_KEY_BYTES: Final = 32
TAG_BYTES: Final = 16


class KeyKind(StrEnum):
    """The kinds of key there are. ``ml-dsa-44`` is kept free for the second half of identity and audit keys."""

    ED25519 = "ed25519"
    """RFC 8032: 32 bytes public, 32 bytes secret (the seed)."""
    X_WING = "x-wing"
    """draft-connolly-cfrg-xwing-kem: 1,216 bytes public (ML-KEM-768 then X25519), 32 bytes secret (the seed)."""
    X25519 = "x25519"
    """RFC 7748: 32 bytes public, 32 bytes secret."""
    AES_256 = "aes-256"
    """FIPS 197: 32 bytes secret, never published."""


class Suite(IntEnum):
    """How the content key is wrapped; signature (Ed25519) and body (AES-256-GCM) are the same in both."""

    X_WING = 1
    """HPKE KEM 0x647a: ML-KEM-768 with X25519."""
    X25519 = 2
    """HPKE KEM 0x0020: DHKEM(X25519, HKDF-SHA256)."""


HPKE: Final = {
    Suite.X_WING: hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
    Suite.X25519: hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
}

WRAP_BYTES: Final = {
    Suite.X_WING: 1_088 + 32 + CONTENT_KEY_BYTES + TAG_BYTES,
    Suite.X25519: 32 + CONTENT_KEY_BYTES + TAG_BYTES,
}
"""Length of one wrapped content key: the encapsulation, then 32 encrypted bytes, then the tag."""

KIND_OF: Final = {Suite.X_WING: KeyKind.X_WING, Suite.X25519: KeyKind.X25519}
SUITE_OF: Final = {kind: suite for suite, kind in KIND_OF.items()}
