"""Receipts: the proof that the other side has a message. docs/protocol/receipts.md."""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import moments, notes
from .envelope import ORGANISATION, UUID4
from .keys import PublishedKey
from .notes import Verifier
from .refusal import Refused

CONTENT_TYPE = "application/vnd.relais.receipt"
FORMAT = "org.relais.receipt.v1"
TEXT = re.compile(
    rf"org\.relais\.receipt\.v1\n(?P<sender>{ORGANISATION})\n(?P<recipient>{ORGANISATION})\n(?P<message>{UUID4})\n"
    r"(?P<digest>[A-Za-z0-9+/]{43}=)\n(?P<at>[^\n]{20})\n(?P<leaf>[A-Za-z0-9+/]{43}=)\n"
)
DIGEST = 32
SALT = 32


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says: ``recipient`` had ``message`` of ``sender``, the SHA-256 of its bytes, and when."""

    sender: str
    recipient: str
    message: str
    digest: bytes
    at: datetime
    leaf: bytes
    """The RFC 6962 leaf hash of the arrival in the recipient's log, 32 bytes."""

    def text(self) -> str:
        """Return the seven lines."""
        lines = (
            FORMAT,
            self.sender,
            self.recipient,
            self.message,
            base64.b64encode(self.digest).decode(),
            moments.written(self.at),
            base64.b64encode(self.leaf).decode(),
        )
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The entry of an arrival in our own log, to be kept as it is: docs/protocol/audit.md, sections 2 to 4."""

    salt: bytes
    entry: bytes

    @property
    def leaf(self) -> bytes:
        """The leaf hash of the commitment to the entry."""
        return hashlib.sha256(b"\0" + hashlib.sha256(self.salt + self.entry).digest()).digest()


def arrival(source: str, message: str, at: datetime) -> Arrival:
    """Write down that ``message`` has come from ``source``: codes and ids alone."""
    entry = {
        "actor": source,
        "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "code": "envelope.received",
        "subject": message,
        "v": 1,
    }
    return Arrival(secrets.token_bytes(SALT), json.dumps(entry, separators=(",", ":")).encode())


def give(receipt: Receipt, key: Ed25519PrivateKey) -> str:
    """Sign a receipt with the ``receipt`` key; return the note."""
    return notes.signed(receipt.text(), f"{receipt.recipient}/receipt", key)


def verify(note: str, recipient: str, keys: Iterable[PublishedKey]) -> Receipt:
    """Check a receipt of ``recipient``, whose ``receipt`` keys are ``keys``, and return what it says.

    Raises:
        Refused: ``receipt-malformed``, ``receipt-forged`` or ``receipt-unverified``.
    """
    by_verifier = {Verifier(f"{recipient}/receipt", key.public): key for key in keys}
    try:
        read = notes.read(note)
    except ValueError:
        raise Refused("receipt-malformed") from None
    try:
        signers = read.signers(by_verifier)
    except ValueError:
        raise Refused("receipt-forged") from None
    if not signers:
        raise Refused("receipt-unverified")
    receipt = _read(read.text)
    if receipt.recipient != recipient or not any(by_verifier[signer].holds(receipt.at) for signer in signers):
        raise Refused("receipt-unverified")
    return receipt


def _read(text: str) -> Receipt:
    found = TEXT.fullmatch(text)
    if not found:
        raise Refused("receipt-malformed")
    digest, leaf = notes.decode(found["digest"]), notes.decode(found["leaf"])
    try:
        at = moments.read(found["at"])
    except ValueError:
        raise Refused("receipt-malformed") from None
    if len(digest) != DIGEST or len(leaf) != DIGEST:
        raise Refused("receipt-malformed")
    return Receipt(found["sender"], found["recipient"], found["message"], digest, at, leaf)
