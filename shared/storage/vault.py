"""Encryption at rest: a key for every case, wrapped under a storage key that is kept elsewhere.

The storage keys live in the referral service's keyring, outside PostgreSQL and its backups. A case's wrapped key lies
beside its documents in every copy of the database: removing it makes them unreadable there, and not in backups or the
write-ahead log. Only destroying the storage key does that, with every case that it wraps.
"""

from collections.abc import Mapping
from os import urandom
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.contracts.coded import Coded
from shared.values import dataclass

KEY_BYTES = 32
NONCE_BYTES = 12


class VaultError(Coded[str]):
    """A stored document cannot be opened; ``code`` says why: ``vault-unknown-epoch`` or ``vault-altered``."""


class CaseCipher:
    """Seals and opens what belongs to one case: AES-256-GCM with random 96-bit nonces (NIST SP 800-38D, 8.2.2)."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        """Take the case's key, 32 bytes."""
        self._aead = AESGCM(key)

    def seal(self, plaintext: bytes, label: bytes) -> bytes:
        """Return nonce and ciphertext. ``label`` says what it is and must be given again to open it."""
        nonce = urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plaintext, label)

    def open(self, sealed: bytes, label: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            VaultError: ``vault-altered``: another key, another label, or changed bytes.
        """
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], label)
        except (InvalidTag, ValueError):
            raise VaultError("vault-altered") from None


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A case's key as the database keeps it: under which storage key, and the 60 wrapped bytes."""

    epoch: int
    wrapped: bytes


class Vault:
    """Makes, wraps and unwraps the keys of cases."""

    def __init__(self, storage_keys: Mapping[int, bytes]) -> None:
        """Take the storage keys by epoch, 32 bytes each; the newest one wraps."""
        self._wrapping = {epoch: CaseCipher(key) for epoch, key in storage_keys.items()}
        self._epoch = max(storage_keys)

    def new_case(self, case: UUID) -> tuple[CaseCipher, WrappedKey]:
        """Return a cipher under a fresh random key for ``case``, and that key wrapped, for the database."""
        key = urandom(KEY_BYTES)
        return CaseCipher(key), WrappedKey(self._epoch, self._wrapping[self._epoch].seal(key, case.bytes))

    def holds(self, epoch: int) -> bool:
        """Tell whether the storage key of ``epoch`` is at hand."""
        return epoch in self._wrapping

    def case(self, case: UUID, key: WrappedKey) -> CaseCipher:
        """Return the cipher of ``case``.

        Raises:
            VaultError: ``vault-unknown-epoch`` when the storage key is destroyed, ``vault-altered`` when the wrapped
            key is.
        """
        wrapping = self._wrapping.get(key.epoch)
        if wrapping is None:
            raise VaultError("vault-unknown-epoch")
        return CaseCipher(wrapping.open(key.wrapped, case.bytes))
