"""The receipt: the recipient's signed word that its intake holds a message, and since when.

A broker's confirm says that the broker has a message; only a receipt says that the partner has it. It is a C2SP signed
note of seven lines, under the recipient's receipt key, and anybody can verify it offline, years later, with the
recipient's key document.

What must never happen: that a receipt is believed which names another message, other bytes or another recipient than
the one who signed it.
"""

import re
from datetime import datetime
from hashlib import sha256
from typing import Final, Self
from uuid import UUID

from shared.audit.note import NoteFault, NoteRefusedError, open_note, sign
from shared.contracts.ids import ORGANISATION_PATTERN, MessageId, OrganisationId
from shared.sealing.codes import ReceiptCode, ReceiptError
from shared.sealing.documents import note_signer, note_verifier
from shared.sealing.fields import decode_base64, encode_base64
from shared.sealing.key_document import KeyDocument
from shared.sealing.keys import KeyPurpose, SigningKey, VerifyKey
from shared.sealing.timestamp import PATTERN, decode_time, encode_time
from shared.values import dataclass

FORM: Final = "org.relais.receipt.v1"
HASH_BYTES: Final = 32

_ORGANISATION: Final = rf"(?=[^\n]{{1,40}}\n){ORGANISATION_PATTERN.strip('^$')}"
_TEXT: Final = re.compile(
    rf"{re.escape(FORM)}\n"
    rf"(?P<sender>{_ORGANISATION})\n"
    rf"(?P<recipient>{_ORGANISATION})\n"
    r"(?P<message>[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\n"
    r"(?P<sealed>[A-Za-z0-9+/]{43}=)\n"
    rf"(?P<at>{PATTERN})\n"
    r"(?P<leaf>[A-Za-z0-9+/]{43}=)\n",
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a recipient vouches for."""

    sender: OrganisationId
    recipient: OrganisationId
    """Who holds the message, and signs."""
    message: MessageId
    sealed: bytes
    """SHA-256 of the envelope, all of it, as it arrived: 32 bytes."""
    at: datetime
    """When the recipient's intake took it, in whole seconds."""
    leaf: bytes
    """The RFC 6962 leaf hash of the arrival in the audit log of the recipient's intake: 32 bytes."""

    def covers(self, message: MessageId, envelope: bytes) -> bool:
        """Tell whether this is the receipt of these very bytes, under this id."""
        return self.message == message and self.sealed == sha256(envelope).digest()

    def text(self) -> str:
        """Return the seven lines that are signed."""
        lines = (
            FORM,
            self.sender,
            self.recipient,
            str(self.message),
            encode_base64(self.sealed),
            encode_time(self.at),
            encode_base64(self.leaf),
        )
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the seven lines.

        Raises:
            ReceiptError: ``receipt-malformed``.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ReceiptError(ReceiptCode.MALFORMED)
        try:
            return cls(
                sender=OrganisationId(match["sender"]),
                recipient=OrganisationId(match["recipient"]),
                message=MessageId(UUID(match["message"])),
                sealed=decode_base64(match["sealed"], HASH_BYTES),
                at=decode_time(match["at"]),
                leaf=decode_base64(match["leaf"], HASH_BYTES),
            )
        except ValueError:
            raise ReceiptError(ReceiptCode.MALFORMED) from None


def make_receipt(receipt: Receipt, key: SigningKey) -> str:
    """Return the note of ``receipt``, signed with the recipient's receipt ``key``: always the same note.

    Raises:
        ReceiptError: ``receipt-malformed``: no reader would take it.
    """
    text = receipt.text()
    Receipt.parse(text)
    return sign(text, note_signer(receipt.recipient, KeyPurpose.RECEIPT, key))


def verify_receipt(note: str | bytes, document: KeyDocument) -> Receipt:
    """Return the receipt, once a receipt key in the recipient's key ``document`` is seen to have signed it in its time.

    Offline: needs the note and the key document, nothing else. Compare with the message by :meth:`Receipt.covers`.

    Raises:
        ReceiptError: ``receipt-malformed``, ``receipt-forged`` or ``receipt-unverified``.
    """
    verifiers = {
        note_verifier(document.organisation, KeyPurpose.RECEIPT, published.key): published
        for published in document.keys
        if published.purpose is KeyPurpose.RECEIPT and isinstance(published.key, VerifyKey)
    }
    try:
        opened = open_note(note, verifiers)
    except NoteRefusedError as refused:
        raise ReceiptError(_FAULTS.get(refused.code, ReceiptCode.MALFORMED)) from None
    receipt = Receipt.parse(opened.text)
    held = any(published.holds_at(receipt.at) for signer, published in verifiers.items() if signer in opened.signed_by)
    if receipt.recipient != document.organisation or not held:
        raise ReceiptError(ReceiptCode.UNVERIFIED)
    return receipt


_FAULTS: Final = {NoteFault.FORGED: ReceiptCode.FORGED, NoteFault.UNVERIFIED: ReceiptCode.UNVERIFIED}
