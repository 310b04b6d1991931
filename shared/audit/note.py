"""C2SP signed notes: the one container for everything that an organisation signs and somebody else keeps.

Receipts, key documents, agreements and checkpoints are notes: a text that people can read, an empty line, and one line
for each signature. Source: https://c2sp.org/signed-note. What must never happen: that a text is read before a key that
the reader already trusts has signed it, or that two different byte strings count as the same signature line.

Where C2SP leaves a choice, it is decided here:

- a note is at most 262,144 bytes and 64 signatures (C2SP asks for 16 at least);
- a key name is at most 255 bytes, because a cosignature counts its length in one byte;
- base64 is canonical: padded, and with no stray bits at the end;
- one wrong signature under a known key refuses the whole note, also where another one is right;
- signatures by keys that the reader does not know are skipped, whatever they hold;
- the same key may have signed twice: each of its lines must be right.

Only signature type 0x01 (Ed25519, RFC 8032) is understood so far. A further type is one more line in ``SignatureType``
and one more pair of classes with the members of ``NoteSigner`` and ``NoteVerifier``.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from enum import IntEnum, StrEnum
from typing import Final, NewType, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared import ed25519
from shared.contracts.coded import Coded
from shared.values import dataclass

KeyName = NewType("KeyName", str)
"""Whose key it is and what for, such as ``ccem-fr/receipt``: no space, no plus, 1 to 255 bytes of UTF-8."""

MAX_NOTE_BYTES: Final = 262_144
MAX_SIGNATURES: Final = 64
MAX_NAME_BYTES: Final = 255

_KEY_ID_BYTES: Final = 4
_SIGNATURE_LINE: Final = re.compile(r"— (?P<name>[^ ]+) (?P<blob>[A-Za-z0-9+/]+={0,2})\n")
_VKEY: Final = re.compile(r"(?P<name>[^+]+)\+(?P<key_id>[0-9a-f]{8})\+(?P<blob>[A-Za-z0-9+/]+={0,2})")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SPACE: Final = re.compile(r"\s")


class NoteFault(StrEnum):
    """Why a note or a verifier key is refused."""

    MALFORMED = "note-malformed"
    """It is not a signed note: not UTF-8, a control character, no signature, or a line that breaks the format."""
    OVERSIZED = "note-oversized"
    """It is longer, or has more signatures, than a reader should take from a stranger."""
    UNVERIFIED = "note-unverified"
    """No key that the reader trusts has signed it."""
    FORGED = "note-forged"
    """A line claims a key that the reader trusts, and its signature is wrong."""
    KEY_MALFORMED = "vkey-malformed"
    """It is not a verifier key, or its key id does not follow from its name and key."""
    KEY_UNSUPPORTED = "vkey-unsupported"
    """It is the verifier key of a signature type that is not understood here."""


class NoteRefusedError(Coded[NoteFault]):
    """A note or a verifier key that must not be used. Carries the code, and nothing of the note."""


class SignatureType(IntEnum):
    """The first byte of an encoded public key, as C2SP assigns them. 0x04 and 0x06 are left for cosignatures."""

    ED25519 = 0x01


class NoteSigner(Protocol):
    """Whatever can put a signature line under a text."""

    @property
    def name(self) -> KeyName:
        """The name in the signature line."""

    @property
    def key_id(self) -> bytes:
        """The four bytes that come before the signature."""

    def signature(self, text: str) -> bytes:
        """Return the bytes that follow the key id in the signature line."""


class NoteVerifier(Protocol):
    """Whatever can check a signature line under a text."""

    @property
    def name(self) -> KeyName:
        """The name in the signature lines that it checks."""

    @property
    def key_id(self) -> bytes:
        """The four bytes with which those lines begin."""

    def verifies(self, text: str, signature: bytes) -> bool:
        """Tell whether the bytes after the key id are a signature over the text."""


class Signer:
    """An Ed25519 key and the name that it signs under."""

    def __init__(self, name: KeyName, key: Ed25519PrivateKey) -> None:
        _check_name(name)
        self.name: Final = name
        self._key: Final = key
        self.verifier: Final = Verifier(name, key.public_key().public_bytes_raw())
        """What others need to check this signer's signatures."""
        self.key_id: Final = self.verifier.key_id

    def signature(self, text: str) -> bytes:
        """Return the 64 bytes of an Ed25519 signature over the text, its last newline included."""
        return self._key.sign(text.encode())


class Verifier:
    """An Ed25519 public key and the name that it is known by."""

    def __init__(self, name: KeyName, public: bytes) -> None:
        _check_name(name)
        self.name: Final = name
        self.public: Final = public
        """32 bytes."""
        self.key_id: Final = key_id(name, SignatureType.ED25519, public)
        """Four bytes; with the name they say which key a signature line is by. Not a hash to rely on."""

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read a verifier key, ``<name>+<key id in hex>+<base64 of type and key>``.

        Raises:
            NoteRefusedError: ``vkey-malformed`` or ``vkey-unsupported``.
        """
        match = _VKEY.fullmatch(text)
        if match is None:
            raise NoteRefusedError(NoteFault.KEY_MALFORMED)
        name = KeyName(match["name"])
        _check_name(name)
        blob = _base64(match["blob"], NoteFault.KEY_MALFORMED)
        if blob[0] != SignatureType.ED25519:
            raise NoteRefusedError(NoteFault.KEY_UNSUPPORTED)
        if len(blob) != 1 + ed25519.PUBLIC_BYTES:
            raise NoteRefusedError(NoteFault.KEY_MALFORMED)
        verifier = cls(name, blob[1:])
        if verifier.key_id.hex() != match["key_id"]:
            raise NoteRefusedError(NoteFault.KEY_MALFORMED)
        return verifier

    def __str__(self) -> str:
        """Return the verifier key as text, the way it is published and pinned."""
        return vkey(self.name, self.public)

    def verifies(self, text: str, signature: bytes) -> bool:
        """Tell whether ``signature`` (64 bytes) was made by this key over ``text``."""
        return ed25519.holds(self.public, signature, text.encode())


@dataclass(frozen=True, slots=True)
class Opened:
    """A text that at least one trusted key has signed."""

    text: str
    """The signed text, its last newline included."""
    signed_by: tuple[NoteVerifier, ...]
    """The trusted keys whose signature stands under it, in the order of the lines, each once."""

    @property
    def names(self) -> frozenset[KeyName]:
        """The names of those keys."""
        return frozenset(verifier.name for verifier in self.signed_by)


def key_id(name: KeyName, kind: SignatureType, public: bytes) -> bytes:
    """Return the four bytes that C2SP derives from a key's name, its type and its encoding."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:_KEY_ID_BYTES]


def vkey(name: KeyName, public: bytes) -> str:
    """Return the verifier key that publishes the 32 bytes of ``public`` under ``name``."""
    encoded = base64.b64encode(bytes([SignatureType.ED25519]) + public).decode()
    return f"{name}+{key_id(name, SignatureType.ED25519, public).hex()}+{encoded}"


def sign(text: str, *signers: NoteSigner) -> str:
    """Return ``text`` as a note with one signature line for each signer, in the order given.

    Raises:
        NoteRefusedError: ``note-malformed`` when the text does not end in a newline, holds another control character,
            or nobody signs; ``note-oversized`` when no reader would take the note.
    """
    if not signers or not text.endswith("\n") or not _is_encodable(text):
        raise NoteRefusedError(NoteFault.MALFORMED)
    note = f"{text}\n" + "".join(_line(signer, text) for signer in signers)
    _split(note)
    return note


def open_note(note: str | bytes, verifiers: Iterable[NoteVerifier]) -> Opened:
    """Return the text of a note, once a key among ``verifiers`` is seen to have signed it.

    Which signers a text needs is for the caller to say, from ``Opened.names``.

    Raises:
        NoteRefusedError: ``note-malformed``, ``note-oversized``, ``note-forged`` or ``note-unverified``.
    """
    text, signatures = _split(_decode(note))
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed_by: dict[tuple[KeyName, bytes], NoteVerifier] = {}
    for name, blob in signatures:
        key = (name, blob[:_KEY_ID_BYTES])
        verifier = known.get(key)
        if verifier is None:
            continue
        if not verifier.verifies(text, blob[_KEY_ID_BYTES:]):
            raise NoteRefusedError(NoteFault.FORGED)
        signed_by[key] = verifier
    if not signed_by:
        raise NoteRefusedError(NoteFault.UNVERIFIED)
    return Opened(text, tuple(signed_by.values()))


def _line(signer: NoteSigner, text: str) -> str:
    blob = base64.b64encode(signer.key_id + signer.signature(text)).decode()
    return f"— {signer.name} {blob}\n"


def _decode(note: str | bytes) -> str:
    if len(note) > MAX_NOTE_BYTES:
        raise NoteRefusedError(NoteFault.OVERSIZED)
    try:
        return note.decode() if isinstance(note, bytes) else note
    except UnicodeDecodeError:
        raise NoteRefusedError(NoteFault.MALFORMED) from None


def _split(note: str) -> tuple[str, list[tuple[KeyName, bytes]]]:
    """Return a note's text and its signature lines, each a key name and the bytes of key id and signature."""
    gap = note.rfind("\n\n")
    if gap < 0 or _CONTROL.search(note) or not _is_encodable(note):
        raise NoteRefusedError(NoteFault.MALFORMED)
    if len(note.encode()) > MAX_NOTE_BYTES:
        raise NoteRefusedError(NoteFault.OVERSIZED)
    lines = note[gap + 2 :].splitlines(keepends=True)
    if len(lines) > MAX_SIGNATURES:
        raise NoteRefusedError(NoteFault.OVERSIZED)
    signatures = list(_signatures(lines))
    if not signatures:
        raise NoteRefusedError(NoteFault.MALFORMED)
    return note[: gap + 1], signatures


def _signatures(lines: list[str]) -> Iterator[tuple[KeyName, bytes]]:
    for line in lines:
        match = _SIGNATURE_LINE.fullmatch(line)
        if match is None:
            raise NoteRefusedError(NoteFault.MALFORMED)
        name = KeyName(match["name"])
        if not is_key_name(name):
            raise NoteRefusedError(NoteFault.MALFORMED)
        blob = _base64(match["blob"], NoteFault.MALFORMED)
        if len(blob) <= _KEY_ID_BYTES:
            raise NoteRefusedError(NoteFault.MALFORMED)
        yield name, blob


def is_key_name(name: str) -> bool:
    """Tell whether ``name`` may name a key: 1 to 255 bytes, no Unicode space, no control character, no plus."""
    if not name or "+" in name or _SPACE.search(name) or _CONTROL.search(name) or not _is_encodable(name):
        return False
    return len(name.encode()) <= MAX_NAME_BYTES


def _is_encodable(text: str) -> bool:
    """Tell whether a string can be UTF-8 at all: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_name(name: KeyName) -> None:
    if not is_key_name(name):
        raise NoteRefusedError(NoteFault.KEY_MALFORMED)


def _base64(text: str, fault: NoteFault) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteRefusedError(fault) from None
    if not raw or base64.b64encode(raw).decode() != text:
        raise NoteRefusedError(fault)
    return raw
