"""What a receipt must match, once its signature holds, to prove that the partner has a message of ours.

The rule is that of docs/protocol/receipts.md, section 4. What must never happen: a receipt counts that is not for the
very bytes that we sent, or comes from somebody else than the one they were sent to.
"""

from enum import StrEnum

from shared.contracts.ids import MessageId, OrganisationId
from shared.values import dataclass


class ReceiptFault(StrEnum):
    """Why a receipt that is signed as it should be proves nothing."""

    ANOTHER_MESSAGE = "receipt-for-another-message"
    """The note is for another message than the event in which it came."""
    UNKNOWN = "receipt-unknown"
    """We have sent no such message to whoever gives the receipt."""
    OTHER_BYTES = "receipt-for-other-bytes"
    """We have sent other bytes under this id, or somebody else has sent them."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the signed note says."""

    sender: OrganisationId
    recipient: OrganisationId
    """Who has signed."""
    message: MessageId
    sealed: bytes
    """SHA-256 of the envelope as it arrived: 32 bytes."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message of ours, as it left."""

    sender: OrganisationId
    recipient: OrganisationId
    digest: bytes
    """SHA-256 of the envelope: 32 bytes."""


def fault(vouched: Vouched, named: MessageId, sealed: Sealed | None) -> ReceiptFault | None:
    """Return why ``vouched`` proves nothing of ``sealed``, or ``None`` where it proves that the recipient has it.

    ``named`` is the message that the event names in which the note came; ``sealed`` is what we sent under the id in the
    note, ``None`` where that is nothing.
    """
    if vouched.message != named:
        return ReceiptFault.ANOTHER_MESSAGE
    if sealed is None or vouched.recipient != sealed.recipient:
        return ReceiptFault.UNKNOWN
    if (vouched.sender, vouched.sealed) != (sealed.sender, sealed.digest):
        return ReceiptFault.OTHER_BYTES
    return None
