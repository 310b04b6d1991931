"""What we say in a referral: each event is sealed and stored, to be sent from then on until its receipt is there.

The same bytes go while they are valid. Once they have expired the event is sealed anew, with its own id and number, and
without its words where these may not leave any more: docs/protocol/events.md, section 4, rule 5.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from . import envelope, events, moments
from .emptied import emptied
from .envelope import LONGEST_LIFE, Header
from .events import ReceiptGiven, ReferralEvent
from .happened import Happened
from .keychain import Keychain
from .keys import Purpose
from .lanes import ENDED, OVER, Lanes, State, Step
from .partners import Partners
from .referral_file import ReferralFile
from .refusal import Refused
from .store import ANOTHER, Outgoing, Referral, Store
from .values import Json

LIFE = timedelta(days=7)
"""How long an event may be on its way. A receipt may be as long as any envelope: it answers whatever comes late."""

WITH_AN_OFFER = (Step.OFFERED, Step.WITHDRAWN, Step.CONSENT_WITHDRAWN)
"""Nobody is offered to whoever could not be told that the offer, or consent, is taken back."""


class Voice:
    """Speaks for us. Whoever calls it holds a transaction of the store."""

    def __init__(self, keychain: Keychain, partners: Partners, store: Store) -> None:
        self._keychain = keychain
        self._partners = partners
        self._store = store
        self._files: dict[str, ReferralFile] = {}
        """What was prepared for each referral, by its id."""

    def offer(self, file: ReferralFile, to: str, at: datetime) -> tuple[str, list[Happened]]:
        """Offer what is in ``file``, or go on where we left off: see `Desk.offer`."""
        known = self._store.offered(file.reference)
        if known:
            return known.id, list(self._resume(known, file, to, at))
        self._partners.get(to, at)
        if not self._partners.may_send(to, file.kind(), at):
            raise Refused("kind-not-agreed")
        if not self._partners.hears(to, *WITH_AN_OFFER):
            raise Refused("event-type-unheard")
        referral = Referral(str(uuid4()), str(uuid4()), to, file.reference)
        self._store.add_referral(referral)
        self._files[referral.id] = file
        return referral.id, list(self._say(referral, Lanes(), Step.OFFERED, file.offer, at))

    def withdraw(self, referral: str, reason: str, at: datetime) -> list[Happened]:
        """Take a referral back, if it has not ended."""
        known = self._store.referral(referral)
        lanes = self._store.lanes(referral)
        if known is None or lanes.standing().state in ENDED:
            return []
        return list(self._say(known, lanes, Step.WITHDRAWN, {"reason": reason}, at))

    def go_on(self, referral: Referral, at: datetime) -> Iterator[Happened]:
        """Say what was prepared for where the referral stands."""
        lanes = self._store.lanes(referral.id)
        file = self._files.get(referral.id)
        following = file.next_step(lanes) if file else None
        if following:
            yield from self._say(referral, lanes, *following, at)
        elif lanes.standing().state in (State.ASKED, State.ACCEPTED):
            yield Happened("staff-needed", referral.id, {"state": lanes.standing().state})

    def seal(self, receipt: ReceiptGiven, to: str, at: datetime) -> str:
        """Seal and store a receipt; return the envelope's id."""
        made = self._sealed(receipt.written(), to, events.RECEIPT_GIVEN, at)
        self._store.add_outgoing(made)
        return made.id

    def renew(self, at: datetime) -> None:
        """Seal anew what has no receipt and has expired, or holds words that may not leave any more.

        Its words are in our own file alone: where nobody has it at hand, an event that may keep them waits for it.
        """
        for made in self._store.unsettled():
            words = made.words and self._stands(made, at)
            if made.event is None or (made.expires > at and words == made.words):
                continue
            body = self._said_before(made) if words else made.emptied
            if body is None or not self._partners.may_leave(made.recipient, at, words=words):
                continue
            with suppress(Refused):  # the partner has no key now: it is tried again
                new = self._sealed(body, made.recipient, made.step, at)
                about = replace(new, referral=made.referral, event=made.event, emptied=made.emptied, until=made.until)
                self._store.add_outgoing(replace(about, words=words))
                self._store.settle(made.id, ANOTHER)

    def _resume(self, referral: Referral, file: ReferralFile, to: str, at: datetime) -> Iterator[Happened]:
        if referral.partner != to:
            raise Refused("offered-to-another")
        self._files[referral.id] = file
        yield Happened("resumed", referral.id, {"state": self._store.lanes(referral.id).standing().state})
        yield from self.go_on(referral, at)

    def _say(self, referral: Referral, lanes: Lanes, step: Step, data: Json, at: datetime) -> Iterator[Happened]:
        lanes = lanes.say(step, str(uuid4()), at)
        self._partners.check_agreed(referral.partner, lanes.ours[-1], at)
        if not self._partners.hears(referral.partner, step):
            raise Refused("event-type-unheard")
        file = self._files.get(referral.id)
        if file:
            data = file.with_terms(data, lanes.ours[0].at)
        event = ReferralEvent(lanes.ours[-1], referral.conversation, referral.id, data)
        without = replace(event, data=emptied(step, data))
        made = replace(
            self._sealed(event.written(), referral.partner, step, at),
            referral=referral.id,
            event=event.said.id,
            emptied=without.written(),
            words=without != event,
            until=file.until(data, lanes.ours[0].at) if file else None,
        )
        self._store.add_outgoing(made)
        self._store.keep_lanes(referral.id, lanes)
        yield Happened(step, referral.id, {"by": self._keychain.organisation})

    def _stands(self, made: Outgoing, at: datetime) -> bool:
        """Tell whether the referral and the person's consent still let the words of an event of ours be said."""
        standing = self._store.lanes(made.referral or "").standing()
        superseded = any(said.id == made.event for said in standing.superseded)
        return not superseded and standing.state not in OVER and (made.until is None or at < made.until)

    def _said_before(self, made: Outgoing) -> bytes | None:
        """Return an event of ours as it was said, in JSON; None where its file is not at hand."""
        referral, file = self._store.referral(made.referral or ""), self._files.get(made.referral or "")
        if referral is None or file is None:
            return None
        lanes = self._store.lanes(referral.id)
        said = next(said for said in lanes.ours if said.id == made.event)
        data = file.with_terms(file.said(lanes, said), lanes.ours[0].at)
        return ReferralEvent(said, referral.conversation, referral.id, data).written()

    def _sealed(self, body: bytes, to: str, step: str, at: datetime) -> Outgoing:
        purpose = Purpose.RECEIPT if step == events.RECEIPT_GIVEN else Purpose.SIGNING
        inbox = self._partners.inbox(to, at)
        secret, published = self._keychain.signing(purpose, at)
        time = moments.rounded_down(at)
        header = Header(
            id=str(uuid4()),
            source=self._keychain.organisation,
            time=time,
            recipient=to,
            expires=moments.rounded_up(at + LIFE) if purpose is Purpose.SIGNING else time + LONGEST_LIFE,
            keyid=published.id,
            inboxkeys=(inbox.id,),
            sequence=self._store.next_sequence(to, purpose),
        )
        sealed = envelope.seal(body, header, secret, [inbox])
        return Outgoing(header.id, to, purpose, header.sequence, sealed, header.expires, None, step)
