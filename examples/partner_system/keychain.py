"""Our own keys, secrets included, in one file of our own form: how a system keeps them is nobody else's business.

With a passphrase the file is encrypted (Argon2id, AES-256-GCM). Without one it is as safe as the disk that it lies on.
A secret leaves this module as an object to sign or open with, never as bytes.
"""

import base64
import json
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from . import moments, notes
from .envelope import LONGEST_LIFE
from .events import HEARS
from .files import write_private
from .key_document import KeyDocument
from .keys import SECRET_LENGTH, InboxSecret, Kind, PublishedKey, Purpose, inbox_secret, key_id, public_of
from .notes import Verifier
from .refusal import Refused
from .values import Json, items, members, number, text

IDENTITY_LIVES = timedelta(days=3652)
SIGNING_LIVES = timedelta(days=182)
INBOX_LIVES = timedelta(days=7)
AHEAD = timedelta(days=91)
"""How far ahead partners must be able to seal and verify: a quarter."""
SLOW_CLOCK = timedelta(hours=1)
"""A partner whose clock is behind must find our newest keys holding."""
SALT_LENGTH = 16
NONCE_LENGTH = 12
ARGON_PASSES = 3
ARGON_LANES = 4
ARGON_KIBIBYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key of ours; ``secret`` is never shown."""

    published: PublishedKey
    secret: bytes

    def __repr__(self) -> str:
        """Show the key by its id alone."""
        return f"OwnKey({self.published.purpose}, {self.published.id})"


@dataclass(frozen=True, slots=True)
class Keychain:
    """All keys of ours, and the serial of the key document that was written last."""

    organisation: str
    serial: int
    keys: tuple[OwnKey, ...]

    @classmethod
    def empty(cls, organisation: str) -> Self:
        """Return the keychain of an organisation that has no keys yet."""
        return cls(organisation, 0, ())

    def renewed(self, at: datetime, inbox_kind: Kind) -> Self:
        """Return a keychain whose keys hold for a quarter from ``at``: missing ones are made, the others stay.

        The secret of an inbox key is dropped once nothing that was sealed to it can come any more.
        """
        keys = [key for key in self.keys if not _of_no_use(key, at)]
        if not keys:  # an identity is made once: another one would need new agreements
            keys = _missing([], Purpose.IDENTITY, Kind.ED25519, at, IDENTITY_LIVES)
        for purpose in (Purpose.SIGNING, Purpose.RECEIPT):
            keys += _missing(keys, purpose, Kind.ED25519, at, SIGNING_LIVES)
        keys += _missing(keys, Purpose.INBOX, inbox_kind, at, INBOX_LIVES)
        return replace(self, serial=self.serial + 1, keys=tuple(keys))

    def document(self, issued: datetime) -> KeyDocument:
        """Return what we publish."""
        keys = tuple(key.published for key in self.keys)
        return KeyDocument(self.organisation, self.serial, issued, HEARS, keys)

    def identity(self) -> tuple[Ed25519PrivateKey, Verifier]:
        """Return our identity, to sign documents with and to be known by."""
        own = next(key for key in self.keys if key.published.purpose is Purpose.IDENTITY)
        verifier = Verifier(f"{self.organisation}/identity", own.published.public)
        return Ed25519PrivateKey.from_private_bytes(own.secret), verifier

    def signing(self, purpose: Purpose, at: datetime) -> tuple[Ed25519PrivateKey, PublishedKey]:
        """Return the key of a purpose that holds at a time; raise ``key-expired`` if there is none."""
        for key in reversed(self.keys):
            if key.published.purpose is purpose and key.published.holds(at):
                return Ed25519PrivateKey.from_private_bytes(key.secret), key.published
        raise Refused("key-expired")

    def inboxes(self) -> dict[str, InboxSecret]:
        """Return what opens envelopes, by the id of the key that they were sealed to."""
        return {
            key.published.id: inbox_secret(key.published.kind, key.secret)
            for key in self.keys
            if key.published.purpose is Purpose.INBOX
        }

    def save(self, path: Path, passphrase: bytes | None) -> None:
        """Write the file, readable by its owner alone."""
        stated = {
            "organisation": self.organisation,
            "serial": self.serial,
            "keys": [
                {
                    "purpose": key.published.purpose,
                    "kind": key.published.kind,
                    "secret": base64.b64encode(key.secret).decode(),
                    "valid_from": moments.written(key.published.valid_from),
                    "valid_until": moments.written(key.published.valid_until),
                }
                for key in self.keys
            ],
        }
        plain = json.dumps(stated, indent=1).encode()
        write_private(path, plain if passphrase is None else _encrypted(plain, passphrase))

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None) -> Self:
        """Read the file.

        Raises:
            Refused: ``keys-missing``, ``keys-malformed``, or ``passphrase-wrong``, also if one is missing.
        """
        if not path.exists():
            raise Refused("keys-missing")
        raw = path.read_bytes()
        plain = raw if passphrase is None else _decrypted(raw, passphrase)
        if not plain.startswith(b"{"):
            raise Refused("passphrase-wrong")
        try:
            stated = members(json.loads(plain))
            keys = tuple(_read(members(item)) for item in items(stated["keys"]))
            return cls(text(stated["organisation"]), number(stated["serial"]), keys)
        except (KeyError, TypeError, ValueError):
            raise Refused("keys-malformed") from None


def _missing(have: list[OwnKey], purpose: Purpose, kind: Kind, at: datetime, life: timedelta) -> list[OwnKey]:
    """Make keys that follow one another, so that one of this purpose holds until a quarter from now."""
    begins = max(
        [
            moments.rounded_down(at) - SLOW_CLOCK,
            *(key.published.valid_until for key in have if key.published.purpose is purpose),
        ]
    )
    made = []
    while begins < at + AHEAD:
        made.append(_made(purpose, kind, begins, begins + life))
        begins += life
    return made


def _made(purpose: Purpose, kind: Kind, valid_from: datetime, valid_until: datetime) -> OwnKey:
    return _own(purpose, kind, secrets.token_bytes(SECRET_LENGTH), valid_from, valid_until)


def _own(purpose: Purpose, kind: Kind, secret: bytes, valid_from: datetime, valid_until: datetime) -> OwnKey:
    public = public_of(kind, secret)
    return OwnKey(PublishedKey(purpose, kind, key_id(public), public, valid_from, valid_until), secret)


def _read(stated: Json) -> OwnKey:
    return _own(
        Purpose(text(stated["purpose"])),
        Kind(text(stated["kind"])),
        notes.decode(text(stated["secret"])),
        moments.read(text(stated["valid_from"])),
        moments.read(text(stated["valid_until"])),
    )


def _of_no_use(key: OwnKey, at: datetime) -> bool:
    return key.published.purpose is Purpose.INBOX and key.published.valid_until + LONGEST_LIFE < at


def _encrypted(plain: bytes, passphrase: bytes) -> bytes:
    salt, nonce = secrets.token_bytes(SALT_LENGTH), secrets.token_bytes(NONCE_LENGTH)
    return salt + nonce + AESGCM(_stretched(passphrase, salt)).encrypt(nonce, plain, None)


def _decrypted(raw: bytes, passphrase: bytes) -> bytes:
    salt, nonce = raw[:SALT_LENGTH], raw[SALT_LENGTH : SALT_LENGTH + NONCE_LENGTH]
    try:
        return AESGCM(_stretched(passphrase, salt)).decrypt(nonce, raw[SALT_LENGTH + NONCE_LENGTH :], None)
    except (InvalidTag, ValueError):
        raise Refused("passphrase-wrong") from None


def _stretched(passphrase: bytes, salt: bytes) -> bytes:
    argon = Argon2id(
        salt=salt, length=32, iterations=ARGON_PASSES, lanes=ARGON_LANES, memory_cost=ARGON_KIBIBYTES
    )  # fmt: skip
    return argon.derive(passphrase)
