"""What only the sender can do: its own staff are reminded, so that nobody is forgotten before they arrive."""

from dataclasses import replace
from datetime import datetime

import pytest

from services.referral.domain.cases import CLOCK
from services.referral.domain.clocks import Awaited, dial, overdue, running
from services.referral.domain.expiring import expire
from services.referral.domain.life import BEFORE_ARRIVAL, Side
from services.referral.domain.sending import RescheduleAsked, reschedule
from shared.contracts.codes import Status, Step, Urgency
from shared.contracts.event_data import Meeting, MeetingPart
from shared.contracts.facts import Fact, FactCode
from tests.support.referral_pairs import Pair, at_status
from tests.support.referrals import NOON, act, casefile, grant, offered, recipient, state, told
from tests.unit.test_referral_clocks import DAY, HOUR, accepted, disclosed

REMINDED_IN = {Urgency.IMMEDIATE: HOUR, Urgency.URGENT: 24 * HOUR, Urgency.STANDARD: 7 * DAY}


@pytest.mark.parametrize("urgency", Urgency)
def test_the_senders_own_staff_are_reminded_of_the_disclosure(urgency: Urgency) -> None:
    pair = accepted(urgency=urgency)
    assert running(pair.sender) == {Awaited.DISCLOSURE: NOON + REMINDED_IN[urgency]}
    rung = expire(pair.sender, act(CLOCK, NOON + REMINDED_IN[urgency]))
    assert [(said.code, said.urgency) for said in rung.says if isinstance(said, Fact)] == [
        (FactCode.REFERRAL_OVERDUE, urgency)
    ]
    assert [each.detail for each in rung.entries] == [{"clock": "disclosure"}]
    assert (state(rung).status, dial(state(rung)).next_due) == (Status.ACCEPTED, None)
    assert overdue(state(rung))
    assert not overdue(disclosed(replace(pair, sender=state(rung))).sender)


@pytest.mark.parametrize("expected", [NOON + HOUR, NOON + 25 * HOUR])
def test_they_are_reminded_before_the_person_should_come(expected: datetime) -> None:
    assert running(accepted(expected).sender) == {Awaited.DISCLOSURE: min(expected, NOON + 24 * HOUR)}


@pytest.mark.parametrize("urgency", Urgency)
def test_the_senders_own_staff_are_reminded_of_whoever_did_not_come_after_each_miss(urgency: Urgency) -> None:
    pair = disclosed(accepted(NOON + HOUR, urgency))
    asked = RescheduleAsked(meeting=Meeting(withheld=frozenset(MeetingPart)))
    for missed_at in (NOON + 2 * HOUR, NOON + 30 * DAY):
        pair.say(Side.RECEIVER, Step.MISSED, missed_at)
        pair.deliver_all()
        by = missed_at + REMINDED_IN[urgency]
        assert running(pair.sender) == {Awaited.NEW_MEETING: by}
        rung = expire(pair.sender, act(CLOCK, by))
        assert [(said.code, said.urgency) for said in rung.says if isinstance(said, Fact)] == [
            (FactCode.REFERRAL_OVERDUE, Urgency.IMMEDIATE)
        ]
        assert state(rung).status is Status.MISSED
        said = reschedule(state(rung), act(at=by), asked, casefile(grant()), recipient())
        pair.sender = state(said)
        assert not overdue(pair.sender)
        pair.deliver(Side.RECEIVER, told(said), by)
        pair.receipt(Side.SENDER, told(said).n)


@pytest.mark.parametrize("urgency", Urgency)
def test_the_senders_own_staff_are_reminded_of_each_question(urgency: Urgency) -> None:
    pair = Pair.of(offered(urgency=urgency))
    for asked_at in (NOON + HOUR, NOON + 30 * DAY):
        pair.say(Side.RECEIVER, Step.ASKED, asked_at)
        pair.deliver_all()
        by = asked_at + REMINDED_IN[urgency]
        assert running(pair.sender) == {Awaited.ANSWER: by}
        assert running(pair.receiver) == {}, "a question stops the receiver's clock"
        rung = expire(pair.sender, act(CLOCK, by))
        assert [(said.code, said.urgency) for said in rung.says if isinstance(said, Fact)] == [
            (FactCode.REFERRAL_OVERDUE, urgency)
        ]
        assert [each.detail for each in rung.entries] == [{"clock": "answer"}]
        assert (state(rung).status, dial(state(rung)).next_due) == (Status.ASKED, None)
        pair.sender = state(rung)
        pair.say(Side.SENDER, Step.ANSWERED, by)
        pair.deliver_all()
        assert Awaited.ANSWER not in running(pair.sender)


@pytest.mark.parametrize("status", sorted(BEFORE_ARRIVAL))
def test_nobody_is_forgotten_before_they_have_arrived(status: Status) -> None:
    assert set(running(at_status(status).sender)) - {Awaited.RECEIPT}
