"""A receipt proves what it is for, and nothing else: each part of it must be that of the message that left."""

from dataclasses import replace
from uuid import UUID

import pytest

from services.referral.domain.receipts import ReceiptFault, Sealed, Vouched, fault
from shared.contracts.ids import MessageId, OrganisationId

US, PARTNER, OTHER = (OrganisationId(name) for name in ("ccem-fr", "abri-be", "autre-fr"))
MESSAGE, ANOTHER = MessageId(UUID(int=1)), MessageId(UUID(int=2))
RIGHT = Vouched(US, PARTNER, MESSAGE, bytes(32))
SENT = Sealed(US, PARTNER, bytes(32))


def test_the_receipt_of_the_very_bytes_proves_them() -> None:
    assert fault(RIGHT, MESSAGE, SENT) is None


@pytest.mark.parametrize(
    ("vouched", "why"),
    [
        (replace(RIGHT, message=ANOTHER), ReceiptFault.ANOTHER_MESSAGE),
        (replace(RIGHT, recipient=OTHER), ReceiptFault.UNKNOWN),
        (replace(RIGHT, sender=OTHER), ReceiptFault.OTHER_BYTES),
        (replace(RIGHT, sealed=bytes(31) + b"1"), ReceiptFault.OTHER_BYTES),
    ],
)
def test_each_part_counts(vouched: Vouched, why: ReceiptFault) -> None:
    assert fault(vouched, MESSAGE, SENT) is why


def test_what_we_never_sent_is_proved_by_nobody() -> None:
    assert fault(RIGHT, MESSAGE, None) is ReceiptFault.UNKNOWN
    assert fault(RIGHT, ANOTHER, None) is ReceiptFault.ANOTHER_MESSAGE
