"""Public keys and what must be checked before one is used: docs/protocol/keys.md, sections 1 to 3.

A library accepts keys under which anybody's signature holds. Nothing here trusts a key that `enrol` has not passed.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey

from .refusal import Refused


class Kind(StrEnum):
    """The kinds of key in use."""

    ED25519 = "ed25519"
    X_WING = "x-wing"
    X25519 = "x25519"


class Purpose(StrEnum):
    """What a key is for; it is never used for anything else."""

    IDENTITY = "identity"
    SIGNING = "signing"
    RECEIPT = "receipt"
    AUDIT_INTAKE = "audit/intake"
    AUDIT_REFERRAL = "audit/referral"
    AUDIT_NOTIFY = "audit/notify"
    INBOX = "inbox"


InboxPublic = MLKEM768X25519PublicKey | X25519PublicKey
InboxSecret = MLKEM768X25519PrivateKey | X25519PrivateKey

SECRET_LENGTH = 32
LENGTHS = {Kind.ED25519: 32, Kind.X_WING: 1216, Kind.X25519: 32}
ML_KEM_PUBLIC = 1184
ML_KEM_COEFFICIENTS = 1152
ML_KEM_Q = 3329
ML_KEM_SEED = 64
X_WING_EXPANDED = 96

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
"""Field and constant of the curve edwards25519 (RFC 8032, section 5.1)."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key of an organisation as its key document publishes it."""

    purpose: Purpose
    kind: Kind
    id: str
    public: bytes
    valid_from: datetime
    valid_until: datetime

    def holds(self, at: datetime) -> bool:
        """Tell whether the key holds at a time."""
        return self.valid_from <= at < self.valid_until


def key_id(public: bytes) -> str:
    """Return the id of a key: the first 16 bytes of SHA-256 of its public bytes, in hexadecimal."""
    return hashlib.sha256(public).hexdigest()[:32]


def kinds_for(purpose: Purpose) -> frozenset[Kind]:
    """Return the kinds that a key of this purpose may have."""
    return frozenset({Kind.X_WING, Kind.X25519} if purpose is Purpose.INBOX else {Kind.ED25519})


def enrol(kind: Kind, public: bytes) -> None:
    """Check a public key before its first use.

    Raises:
        Refused: ``key-wrong-length``, ``key-non-canonical`` or ``key-low-order``.
    """
    if len(public) != LENGTHS[kind]:
        raise Refused("key-wrong-length")
    match kind:
        case Kind.ED25519:
            _check_ed25519(public)
        case Kind.X25519:
            _check_x25519(public)
        case Kind.X_WING:
            _check_ml_kem(public[:ML_KEM_COEFFICIENTS])
            _check_x25519(public[ML_KEM_PUBLIC:])


def public_of(kind: Kind, secret: bytes) -> bytes:
    """Return the public bytes that belong to the 32 secret bytes of a key."""
    match kind:
        case Kind.ED25519:
            return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        case Kind.X25519:
            return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        case Kind.X_WING:
            ml_kem, x25519 = _expanded(secret)
            return ml_kem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def inbox_public(kind: Kind, public: bytes) -> InboxPublic:
    """Return an inbox key, which `enrol` has passed, in the form that HPKE takes."""
    if kind is Kind.X25519:
        return X25519PublicKey.from_public_bytes(public)
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:ML_KEM_PUBLIC]),
        X25519PublicKey.from_public_bytes(public[ML_KEM_PUBLIC:]),
    )


def kind_of(secret: InboxSecret) -> Kind:
    """Return which kind of inbox key a secret belongs to."""
    return Kind.X25519 if isinstance(secret, X25519PrivateKey) else Kind.X_WING


def inbox_secret(kind: Kind, secret: bytes) -> InboxSecret:
    """Return the secret of an inbox key in the form that HPKE takes."""
    if kind is Kind.X25519:
        return X25519PrivateKey.from_private_bytes(secret)
    return MLKEM768X25519PrivateKey(*_expanded(secret))


def _expanded(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    expanded = hashlib.shake_256(seed).digest(X_WING_EXPANDED)
    return (
        MLKEM768PrivateKey.from_seed_bytes(expanded[:ML_KEM_SEED]),
        X25519PrivateKey.from_private_bytes(expanded[ML_KEM_SEED:]),
    )


def _check_ed25519(public: bytes) -> None:
    y = int.from_bytes(public, "little") & (2**255 - 1)
    if y >= P or not _is_square(_x_squared(y)):
        raise Refused("key-non-canonical")
    for _ in range(3):
        y = _y_doubled(y)
    if y == 1:  # eight times the point is the neutral one
        raise Refused("key-low-order")


def _x_squared(y: int) -> int:
    """Return x² of the point with this y: from -x² + y² = 1 + D·x²·y²."""
    return (y * y - 1) * pow(D * y * y + 1, -1, P) % P


def _y_doubled(y: int) -> int:
    """Return the y of twice the point with this y; the sign of x does not matter to it."""
    x2 = _x_squared(y)
    return (y * y + x2) * pow(1 - D * x2 * y * y, -1, P) % P


def _is_square(number: int) -> bool:
    return number == 0 or pow(number, (P - 1) // 2, P) == 1


def _check_x25519(public: bytes) -> None:
    if int.from_bytes(public, "little") >= P:
        raise Refused("key-non-canonical")
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refused("key-low-order") from None


def _check_ml_kem(encoded: bytes) -> None:
    """Every three bytes are two coefficients of twelve bits (FIPS 203, section 7.2)."""
    for at in range(0, len(encoded), 3):
        pair = int.from_bytes(encoded[at : at + 3], "little")
        if (pair & 0xFFF) >= ML_KEM_Q or (pair >> 12) >= ML_KEM_Q:
            raise Refused("key-non-canonical")
