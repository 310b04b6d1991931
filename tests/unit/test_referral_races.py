"""The races that referral workers know by name: who wins, who is told, and what is kept."""

from datetime import timedelta

import pytest

from services.referral.domain.life import Side
from services.referral.domain.referral import Referral
from services.referral.domain.responsibility import responsible
from services.referral.domain.ruling import Ruling
from shared.contracts.codes import Status, Step
from shared.contracts.facts import Fact, FactCode
from tests.support.referral_pairs import at_status
from tests.support.referrals import NOON, RECEIVER, SENDER, state

RACES = [
    # status, the sender says, the receiver says, both end, steps without effect
    (Status.OPENED, [Step.WITHDRAWN], [Step.ACCEPTED], Status.WITHDRAWN, ["accepted"]),
    (Status.OPENED, [Step.WITHDRAWN], [Step.ASKED], Status.WITHDRAWN, ["asked"]),
    (Status.OPENED, [Step.WITHDRAWN], [Step.DECLINED], Status.WITHDRAWN, ["declined"]),
    (Status.OPENED, [Step.WITHDRAWN], [Step.REDIRECTED], Status.WITHDRAWN, ["redirected"]),
    (Status.OPENED, [Step.CONSENT_WITHDRAWN], [Step.ACCEPTED], Status.WITHDRAWN, ["accepted"]),
    (Status.RECEIVED, [Step.WITHDRAWN], [Step.OPENED], Status.WITHDRAWN, []),
    (Status.RECEIVED, [Step.WITHDRAWN], [Step.OPENED, Step.ACCEPTED], Status.WITHDRAWN, ["accepted"]),
    (Status.ASKED, [Step.ANSWERED], [Step.ACCEPTED], Status.ACCEPTED, []),
    (Status.ASKED, [Step.ANSWERED], [Step.DECLINED], Status.DECLINED, []),
    (Status.ASKED, [Step.ANSWERED, Step.WITHDRAWN], [Step.ACCEPTED], Status.WITHDRAWN, ["accepted"]),
    (Status.DISCLOSED, [Step.WITHDRAWN], [Step.ARRIVED], Status.ARRIVED, ["withdrawn"]),
    (Status.DISCLOSED, [Step.WITHDRAWN], [Step.ARRIVED, Step.CLOSED], Status.CLOSED, ["withdrawn"]),
    (Status.DISCLOSED, [Step.WITHDRAWN], [Step.MISSED], Status.WITHDRAWN, []),
    (Status.DISCLOSED, [Step.WITHDRAWN], [Step.MISSED, Step.ARRIVED], Status.ARRIVED, ["withdrawn"]),
    (Status.DISCLOSED, [Step.CONSENT_WITHDRAWN], [Step.ARRIVED], Status.CLOSING, []),
    (Status.DISCLOSED, [Step.CONSENT_WITHDRAWN], [Step.ARRIVED, Step.CLOSED], Status.CLOSED, []),
    (Status.MISSED, [Step.RESCHEDULED], [Step.ARRIVED], Status.ARRIVED, ["rescheduled"]),
    (Status.MISSED, [Step.WITHDRAWN], [Step.ARRIVED], Status.ARRIVED, ["withdrawn"]),
    (Status.ARRIVED, [Step.CONSENT_WITHDRAWN], [Step.CLOSED], Status.CLOSED, []),
    (Status.ARRIVED, [Step.CONSENT_WITHDRAWN], [Step.PROGRESSED, Step.CLOSED], Status.CLOSED, []),
]


def conflicts(rulings: list[Ruling[Referral]]) -> list[str]:
    """Return the steps that staff were told have no effect, each fact with its line in the audit trail."""
    facts = [said for ruling in rulings for said in ruling.says if isinstance(said, Fact)]
    lines = [
        entry.detail["superseded"] for ruling in rulings for entry in ruling.entries if "superseded" in entry.detail
    ]
    assert [fact.code for fact in facts].count(FactCode.REFERRAL_CONFLICTED) == len(lines)
    return " ".join(lines).split()


@pytest.mark.parametrize(("status", "sender_says", "receiver_says", "end", "void"), RACES)
def test_both_ends_agree_and_the_loser_is_told(
    status: Status, sender_says: list[Step], receiver_says: list[Step], end: Status, void: list[str]
) -> None:
    pair = at_status(status)
    for side, steps in ((Side.SENDER, sender_says), (Side.RECEIVER, receiver_says)):
        for step in steps:
            state(pair.say(side, step))
    heard = pair.deliver_all()
    assert (pair.sender.status, pair.receiver.status) == (end, end)
    assert conflicts(heard) == void
    assert responsible(pair.sender) == responsible(pair.receiver)
    assert responsible(pair.sender) == (RECEIVER if pair.sender.standing.arrived_at else SENDER)


def test_nothing_personal_is_kept_of_what_has_no_effect() -> None:
    pair = at_status(Status.OPENED)
    pair.say(Side.SENDER, Step.WITHDRAWN)
    pair.say(Side.RECEIVER, Step.ACCEPTED)
    at_sender = pair.deliver_next(Side.SENDER)
    assert at_sender.papers == ()
    assert [entry.code for entry in at_sender.entries] == ["referral.superseded"]
    assert at_sender.says == ()


def test_consent_withdrawn_while_the_receiver_closes_keeps_the_outcome_and_ends_access() -> None:
    pair = at_status(Status.ARRIVED)
    pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN)
    pair.say(Side.RECEIVER, Step.CLOSED)
    pair.deliver_all()
    for copy in (pair.sender, pair.receiver):
        assert copy.standing.consent_withdrawn_at is not None
        assert copy.lane(Side.RECEIVER)[-1].codes == ("got_help",)
        assert copy.standing.superseded == frozenset()


@pytest.mark.parametrize("status", [Status.DISCLOSED, Status.ARRIVED])
def test_whoever_knows_that_consent_was_taken_back_can_still_say_that_the_person_has_left(status: Status) -> None:
    pair = at_status(status)
    pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN)
    if status is Status.DISCLOSED:
        pair.say(Side.RECEIVER, Step.ARRIVED)
    pair.deliver_all()
    assert pair.receiver.status is pair.sender.status is Status.CLOSING
    ended_at = pair.sender.standing.ended_at
    state(pair.say(Side.RECEIVER, Step.CLOSED, NOON + timedelta(days=1)))
    pair.deliver_all()
    for copy in (pair.sender, pair.receiver):
        assert (copy.status, copy.standing.is_there, copy.is_open) == (Status.CLOSED, False, False)
        assert copy.standing.ended_at == ended_at
        assert responsible(copy) == RECEIVER
    assert pair.say(Side.RECEIVER, Step.CLOSED).refusal is not None, "it is said once"


def test_a_race_is_settled_in_whichever_order_its_messages_are_sent_on() -> None:
    pair = at_status(Status.DISCLOSED)
    pair.say(Side.RECEIVER, Step.MISSED)
    pair.say(Side.RECEIVER, Step.ARRIVED)
    missed, arrived = pair.under_way[Side.SENDER]
    assert not isinstance(pair.deliver(Side.SENDER, arrived), Ruling), "it waits for the one before it"
    pair.say(Side.SENDER, Step.WITHDRAWN)
    for event in (missed, arrived, missed):
        pair.deliver(Side.SENDER, event)
    pair.deliver_next(Side.RECEIVER)
    assert pair.sender.course == pair.receiver.course
    assert pair.sender.status is Status.ARRIVED


def test_a_receipt_that_comes_late_takes_nothing_back() -> None:
    pair = at_status(Status.OPENED)
    pair.receipt()
    assert pair.sender.status is Status.OPENED
