"""What intake hears: sealed envelopes from partners, on the queue of each on the exchange and over HTTP alike.

Intake sees who speaks and to whom, checks the signature over every byte, and hands the bytes on. What they say is
sealed for the referral service, and nothing here could open it.

What must never happen: a message is handed on whose signature was not checked; a receipt leaves before its arrival
stands in the audit log; one bad message keeps the ones behind it waiting.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from services.intake.domain.admission import (
    Admission,
    Arrival,
    Forward,
    Given,
    GiveReceipt,
    Period,
    SendReceiptAgain,
    Speaker,
    admit,
    admit_again,
    postdated,
    refuse,
)
from services.intake.store import arrivals, receipts
from shared.audit.merkle import leaf_hash
from shared.clock import Clock
from shared.contracts.event import EventId
from shared.contracts.facts import Fact
from shared.contracts.ids import MessageId, OrganisationId
from shared.contracts.receipt import ReceiptGiven, ReceiptGivenData
from shared.contracts.services import Service
from shared.messaging.decision import Decision
from shared.messaging.delivery import Delivery, Heard, Later, Unreadable, Unsigned, inbox_id
from shared.messaging.desk import REUSED, Desk, Said
from shared.messaging.fact_letters import fact_letters, parked_fact
from shared.messaging.held import Hold
from shared.messaging.outbox import Letter
from shared.messaging.room import MOST_KEPT
from shared.messaging.sealer import Outgoing, Sealer, let_in
from shared.sealing.book import Book
from shared.sealing.codes import DirectoryCode, EnvelopeCode, EnvelopeError, KeyringCode
from shared.sealing.directory import Directory
from shared.sealing.envelope import Envelope, parse
from shared.sealing.header import check_ce_headers
from shared.sealing.key_document import PublishedKey
from shared.sealing.keyring import Keyring
from shared.sealing.keys import KeyPurpose, SigningKey, VerifyKey
from shared.sealing.receipts import Receipt, make_receipt
from shared.storage.pool import Connection
from shared.telemetry import metrics
from shared.uuids import random_uuid

HTTP: Final = "http"
"""The source of what came over HTTP; whoever brought it waits for the answer."""

NOBODY: Final = SigningKey.generate().public
"""Has signed nothing, and never will: its other half is gone."""

UNRECOGNISED: Final = frozenset(
    {
        DirectoryCode.ORGANISATION_UNKNOWN,
        DirectoryCode.KEY_UNKNOWN,
        DirectoryCode.KEY_WRONG_PURPOSE,
        EnvelopeCode.UNSIGNED,
        EnvelopeCode.ALTERED,
    }
)
"""Why ``Door.read`` does not know who speaks. Said to somebody who has signed nothing, each would tell whom we know."""

SPEAKERS: Final = {KeyPurpose.SIGNING: Speaker.REFERRAL, KeyPurpose.RECEIPT: Speaker.INTAKE}


class Door(Desk[Arrival, Given]):
    """Envelopes in; the same envelopes to referral and receipts to partners out."""

    name = Service.INTAKE.value
    says = Forward | GiveReceipt | SendReceiptAgain | Fact

    def __init__(
        self, us: OrganisationId, directory: Directory, keyring: Keyring, sealer: Sealer, clock: Clock
    ) -> None:
        """Take whose door it is, who may be known at it, what signs receipts, what seals them, and the clock."""
        self._us = us
        self._directory = directory
        self._keyring = keyring
        self._sealer = sealer
        self._clock = clock

    def read(self, delivery: Delivery) -> Heard[Arrival]:
        """Take the envelope apart and check who signed it.

        Over HTTP others' mail is nobody's evidence: whoever has seen it can bring it. It is refused before anybody asks
        who signed it, so that nothing is kept in the name of its sender, and nobody learns whether we know the sender.

        Raises:
            Unsigned: it is not an envelope, or not what its sender signed.
            Unreadable: its sender signed it, and what stands beside it is something else.
            Later: the sender's key has not reached us yet, or its clock is ahead of ours. The inbox has not taken it in
                then, so that it is taken when it is said again, though it was only counted.
        """
        self._directory.refresh()
        book = self._directory.book
        try:
            envelope = parse(delivery.body)
            if delivery.source == HTTP:
                envelope.header.check_recipient(self._us)
        except EnvelopeError as refused:
            raise Unsigned(refused.code) from None
        signed_with = _signed_with(book, envelope)
        try:
            check_ce_headers(envelope.header, delivery.headers)
        except EnvelopeError as refused:
            raise Unreadable(refused.code) from None
        arrival = _arrival(delivery, envelope, signed_with, book)
        if postdated(arrival, self._us, self._clock.now()):
            raise Later(EnvelopeCode.POSTDATED)
        ids = {"message_id": arrival.id}
        return Heard(arrival.inbox, arrival.digest, arrival.inbox, arrival, attributes=ids)

    async def load(self, connection: Connection, keys: Sequence[UUID], whats: Sequence[Arrival]) -> dict[UUID, Given]:  # noqa: ARG002
        """Return the receipts that were given already."""
        return await receipts.find(connection, keys)

    def decide(self, state: Given | None, heard: Heard[Arrival], at: datetime) -> Decision[Given]:
        """Let it in or refuse it; what was let in while this copy of it was held has its receipt, and gets it again.

        Raises:
            Later: our own key has run out, and no receipt can be given.
        """
        if state is not None:
            return self.repeated(state, heard, at)
        return self._with_receipt(admit(heard.what, self._us, at), at)

    def repeated(self, state: Given | None, heard: Heard[Arrival], at: datetime) -> Decision[Given]:
        """Give the same receipt again; where it has none, let it in if that can be by now.

        Raises:
            Later: as :meth:`decide`.
        """
        return self._with_receipt(admit_again(heard.what, state, self._us, at), at)

    def reused(self, state: Given | None, heard: Heard[Arrival], at: datetime) -> Decision[Given]:  # noqa: ARG002
        """Refuse other bytes under an id that was taken, and write down that they came."""
        return refuse(heard.what, self._us, REUSED, at)

    async def keep(
        self,
        connection: Connection,
        states: Mapping[UUID, Given],  # noqa: ARG002
        decisions: Sequence[Decision[Given]],
        at: datetime,  # noqa: ARG002
    ) -> None:
        """Note the numbers of what has come; a receipt is kept when it is written."""
        numbered = [each.numbered for each in decisions if isinstance(each, Admission) and each.numbered is not None]
        await arrivals.note(connection, numbered)

    async def say(self, connection: Connection, said: Sequence[Said], at: datetime) -> Sequence[Letter]:
        """Sign and write down the receipts; return them, sealed, the envelopes for referral and the facts for notify.

        A partner that has published no key to seal to gets no receipt over the exchange; the log says so.

        Raises:
            ContendedError: another worker has given one of the receipts meanwhile.
            KeyringError: ``keyring-key-missing``: our receipt key has run out; nothing that needs it is decided then.
        """
        given = {
            each.what.arrival.inbox: self._given(each.what, leaf_hash(each.recorded))
            for each in said
            if isinstance(each.what, GiveReceipt) and each.recorded is not None
        }
        await receipts.keep(connection, given)
        let_through = [
            let_in(each.what.id, each.what.envelope, each.traceparent)
            for each in said
            if isinstance(each.what, Forward)
        ]
        to_send = list(self._to_send(said, given))
        sealed = await self._sealer.seal(connection, to_send, at, leave_out=True)
        return [*let_through, *fact_letters(self.name, said), *sealed]

    def committed(self, decisions: Sequence[Decision[Given]], said: Sequence[Said]) -> None:  # noqa: ARG002
        """Count the receipts."""
        given = sum(isinstance(each.what, GiveReceipt) for each in said)
        metrics.RECEIPTS.add(given, service=self.name, outcome=metrics.Receipt.GIVEN)

    def most_kept(self, hold: Hold) -> int:  # noqa: ARG002
        """Keep as much of each partner as of any other; what is not refused has no receipt yet, and is said again."""
        return MOST_KEPT

    def parked(self, held: UUID, code: str, at: datetime) -> tuple[object, ...]:  # noqa: ARG002
        """Tell an operator that something is kept back."""
        return (parked_fact(held, at),)

    def _with_receipt(self, admission: Admission, at: datetime) -> Admission:
        """Return ``admission``, if the receipt that it gives can be signed.

        Raises:
            Later: our own key has run out.
        """
        gives = any(isinstance(each, GiveReceipt) for each in admission.says)
        if gives and not self._keyring.holds(KeyPurpose.RECEIPT, at):
            raise Later(KeyringCode.KEY_MISSING, ours=True)
        return admission

    def _given(self, wanted: GiveReceipt, leaf: bytes) -> Given:
        arrival, at = wanted.arrival, wanted.at
        receipt = Receipt(arrival.sender, self._us, arrival.id, arrival.digest, at, leaf)
        return Given(random_uuid(), at, make_receipt(receipt, self._keyring.signing_key(KeyPurpose.RECEIPT, at)))

    def _to_send(self, said: Sequence[Said], given: Mapping[UUID, Given]) -> Iterator[Outgoing]:
        """Yield the receipts that go over the exchange, the first time and again."""
        for each in said:
            match each.what:
                case GiveReceipt(arrival=arrival) if not arrival.answered:
                    yield self._receipt(arrival.sender, arrival.id, given[arrival.inbox], each)
                case SendReceiptAgain(to=to, message=message, given=receipt):
                    yield self._receipt(to, message, receipt, each)
                case _:
                    continue

    def _receipt(self, to: OrganisationId, message: MessageId, given: Given, said: Said) -> Outgoing:
        data = ReceiptGivenData(message=message, note=given.note)
        return Outgoing(to, ReceiptGiven(id=EventId(given.event), at=given.at, data=data), said.traceparent)


def _signed_with(book: Book, envelope: Envelope) -> PublishedKey:
    """Return the key that signed the envelope, as its owner has published it.

    A signature is checked whoever is named, so that the time that it takes tells nobody whom we know.
    """
    sender, number = envelope.header.source, envelope.header.key_id
    published = book.keys.get((sender, number))
    key = published.key if published is not None else None
    fault = _fault(envelope, key if isinstance(key, VerifyKey) else replace(NOBODY, id=number))
    if published is None:
        if sender in book.documents or sender in book.agreements:
            raise Later(DirectoryCode.KEY_UNKNOWN)
        raise Unsigned(DirectoryCode.ORGANISATION_UNKNOWN)
    if not isinstance(key, VerifyKey):
        raise Unsigned(DirectoryCode.KEY_WRONG_PURPOSE)
    if fault is not None:
        raise Unsigned(fault)
    return published


def _fault(envelope: Envelope, key: VerifyKey) -> str | None:
    try:
        envelope.verify(key)
    except EnvelopeError as refused:
        return refused.code
    return None


def _arrival(delivery: Delivery, envelope: Envelope, published: PublishedKey, book: Book) -> Arrival:
    header = envelope.header
    return Arrival(
        id=header.id,
        inbox=inbox_id(header.source, header.id),
        sender=header.source,
        recipient=header.recipient,
        sequence=header.sequence,
        sealed_at=header.time,
        expires=header.expires,
        digest=delivery.digest(),
        envelope=delivery.body,
        key=header.key_id,
        speaker=SPEAKERS.get(published.purpose, Speaker.NEITHER),
        key_holds=Period(published.valid_from, published.valid_until),
        heard_until=book.heard_until(header.source),
        opens_until=book.opens_until(book.us, header.inbox_keys, envelope.suite),
        answered=delivery.source == HTTP,
    )
