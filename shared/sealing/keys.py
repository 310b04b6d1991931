"""The keys of an organisation: how they are made, named, loaded once and used.

Every private key is stored as 32 secret bytes. A public key of somebody else is loaded through ``enrol`` alone, which
refuses what a library would take: wrong lengths, numbers that are not reduced, points of small order.

What must never happen: that secret bytes come into a ``repr``, a log or an error. Nothing here prints a secret.
"""

import hashlib
from dataclasses import field
from enum import StrEnum
from os import urandom
from typing import Final, Self, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey

from shared import ed25519
from shared.contracts.ids import KeyId, OrganisationId
from shared.contracts.services import Service
from shared.sealing.codes import KeyCode, KeyRefusedError
from shared.sealing.curve25519 import ed25519_fault, x25519_fault
from shared.sealing.suites import HPKE, KIND_OF, SUITE_OF, KeyKind, Suite
from shared.values import dataclass

SECRET_BYTES: Final = 32
KEY_ID_PATTERN: Final = r"[0-9a-f]{32}"

_MLKEM_PUBLIC_BYTES: Final = 1_184
_MLKEM_SEED_BYTES: Final = 64
_X_WING_PUBLIC_BYTES: Final = _MLKEM_PUBLIC_BYTES + 32
_X_WING_EXPANDED_BYTES: Final = _MLKEM_SEED_BYTES + 32

_InboxPrivateHandle: TypeAlias = MLKEM768X25519PrivateKey | X25519PrivateKey
_InboxPublicHandle: TypeAlias = MLKEM768X25519PublicKey | X25519PublicKey


class KeyPurpose(StrEnum):
    """What a key is for. A key does one thing; with the organisation it names the key in signed notes."""

    IDENTITY = "identity"
    SIGNING = "signing"
    RECEIPT = "receipt"
    AUDIT_INTAKE = "audit/intake"
    AUDIT_REFERRAL = "audit/referral"
    AUDIT_NOTIFY = "audit/notify"
    INBOX = "inbox"
    STORAGE = "storage"


KINDS_FOR: Final = {
    KeyPurpose.IDENTITY: frozenset({KeyKind.ED25519}),
    KeyPurpose.SIGNING: frozenset({KeyKind.ED25519}),
    KeyPurpose.RECEIPT: frozenset({KeyKind.ED25519}),
    KeyPurpose.AUDIT_INTAKE: frozenset({KeyKind.ED25519}),
    KeyPurpose.AUDIT_REFERRAL: frozenset({KeyKind.ED25519}),
    KeyPurpose.AUDIT_NOTIFY: frozenset({KeyKind.ED25519}),
    KeyPurpose.INBOX: frozenset({KeyKind.X_WING, KeyKind.X25519}),
    KeyPurpose.STORAGE: frozenset({KeyKind.AES_256}),
}
"""Which kinds of key may serve a purpose."""


def audit_purpose(service: Service) -> KeyPurpose:
    """Return the purpose of the key that signs the audit log of ``service``."""
    return KeyPurpose(f"audit/{service}")


def key_id(public: bytes) -> KeyId:
    """Return a public key's id: the first 16 bytes of the SHA-256 of its bytes, in lower-case hexadecimal."""
    return KeyId(hashlib.sha256(public).digest()[:16].hex())


def key_name(organisation: OrganisationId, purpose: KeyPurpose) -> str:
    """Return the name that a key signs notes under, such as ``ccem-fr/receipt``."""
    return f"{organisation}/{purpose}"


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """An Ed25519 public key that may be trusted."""

    public: bytes
    id: KeyId

    @classmethod
    def enrol(cls, public: bytes) -> Self:
        """Take the 32 bytes of somebody's key.

        Raises:
            KeyRefusedError: ``key-wrong-length``, ``key-non-canonical`` or ``key-low-order``.
        """
        fault = ed25519_fault(public)
        if fault is not None:
            raise KeyRefusedError(fault)
        return cls(public, key_id(public))

    @property
    def kind(self) -> KeyKind:
        """The kind of the key, as documents write it."""
        return KeyKind.ED25519

    def holds(self, signature: bytes, signed: bytes) -> bool:
        """Tell whether ``signature`` (64 bytes) was made by this key over ``signed``."""
        return ed25519.holds(self.public, signature, signed)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 private key, for any purpose that signs."""

    secret: bytes = field(repr=False)
    public: VerifyKey
    handle: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's randomness."""
        return cls.from_secret(urandom(SECRET_BYTES))

    @classmethod
    def from_secret(cls, secret: bytes) -> Self:
        """Load the key whose RFC 8032 seed is ``secret``, 32 bytes."""
        handle = Ed25519PrivateKey.from_private_bytes(secret)
        public = handle.public_key().public_bytes_raw()
        return cls(secret, VerifyKey(public, key_id(public)), handle)

    @property
    def id(self) -> KeyId:
        """The id of the public key."""
        return self.public.id

    @property
    def kind(self) -> KeyKind:
        """The kind of the key, as keyrings write it."""
        return KeyKind.ED25519

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a signature over ``message``."""
        return self.handle.sign(message)


@dataclass(frozen=True, slots=True)
class InboxPublicKey:
    """The key that messages to an organisation are sealed to."""

    suite: Suite
    public: bytes = field(repr=False)
    id: KeyId
    handle: _InboxPublicHandle = field(repr=False, compare=False)

    @classmethod
    def enrol(cls, kind: KeyKind, public: bytes) -> Self:
        """Take somebody's key: 1,216 bytes of X-Wing (ML-KEM-768, then X25519) or 32 of X25519.

        Raises:
            KeyRefusedError: ``key-wrong-length``, ``key-non-canonical`` or ``key-low-order``.
        """
        suite = SUITE_OF[kind]
        handle = _load_x_wing(public) if suite is Suite.X_WING else _load_x25519(public)
        return cls(suite, public, key_id(public), handle)

    @property
    def kind(self) -> KeyKind:
        """The kind of the key, as documents write it."""
        return KIND_OF[self.suite]

    def wrap(self, content_key: bytes, info: bytes) -> bytes:
        """Return the content key encrypted to this key: HPKE base mode, single-shot, no associated data."""
        return HPKE[self.suite].encrypt(content_key, self.handle, info=info)


@dataclass(frozen=True, slots=True)
class InboxKey:
    """The private key that opens what was sealed to an organisation."""

    secret: bytes = field(repr=False)
    public: InboxPublicKey
    handle: _InboxPrivateHandle = field(repr=False, compare=False)

    @classmethod
    def generate(cls, kind: KeyKind = KeyKind.X_WING) -> Self:
        """Make a new key from the system's randomness."""
        return cls.from_secret(kind, urandom(SECRET_BYTES))

    @classmethod
    def from_secret(cls, kind: KeyKind, secret: bytes) -> Self:
        """Load the key of ``secret``, 32 bytes: the X-Wing seed, or the X25519 private key."""
        suite = SUITE_OF[kind]
        handle: _InboxPrivateHandle
        if suite is Suite.X_WING:
            mlkem, x25519 = _expand_x_wing(secret)
            raw = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
            handle = MLKEM768X25519PrivateKey(mlkem, x25519)
        else:
            handle = X25519PrivateKey.from_private_bytes(secret)
            raw = handle.public_key().public_bytes_raw()
        return cls(secret, InboxPublicKey(suite, raw, key_id(raw), handle.public_key()), handle)

    @property
    def id(self) -> KeyId:
        """The id of the public key."""
        return self.public.id

    @property
    def kind(self) -> KeyKind:
        """The kind of the key, as keyrings write it."""
        return self.public.kind

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes | None:
        """Return the content key, or ``None`` where ``wrapped`` was not made for this key and this ``info``."""
        try:
            return HPKE[self.public.suite].decrypt(wrapped, self.handle, info=info)
        except (InvalidTag, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class StorageKey:
    """The AES-256 key under which the keys of cases are wrapped during one epoch."""

    epoch: int
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls, epoch: int) -> Self:
        """Make the key of a new epoch from the system's randomness."""
        return cls(epoch, urandom(SECRET_BYTES))

    @property
    def kind(self) -> KeyKind:
        """The kind of the key, as keyrings write it."""
        return KeyKind.AES_256


PublicKey: TypeAlias = VerifyKey | InboxPublicKey


def enrol(kind: KeyKind, public: bytes) -> PublicKey:
    """Take somebody's public key of any kind that is ever published.

    Raises:
        KeyRefusedError: ``key-wrong-length``, ``key-non-canonical`` or ``key-low-order``.
        ValueError: a kind that is never published.
    """
    match kind:
        case KeyKind.ED25519:
            return VerifyKey.enrol(public)
        case KeyKind.X_WING | KeyKind.X25519:
            return InboxPublicKey.enrol(kind, public)
        case KeyKind.AES_256:
            message = "a symmetric key has no public half"
            raise ValueError(message)


def _expand_x_wing(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """Return both halves of an X-Wing key: SHAKE-256 of the seed gives 64 bytes for ML-KEM-768, then 32 for X25519."""
    expanded = hashlib.shake_256(seed).digest(_X_WING_EXPANDED_BYTES)
    return (
        MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:]),
    )


def _load_x_wing(public: bytes) -> MLKEM768X25519PublicKey:
    if len(public) != _X_WING_PUBLIC_BYTES:
        raise KeyRefusedError(KeyCode.WRONG_LENGTH)
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES])
    except ValueError:  # a coefficient is not below 3,329: FIPS 203, 7.2
        raise KeyRefusedError(KeyCode.NON_CANONICAL) from None
    return MLKEM768X25519PublicKey(mlkem, _load_x25519(public[_MLKEM_PUBLIC_BYTES:]))


def _load_x25519(public: bytes) -> X25519PublicKey:
    fault = x25519_fault(public)
    if fault is not None:
        raise KeyRefusedError(fault)
    return X25519PublicKey.from_public_bytes(public)
