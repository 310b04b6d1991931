"""What staff are shown as possible is what the rules take, and nothing else: in any life, terms and other legs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, builds, integers, just, lists, none, sampled_from

from services.referral.domain import possible as rule
from services.referral.domain import receiving, sending
from services.referral.domain.casefile import CaseFile
from services.referral.domain.life import ONLY_HEARD, STEPS, Side
from services.referral.domain.possible import possible
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.saying import RESERVED, refusal_of
from shared.contracts.codes import (
    Category,
    DeclinedBy,
    DeclineReason,
    MissReason,
    Outcome,
    ProgressCode,
    Purpose,
    ReferralKind,
    Status,
    Step,
    WithdrawReason,
)
from shared.contracts.event_data import (
    AskedData,
    ClosedData,
    DeclinedData,
    Meeting,
    MissedData,
    ProgressedData,
    RedirectedData,
    Terms,
)
from shared.contracts.exchange import EVENTS, LANE_LIMIT
from tests.support.referral_pairs import Pair, at_status
from tests.support.referrals import CANARY, MEETING, NOON, ZOE, act, casefile, grant, recipient

WITHOUT_WORDS = Meeting(when=MEETING.when, withheld=frozenset({"where", "who"}))

SUMMARY = frozenset({Category.SUMMARY})

Command = Callable[[Referral, Act, CaseFile], Ruling[Referral]]

COMMANDS: Mapping[Step, Command] = {
    Step.OPENED: lambda here, by, _: receiving.read_first(here, by, ZOE),
    Step.ASKED: lambda here, by, _: receiving.ask(here, by, AskedData(question=CANARY)),
    Step.ACCEPTED: lambda here, by, _: receiving.accept(here, by, MEETING),
    Step.DECLINED: lambda here, by, _: receiving.decline(
        here, by, DeclinedData(reason=DeclineReason.NO_CAPACITY, by=DeclinedBy.PROVIDER)
    ),
    Step.REDIRECTED: lambda here, by, _: receiving.redirect(
        here, by, RedirectedData(name=CANARY, reason=DeclineReason.OUT_OF_AREA)
    ),
    Step.ARRIVED: lambda here, by, _: receiving.arrive(here, by),
    Step.MISSED: lambda here, by, _: receiving.miss(here, by, MissedData(reason=MissReason.DID_NOT_COME)),
    Step.PROGRESSED: lambda here, by, _: receiving.progress(here, by, ProgressedData(code=ProgressCode.SETTLED)),
    Step.CLOSED: lambda here, by, _: receiving.close(here, by, ClosedData(outcome=Outcome.GOT_HELP)),
    Step.ANSWERED: lambda here, by, file: sending.answer(
        here, by, sending.AnswerAsked(answer=CANARY), file, recipient()
    ),
    Step.DISCLOSED: lambda here, by, file: sending.disclose(
        here, by, sending.DiscloseAsked(categories=SUMMARY, although_expected=True), file, recipient()
    ),
    Step.RESCHEDULED: lambda here, by, file: sending.reschedule(
        here, by, sending.RescheduleAsked(meeting=WITHOUT_WORDS), file, recipient()
    ),
    Step.WITHDRAWN: lambda here, by, _: sending.withdraw(here, by, WithdrawReason.NO_LONGER_NEEDED),
    Step.CONSENT_WITHDRAWN: lambda here, by, _: sending.withdraw_consent(here, by),
}
"""How each step is said, with the least that it needs."""

SUPPORT = frozenset({Purpose.SUPPORT})
soon = NOON + timedelta(days=1)

legs = lists(
    builds(
        lambda status, kind, side: at_status(status, kind).copy(side),
        just(Status.DISCLOSED) | sampled_from(Status),
        sampled_from(ReferralKind),
        sampled_from(Side),
    ),
    max_size=2,
)


choices = lists(integers(0, 30), max_size=4)


def lived(pair: Pair, choices: list[int]) -> Pair:
    """Return both copies after some more steps, some of which have not reached the other side."""
    for count, choice in enumerate(choices):
        side, at = Side.SENDER if choice % 2 else Side.RECEIVER, NOON + timedelta(microseconds=count)
        if steps := [step for step in EVENTS if refusal_of(pair.copy(side), step, at) is None]:
            pair.say(side, steps[choice % len(steps)], at)
        if choice % 3:
            pair.deliver_all()
    return pair


def accepted(referral: Referral, others: list[Referral], at: datetime) -> set[Step]:
    """Return the steps whose commands go through, for a case in which all is written and allowed."""
    file = casefile(grant(), legs=tuple(others))
    return {step for step, command in COMMANDS.items() if command(referral, act(at=at), file).refusal is None}


def test_every_step_has_its_command() -> None:
    assert COMMANDS.keys() == STEPS.keys() - {Step.OFFERED} - ONLY_HEARD


def test_what_is_only_heard_is_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    here = at_status(Status.ARRIVED).receiver
    before = possible(here, (), NOON)
    assert Step.PROGRESSED in before
    monkeypatch.setattr(rule, "ONLY_HEARD", {*ONLY_HEARD, Step.PROGRESSED})
    assert possible(here, (), NOON) == tuple(step for step in before if step is not Step.PROGRESSED)


@settings(max_examples=300)
@given(
    referral=builds(
        lambda pair, side, terms: replace(pair.copy(side), terms=terms),
        builds(
            lived, builds(at_status, just(Status.ACCEPTED) | sampled_from(Status), sampled_from(ReferralKind)), choices
        ),
        sampled_from(Side),
        builds(Terms, purposes=just(SUPPORT), until=none() | just(soon), feedback=booleans()),
    ),
    others=legs,
    at=sampled_from((NOON + timedelta(hours=1), soon)),
)
def test_what_is_possible_is_what_the_rules_take(referral: Referral, others: list[Referral], at: datetime) -> None:
    assert set(possible(referral, others, at)) == accepted(referral, others, at)


def test_a_lane_that_is_full_leaves_what_must_always_be_possible() -> None:
    pair = at_status(Status.ARRIVED)
    for side, left in ((Side.SENDER, {Step.CONSENT_WITHDRAWN}), (Side.RECEIVER, {Step.CLOSED})):
        referral = pair.copy(side)
        lanes = referral.course.lanes
        last = lanes.of(side)[-1]
        for _ in range(LANE_LIMIT - RESERVED - len(lanes.of(side))):
            lanes = lanes.with_move(side, last)
        full = replace(referral, course=replace(referral.course, lanes=lanes))
        assert set(possible(full, (), NOON)) == accepted(full, [], NOON) == left


def test_where_another_leg_cannot_be_read_nothing_is_disclosed_and_what_protects_goes_on() -> None:
    for status in Status:
        for side in Side:
            here = at_status(status).copy(side)
            before = possible(here, (), NOON)
            disclosing = {Step.ANSWERED, Step.DISCLOSED, Step.RESCHEDULED}
            assert possible(here, None, NOON) == tuple(step for step in before if step not in disclosing)


def test_a_person_who_is_on_the_way_elsewhere_is_handed_to_nobody_else() -> None:
    here = at_status(Status.ACCEPTED).copy(Side.SENDER)
    there = at_status(Status.DISCLOSED).copy(Side.SENDER)
    assert Step.DISCLOSED in possible(here, (), NOON)
    assert Step.DISCLOSED not in possible(here, (there,), NOON)
    received = at_status(Status.OPENED).copy(Side.RECEIVER)
    assert Step.DISCLOSED not in possible(here, (received,), NOON)
