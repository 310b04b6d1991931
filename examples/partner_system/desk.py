"""Our side of all referrals, as the program's ways in and out see it: say, send, take in, ask where one stands.

Each method is one transaction: what is said and heard is written down before it has an effect. What it returns is what
happened, in codes and ids. What we say is in `saying`, what we hear in `hearing`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from . import moments
from .happened import Happened
from .hearing import Ear
from .keychain import Keychain
from .keys import Purpose
from .lanes import ENDED, REACHED
from .outcomes import Confirmed, Later, Outcome, Receipted, Rejected, Taken
from .partners import Partners
from .referral_file import ReferralFile
from .refusal import Refused
from .saying import Voice
from .store import Outgoing, Store


class Desk:
    """It does no input or output but to the store; the time comes from ``clock``."""

    def __init__(
        self,
        keychain: Keychain,
        partners: Partners,
        store: Store,
        clock: Callable[[], datetime] = moments.now,
    ) -> None:
        self.own = keychain.organisation
        self.partners = tuple(partners.known)
        self._partners = partners
        self._store = store
        self._clock = clock
        self._voice = Voice(keychain, partners, store)
        self._ear = Ear(keychain, partners, store, self._voice)

    def offer(self, file: ReferralFile, to: str) -> tuple[str, list[Happened]]:
        """Offer what is in ``file`` to a partner, or go on where we left off; return the referral.

        Raises:
            Refused: ``organisation-unknown``, ``agreement-none``, ``agreement-expired``, ``kind-not-agreed``;
                ``event-type-unheard`` where the partner does not take offers, or could not be told of a withdrawal;
                ``key-unknown`` where the partner has no inbox key now; ``offered-to-another`` where the file went to
                somebody else.
        """
        with self._store.transaction():
            return self._voice.offer(file, to, self._clock())

    def withdraw(self, referral: str, reason: str) -> list[Happened]:
        """Take a referral back, if it has not ended."""
        with self._store.transaction():
            return self._voice.withdraw(referral, reason, self._clock())

    def take(self, raw: bytes, labels: Mapping[str, object]) -> list[Happened]:
        """Take in an envelope with the headers beside it. Once this returns, it may be acknowledged."""
        with self._store.transaction():
            return self._ear.take(raw, labels, self._clock())

    def to_send(self) -> list[Outgoing]:
        """Return what has no receipt yet, or is one and has not been sent, as far as it may leave now.

        What has expired, or holds words that may not leave any more, is sealed anew first.
        """
        at = self._clock()
        with self._store.transaction():
            self._voice.renew(at)
            return [
                made
                for made in self._store.unsettled()
                if made.expires > at and self._partners.may_leave(made.recipient, at, words=made.words)
            ]

    def sent(self, made: Outgoing, outcome: Outcome) -> list[Happened]:
        """Write down what became of an envelope."""
        with self._store.transaction():
            match outcome:
                case Receipted(note):
                    try:
                        return self._ear.prove(made.recipient, made.id, note)
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

    def has_ended(self, referral: str) -> bool:
        """Tell whether nothing more is to be expected: it has ended, or the partner will not take what we say."""
        return self._store.lanes(referral).standing().state in ENDED or self._store.was_rejected(referral)

    def has_arrived(self, referral: str) -> bool:
        """Tell whether the person is there."""
        return self._store.lanes(referral).standing().state in REACHED

    def is_received(self, referral: str) -> bool:
        """Tell whether the partner has proved that it has the offer."""
        return self._store.has_offer_receipt(referral)
