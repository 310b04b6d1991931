"""A sealed message that intake has let in: verified again, opened, read. No I/O but the keys that are in memory.

Intake has verified who speaks; this verifies it again, because the desk acts on it, and only then opens the envelope. A
message signed with a partner's receipt key may be a receipt and nothing else; a report must come from our own intake.

The door judges by its clock whether a key holds when a message comes. The desk may hear it much later (after an outage,
after a message that it depends on, when an operator replays it), so it asks whether the key held when the envelope was
sealed: what the door has given a receipt for is not lost because a key has run out since.

What must never happen: an event takes effect that its sender's signing key has not signed.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

from services.referral.domain.receipts import Vouched
from services.referral.known import About, Sent
from shared.contracts.exchange import EventUnreadable, LifeEvent, ReferralEvent, decode
from shared.contracts.ids import MessageId, OrganisationId
from shared.contracts.receipt import ReceiptGiven
from shared.contracts.report import ReportTaken
from shared.messaging import places
from shared.messaging.delivery import Delivery, Heard, Later, Unreadable, inbox_id
from shared.messaging.desk import Reading
from shared.sealing.book import Book
from shared.sealing.codes import DirectoryCode, DirectoryError, EnvelopeError, KeyringCode, ReceiptError
from shared.sealing.directory import Directory
from shared.sealing.envelope import Envelope, open_body, parse
from shared.sealing.header import Header
from shared.sealing.key_document import PublishedKey
from shared.sealing.keyring import Keyring
from shared.sealing.keys import InboxKey, KeyPurpose, VerifyKey
from shared.sealing.receipts import verify_receipt
from shared.sealing.timestamp import STEP_SECONDS
from shared.values import dataclass

ROUNDING: Final = timedelta(seconds=STEP_SECONDS)
"""A header's time is at most this much earlier than the moment of sealing."""

VOICES: Final = frozenset({KeyPurpose.SIGNING, KeyPurpose.RECEIPT})


@dataclass(frozen=True, slots=True)
class Spoken:
    """An event of a referral's life, from the organisation that signed it."""

    event: LifeEvent
    speaker: OrganisationId
    about: About = About.REFERRAL


@dataclass(frozen=True, slots=True)
class Receipted:
    """A partner's proof that it holds a message of ours."""

    receipt: Vouched
    named: MessageId
    """The message that the event names in which the note came."""
    note: str
    sent: Sent | None = None
    """That message, once the store has been asked for it; ``None`` where it is none of ours."""
    about: About = About.REFERRAL


@dataclass(frozen=True, slots=True)
class Reported:
    """A report that our own intake has taken."""

    event: ReportTaken
    about: About = About.REPORT


Message: TypeAlias = Spoken | Receipted | Reported


class Opener:
    """Keys and partners, put to use."""

    def __init__(self, us: OrganisationId, directory: Directory, keyring: Keyring) -> None:
        """Take whose desk it is, who may speak at it, and the keys that open."""
        self._us = us
        self._directory = directory
        self._keyring = keyring

    def reading(self, delivery: Delivery) -> Reading[Message]:
        """Verify the envelope, then open it, then read the event.

        Raises:
            Unreadable: it is not what a partner signed, cannot be opened, or is no event that this sender may say. Its
                signer has brought it, where the signature holds.
            Later: the sender's key has not reached us yet, or ours is not in the keyring.
        """
        if delivery.headers.get(places.VERDICT) != places.VERIFIED:
            raise Unreadable("verdict-missing")
        try:
            envelope = parse(delivery.body)
            signed_with, book = self._signed_with(envelope)
        except EnvelopeError as refused:
            raise Unreadable(refused.code) from None
        yield
        try:
            purpose = _voice(signed_with, envelope.header)
            body = open_body(envelope, self._inbox_key(envelope, book))
            yield
            event = decode(body)
            key, what = self._heard(event, envelope, purpose, book)
        except (EnvelopeError, EventUnreadable, Unreadable) as refused:
            raise Unreadable(refused.code, origin=envelope.header.source) from None
        return Heard(
            id=inbox_id(envelope.header.source, envelope.header.id),
            digest=delivery.digest(),
            key=key,
            what=what,
            traceparent=delivery.headers.get("traceparent"),
            links=(event.traceparent,) if event.traceparent else (),
            attributes=_ids(envelope, event),
            origin=envelope.header.source,
        )

    def _inbox_key(self, envelope: Envelope, book: Book) -> InboxKey:
        """Return the key that opens it.

        Raises:
            Later: ``keyring-key-missing``: we have published the key, and it is ours to have it in the keyring.
            EnvelopeError: ``envelope-unknown-key``.
        """
        ids, suite = envelope.header.inbox_keys, envelope.suite
        try:
            return self._keyring.inbox_key(ids, suite)
        except EnvelopeError:
            if book.opens_until(self._us, ids, suite) is None:
                raise
            raise Later(KeyringCode.KEY_MISSING, ours=True) from None

    def _signed_with(self, envelope: Envelope) -> tuple[PublishedKey, Book]:
        """Check that the sender signed, and return the key with which it did, whatever that is for.

        Raises:
            Unreadable: ``key-wrong-purpose``: the key signs nothing.
            Later: the door knows the sender's key, and we do not yet.
            EnvelopeError: ``envelope-altered``.
        """
        book = self._directory.book
        try:
            published = book.published(envelope.header.source, envelope.header.key_id)
        except DirectoryError as refused:
            raise Later(refused.code) from None
        if not isinstance(published.key, VerifyKey):
            raise Unreadable(DirectoryCode.KEY_WRONG_PURPOSE)
        envelope.verify(published.key)
        return published, book

    def _heard(
        self, event: LifeEvent | ReceiptGiven | ReportTaken, envelope: Envelope, purpose: KeyPurpose, book: Book
    ) -> tuple[UUID, Message]:
        speaker = envelope.header.source
        match event:
            case ReferralEvent() if purpose is KeyPurpose.SIGNING:
                return event.referral, Spoken(event, speaker)
            case ReceiptGiven() if purpose is KeyPurpose.RECEIPT:
                said = event.data
                return said.message, Receipted(_vouched(said.note, book, speaker), said.message, said.note)
            case ReportTaken() if purpose is KeyPurpose.RECEIPT and speaker == self._us:
                return event.report, Reported(event)
            case _:
                raise Unreadable(DirectoryCode.KEY_WRONG_PURPOSE)


def _ids(envelope: Envelope, event: LifeEvent | ReceiptGiven | ReportTaken) -> Mapping[str, UUID]:
    """Return the ids by which operators find the message."""
    ids: dict[str, UUID] = {"message_id": envelope.header.id}
    if isinstance(event, ReferralEvent):
        ids |= {"referral_id": event.referral, "conversation_id": event.conversation}
    return ids


def _voice(key: PublishedKey, header: Header) -> KeyPurpose:
    """Return what ``key`` speaks for, if it held when the envelope was sealed, as far as the rounded time tells.

    Raises:
        Unreadable: ``key-expired`` or ``key-wrong-purpose``.
    """
    if not (key.holds_at(header.time) or key.holds_at(header.time + ROUNDING)):
        raise Unreadable(DirectoryCode.KEY_EXPIRED)
    if key.purpose not in VOICES:
        raise Unreadable(DirectoryCode.KEY_WRONG_PURPOSE)
    return key.purpose


def _vouched(note: str, book: Book, speaker: OrganisationId) -> Vouched:
    """Return what ``speaker`` vouches for with its signature; whether it matches, the store must be asked."""
    try:
        receipt = verify_receipt(note, book.document(speaker))
    except (ReceiptError, DirectoryError) as refused:
        raise Unreadable(refused.code) from None
    return Vouched(receipt.sender, receipt.recipient, receipt.message, receipt.sealed)
