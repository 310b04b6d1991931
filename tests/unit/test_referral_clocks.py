"""Clocks: until when, what holds them up, and that each rings once for each deadline."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, datetimes, integers, sampled_from, timedeltas

from services.referral.domain.cases import CLOCK
from services.referral.domain.clocks import (
    GRACE,
    Awaited,
    Hours,
    arrival_by,
    deadlines,
    dial,
    due,
    overdue,
    quiet,
    running,
)
from services.referral.domain.expiring import expire
from services.referral.domain.hearing import hear_receipt
from services.referral.domain.lanes import Lanes
from services.referral.domain.life import SAID_BY, TABLE, Side
from services.referral.domain.moves import move_of
from services.referral.domain.receiving import accept, miss
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Ruling
from services.referral.domain.saying import say
from services.referral.domain.sending import DiscloseAsked, RescheduleAsked, disclose, reschedule
from services.referral.domain.standing import Course
from shared.contracts.codes import Category, MissReason, Status, Step, Urgency
from shared.contracts.event_data import AcceptedData, Meeting, MeetingPart, MissedData
from shared.contracts.exchange import EVENTS, LANE_LIMIT
from shared.contracts.facts import Audience, Fact, FactCode
from tests.support.referral_pairs import Pair, at_status
from tests.support.referrals import (
    BRUSSELS,
    BY_STEP,
    MEETING,
    NOON,
    ZOE,
    act,
    casefile,
    event,
    grant,
    offered,
    recipient,
    released,
    state,
    told,
)


def possible(status: Status, step: Step) -> bool:
    """Whether ``step`` may follow ``status``."""
    return (status, step) in TABLE and step in SAID_BY


MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PARIS = Hours(ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize(
    ("urgency", "read", "decision"),
    [
        (Urgency.IMMEDIATE, HOUR, 4 * HOUR),
        (Urgency.URGENT, 24 * HOUR, 72 * HOUR),
        (Urgency.STANDARD, 7 * DAY, 14 * DAY),
    ],
)
def test_deadlines_follow_from_urgency(urgency: Urgency, read: timedelta, decision: timedelta) -> None:
    until = deadlines(urgency, NOON, BRUSSELS)
    assert (until.first_read, until.decision) == (NOON + read, NOON + decision)


@pytest.mark.parametrize(
    ("offered_at", "read_by"),
    [
        ("2026-11-24T10:00+01:00", "2026-12-01T10:00+01:00"),
        ("2026-11-28T23:00+01:00", "2026-12-07T09:00+01:00"),
        ("2026-11-27T18:00+01:00", "2026-12-07T09:00+01:00"),
        ("2026-11-27T07:00+01:00", "2026-12-04T09:00+01:00"),
        ("2026-10-23T10:00+02:00", "2026-10-30T10:00+01:00"),
    ],
)
def test_standard_counts_the_receivers_working_days_in_its_own_time(offered_at: str, read_by: str) -> None:
    until = deadlines(Urgency.STANDARD, datetime.fromisoformat(offered_at), PARIS)
    assert until.first_read == datetime.fromisoformat(read_by)
    assert until.first_read.tzinfo is UTC


def test_fourteen_days_that_end_at_night_end_in_the_morning() -> None:
    offered_at = datetime.fromisoformat("2026-11-24T23:30+01:00")
    assert deadlines(Urgency.STANDARD, offered_at, PARIS).decision == datetime.fromisoformat("2026-12-09T09:00+01:00")


@given(
    moment=datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - made aware below
    days=integers(0, 20),
    weekdays=sampled_from([{0}, {0, 1, 2, 3, 4}, {6}, set(range(7)), {1, 5}]),
)
def test_a_deadline_is_always_a_moment_at_which_somebody_works(moment: datetime, days: int, weekdays: set[int]) -> None:
    hours = Hours(ZoneInfo("Europe/Paris"), time(8, 30), time(16), frozenset(weekdays))
    deadline = hours.working_days_after(moment.replace(tzinfo=UTC), days)
    assert deadline.weekday() in weekdays
    assert time(8, 30) <= deadline.time() < time(16)
    begun = moment.replace(tzinfo=UTC).astimezone(ZoneInfo("Europe/Paris"))
    assert deadline.replace(tzinfo=None) >= begun.replace(tzinfo=None) + timedelta(
        days=days
    )  # by the clock on the wall


def clocks_at(status: Status) -> dict[Side, set[Awaited]]:
    """Return which clocks run for each copy."""
    pair = at_status(status)
    return {side: set(running(pair.copy(side))) for side in Side}


@pytest.mark.parametrize("status", Status)
def test_what_is_waited_for_depends_on_where_the_referral_stands(status: Status) -> None:
    waiting = {
        Status.OFFERED: {Awaited.FIRST_READ, Awaited.DECISION},
        Status.RECEIVED: {Awaited.FIRST_READ, Awaited.DECISION},
        Status.OPENED: {Awaited.DECISION},
        Status.DISCLOSED: {Awaited.ARRIVAL},
    }.get(status, set())
    only_sender = {
        Status.OFFERED: {Awaited.RECEIPT},
        Status.WITHDRAWN: {Awaited.RECEIPT},
        Status.ASKED: {Awaited.ANSWER},
        Status.ACCEPTED: {Awaited.DISCLOSURE},
        Status.MISSED: {Awaited.NEW_MEETING},
    }.get(status, set())
    assert clocks_at(status)[Side.SENDER] == waiting | only_sender
    if status is not Status.WITHDRAWN:
        assert clocks_at(status)[Side.RECEIVER] == waiting


def test_a_question_holds_the_decision_up_for_as_long_as_it_waits() -> None:
    pair = at_status(Status.RECEIVED)
    pair.say(Side.RECEIVER, Step.ASKED, NOON + HOUR)
    pair.deliver_all()
    for side in Side:
        assert Awaited.DECISION not in due(pair.copy(side), NOON + 100 * DAY)
    pair.say(Side.SENDER, Step.ANSWERED, NOON + 31 * HOUR)
    pair.deliver_all()
    for side in Side:
        assert running(pair.copy(side))[Awaited.DECISION] == NOON + 102 * HOUR


@given(
    asked=timedeltas(-3650 * DAY, HOUR),
    waited=timedeltas(timedelta(), 30 * DAY),
    answered=timedeltas(-3650 * DAY, HOUR),
    by_sender=booleans(),
)
def test_no_partners_clock_moves_our_deadline_by_more_than_has_passed(
    asked: timedelta,
    waited: timedelta,
    answered: timedelta,
    by_sender: bool,  # noqa: FBT001 - drawn
) -> None:
    """Each side hears the other's event an hour ahead at most; one of them dates its own as it likes."""
    pair = at_status(Status.RECEIVED)
    then = NOON + waited
    pair.say(Side.RECEIVER, Step.ASKED, NOON if by_sender else NOON + asked)
    pair.deliver_all()
    pair.say(Side.SENDER, Step.ANSWERED, then + answered if by_sender else then)
    pair.deliver_all()
    for side in Side:
        assert timedelta() <= pair.copy(side).standing.paused <= waited + HOUR


def test_no_receipt_in_time_is_an_alarm() -> None:
    sent = state(offered())
    assert expire(sent, act(CLOCK, NOON + 5 * MINUTE - timedelta(seconds=1))) == Ruling()
    rung = expire(sent, act(CLOCK, NOON + 5 * MINUTE))
    assert [(said.code, said.audience) for said in rung.says if isinstance(said, Fact)] == [
        (FactCode.RECEIPT_MISSING, Audience.OPERATOR),
        (FactCode.RECEIPT_MISSING, Audience.ASSIGNEE),
    ]
    assert [(entry.code, entry.actor, entry.detail["clock"]) for entry in rung.entries] == [
        ("referral.overdue", "clock", "receipt")
    ]
    assert overdue(state(rung))
    assert expire(state(rung), act(CLOCK, NOON + 6 * MINUTE)) == Ruling()
    assert not overdue(state(hear_receipt(state(rung), act())))


SAID = [(side, status, step) for status in Status for step, side in SAID_BY.items() if possible(status, step)]


@pytest.mark.parametrize(("side", "status", "step"), SAID)
def test_whatever_is_said_waits_for_its_receipt(side: Side, status: Status, step: Step) -> None:
    pair = at_status(status)
    said = state(pair.say(side, step, NOON + DAY))
    n = len(said.lane(side))
    assert n in said.unproved
    assert quiet(said)[Awaited.RECEIPT] == min(said.lane(side)[each - 1].at for each in said.unproved) + 5 * MINUTE
    rung = expire(said, act(CLOCK, NOON + DAY + 5 * MINUTE))
    missing = [fact for fact in rung.says if isinstance(fact, Fact) and fact.code is FactCode.RECEIPT_MISSING]
    assert [fact.audience for fact in missing][:1] == [Audience.OPERATOR]
    assert (Audience.COORDINATOR in {fact.audience for fact in missing}) == (
        step in (Step.MISSED, Step.CONSENT_WITHDRAWN)
    )
    assert [each.detail for each in rung.entries if each.detail.get("n") == str(n)] == [
        {"clock": "receipt", "n": str(n), "step": step.value}
    ]
    told = state(rung)
    assert told.status is said.status, "a clock ends nothing"
    assert overdue(told)
    assert Awaited.RECEIPT not in quiet(told)
    for number in told.unproved:
        told = state(hear_receipt(told, act(), number))
    assert told.missing == frozenset()


def test_each_receipt_that_is_missing_rings_by_itself() -> None:
    pair = at_status(Status.OPENED)
    pair.say(Side.RECEIVER, Step.ASKED, NOON)
    first = expire(pair.receiver, act(CLOCK, NOON + 5 * MINUTE))
    pair.receiver = state(first)
    pair.say(Side.RECEIVER, Step.ACCEPTED, NOON + HOUR)
    assert dial(pair.receiver).next_due == NOON + HOUR + 5 * MINUTE
    assert overdue(pair.receiver)
    second = expire(pair.receiver, act(CLOCK, NOON + HOUR + 5 * MINUTE))
    assert [[each.detail["step"] for each in rung.entries] for rung in (first, second)] == [["asked"], ["accepted"]]
    late = state(hear_receipt(state(second), act(), 3))
    assert late.missing == {2}
    assert overdue(late), "one of the two is still missing"
    assert dial(late).next_due is None


@pytest.mark.parametrize("urgency", Urgency)
def test_each_deadline_rings_once(urgency: Urgency) -> None:
    referral = Pair.of(offered(urgency=urgency)).receiver
    rung = []
    while (at := dial(referral).next_due) is not None:
        assert due(referral, at - timedelta(microseconds=1)) == {}
        ruling = expire(referral, act(CLOCK, at))
        rung += [said.code for said in ruling.says if isinstance(said, Fact)]
        referral = state(ruling)
        assert overdue(referral)
        assert expire(referral, act(CLOCK, at)) == Ruling()
    assert rung == [FactCode.REFERRAL_OVERDUE] * 2
    assert referral.status is Status.RECEIVED, "a clock ends nothing"
    assert expire(referral, act(CLOCK, NOON + 1000 * DAY)) == Ruling()


def test_a_deadline_that_moves_rings_again() -> None:
    pair = at_status(Status.RECEIVED)
    late = NOON + 73 * HOUR
    pair.receiver = state(expire(pair.receiver, act(CLOCK, late)))
    pair.say(Side.RECEIVER, Step.ASKED, late)
    assert not overdue(pair.receiver)
    pair.deliver_all()
    pair.say(Side.SENDER, Step.ANSWERED, late + 10 * HOUR)
    pair.deliver_all()
    assert not overdue(pair.receiver)
    assert dial(pair.receiver).next_due == NOON + 82 * HOUR


def test_the_receivers_clock_reports_that_the_person_did_not_come() -> None:
    pair = at_status(Status.ACCEPTED)
    pair.say(Side.SENDER, Step.DISCLOSED)
    pair.deliver_all()
    expected = pair.receiver.standing.expected
    assert expected == MEETING.when
    assert expected is not None
    at = expected + GRACE[Side.RECEIVER]
    assert dial(pair.receiver).next_due == at
    missed = expire(pair.receiver, act(CLOCK, at))
    assert state(missed).status is Status.MISSED
    assert missed.entries[0].actor == "clock"
    assert missed.entries[0].detail == {"codes": "time_passed"}
    assert expire(state(missed), act(CLOCK, at)) == Ruling()


def test_a_person_who_does_not_come_is_told_of_where_no_more_can_be_said() -> None:
    pair = at_status(Status.DISCLOSED)
    move = pair.receiver.lane(Side.RECEIVER)[-1]
    full = Lanes(pair.receiver.lane(Side.SENDER), (*pair.receiver.lane(Side.RECEIVER), *[move] * LANE_LIMIT))
    course = Course(full)
    assert course.standing.expected is not None
    referral = replace(pair.receiver, course=course, proved=frozenset(range(LANE_LIMIT * 2)))
    rung = expire(referral, act(CLOCK, course.standing.expected + GRACE[Side.RECEIVER]))
    assert [(said.code, said.urgency) for said in rung.says if isinstance(said, Fact)] == [
        (FactCode.REFERRAL_OVERDUE, Urgency.IMMEDIATE)
    ]
    assert state(rung).status is Status.DISCLOSED
    assert dial(state(rung)).next_due is None, "it rings once, and is not looked at again and again"


def test_the_clock_reports_a_miss_and_forgets_no_receipt() -> None:
    pair = at_status(Status.ACCEPTED)
    pair.say(Side.SENDER, Step.DISCLOSED)
    pair.deliver_next(Side.RECEIVER)
    referral = replace(pair.receiver, proved=frozenset())
    rung = expire(referral, act(CLOCK, NOON + 30 * DAY))
    assert state(rung).status is Status.MISSED
    assert {said.code for said in rung.says if isinstance(said, Fact)} == {
        FactCode.REFERRAL_MISSED,
        FactCode.RECEIPT_MISSING,
    }


def test_the_senders_clock_only_tells_its_own_staff() -> None:
    pair = at_status(Status.DISCLOSED)
    at = dial(pair.sender).next_due
    assert at is not None
    assert pair.sender.standing.expected is not None
    assert at == pair.sender.standing.expected + GRACE[Side.SENDER]
    rung = expire(pair.sender, act(CLOCK, at))
    assert state(rung).status is Status.DISCLOSED
    (fact,) = rung.says
    assert isinstance(fact, Fact)
    assert (fact.code, fact.urgency) == (FactCode.REFERRAL_OVERDUE, Urgency.IMMEDIATE)


def accepted(expected: datetime | None = None, urgency: Urgency = Urgency.URGENT) -> Pair:
    """Return a pair whose receiver has accepted, and named this hour, whatever the rules say of it."""
    pair = Pair.of(offered(urgency=urgency))
    data = AcceptedData(meeting=MEETING, expected=expected)
    said = event(pair.receiver, data, n=1, seen=1)
    pair.receiver = replace(pair.receiver, course=pair.receiver.course.then(Side.RECEIVER, move_of(said)))
    pair.deliver(Side.SENDER, said)
    pair.receipt(Side.RECEIVER)
    return pair


def disclosed(pair: Pair, at: datetime = NOON) -> Pair:
    """Let the sender disclose."""
    asked = DiscloseAsked(categories=frozenset({Category.IDENTITY}))
    pair.sender = state(said := disclose(pair.sender, act(at=at), asked, casefile(grant()), recipient()))
    pair.deliver(Side.RECEIVER, told(said))
    pair.receipt(Side.SENDER, 2)
    return pair


TERMS = {Urgency.IMMEDIATE: 4 * HOUR, Urgency.URGENT: 72 * HOUR, Urgency.STANDARD: 14 * DAY}


@pytest.mark.parametrize("expected", [None, NOON - DAY, NOON + 91 * DAY, datetime(2099, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("urgency", Urgency)
def test_without_a_likely_hour_the_sender_awaits_the_arrival_for_a_term(
    urgency: Urgency, expected: datetime | None
) -> None:
    pair = disclosed(accepted(expected, urgency), NOON + HOUR)
    assert running(pair.receiver) == {}
    assert running(pair.sender) == {Awaited.ARRIVAL: NOON + HOUR + TERMS[urgency]}
    rung = expire(pair.sender, act(CLOCK, NOON + HOUR + TERMS[urgency]))
    assert state(rung).status is Status.DISCLOSED, "only the receiver knows whether they came"
    (fact,) = rung.says
    assert isinstance(fact, Fact)
    assert (fact.code, fact.urgency) == (FactCode.REFERRAL_OVERDUE, Urgency.IMMEDIATE)
    assert dial(state(rung)).next_due is None, "it rings once"


def test_the_term_ends_when_somebody_works() -> None:
    assert arrival_by(Urgency.STANDARD, datetime.fromisoformat("2026-11-24T23:30+01:00"), PARIS) == (
        datetime.fromisoformat("2026-12-09T09:00+01:00")
    )


def test_an_hour_that_is_named_takes_the_place_of_the_term_and_a_new_meeting_without_one_gives_it_back() -> None:
    pair = disclosed(accepted(NOON + DAY))
    for side in Side:
        assert running(pair.copy(side)) == {Awaited.ARRIVAL: NOON + DAY + GRACE[side]}
    pair.say(Side.RECEIVER, Step.MISSED)
    pair.deliver_all()
    asked = RescheduleAsked(meeting=Meeting(withheld=frozenset(MeetingPart)))
    later = NOON + 2 * HOUR
    pair.sender = state(said := reschedule(pair.sender, act(at=later), asked, casefile(grant()), recipient()))
    pair.deliver(Side.RECEIVER, told(said))
    pair.receipt(Side.SENDER, 3)
    assert running(pair.sender) == {Awaited.ARRIVAL: later + 72 * HOUR}
    assert running(pair.receiver) == {}


@pytest.mark.parametrize(
    ("expected", "refused"),
    [
        (NOON - HOUR, False),
        (NOON - HOUR - timedelta(microseconds=1), True),
        (NOON + 90 * DAY, False),
        (NOON + 90 * DAY + timedelta(microseconds=1), True),
    ],
)
def test_staff_name_a_likely_hour_or_none(expected: datetime, refused: bool) -> None:  # noqa: FBT001 - drawn
    asked = RescheduleAsked(meeting=MEETING, expected=expected)
    missed = at_status(Status.MISSED).sender
    for ruling in (
        accept(at_status(Status.OPENED).receiver, act(ZOE), MEETING, expected),
        reschedule(missed, act(), asked, casefile(grant()), recipient()),
    ):
        if refused:
            assert ruling.refusal is not None
            assert ruling.refusal.code == Refused.EXPECTED
        else:
            assert state(ruling).standing.expected == expected


NAME_AN_HOUR = sorted(step for step, data in BY_STEP.items() if "expected" in type(data).model_fields)


@pytest.mark.parametrize("step", NAME_AN_HOUR)
def test_whatever_names_an_hour_is_heard_by_the_clock(step: Step) -> None:
    status = next(status for status, each in TABLE if each is step and status is not None)
    here = at_status(status).copy(SAID_BY[step])
    late, likely = (BY_STEP[step].model_copy(update={"expected": NOON + days * DAY}) for days in (91, 89))
    refused = Ruling[Referral].refused(Refused.EXPECTED, status=here.status.value)
    assert say(here, act(), EVENTS[step], late, released(*Category)) == refused
    said = state(say(here, act(), EVENTS[step], likely, released(*Category)))
    assert said.lane(here.side)[-1].expected == said.standing.expected == NOON + 89 * DAY
    unsaid = likely.model_copy(update={"expected": None})
    assert state(say(here, act(), EVENTS[step], unsaid, released(*Category))).standing.expected is None


def test_an_hour_that_nobody_can_mean_leaves_its_line_and_stops_nothing() -> None:
    pair = at_status(Status.OPENED)
    data = AcceptedData(meeting=MEETING, expected=NOON + 10000 * DAY)
    heard = pair.deliver(Side.SENDER, event(pair.sender, data, n=2, seen=1))
    assert isinstance(heard, Ruling)
    assert (state(heard).status, state(heard).standing.expected) == (Status.ACCEPTED, None)
    assert heard.entries[0].detail == {"refused": "expected-out-of-bounds"}


def test_a_miss_by_staff_alerts_their_own_coordinator_too() -> None:
    pair = at_status(Status.DISCLOSED)
    ruling = miss(pair.receiver, act(ZOE), MissedData(reason=MissReason.FEARED_TAKEN_BACK))
    facts = [said for said in ruling.says if isinstance(said, Fact)]
    assert {fact.audience for fact in facts} == {Audience.CASEWORKERS, Audience.COORDINATOR}
    assert {fact.urgency for fact in facts} == {Urgency.IMMEDIATE}
    assert miss(pair.sender, act(), MissedData(reason=MissReason.DID_NOT_COME)).refusal is not None
