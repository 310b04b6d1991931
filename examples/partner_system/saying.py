"""What we say in a referral: each event is sealed and stored, to be sent from then on until its receipt is there."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import uuid4

from . import envelope, events, moments
from .envelope import LONGEST_LIFE, Header
from .events import ReceiptGiven, ReferralEvent
from .happened import Happened
from .keychain import Keychain
from .keys import Purpose
from .lanes import ENDED, Lanes, State, Step
from .partners import Partners
from .referral_file import ReferralFile
from .refusal import Refused
from .store import Outgoing, Referral, Store
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

    def seal(self, event: ReferralEvent | ReceiptGiven, to: str, at: datetime) -> str:
        """Seal and store an event; return the envelope's id."""
        purpose = Purpose.RECEIPT if isinstance(event, ReceiptGiven) else Purpose.SIGNING
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
        sealed = envelope.seal(event.written(), header, secret, [inbox])
        about = (None, events.RECEIPT_GIVEN) if isinstance(event, ReceiptGiven) else (event.referral, event.said.step)
        self._store.add_outgoing(Outgoing(header.id, to, purpose, header.sequence, sealed, header.expires, *about))
        return header.id

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
        self.seal(event, referral.partner, at)
        self._store.keep_lanes(referral.id, lanes)
        yield Happened(step, referral.id, {"by": self._keychain.organisation})
