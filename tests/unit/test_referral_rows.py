"""A referral goes into its row and comes back the same, and the row holds nothing personal."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis.strategies import booleans, builds, datetimes, dictionaries, integers, lists, none, sampled_from

from services.referral.domain.clocks import Awaited
from services.referral.domain.expiring import expire
from services.referral.domain.hearing import hear
from services.referral.domain.life import BEFORE_ARRIVAL, SAID_BY, Side
from services.referral.domain.referral import Repeat
from services.referral.domain.ruling import Ruling
from services.referral.domain.saying import refusal_of
from services.referral.store.rows import MEMBERS, UNKNOWN, ReferralRow, from_row, to_row
from shared.contracts.codes import Purpose, Status, Step
from shared.contracts.event import encode
from shared.contracts.event_data import Terms
from shared.contracts.exchange import EVENTS, EventUnreadable, ReferralEvent, decode
from shared.contracts.personal import EARLIEST, LATEST
from tests.support.referral_pairs import NAMES, Pair, at_status
from tests.support.referrals import BY_STEP, CANARY, NOON, RECEIVER, SENDER, act, event, offered, state

anywhere = sampled_from([UTC, *(timezone(timedelta(hours=hours, minutes=45)) for hours in (-24, 5, 23))])
any_time = datetimes(timezones=anywhere)
moments = datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=anywhere)  # noqa: DTZ001 - made aware


@given(choices=lists(integers(0, 30), max_size=12), side=sampled_from(Side))
def test_any_life_comes_back_as_it_was(choices: list[int], side: Side) -> None:
    pair = Pair.of(offered())
    for count, choice in enumerate(choices):
        actor = Side.SENDER if choice % 2 else Side.RECEIVER
        steps = [step for step in EVENTS if refusal_of(pair.copy(actor), step, NOON) is None]
        if steps:
            pair.say(actor, steps[choice % len(steps)], NOON + timedelta(microseconds=count))
        if choice % 3:
            pair.deliver_all()
    referral = pair.copy(side)
    row = to_row(referral)
    assert from_row(row, NAMES[side]) == referral
    assert to_row(from_row(row, NAMES[side])) == row
    assert CANARY not in repr(row)


@given(step=sampled_from([step for step in EVENTS if SAID_BY[step] is Side.RECEIVER]), at=any_time, expected=any_time)
@example(Step.OPENED, datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), NOON)
@example(Step.ACCEPTED, NOON, datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))))
def test_whatever_a_partner_may_say_can_be_kept_and_read_again(step: Step, at: datetime, expected: datetime) -> None:
    referral = state(offered())
    said = json.loads(encode(event(referral, BY_STEP[step], n=1, seen=1)))
    said["at"] = at.isoformat()
    if step is Step.ACCEPTED:
        said["data"]["expected"] = expected.isoformat()
    try:
        read = decode(json.dumps(said).encode())
    except EventUnreadable:
        assert not EARLIEST <= at < LATEST or not EARLIEST <= expected < LATEST
        return
    assert isinstance(read, ReferralEvent)
    heard = hear(referral, read, RECEIVER, act(at=LATEST))
    kept = to_row(state(heard)) if isinstance(heard, Ruling) and heard.state else to_row(referral)
    assert to_row(from_row(kept, SENDER)) == kept
    assert all(kept_at is None or kept_at.tzinfo is UTC for kept_at in (kept.due_at, kept.ended_at, kept.offered_at))


@given(
    until=none() | moments,
    feedback=booleans(),
    fired=dictionaries(sampled_from([clock.value for clock in Awaited]), moments),
    repeats=dictionaries(integers(1, 20), builds(Repeat, integers(0, 50), moments)),
    version=integers(0, 2**31 - 1),
)
def test_terms_and_marks_come_back_as_they_were(
    until: datetime | None,
    feedback: bool,  # noqa: FBT001 - drawn
    fired: dict[str, datetime],
    repeats: dict[int, Repeat],
    version: int,
) -> None:
    terms = Terms(purposes=frozenset(Purpose), until=until, feedback=feedback)
    emptied = frozenset(repeats)
    referral = replace(state(offered()), terms=terms, fired=fired, repeats=repeats, emptied=emptied, version=version)
    assert from_row(to_row(referral), SENDER) == referral


@given(arrival=none() | moments)
def test_until_when_an_arrival_is_awaited_comes_back(arrival: datetime | None) -> None:
    sent = at_status(Status.DISCLOSED).sender
    referral = replace(sent, deadlines=replace(sent.deadlines, arrival=arrival))
    assert from_row(to_row(referral), SENDER) == referral


@pytest.mark.parametrize("status", Status)
def test_the_columns_that_queries_need_say_what_the_lanes_say(status: Status) -> None:
    pair = at_status(status)
    row = to_row(pair.sender)
    waited_for = BEFORE_ARRIVAL | {Status.WITHDRAWN}
    assert (row.status, row.side, row.partner) == (status.value, "sender", RECEIVER)
    assert (row.ended_at is None) == pair.sender.is_open
    assert (row.due_at is None) == (status not in waited_for)


def test_a_row_of_before_receipts_were_kept_count_of_can_still_be_read() -> None:
    row = to_row(at_status(Status.DISCLOSED).sender)
    course = json.loads(row.course)
    del course["unproved"], course["missing"], course["repeats"], course["arrival"]
    course["deadlines"].insert(0, course["deadlines"][0])
    before = row._replace(course=json.dumps(course))
    assert to_row(from_row(before, SENDER)) == row


def with_course(row: ReferralRow, **members: object) -> ReferralRow:
    """Return ``row`` as a version writes it that says ``members`` in its course."""
    return row._replace(course=json.dumps({**json.loads(row.course), **members}))


def test_a_course_that_says_more_than_this_version_knows_is_not_read() -> None:
    row = to_row(state(offered()))
    course = json.loads(row.course)
    assert course.keys() == MEMBERS
    for more in (
        {"frozen": True},
        {"terms": {**course["terms"], "only_at_night": True}},
        {"deadlines": [*course["deadlines"], course["deadlines"][0]]},
        {"sender": [[*course["sender"][0], "further"]]},
    ):
        with pytest.raises(UNKNOWN):
            from_row(with_course(row, **more), SENDER)


def test_overdue_is_a_column_and_a_clock_that_has_rung_is_not_due() -> None:
    sent = state(offered())
    assert not to_row(sent).overdue
    rung = state(expire(sent, act(at=NOON + timedelta(days=30))))
    assert to_row(rung).overdue
    assert to_row(rung).due_at is None


def test_in_a_row_of_before_anything_was_said_again_what_is_not_proved_is_due() -> None:
    row = to_row(state(offered()))
    course = json.loads(row.course)
    del course["repeats"]
    read = from_row(row._replace(course=json.dumps(course)), SENDER)
    assert {n: repeat.times for n, repeat in read.repeats.items()} == {1: 1}
    assert read.repeats[1].at < NOON
