"""What the receiver of a referral can do: a function for each step that it can say (``STEPS`` in ``life.py``).

When the person's grant runs out while the receiver still decides, what rests on it (``IN_TERMS``) waits for a new one;
what protects the person never waits.

Until the person has arrived, the sender answers for them and has told the receiver what it knows: words go back to it
with every step, with a decline or a miss most of all. How they are afterwards goes back only where they allow it.
"""

from dataclasses import replace
from datetime import datetime

from services.referral.domain.facts import step_facts
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.saying import say
from shared.contracts.codes import Step
from shared.contracts.event_data import (
    AcceptedData,
    ArrivedData,
    AskedData,
    ClosedData,
    DeclinedData,
    Meeting,
    MissedData,
    OpenedData,
    ProgressedData,
    RedirectedData,
)
from shared.contracts.exchange import (
    ReferralAccepted,
    ReferralArrived,
    ReferralAsked,
    ReferralClosed,
    ReferralDeclined,
    ReferralMissed,
    ReferralOpened,
    ReferralProgressed,
    ReferralRedirected,
)
from shared.contracts.ids import StaffId


def read_first(referral: Referral, act: Act, by: StaffId) -> Ruling[Referral]:
    """Note that a human reads the offer for the first time; ``by`` follows it from now on, and the sender is told."""
    return say(replace(referral, assignee=referral.assignee or by), act, ReferralOpened, OpenedData())


def ask(referral: Referral, act: Act, question: AskedData) -> Ruling[Referral]:
    """Ask the sender what must be known to decide; the decision clock stops until it answers."""
    return say(referral, act, ReferralAsked, question)


def accept(referral: Referral, act: Act, meeting: Meeting, expected: datetime | None = None) -> Ruling[Referral]:
    """Take the person in, and say when, where and by whom they are met; a clock watches over ``expected``."""
    return say(referral, act, ReferralAccepted, AcceptedData(meeting=meeting, expected=expected))


def decline(referral: Referral, act: Act, why: DeclinedData) -> Ruling[Referral]:
    """Do not take the person in; access to the packet ends."""
    return say(referral, act, ReferralDeclined, why)


def redirect(referral: Referral, act: Act, where: RedirectedData) -> Ruling[Referral]:
    """Propose another organisation; the sender and the person decide."""
    return say(referral, act, ReferralRedirected, where)


def arrive(referral: Referral, act: Act) -> Ruling[Referral]:
    """Confirm that the person is there. Of a transfer, this organisation answers for them from this moment on."""
    return say(referral, act, ReferralArrived, ArrivedData())


def miss(referral: Referral, act: Act, why: MissedData) -> Ruling[Referral]:
    """Report that the person did not come. It is a safety event: both organisations' staff are alerted at once."""
    ruling = say(referral, act, ReferralMissed, why)
    if ruling.state is None:
        return ruling
    return replace(ruling, says=(*ruling.says, *step_facts(ruling.state, Step.MISSED, act)))


def progress(referral: Referral, act: Act, how: ProgressedData) -> Ruling[Referral]:
    """Tell the sender how the person is doing, where the person allowed it."""
    return say(referral, act, ReferralProgressed, how)


def close(referral: Referral, act: Act, how: ClosedData) -> Ruling[Referral]:
    """Close the referral with its outcome, which is always told; in words, only where the person allows news."""
    return say(referral, act, ReferralClosed, how)
