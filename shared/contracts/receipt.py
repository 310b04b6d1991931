"""The proof that an organisation's intake holds a message, as an event.

The note inside is signed and stands alone: it is verified by its signature, not by who brought it.
"""

from typing import Annotated, Literal

from pydantic import StringConstraints

from shared.contracts.event import Event
from shared.contracts.ids import MessageId
from shared.contracts.personal import Personal

NOTE_CHARACTERS = 8_000


class ReceiptGivenData(Personal):
    """Which message, and the note that proves it."""

    message: MessageId
    """The id in the header of the envelope that was received."""
    note: Annotated[str, StringConstraints(min_length=1, max_length=NOTE_CHARACTERS)]
    """A C2SP signed note: the message's id, the digest of its sealed bytes, the time, and a proof from the log."""


class ReceiptGiven(Event):
    """``receipt.given.v1``: the receiver's intake says it to the sender."""

    type: Literal["receipt.given.v1"] = "receipt.given.v1"
    data: ReceiptGivenData
