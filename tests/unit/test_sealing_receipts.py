"""A receipt proves, offline, that its signer's intake holds these very bytes; anything else it could say is refused."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit.note import KeyName, Signer, sign
from shared.contracts.ids import MessageId, OrganisationId
from shared.sealing.codes import ReceiptCode, ReceiptError
from shared.sealing.key_document import KeyDocument, publish
from shared.sealing.keys import KeyPurpose, SigningKey
from shared.sealing.receipts import Receipt, make_receipt, verify_receipt

CCEM, ABRI = OrganisationId("ccem-fr"), OrganisationId("abri-be")
KEY = SigningKey.from_secret(bytes(range(32)))
OTHER = SigningKey.from_secret(bytes(range(1, 33)))
ENVELOPE = bytes(4_096)
RECEIPT = Receipt(
    sender=CCEM,
    recipient=ABRI,
    message=MessageId(UUID("0b5f9c6e-3f0a-4d7c-9a53-7d4a3f1f6c21")),
    sealed=sha256(ENVELOPE).digest(),
    at=datetime(2026, 11, 24, 10, 23, 45, tzinfo=UTC),
    leaf=bytes(range(32)),
)
TEXT = (
    "org.relais.receipt.v1\nccem-fr\nabri-be\n0b5f9c6e-3f0a-4d7c-9a53-7d4a3f1f6c21\n"
    "rX+sslhvxulmwATX0dFrAk9YBf98tHx6hdq9i0iJLKc=\n2026-11-24T10:23:45Z\n"
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
)
NOTE = make_receipt(RECEIPT, KEY)


def document(
    *keys: SigningKey,
    organisation: OrganisationId = ABRI,
    purpose: KeyPurpose = KeyPurpose.RECEIPT,
    since: datetime = RECEIPT.at,
) -> KeyDocument:
    published = tuple(publish(key.public, purpose, since, since + timedelta(days=1)) for key in keys)
    return KeyDocument(organisation=organisation, serial=1, issued=since, hears=(), keys=published)


DOCUMENT = document(OTHER, KEY)


def code(note: str | bytes, keys: KeyDocument = DOCUMENT) -> ReceiptCode:
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(note, keys)
    assert isinstance(caught.value.code, ReceiptCode)
    assert caught.value.__cause__ is None
    return caught.value.code


def test_a_receipt_is_verified_offline() -> None:
    assert verify_receipt(NOTE, DOCUMENT) == RECEIPT
    assert verify_receipt(NOTE.encode(), document(KEY)) == RECEIPT


def test_it_has_seven_lines_that_people_can_read() -> None:
    assert NOTE.startswith(f"{TEXT}\n— abri-be/receipt ")


def test_the_same_receipt_is_always_the_same_note() -> None:
    assert make_receipt(RECEIPT, KEY) == NOTE


def test_it_covers_these_bytes_under_this_id_and_no_others() -> None:
    assert RECEIPT.covers(RECEIPT.message, ENVELOPE)
    assert not RECEIPT.covers(RECEIPT.message, ENVELOPE[:-1] + b"\x01")
    assert not RECEIPT.covers(MessageId(UUID(int=0)), ENVELOPE)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_every_change_is_refused(data: st.DataObject) -> None:
    raw = NOTE.encode()
    start = data.draw(st.integers(0, len(raw) - 1))
    stretch = data.draw(st.binary(max_size=3))
    changed = raw[:start] + stretch + raw[start + data.draw(st.integers(0, 3)) :]
    if changed != raw:
        code(changed)


def test_who_signs_must_be_the_recipient() -> None:
    assert code(NOTE, document(OTHER)) is ReceiptCode.UNVERIFIED
    assert code(NOTE.replace("abri-be\n", "ccem-fr\n")) is ReceiptCode.FORGED
    by_ccem = sign(TEXT, Signer(KeyName("ccem-fr/receipt"), KEY.handle))
    assert code(by_ccem, document(KEY, organisation=CCEM)) is ReceiptCode.UNVERIFIED


def test_the_key_must_be_for_receipts_and_hold_at_the_time_of_the_receipt() -> None:
    assert code(sign(TEXT, Signer(KeyName("abri-be/signing"), KEY.handle))) is ReceiptCode.UNVERIFIED
    assert code(NOTE, document(KEY, purpose=KeyPurpose.SIGNING)) is ReceiptCode.UNVERIFIED
    for seconds in (1, -86_400):
        since = RECEIPT.at + timedelta(seconds=seconds)
        assert code(NOTE, document(KEY, since=since)) is ReceiptCode.UNVERIFIED
    assert verify_receipt(NOTE, document(KEY, since=RECEIPT.at - timedelta(seconds=86_399))) == RECEIPT


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("receipt.v1", "receipt.v2"),
        ("ccem-fr\n", "ccem\n"),
        ("ccem-fr\n", ""),
        ("ccem-fr\n", "ccem-fr\nccem-fr\n"),
        ("-4d7c-", "-1d7c-"),
        ("-4d7c-", "-4D7C-"),
        ("10:23:45Z", "10:23:45.5Z"),
        ("10:23:45Z", "25:23:45Z"),
        ("11-24T", "11-31T"),
        ("AAECAwQF", "AAECAwQ"),
        ("xwdHh8=\n", "xwdHh9=\n"),
        ("xwdHh8=\n", "xwdHh8\n"),
        ("xwdHh8=\n", "xwdHh8=\nmore\n"),
    ],
)
def test_a_signed_text_that_is_no_receipt_is_refused(what: str, instead: str) -> None:
    assert what in TEXT
    note = sign(TEXT.replace(what, instead, 1), Signer(KeyName("abri-be/receipt"), KEY.handle))
    assert code(note) is ReceiptCode.MALFORMED


def test_what_nobody_would_take_is_not_signed() -> None:
    wrong = Receipt(CCEM, ABRI, RECEIPT.message, b"short", RECEIPT.at, RECEIPT.leaf)
    with pytest.raises(ReceiptError, match=r"^receipt-malformed$"):
        make_receipt(wrong, KEY)
