"""The private keys of one service, in one file, under a passphrase. Each service can open its own keyring alone.

The file is four lines of ASCII:

    org.relais.keyring.v1
    argon2id <memory in KiB> <iterations> <lanes> <salt, base64>
    aes-256-gcm <nonce, base64> <ciphertext, base64>
    sha256 <digest of the three lines above, their newlines included, base64>

The passphrase (UTF-8 after NFC, RFC 8265) and the second line give the key by Argon2id (RFC 9106); the first two lines
are the associated data. The digest is there only to tell a damaged file from a wrong passphrase; it stops nobody.

What must never happen: that the file is readable by others, half written, or that its numbers make a reader allocate
without limit.
"""

import hashlib
import os
import re
import stat
import threading
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from os import urandom
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from shared.audit.note import Signer
from shared.contracts.ids import KeyId, Organisation, OrganisationId
from shared.contracts.services import Service
from shared.files import SECRET_MODE, write_atomically
from shared.sealing.codes import EnvelopeCode, EnvelopeError, KeyringCode, KeyringError
from shared.sealing.documents import note_signer
from shared.sealing.fields import Base64, Statement, Time, decode_base64, encode_base64, read_exactly, spell
from shared.sealing.keys import KINDS_FOR, SECRET_BYTES, InboxKey, KeyPurpose, SigningKey, StorageKey, audit_purpose
from shared.sealing.suites import KeyKind, Suite
from shared.values import dataclass

FORMAT: Final = "org.relais.keyring.v1"
MAX_FILE_BYTES: Final = 262_144
SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_MAX_MEMORY_KIB: Final = 262_144
_MAX_ITERATIONS: Final = 16
_MAX_LANES: Final = 16
_MIN_KIB_PER_LANE: Final = 8

_FILE: Final = re.compile(
    rf"(?P<head>{re.escape(FORMAT)}\n"
    r"argon2id (?P<memory>[1-9][0-9]{0,8}) (?P<iterations>[1-9][0-9]{0,2}) (?P<lanes>[1-9][0-9]{0,2})"
    r" (?P<salt>[A-Za-z0-9+/=]{1,128})\n)"
    r"aes-256-gcm (?P<nonce>[A-Za-z0-9+/=]{1,64}) (?P<sealed>[A-Za-z0-9+/=]+)\n"
    r"sha256 (?P<digest>[A-Za-z0-9+/=]{44})\n",
)


class Holder(StrEnum):
    """Who holds a keyring: a service, or the organisation itself, offline."""

    IDENTITY = "identity"
    INTAKE = Service.INTAKE.value
    REFERRAL = Service.REFERRAL.value
    NOTIFY = Service.NOTIFY.value


@dataclass(frozen=True, slots=True)
class Cost:
    """What Argon2id takes, for us once at start, and for a thief at every guess."""

    memory_kib: int
    iterations: int
    lanes: int


RECOMMENDED_COST: Final = Cost(memory_kib=65_536, iterations=3, lanes=4)
"""RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes; about 100 ms on a small server."""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A private key, what it is for, and when it holds."""

    purpose: KeyPurpose
    key: SigningKey | InboxKey
    valid_from: datetime
    valid_until: datetime

    def holds_at(self, at: datetime) -> bool:
        """Tell whether the key may be used at ``at``."""
        return self.valid_from <= at < self.valid_until


@dataclass(frozen=True)
class Keyring:
    """The keys of one holder."""

    organisation: OrganisationId
    holder: Holder
    keys: tuple[HeldKey, ...]
    storage: tuple[StorageKey, ...] = ()

    def signing_key(self, purpose: KeyPurpose, at: datetime) -> SigningKey:
        """Return the newest key for ``purpose`` that holds at ``at``.

        Raises:
            KeyringError: ``keyring-key-missing``.
        """
        keys = ((held.valid_from, held.key) for held in self.keys if held.purpose is purpose and held.holds_at(at))
        signing = [(since, key) for since, key in keys if isinstance(key, SigningKey)]
        if not signing:
            raise KeyringError(KeyringCode.KEY_MISSING)
        return max(signing, key=lambda pair: pair[0])[1]

    def holds(self, purpose: KeyPurpose, at: datetime) -> bool:
        """Tell whether there is a key for ``purpose`` that may be used at ``at``."""
        return any(held.purpose is purpose and held.holds_at(at) for held in self.keys)

    def can_sign(self, at: datetime) -> bool:
        """Tell whether at ``at`` there is a key for all that the holder signs."""
        signs = {held.purpose for held in self.keys if isinstance(held.key, SigningKey)}
        return all(self.holds(purpose, at) for purpose in signs)

    def ends(self) -> dict[KeyPurpose, datetime]:
        """Return, for each purpose, when its last key runs out."""
        ends: dict[KeyPurpose, datetime] = {}
        for held in self.keys:
            ends[held.purpose] = max(held.valid_until, ends.get(held.purpose, held.valid_until))
        return ends

    def audit_signer(self, at: datetime) -> Signer:
        """Return what signs the checkpoints of the holder's audit log; the holder is a service.

        Raises:
            KeyringError: ``keyring-key-missing``.
        """
        purpose = audit_purpose(Service(self.holder))
        return note_signer(self.organisation, purpose, self.signing_key(purpose, at))

    def inbox_key(self, ids: Iterable[KeyId], suite: Suite) -> InboxKey:
        """Return the first key of ``suite`` among ``ids`` that is here, whether or not anybody may still seal to it.

        A door without secrets asks the same of a key document: :meth:`shared.sealing.book.Book.opens_until`.

        Raises:
            EnvelopeError: ``envelope-unknown-key``.
        """
        for number in ids:
            key = self._inbox_keys.get(number)
            if key is not None and key.public.suite is suite:
                return key
        raise EnvelopeError(EnvelopeCode.UNKNOWN_KEY)

    @cached_property
    def _inbox_keys(self) -> dict[KeyId, InboxKey]:
        return {held.key.id: held.key for held in self.keys if isinstance(held.key, InboxKey)}

    def storage_keys(self) -> dict[int, bytes]:
        """Return the storage keys by epoch, 32 bytes each."""
        return {key.epoch: key.secret for key in self.storage}


def keyring_path(folder: Path, holder: Holder) -> Path:
    """Return where a holder's keyring lies in an organisation's ``folder``."""
    return folder / f"{holder}.keys"


def write_keyring(folder: Path, keyring: Keyring, passphrase: str, cost: Cost = RECOMMENDED_COST) -> None:
    """Write ``keyring`` under ``passphrase``, mode 0600, in place of what was there.

    Raises:
        ValueError: the passphrase is empty.
        OSError: nothing has changed.
    """
    if not passphrase:
        message = "a keyring needs a passphrase"
        raise ValueError(message)
    salt, nonce = urandom(SALT_BYTES), urandom(_NONCE_BYTES)
    head = f"{FORMAT}\nargon2id {cost.memory_kib} {cost.iterations} {cost.lanes} {encode_base64(salt)}\n"
    plain = spell(_Contents.of(keyring)).encode()
    sealed = AESGCM(_derive(passphrase, cost, salt)).encrypt(nonce, plain, head.encode())
    text = f"{head}aes-256-gcm {encode_base64(nonce)} {encode_base64(sealed)}\n"
    text += f"sha256 {_digest(text)}\n"
    write_atomically(keyring_path(folder, keyring.holder), text.encode(), SECRET_MODE)


def read_keyring(folder: Path, holder: Holder, passphrase: str) -> Keyring:
    """Return the keyring of ``holder``.

    Raises:
        KeyringError: ``keyring-missing``, ``keyring-unreadable``, ``keyring-exposed``, ``keyring-damaged`` or
            ``keyring-wrong-passphrase``.
    """
    match = _FILE.fullmatch(_read(keyring_path(folder, holder)))
    if match is None or _digest(match.string[: match.end("sealed") + 1]) != match["digest"]:
        raise KeyringError(KeyringCode.DAMAGED)
    cost = Cost(int(match["memory"]), int(match["iterations"]), int(match["lanes"]))
    if not _is_affordable(cost):
        raise KeyringError(KeyringCode.DAMAGED)
    try:
        salt, nonce = decode_base64(match["salt"], SALT_BYTES), decode_base64(match["nonce"], _NONCE_BYTES)
        sealed = decode_base64(match["sealed"])
    except ValueError:
        raise KeyringError(KeyringCode.DAMAGED) from None
    try:
        plain = AESGCM(_derive(passphrase, cost, salt)).decrypt(nonce, sealed, match["head"].encode())
    except InvalidTag:
        raise KeyringError(KeyringCode.WRONG_PASSPHRASE) from None
    keyring = _contents(plain)
    if keyring.holder is not holder:
        raise KeyringError(KeyringCode.DAMAGED)
    return keyring


class _KeptKey(Statement):
    purpose: KeyPurpose
    kind: KeyKind
    secret: Base64
    valid_from: Time
    valid_until: Time

    def held(self) -> HeldKey:
        """Load the key.

        Raises:
            ValueError: no such key can exist.
        """
        if self.kind not in KINDS_FOR[self.purpose] or len(self.secret) != SECRET_BYTES:
            raise ValueError
        return HeldKey(self.purpose, self._loaded(), self.valid_from, self.valid_until)

    def _loaded(self) -> SigningKey | InboxKey:
        match self.kind:
            case KeyKind.ED25519:
                return SigningKey.from_secret(self.secret)
            case KeyKind.X_WING | KeyKind.X25519:
                return InboxKey.from_secret(self.kind, self.secret)
            case KeyKind.AES_256:
                raise ValueError


class _KeptEpoch(Statement):
    epoch: int
    secret: Base64


class _Contents(Statement):
    organisation: Organisation
    holder: Holder
    keys: tuple[_KeptKey, ...]
    storage: tuple[_KeptEpoch, ...]

    @classmethod
    def of(cls, keyring: Keyring) -> Self:
        """Return what is written for ``keyring``."""
        return cls(
            organisation=keyring.organisation,
            holder=keyring.holder,
            keys=tuple(
                _KeptKey(
                    purpose=held.purpose,
                    kind=held.key.kind,
                    secret=held.key.secret,
                    valid_from=held.valid_from,
                    valid_until=held.valid_until,
                )
                for held in keyring.keys
            ),
            storage=tuple(_KeptEpoch(epoch=key.epoch, secret=key.secret) for key in keyring.storage),
        )


def _contents(plain: bytes) -> Keyring:
    try:
        contents = read_exactly(_Contents, plain.decode())
        keys = tuple(kept.held() for kept in contents.keys)
    except ValueError:
        raise KeyringError(KeyringCode.DAMAGED) from None
    storage = tuple(StorageKey(kept.epoch, kept.secret) for kept in contents.storage)
    return Keyring(contents.organisation, contents.holder, keys, storage)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise KeyringError(KeyringCode.EXPOSED)
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise KeyringError(KeyringCode.MISSING) from None
    except OSError:
        raise KeyringError(KeyringCode.UNREADABLE) from None
    try:
        return content.decode("ascii") if len(content) <= MAX_FILE_BYTES else ""
    except UnicodeDecodeError:
        raise KeyringError(KeyringCode.DAMAGED) from None


def _is_affordable(cost: Cost) -> bool:
    return (
        cost.iterations <= _MAX_ITERATIONS
        and cost.lanes <= _MAX_LANES
        and _MIN_KIB_PER_LANE * cost.lanes <= cost.memory_kib <= _MAX_MEMORY_KIB
    )


_ONE_AT_A_TIME: Final = threading.Lock()
"""OpenSSL has one pool of threads for the lanes of all derivations: two at once can wait for one another for ever."""


def _derive(passphrase: str, cost: Cost, salt: bytes) -> bytes:
    argon2 = Argon2id(
        salt=salt,
        length=32,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    with _ONE_AT_A_TIME:
        return argon2.derive(unicodedata.normalize("NFC", passphrase).encode())


def _digest(text: str) -> str:
    return encode_base64(hashlib.sha256(text.encode()).digest())
