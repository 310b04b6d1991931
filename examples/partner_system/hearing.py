"""What we hear: let in at the door, answered with a receipt, opened, and taken into the referral that it is about.

What is refused has no effect, and is kept with the code of why.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import uuid4

from . import events, receipts
from .envelope import Header, Sealed
from .events import ReceiptGiven, ReferralEvent
from .happened import Happened
from .keychain import Keychain
from .keys import PublishedKey, Purpose
from .lanes import Lanes, Said
from .partners import Partners
from .receipts import Receipt
from .refusal import Refused
from .saying import Voice
from .store import Incoming, Store


class Ear:
    """Hears for us, and lets our voice say what follows. Whoever calls it holds a transaction of the store."""

    def __init__(self, keychain: Keychain, partners: Partners, store: Store, voice: Voice) -> None:
        self._keychain = keychain
        self._partners = partners
        self._store = store
        self._voice = voice
        self._inboxes = keychain.inboxes()

    def take(self, raw: bytes, labels: Mapping[str, object], at: datetime) -> list[Happened]:
        """Take in an envelope with the headers beside it."""
        try:
            sealed, key = self._partners.admit(raw, labels, at)
            before = self._store.incoming(sealed.header.source, sealed.header.id)
            return self._again(before, raw) if before else list(self._new(raw, sealed, key, at))
        except Refused as refused:
            self._store.set_aside(hashlib.sha256(raw).digest(), refused.code, raw)
            return [Happened("refused", None, {"code": refused.code})]

    def prove(self, partner: str, message: str, note: str) -> list[Happened]:
        """Keep the receipt for a message of ours, by whichever way it came.

        Raises:
            Refused: it proves nothing; the codes are those of docs/protocol/receipts.md.
        """
        receipt = receipts.verify(note, partner, self._partners.receipt_keys(partner))
        made = self._store.outgoing(message)
        if receipt.message != message:
            raise Refused("receipt-for-another-message")
        if made is None or made.recipient != partner or made.purpose != Purpose.SIGNING:
            raise Refused("receipt-unknown")
        digest = hashlib.sha256(made.envelope).digest()
        if receipt.sender != self._keychain.organisation or receipt.digest != digest:
            raise Refused("receipt-for-other-bytes")
        if self._store.has_receipt(message):
            return []
        self._store.settle(message, "receipt", note)
        if made.event:
            self._store.settle_event(made.event)
        return [Happened(events.RECEIPT_GIVEN, made.referral, {"by": partner, "of": made.step})]

    def _again(self, before: Incoming, raw: bytes) -> list[Happened]:
        """Give the same receipt again for the same bytes; refuse the id with other ones (step 10)."""
        if before.digest != hashlib.sha256(raw).digest():
            raise Refused("message-id-reused")
        if before.receipt:
            self._store.settle(before.receipt, None)
        return [Happened("duplicate", None, {"by": before.source})]

    def _new(self, raw: bytes, sealed: Sealed, key: PublishedKey, at: datetime) -> Iterator[Happened]:
        header, digest = sealed.header, hashlib.sha256(raw).digest()
        if header.sequence > self._store.last_sequence(header.source, key.purpose) + 1:
            yield Happened("sequence-gap", None, {"by": header.source})
        answered = key.purpose is Purpose.SIGNING and self._partners.hears(header.source, events.RECEIPT_GIVEN)
        receipt = self._give_receipt(header, digest, at) if answered else None
        taken = Incoming(header.source, header.id, key.purpose, header.sequence, digest, receipt)
        self._store.add_incoming(taken, raw)
        try:
            yield from self._understand(sealed, key, at)
        except Refused as refused:
            self._store.note_refusal(taken, refused.code)
            yield Happened("refused", None, {"code": refused.code, "by": header.source})

    def _give_receipt(self, header: Header, digest: bytes, at: datetime) -> str:
        """Write the arrival into our log, and a receipt that points to it; return the envelope that it travels in."""
        arrival = receipts.arrival(header.source, header.id, at)
        secret, _ = self._keychain.signing(Purpose.RECEIPT, at)
        receipt = Receipt(header.source, self._keychain.organisation, header.id, digest, at, arrival.leaf)
        event = ReceiptGiven(str(uuid4()), at, header.id, receipts.give(receipt, secret))
        answer = self._voice.seal(event, header.source, at)
        self._store.add_arrival(arrival.salt, arrival.entry)
        return answer

    def _understand(self, sealed: Sealed, key: PublishedKey, at: datetime) -> list[Happened]:
        """Open an envelope and apply what is in it; nothing is written where this raises `Refused`."""
        event = events.read(sealed.body(self._inboxes))
        match event, key.purpose:
            case ReceiptGiven(), Purpose.RECEIPT:
                return self.prove(sealed.header.source, event.message, event.note)
            case ReferralEvent(), Purpose.SIGNING:
                return list(self._hear(event, sealed.header, at))
            case _:
                raise Refused("key-wrong-purpose")

    def _hear(self, event: ReferralEvent, header: Header, at: datetime) -> Iterator[Happened]:
        referral, speaker = self._store.referral(event.referral), header.source
        if referral is None or referral.partner != speaker:
            raise Refused("referral-unknown")
        self._partners.check_agreed(speaker, event.said, at)
        if referral.conversation != event.conversation:
            raise Refused("conversation-differs")
        before = self._store.lanes(referral.id)
        lanes, codes = _heard(before, event.said)
        self._store.keep_lanes(referral.id, lanes)
        yield from _told(referral.id, speaker, before, lanes)
        for code in codes:
            yield Happened("refused", referral.id, {"code": code, "by": speaker})
        if event.said in lanes.standing().superseded:  # what is personal in it is not kept
            self._store.drop_envelope(speaker, header.id)
        if lanes == before:
            return
        try:
            yield from self._voice.go_on(referral, at)
        except Refused as refused:  # what was heard counts all the same; what could not be said is tried when we resume
            yield Happened("staff-needed", referral.id, {"code": refused.code})


def _heard(lanes: Lanes, said: Said) -> tuple[Lanes, list[str]]:
    """Take an event in, and then those that waited for it; return why any of these was refused."""
    lanes, codes = lanes.hear(said), []
    while due := lanes.due():
        lanes = lanes.without(due)
        try:
            lanes = lanes.hear(due)
        except Refused as refused:
            codes.append(refused.code)
    return lanes, codes


def _told(referral: str, speaker: str, before: Lanes, now: Lanes) -> Iterator[Happened]:
    """Tell what is new in the lanes, and what has lost its effect by it."""
    standing = now.standing()
    for said in now.theirs[len(before.theirs) :]:
        yield Happened(said.step, referral, {"by": speaker, "state": standing.state})
    for said in sorted(standing.superseded - before.standing().superseded, key=lambda said: said.n):
        yield Happened("superseded", referral, {"of": said.step})
