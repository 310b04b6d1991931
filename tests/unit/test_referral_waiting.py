"""A partner that cannot be told: what protects the person is kept and said later, all else is decided again."""

from dataclasses import replace

import pytest

from services.referral.domain.casefile import CaseFile
from services.referral.domain.casework import take_back
from services.referral.domain.life import SAID_BY, STEPS, TABLE, Side
from services.referral.domain.reading import read_packet
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Ruling, Tell
from services.referral.domain.waiting import put_off, say_now
from shared.contracts.codes import Status, Step
from shared.contracts.ids import OrganisationId
from tests.support.referral_pairs import at_status
from tests.support.referrals import BY_STEP, RECEIVER, SENDER, ZOE, act, event, grant, offered, state, told

WHY = {SENDER: "key-unknown", RECEIVER: "key-unknown"}
POSSIBLE = [(status, step) for status, step in TABLE if status is not None and step in SAID_BY]


@pytest.mark.parametrize(("status", "step"), POSSIBLE)
def test_what_protects_the_person_is_kept_and_said_later(status: Status, step: Step) -> None:
    pair = at_status(status)
    ruling = pair.say(SAID_BY[step], step)
    late = put_off(ruling, WHY)
    if not STEPS[step].patient:
        assert late == Ruling.refused("key-unknown")
        return
    number = told(ruling).n
    assert late.state == replace(state(ruling), unsaid=frozenset({number}))
    assert state(late).told == number - 1
    assert late.says == ()
    assert [tell.event for tell in late.unsaid] == [told(ruling)]
    assert late.papers == ruling.papers
    (step_entry, unsaid) = late.entries
    assert (step_entry,) == ruling.entries
    assert (unsaid.code, unsaid.case) == ("referral.unsaid", state(ruling).case)
    assert unsaid.detail == {"step": step.value, "n": str(number), "reason": "key-unknown"}


def test_nothing_that_discloses_is_ever_kept_for_later() -> None:
    """It rests on what the person allows when it leaves."""
    disclosing = {step for step, data in BY_STEP.items() if {"packet", "code"} & set(type(data).model_fields)}
    assert disclosing == {Step.OFFERED, Step.ANSWERED, Step.DISCLOSED, Step.PROGRESSED}
    assert not any(STEPS[step].patient for step in disclosing)
    assert put_off(offered(), WHY) == Ruling.refused("key-unknown")


def test_whoever_can_be_told_is_told() -> None:
    ruling = at_status(Status.OPENED).say(Side.SENDER, Step.WITHDRAWN)
    assert put_off(ruling, {}) == ruling
    assert put_off(ruling, {OrganisationId("havre-be"): "key-unknown"}) == ruling


def test_consent_taken_back_reaches_every_holder_now_or_later() -> None:
    legs = tuple(at_status(status).sender for status in (Status.DISCLOSED, Status.CLOSED, Status.OFFERED))
    given = grant()
    late = put_off(take_back(CaseFile(grants=(given,), legs=legs), act(), given.id), WHY)
    assert late.refusal is None
    assert late.grant is not None
    assert [each.state.status for each in late.also if each.state] == [
        Status.WITHDRAWN,
        Status.CLOSED,
        Status.WITHDRAWN,
    ]
    assert [[tell.event.step for tell in each.unsaid] for each in late.also] == [[Step.CONSENT_WITHDRAWN]] * 3
    assert all(not isinstance(said, Tell) for each in late.also for said in each.says)


def test_staff_are_told_of_a_person_who_did_not_come_whoever_else_can_be() -> None:
    pair = at_status(Status.DISCLOSED)
    expected = pair.receiver.standing.expected
    assert expected is not None
    ruling = pair.say(Side.RECEIVER, Step.MISSED)
    assert put_off(ruling, WHY).says == tuple(said for said in ruling.says if not isinstance(said, Tell))


def test_an_offer_is_read_though_its_sender_cannot_be_told() -> None:
    read = put_off(read_packet(at_status(Status.RECEIVED).receiver, act(ZOE)), WHY)
    assert state(read).status is Status.OPENED
    assert [entry.code for entry in read.entries] == ["referral.opened", "referral.read", "referral.unsaid"]


def test_what_was_left_unsaid_is_said_in_its_order_or_waits_on() -> None:
    pair = at_status(Status.DISCLOSED)
    before = pair.receiver
    unsaid: list[Tell] = []
    for step in (Step.MISSED, Step.ARRIVED):
        late = put_off(pair.say(Side.RECEIVER, step), WHY)
        pair.receiver = state(late)
        unsaid += late.unsaid
    assert pair.receiver.unsaid == {2, 3}
    assert pair.receiver.told == 1
    said = say_now(pair.receiver, unsaid, act())
    assert state(said) == replace(pair.receiver, unsaid=before.unsaid)
    assert state(said).told == 3
    assert said.says == tuple(unsaid)
    assert said.said == tuple(tell.event.id for tell in unsaid)
    assert [(entry.code, entry.detail["step"]) for entry in said.entries] == [
        ("referral.said", "missed"),
        ("referral.said", "arrived"),
    ]
    assert put_off(said, WHY) == Ruling.refused("key-unknown")
    assert say_now(pair.receiver, (), act()) == Ruling()


def test_nobody_has_seen_what_has_not_left_however_much_else_was_said_since() -> None:
    """Otherwise a partner could prove by a word that it holds what it will never get."""
    pair = at_status(Status.OPENED)
    pair.sender = state(put_off(pair.say(Side.SENDER, Step.WITHDRAWN), WHY))
    pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN)
    assert (pair.sender.told, pair.sender.unproved) == (1, (2, 3))
    for seen in (2, 3):
        heard = pair.deliver(Side.SENDER, event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=seen))
        assert heard == Ruling.refused(Refused.SEEN_AHEAD)
    assert pair.sender.unproved == (2, 3)
    heard = pair.deliver(Side.SENDER, event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=1))
    assert isinstance(heard, Ruling)
    assert state(heard).status is Status.WITHDRAWN
