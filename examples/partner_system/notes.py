"""Signed notes (C2SP signed-note, Ed25519): the one container of key documents, agreements and receipts.

See docs/protocol/keys.md, section 4. A signature line by a key that is not asked for is skipped; one that claims such a
key and does not hold spoils the whole note.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")
VKEY = re.compile(r"(?P<name>[^\s+]+)\+(?P<hash>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]+={0,2})")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
HASH_LENGTH = 4
PUBLIC_LENGTH = 32
LONGEST = 262_144


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that signs notes under a name, such as ``ccem-fr/receipt``; ``public`` is its 32 bytes."""

    name: str
    public: bytes

    @property
    def key_hash(self) -> bytes:
        """The 4 bytes by which a signature line names the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:HASH_LENGTH]

    @property
    def vkey(self) -> str:
        """The key as it is published: ``<name>+<key hash>+<base64 of type and key>``."""
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"


def read_vkey(text: str) -> Verifier:
    """Read a published key; raise ValueError where it is none, or its hash is not its own."""
    found = VKEY.fullmatch(text.strip())
    raw = decode(found["key"]) if found else b""
    if not found or len(raw) != 1 + PUBLIC_LENGTH or raw[:1] != ED25519:
        raise ValueError
    verifier = Verifier(found["name"], raw[1:])
    if verifier.key_hash.hex() != found["hash"]:
        raise ValueError
    return verifier


def signature_line(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """Sign ``text``, which ends in a newline, and return the line to put under it."""
    verifier = Verifier(name, key.public_key().public_bytes_raw())
    return f"— {name} {base64.b64encode(verifier.key_hash + key.sign(text.encode())).decode()}\n"


def signed(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """Return the note over ``text`` with one signature."""
    return f"{text}\n{signature_line(text, name, key)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read: nothing is known yet about who signed it."""

    text: str
    lines: tuple[tuple[str, bytes], ...]
    """For each signature line the name, and key hash ‖ signature."""

    def signers(self, verifiers: Iterable[Verifier]) -> frozenset[Verifier]:
        """Return those of ``verifiers`` that signed; raise ValueError where a line claims one of them wrongly."""
        wanted = {(verifier.name, verifier.key_hash): verifier for verifier in verifiers}
        found = set()
        for name, raw in self.lines:
            verifier = wanted.get((name, raw[:HASH_LENGTH]))
            if verifier is None:
                continue
            try:
                Ed25519PublicKey.from_public_bytes(verifier.public).verify(raw[HASH_LENGTH:], self.text.encode())
            except InvalidSignature:
                raise ValueError from None
            found.add(verifier)
        return frozenset(found)


def read(note: str) -> Note:
    """Split a note into text and signature lines; raise ValueError where it is no signed note."""
    text, gap, below = note.rpartition("\n\n")
    lines = below.split("\n")
    if len(note.encode()) > LONGEST or not gap or not text or lines.pop() or not lines or CONTROL.search(note):
        raise ValueError
    found = [LINE.fullmatch(line) for line in lines]
    signatures = tuple((line["name"], decode(line["signature"])) for line in found if line)
    if len(signatures) != len(lines) or any(len(raw) <= HASH_LENGTH for _, raw in signatures):
        raise ValueError
    return Note(f"{text}\n", signatures)


def decode(text: str) -> bytes:
    """Decode padded base64 in its one spelling; return nothing for any other."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""
