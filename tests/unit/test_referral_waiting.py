"""A partner that cannot be told: what protects the person is kept and said later, all else is decided again."""

from dataclasses import replace
from typing import TypeVar

import pytest

from services.referral.domain import waiting
from services.referral.domain.casefile import CaseFile
from services.referral.domain.casework import take_back
from services.referral.domain.life import SAID_BY, STEPS, TABLE, Side
from services.referral.domain.reading import read_packet
from services.referral.domain.refusals import Refused
from services.referral.domain.repeating import repeat_lane, say_again
from services.referral.domain.ruling import Ruling, Tell
from services.referral.domain.waiting import put_off
from shared.contracts.codes import Status, Step
from shared.contracts.event import EventId, type_of
from shared.contracts.exchange import ReferralEvent
from shared.contracts.heard import FIRST
from tests.support.referral_pairs import at_status
from tests.support.referrals import BY_STEP, FRESH, NOON, ZOE, act, event, grant, offered, state, today, told

State = TypeVar("State")

POSSIBLE = [(status, step) for status in Status for step in SAID_BY if (status, step) in TABLE]


def untold(ruling: Ruling[State]) -> Ruling[State]:
    """Return what becomes of ``ruling`` while no partner can be told."""
    return put_off(ruling, {tell.event.id: "key-unknown" for tell in ruling.tells})


@pytest.mark.parametrize(("status", "step"), POSSIBLE)
def test_what_protects_the_person_is_kept_and_said_later(status: Status, step: Step) -> None:
    pair = at_status(status)
    ruling = pair.say(SAID_BY[step], step)
    late = untold(ruling)
    if not STEPS[step].owed:
        assert late == Ruling.refused("key-unknown")
        return
    number, said, waits = told(ruling).n, state(ruling), state(late)
    assert replace(waits, repeats=said.repeats) == said
    assert waits.told == number - 1
    assert late.says == ()
    assert waits.unsaid == {number}
    assert waits.repeats[number].at <= told(ruling).at, "as soon as it can"
    assert late.papers == ruling.papers
    (step_entry, unsaid) = late.entries
    assert (step_entry,) == ruling.entries
    assert (unsaid.code, unsaid.case) == ("referral.unsaid", state(ruling).case)
    assert unsaid.detail == {"step": step.value, "n": str(number), "reason": "key-unknown"}


@pytest.mark.parametrize(("status", "step"), [each for each in POSSIBLE if STEPS[each[1]].owed])
def test_what_is_later_than_the_first_version_waits_for_a_key_and_not_for_a_partner_to_hear_it(
    status: Status, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take a number that the partner may never get, and consent that is taken back would wait behind it."""
    ruling = at_status(status).say(SAID_BY[step], step)
    unheard, keyless = ({told(ruling).id: why} for why in ("event-type-unheard", "key-unknown"))
    assert put_off(ruling, unheard).refusal is None, "of the first version"
    later = tuple(each for each in FIRST if each != type_of(type(told(ruling))))
    monkeypatch.setattr(waiting, "FIRST", later)
    assert put_off(ruling, unheard) == Ruling.refused("event-type-unheard")
    assert put_off(ruling, keyless).refusal is None


def test_nothing_that_discloses_is_ever_kept_for_later() -> None:
    """It rests on what the person allows when it leaves."""
    disclosing = {step for step, data in BY_STEP.items() if {"packet", "code"} & set(type(data).model_fields)}
    assert disclosing == {Step.OFFERED, Step.ANSWERED, Step.DISCLOSED, Step.PROGRESSED}
    assert not any(STEPS[step].owed for step in disclosing)
    assert untold(offered()) == Ruling.refused("key-unknown")


def test_whoever_can_be_told_is_told() -> None:
    ruling = at_status(Status.OPENED).say(Side.SENDER, Step.WITHDRAWN)
    assert put_off(ruling, {}) == ruling
    assert put_off(ruling, {EventId(next(FRESH)): "key-unknown"}) == ruling


def test_consent_taken_back_reaches_every_holder_now_or_later() -> None:
    legs = tuple(at_status(status).sender for status in (Status.DISCLOSED, Status.CLOSED, Status.OFFERED))
    given = grant()
    late = untold(take_back(CaseFile(grants=(given,), legs=legs), act(), given.id))
    assert late.refusal is None
    assert late.grant is not None
    assert [each.state.status for each in late.also if each.state] == [
        Status.WITHDRAWN,
        Status.CLOSED,
        Status.WITHDRAWN,
    ]
    assert [(each.says, len(state(each).unsaid)) for each in late.also] == [((), 1)] * 3


def test_staff_are_told_of_a_person_who_did_not_come_whoever_else_can_be() -> None:
    pair = at_status(Status.DISCLOSED)
    expected = pair.receiver.standing.expected
    assert expected is not None
    ruling = pair.say(Side.RECEIVER, Step.MISSED)
    assert untold(ruling).says == tuple(said for said in ruling.says if not isinstance(said, Tell))


def test_an_offer_is_read_though_its_sender_cannot_be_told() -> None:
    read = untold(read_packet(at_status(Status.RECEIVED).receiver, act(ZOE)))
    assert state(read).status is Status.OPENED
    assert [entry.code for entry in read.entries] == ["referral.opened", "referral.read", "referral.unsaid"]


def test_what_was_left_unsaid_is_said_in_its_order() -> None:
    pair = at_status(Status.DISCLOSED)
    for step in (Step.MISSED, Step.ARRIVED):
        pair.receiver = state(untold(pair.say(Side.RECEIVER, step)))
    assert (set(pair.receiver.unsaid), pair.receiver.told) == ({2, 3}, 1)
    said = say_again(pair.receiver, {}, act(), today())
    assert (state(said).unsaid, state(said).told) == (frozenset(), 3)
    assert [tell.event.step for tell in said.says if isinstance(tell, Tell)] == [Step.MISSED, Step.ARRIVED]
    assert [(line.code, line.detail["step"]) for line in said.entries] == [
        ("referral.said", "missed"),
        ("referral.said", "arrived"),
    ]


def test_what_is_said_again_waits_on_where_the_partner_cannot_be_told() -> None:
    pair = at_status(Status.ARRIVED)
    again = say_again(state(repeat_lane(pair.receiver, act())), {}, act(), today())
    assert [said.event.step for said in again.says if isinstance(said, Tell)] == [Step.ACCEPTED, Step.ARRIVED]
    later = state(untold(again))
    assert (untold(again).tells, untold(again).entries) == ((), ())
    assert {n: repeat.times for n, repeat in later.repeats.items()} == {1: 1, 2: 1}, "it was not said"
    assert all(repeat.at > NOON for repeat in later.repeats.values())
    one = put_off(again, {again.tells[0].event.id: "event-type-unheard"})
    assert [tell.event.step for tell in one.tells] == [Step.ARRIVED], "one that is not heard holds up no other"
    assert [line.detail["n"] for line in one.entries] == ["2"]


def test_nobody_has_seen_what_has_not_left_however_much_else_was_said_since() -> None:
    """Otherwise a partner could prove by a word that it holds what it will never get."""
    pair = at_status(Status.OPENED)
    pair.sender = state(untold(pair.say(Side.SENDER, Step.WITHDRAWN)))
    pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN)
    assert (pair.sender.told, pair.sender.unproved) == (1, (2, 3))
    for seen in (2, 3):
        heard = pair.deliver(Side.SENDER, event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=seen))
        assert heard == Ruling.refused(Refused.SEEN_AHEAD)
    assert pair.sender.unproved == (2, 3)
    heard = pair.deliver(Side.SENDER, event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=1))
    assert isinstance(heard, Ruling)
    assert state(heard).status is Status.WITHDRAWN


def test_nothing_is_done_where_what_follows_for_another_referral_may_not_wait() -> None:
    ruling = at_status(Status.OPENED).say(Side.SENDER, Step.WITHDRAWN)
    other = offered()
    hindered = {told(other).id: "key-unknown"}
    assert put_off(replace(ruling, also=(other,)), hindered) == Ruling.refused("key-unknown")


def test_what_is_left_unsaid_is_known_by_its_id_whatever_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared word by word, a long lane that is said again would take a time that grows with its square."""
    again = say_again(state(repeat_lane(at_status(Status.ARRIVED).receiver, act())), {}, act(), today())
    first, last = (tell.event.id for tell in again.tells)

    def compare(_one: ReferralEvent, _other: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(ReferralEvent, "__eq__", compare)
    assert [tell.event.id for tell in put_off(again, {last: "key-unknown"}).tells] == [first]
