"""Where everything comes together: what we say, what we hear, and what is written down before either has an effect.

Each method is one transaction. What it returns is what happened, in codes and ids, fit to be shown to anybody: nothing
about a person has a way into it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from . import envelope, events, moments, receipts
from .envelope import LONGEST_LIFE, Header, Sealed
from .events import ReceiptGiven, ReferralEvent
from .keychain import Keychain
from .keys import PublishedKey, Purpose
from .lanes import ENDED, REACHED, Lanes, Said, State, Step
from .outcomes import Confirmed, Later, Outcome, Receipted, Rejected, Taken
from .partners import Partners
from .receipts import Receipt
from .referral_file import ReferralFile
from .refusal import Refused
from .store import Incoming, Outgoing, Referral, Store
from .values import Json

LIFE = timedelta(days=7)
"""How long an event may be on its way. A receipt may be as long as any envelope: it answers whatever comes late."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened: the type of an event or a word for it, which referral, and further codes."""

    event: str
    referral: str | None = None
    codes: Mapping[str, str | int] = field(default_factory=dict)


class Desk:
    """Our side of all referrals. It does no input or output but to the store; the time comes from ``clock``."""

    def __init__(
        self,
        keychain: Keychain,
        partners: Partners,
        store: Store,
        clock: Callable[[], datetime] = moments.now,
    ) -> None:
        self.own = keychain.organisation
        self._keychain = keychain
        self._partners = partners
        self._store = store
        self._clock = clock
        self._inboxes = keychain.inboxes()
        self._files: dict[str, ReferralFile] = {}

    # What we say.

    def offer(self, file: ReferralFile, to: str) -> tuple[str, list[Happened]]:
        """Offer what is in ``file`` to a partner, or go on where we left off; return the referral.

        Raises:
            Refused: ``organisation-unknown``, ``agreement-none``, ``agreement-expired``, ``kind-not-agreed``;
                ``key-unknown`` where the partner has no inbox key now; ``offered-to-another`` where the file went to
                somebody else.
        """
        at = self._clock()
        with self._store.transaction():
            known = self._store.offered(file.reference)
            if known and known.partner != to:
                raise Refused("offered-to-another")
            if known:
                self._files[known.id] = file
                state = self._store.lanes(known.id).standing().state
                return known.id, [Happened("resumed", known.id, {"state": state}), *self._go_on(known, at)]
            self._partners.get(to, at)
            if not self._partners.may_send(to, file.kind()):
                raise Refused("kind-not-agreed")
            referral = Referral(str(uuid4()), str(uuid4()), to, file.reference)
            self._store.add_referral(referral)
            self._files[referral.id] = file
            return referral.id, list(self._say(referral, Lanes(), Step.OFFERED, file.offer, at))

    def withdraw(self, referral: str, reason: str) -> list[Happened]:
        """Take a referral back, if it has not ended."""
        at = self._clock()
        with self._store.transaction():
            known = self._store.referral(referral)
            lanes = self._store.lanes(referral)
            if known is None or lanes.standing().state in ENDED:
                return []
            return list(self._say(known, lanes, Step.WITHDRAWN, {"reason": reason}, at))

    def _go_on(self, referral: Referral, at: datetime) -> Iterator[Happened]:
        """Say what was prepared for where the referral stands."""
        lanes = self._store.lanes(referral.id)
        file = self._files.get(referral.id)
        following = file.next_step(lanes) if file else None
        if following:
            yield from self._say(referral, lanes, *following, at)
        elif lanes.standing().state in (State.ASKED, State.ACCEPTED):
            yield Happened("staff-needed", referral.id, {"state": lanes.standing().state})

    def _say(self, referral: Referral, lanes: Lanes, step: Step, data: Json, at: datetime) -> Iterator[Happened]:
        lanes = lanes.say(step, str(uuid4()), at)
        file = self._files.get(referral.id)
        event = ReferralEvent(
            lanes.ours[-1],
            referral.conversation,
            referral.id,
            file.with_terms(data, lanes.ours[0].at) if file else data,
        )
        self._seal(event, referral.partner, at)
        self._store.keep_lanes(referral.id, lanes)
        yield Happened(step, referral.id, {"by": self.own})

    def _seal(self, event: ReferralEvent | ReceiptGiven, to: str, at: datetime) -> str:
        """Seal and keep an event, to be sent from then on; return the envelope's id."""
        purpose = Purpose.RECEIPT if isinstance(event, ReceiptGiven) else Purpose.SIGNING
        inbox = self._partners.inbox(to, at)
        secret, published = self._keychain.signing(purpose, at)
        time = moments.rounded_down(at)
        header = Header(
            id=str(uuid4()),
            source=self.own,
            time=time,
            recipient=to,
            expires=moments.rounded_up(at + LIFE) if purpose is Purpose.SIGNING else time + LONGEST_LIFE,
            keyid=published.id,
            inboxkeys=(inbox.id,),
            sequence=self._store.next_sequence(to, purpose),
        )
        sealed = envelope.seal(event.written(), header, secret, [inbox])
        about = (None, events.RECEIPT_GIVEN) if isinstance(event, ReceiptGiven) else (event.referral, event.said.step)
        self._store.add_outgoing(Outgoing(header.id, to, purpose, header.sequence, sealed, header.expires, *about))
        return header.id

    # What becomes of it.

    def to_send(self) -> list[Outgoing]:
        """Return what has no receipt yet, or is one and has not been sent."""
        at = self._clock()
        return [made for made in self._store.unsettled() if made.expires > at]

    def sent(self, made: Outgoing, outcome: Outcome) -> list[Happened]:
        """Write down what became of an envelope."""
        with self._store.transaction():
            match outcome:
                case Receipted(note):
                    try:
                        return self._prove(made.recipient, made.id, note)
                    except Refused as refused:
                        return [Happened("refused", made.referral, {"code": refused.code, "by": made.recipient})]
                case Rejected(code):
                    self._store.settle(made.id, code)
                    return [Happened("rejected", made.referral, {"code": code, "of": made.step})]
                case Later(code):
                    return [Happened("later", made.referral, {"code": code, "of": made.step})]
                case Confirmed() | Taken():
                    if made.purpose == Purpose.RECEIPT:
                        self._store.settle(made.id, "sent")
                    return []

    def _prove(self, partner: str, message: str, note: str) -> list[Happened]:
        """Keep the receipt for a message of ours."""
        receipt = receipts.verify(note, partner, self._partners.receipt_keys(partner))
        made = self._store.outgoing(message)
        if receipt.message != message:
            raise Refused("receipt-for-another-message")
        if made is None or made.recipient != partner or made.purpose != Purpose.SIGNING:
            raise Refused("receipt-unknown")
        if receipt.sender != self.own or receipt.digest != hashlib.sha256(made.envelope).digest():
            raise Refused("receipt-for-other-bytes")
        if self._store.has_receipt(message):
            return []
        self._store.settle(message, "receipt", note)
        return [Happened(events.RECEIPT_GIVEN, made.referral, {"by": partner, "of": made.step})]

    # What we hear.

    def take(self, raw: bytes, labels: Mapping[str, object]) -> list[Happened]:
        """Take in an envelope with the headers beside it. Once this returns, it may be acknowledged."""
        at = self._clock()
        with self._store.transaction():
            try:
                sealed, key = self._partners.admit(raw, labels, at)
                before = self._store.incoming(sealed.header.source, sealed.header.id)
                return self._again(before, raw) if before else list(self._new(raw, sealed, key, at))
            except Refused as refused:
                self._store.set_aside(hashlib.sha256(raw).digest(), refused.code, raw)
                return [Happened("refused", None, {"code": refused.code})]

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
        receipt = self._give_receipt(header, digest, at) if key.purpose is Purpose.SIGNING else None
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
        note = receipts.give(Receipt(header.source, self.own, header.id, digest, at, arrival.leaf), secret)
        event = ReceiptGiven(str(uuid4()), at, header.id, note)
        answer = self._seal(event, header.source, at)
        self._store.add_arrival(arrival.salt, arrival.entry)
        return answer

    def _understand(self, sealed: Sealed, key: PublishedKey, at: datetime) -> list[Happened]:
        """Open an envelope and apply what is in it; nothing is written where this raises `Refused`."""
        event = events.read(sealed.body(self._inboxes))
        match event, key.purpose:
            case ReceiptGiven(), Purpose.RECEIPT:
                return self._prove(sealed.header.source, event.message, event.note)
            case ReferralEvent(), Purpose.SIGNING:
                return list(self._hear(event, sealed.header, at))
            case _:
                raise Refused("key-wrong-purpose")

    def _hear(self, event: ReferralEvent, header: Header, at: datetime) -> Iterator[Happened]:
        referral, speaker = self._store.referral(event.referral), header.source
        if referral is None or referral.partner != speaker:
            raise Refused("referral-unknown")
        if referral.conversation != event.conversation:
            raise Refused("conversation-differs")
        before = self._store.lanes(referral.id)
        lanes, codes = _heard(before, event.said)
        self._store.keep_lanes(referral.id, lanes)
        for said in lanes.theirs[len(before.theirs) :]:
            yield Happened(said.step, referral.id, {"by": speaker, "state": lanes.standing().state})
        for code in codes:
            yield Happened("refused", referral.id, {"code": code, "by": speaker})
        superseded = lanes.standing().superseded
        for said in sorted(superseded - before.standing().superseded, key=lambda said: said.n):
            yield Happened("superseded", referral.id, {"of": said.step})
        if event.said in superseded:  # what is personal in it is not kept
            self._store.drop_envelope(speaker, header.id)
        if lanes == before:
            return
        try:
            yield from self._go_on(referral, at)
        except Refused as refused:  # what was heard counts all the same; what could not be said is tried when we resume
            yield Happened("staff-needed", referral.id, {"code": refused.code})

    # Where it stands.

    def has_ended(self, referral: str) -> bool:
        """Tell whether nothing more is to be expected: it has ended, or the partner will not take what we say."""
        return self._store.lanes(referral).standing().state in ENDED or self._store.was_rejected(referral)

    def has_arrived(self, referral: str) -> bool:
        """Tell whether the person is there."""
        return self._store.lanes(referral).standing().state in REACHED

    def is_received(self, referral: str) -> bool:
        """Tell whether the partner has proved that it has the offer."""
        return self._store.has_offer_receipt(referral)


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
