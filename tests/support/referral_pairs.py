"""Two organisations with a copy each of one referral, and a network between them that loses nothing for ever."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.referral.domain.hearing import hear, hear_offer, hear_receipt
from services.referral.domain.life import FEEDBACK, SAID_BY, Side
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Ruling
from services.referral.domain.saying import say
from services.referral.domain.terms import news_allowed
from shared.contracts.codes import EVERY_KIND, Category, ReferralKind, Status, Step
from shared.contracts.event_data import EventData
from shared.contracts.exchange import EVENTS, ReferralEvent, ReferralOffered
from shared.contracts.ids import CaseId, OrganisationId
from shared.messaging.decision import Early
from tests.support.referrals import (
    BRUSSELS,
    BY_STEP,
    FRESH,
    NOON,
    NOOR,
    RECEIVER,
    SENDER,
    ZOE,
    act,
    offered,
    released,
    state,
    told,
)

NAMES: dict[Side, OrganisationId] = {Side.SENDER: SENDER, Side.RECEIVER: RECEIVER}

PATHS: dict[Status, Sequence[Step]] = {
    Status.OFFERED: (),
    Status.RECEIVED: (Step.RECEIVED,),
    Status.OPENED: (Step.OPENED,),
    Status.ASKED: (Step.ASKED,),
    Status.ACCEPTED: (Step.ACCEPTED,),
    Status.DISCLOSED: (Step.ACCEPTED, Step.DISCLOSED),
    Status.DECLINED: (Step.OPENED, Step.DECLINED),
    Status.REDIRECTED: (Step.REDIRECTED,),
    Status.ARRIVED: (Step.ACCEPTED, Step.DISCLOSED, Step.ARRIVED),
    Status.MISSED: (Step.ACCEPTED, Step.DISCLOSED, Step.MISSED),
    Status.CLOSING: (Step.ACCEPTED, Step.DISCLOSED, Step.ARRIVED, Step.CONSENT_WITHDRAWN),
    Status.CLOSED: (Step.ACCEPTED, Step.DISCLOSED, Step.ARRIVED, Step.CLOSED),
    Status.WITHDRAWN: (Step.WITHDRAWN,),
}
"""One way to each status."""


def words_for(referral: Referral, step: Step, at: datetime = NOON) -> EventData:
    """Return what ``step`` says: the example of it, without its note where the person lets no news flow back."""
    data = BY_STEP[step]
    return data if step not in FEEDBACK or news_allowed(referral, at) else data.model_copy(update={"note": None})


@dataclass
class Pair:
    """Both copies, and what is under way to each side."""

    sender: Referral
    receiver: Referral
    under_way: dict[Side, list[ReferralEvent]] = field(default_factory=lambda: {side: [] for side in Side})

    @classmethod
    def of(cls, offer: Ruling[Referral]) -> "Pair":
        """Return the two copies after the offer has come."""
        sent = told(offer)
        assert isinstance(sent, ReferralOffered)
        case = CaseId(next(FRESH))
        heard = hear_offer(sent, SENDER, RECEIVER, act(ZOE, sent.at), case=case, hours=BRUSSELS, kinds=EVERY_KIND)
        return cls(state(offer), state(heard))

    def copy(self, side: Side) -> Referral:
        """Return one side's copy."""
        return self.sender if side is Side.SENDER else self.receiver

    def keep(self, side: Side, referral: Referral | None) -> None:
        """Keep a new state, if there is one."""
        if referral is not None and side is Side.SENDER:
            self.sender = referral
        elif referral is not None:
            self.receiver = referral

    def say(self, side: Side, step: Step, at: datetime = NOON) -> Ruling[Referral]:
        """Let one side say ``step``; what it tells the other is under way."""
        by = NOOR if side is Side.SENDER else ZOE
        ruling = say(
            self.copy(side), act(by, at), EVENTS[step], words_for(self.copy(side), step, at), released(*Category)
        )
        self.keep(side, ruling.state)
        if ruling.state is not None:
            self.under_way[side.other].append(told(ruling))
        return ruling

    def deliver(self, side: Side, event: ReferralEvent, at: datetime | None = None) -> Ruling[Referral] | Early:
        """Bring an event to ``side``: at noon, or when it says that it was said where that is later."""
        heard = hear(self.copy(side), event, NAMES[side.other], act(NAMES[side.other], at or max(NOON, event.at)))
        if isinstance(heard, Ruling):
            self.keep(side, heard.state)
        return heard

    def deliver_next(self, side: Side) -> Ruling[Referral]:
        """Bring the oldest event under way to ``side``, and its receipt to the other."""
        event = self.under_way[side].pop(0)
        heard = self.deliver(side, event)
        assert isinstance(heard, Ruling)
        self.receipt(side.other, event.n)
        return heard

    def deliver_all(self) -> list[Ruling[Referral]]:
        """Bring everything that is under way, in order."""
        return [self.deliver_next(side) for side in Side for _ in range(len(self.under_way[side]))]

    def receipt(self, side: Side = Side.SENDER, n: int = 1) -> None:
        """Let the receipt for the event ``n`` of ``side`` reach it."""
        self.keep(side, hear_receipt(self.copy(side), act(), n).state)


def at_status(status: Status, kind: ReferralKind = ReferralKind.TRANSFER) -> Pair:
    """Return a pair whose sender's copy stands at ``status``, with nothing under way."""
    pair = Pair.of(offered(kind))
    assert status in PATHS, f"{status.value} has no way to it in PATHS, tests/support/referral_pairs.py"
    for step in PATHS[status]:
        if step is Step.RECEIVED:
            pair.receipt()
            continue
        state(pair.say(SAID_BY[step], step))
        pair.deliver_all()
    reached = pair.sender.status
    assert reached is status, f"in PATHS, tests/support/referral_pairs.py, the way to {status.value} leads to {reached}"
    return pair
