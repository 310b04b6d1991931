"""What a partner says is heard only as far as the rules of the protocol let it; what breaks them changes nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.referral.domain import hearing
from services.referral.domain.access import closed_to_reader
from services.referral.domain.cases import Case
from services.referral.domain.clocks import dial
from services.referral.domain.facts import step_facts
from services.referral.domain.life import FEEDBACK, Side
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import PaperName, Ruling
from services.referral.domain.saying import say
from services.referral.domain.standing import Course
from shared.contracts.codes import EVERY_KIND, Category, Outcome, ProgressCode, Purpose, Status, Step
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.event import EventId
from shared.contracts.event_data import ClosedData, DisclosedData, ProgressedData, Terms
from shared.contracts.exchange import ReferralDisclosed, ReferralOffered
from shared.contracts.facts import Fact
from shared.contracts.ids import CaseId, ConversationId, OrganisationId
from shared.messaging.decision import Early, Refusal
from tests.support.referral_pairs import Pair, at_status
from tests.support.referrals import (
    BRUSSELS,
    BY_STEP,
    FRESH,
    NOON,
    RECEIVER,
    SENDER,
    act,
    event,
    offered,
    packet,
    released,
    state,
    told,
)


def test_an_offer_opens_a_case_and_keeps_its_papers_under_its_key() -> None:
    offer = told(offered())
    assert isinstance(offer, ReferralOffered)
    case = CaseId(next(FRESH))
    heard = hearing.hear_offer(offer, SENDER, RECEIVER, act(), case=case, hours=BRUSSELS, kinds=EVERY_KIND)
    assert heard.opens == Case(case, NOON, SENDER, state(heard).alias)
    assert {paper.name for paper in heard.papers} == {Category.SUMMARY, Category.RISK}
    assert {(paper.case, paper.about, paper.side, paper.n) for paper in heard.papers} == {
        (case, offer.referral, Side.SENDER, 1)
    }
    assert [entry.code for entry in heard.entries] == ["case.opened", "referral.offered"]
    assert {entry.case for entry in heard.entries} == {case}
    assert {entry.actor for entry in heard.entries} == {SENDER}


def test_an_offer_comes_first_and_from_somebody_else() -> None:
    offer = told(offered())
    assert isinstance(offer, ReferralOffered)
    case = CaseId(next(FRESH))
    for wrong in (offer.model_copy(update={"n": 2}), offer.model_copy(update={"seen": 1})):
        heard = hearing.hear_offer(wrong, SENDER, RECEIVER, act(), case=case, hours=BRUSSELS, kinds=EVERY_KIND)
        assert heard == Ruling.refused(Refused.NOT_IN_TABLE)
    others = EVERY_KIND - {offer.data.kind}
    heard = hearing.hear_offer(offer, SENDER, RECEIVER, act(), case=case, hours=BRUSSELS, kinds=others)
    assert heard.refusal is not None
    assert heard.refusal.code == "kind-not-agreed"
    heard = hearing.hear_offer(offer, RECEIVER, RECEIVER, act(), case=case, hours=BRUSSELS, kinds=EVERY_KIND)
    assert heard == Ruling.refused(Refused.NOT_WITH_ITSELF)


def test_what_is_said_of_an_erased_referral_is_written_down_under_no_case() -> None:
    referral = at_status(Status.OPENED).sender
    said = event(referral, BY_STEP[Step.ACCEPTED], n=2, seen=1)
    heard = hearing.hear_too_late(referral, said, RECEIVER, act())
    entry = Entry(EntryCode.REFERRAL_HEARD_ERASED, RECEIVER, referral.id, NOON, {"step": "accepted", "n": "2"})
    assert heard == Ruling(entries=(entry,))
    stranger = hearing.hear_too_late(referral, said, OrganisationId("autre-fr"), act())
    assert stranger == Ruling.refused(Refused.UNKNOWN)


def test_what_overtakes_the_offer_waits_for_it_and_nothing_else_does() -> None:
    pair = at_status(Status.OPENED)
    withdrawn = event(pair.sender, BY_STEP[Step.WITHDRAWN], n=2, seen=0)
    assert hearing.hear(None, withdrawn, SENDER, act()) == Early(pair.sender.id, 2)
    first = withdrawn.model_copy(update={"n": 1})
    assert hearing.hear(None, first, SENDER, act()) == Ruling.refused(Refused.UNKNOWN)
    accepted = event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=1)
    assert hearing.hear(None, accepted, RECEIVER, act()) == Ruling.refused(Refused.UNKNOWN)


def test_an_event_that_comes_before_the_one_before_it_waits() -> None:
    pair = at_status(Status.OPENED)
    later = event(pair.sender, BY_STEP[Step.ACCEPTED], n=3, seen=1)
    assert pair.deliver(Side.SENDER, later) == Early(pair.sender.id, 3)


def ahead(pair: Pair, step: Step, n: int = 3) -> Ruling[Referral] | None:
    """Let the sender say ``step`` before its turn; return what follows at once."""
    heard = pair.deliver(Side.RECEIVER, event(pair.sender, BY_STEP[step], n=n, seen=0))
    assert isinstance(heard, Early)
    assert heard.meanwhile is None or isinstance(heard.meanwhile, Ruling)
    return heard.meanwhile


@pytest.mark.parametrize("step", [Step.WITHDRAWN, Step.CONSENT_WITHDRAWN])
def test_what_ends_access_shuts_the_packet_before_its_turn_and_staff_are_told_once(step: Step) -> None:
    pair = at_status(Status.ACCEPTED)
    assert closed_to_reader(pair.receiver, NOON) is None
    early = ahead(pair, step)
    assert early is not None
    assert [(line.code, line.actor, line.detail) for line in early.entries] == [
        ("referral.ahead", SENDER, {"step": step.value, "n": "3"})
    ]
    assert {said.code.value for said in early.says if isinstance(said, Fact)} == {f"referral.{step.value}"}
    pair.receiver = state(early)
    assert pair.receiver.status is Status.ACCEPTED, "its turn has not come"
    assert closed_to_reader(pair.receiver, NOON) is Refused.ACCESS_ENDED
    assert ahead(pair, step) is None
    assert state(early).ahead == {step: 3}


@pytest.mark.parametrize("step", [Step.ANSWERED, Step.DISCLOSED, Step.RESCHEDULED])
def test_what_ends_nothing_does_nothing_before_its_turn(step: Step) -> None:
    assert ahead(at_status(Status.ACCEPTED), step) is None


def test_what_was_ahead_has_had_its_turn_once_the_lane_is_as_long() -> None:
    pair = at_status(Status.ACCEPTED)
    pair.receiver = replace(pair.receiver, ahead={Step.WITHDRAWN: 2})
    assert closed_to_reader(pair.receiver, NOON) is Refused.ACCESS_ENDED
    pair.say(Side.SENDER, Step.DISCLOSED)
    pair.deliver_all()
    assert closed_to_reader(pair.receiver, NOON) is None


def test_a_withdrawal_ahead_takes_nothing_from_whoever_is_there_and_consent_taken_back_does() -> None:
    there = at_status(Status.ARRIVED).receiver
    assert closed_to_reader(replace(there, ahead={Step.WITHDRAWN: 9}), NOON) is None
    assert closed_to_reader(replace(there, ahead={Step.CONSENT_WITHDRAWN: 9}), NOON) is Refused.ACCESS_ENDED


def restored(pair: Pair, side: Side) -> None:
    """Let ``side`` come back from a backup that it made when the referral had just been offered."""
    course = Course(replace(pair.copy(side).course.lanes, sender=pair.sender.course.lanes.sender[:1], receiver=()))
    pair.keep(side, replace(pair.copy(side), course=course, proved=frozenset(), repeats={}))


@pytest.mark.parametrize("step", [Step.WITHDRAWN, Step.CONSENT_WITHDRAWN])
@pytest.mark.parametrize(("side", "why"), [(Side.RECEIVER, "seen-ahead"), (Side.SENDER, "lane-forked")])
def test_what_ends_access_shuts_the_packet_where_it_is_refused_after_a_restore(
    side: Side, why: str, step: Step
) -> None:
    pair = at_status(Status.DISCLOSED)
    restored(pair, side)
    pair.say(Side.SENDER, step)
    before, (said,) = pair.receiver.status, pair.under_way[Side.RECEIVER]
    assert closed_to_reader(pair.receiver, NOON) is None
    refused = pair.deliver(Side.RECEIVER, said)
    assert isinstance(refused, Ruling)
    assert refused.refusal == Refusal(why)
    assert [(line.code, line.actor, line.detail) for line in refused.entries] == [
        ("referral.shut", SENDER, {"step": step.value, "n": str(said.n), "reason": why})
    ]
    told_staff = [(said.code, said.audience) for said in refused.says if isinstance(said, Fact)]
    assert told_staff == [(fact.code, fact.audience) for fact in step_facts(pair.receiver, step, act())]
    assert closed_to_reader(pair.receiver, NOON) is Refused.ACCESS_ENDED
    assert pair.receiver.status is before, "it stands in no lane"
    assert pair.deliver(Side.RECEIVER, said) == Ruling.refused(why), "tried again, it tells nobody again"


def test_what_was_refused_shuts_the_packet_however_long_the_lane_becomes() -> None:
    pair = at_status(Status.ACCEPTED)
    refused = event(pair.sender, BY_STEP[Step.WITHDRAWN], n=2, seen=9)
    assert isinstance(pair.deliver(Side.RECEIVER, refused), Ruling)
    pair.say(Side.SENDER, Step.DISCLOSED)
    pair.deliver_all()
    assert pair.receiver.status is Status.DISCLOSED
    assert closed_to_reader(pair.receiver, NOON) is Refused.ACCESS_ENDED


def test_only_who_may_say_it_of_this_conversation_shuts_the_packet() -> None:
    pair = at_status(Status.ACCEPTED)
    taken_back = event(pair.sender, BY_STEP[Step.CONSENT_WITHDRAWN], n=2, seen=1)
    elsewhere = taken_back.model_copy(update={"conversation": ConversationId(next(FRESH))})
    assert pair.deliver(Side.RECEIVER, elsewhere) == Ruling.refused(Refused.OTHER_CONVERSATION)
    stranger = hearing.hear(pair.receiver, taken_back, OrganisationId("autre-fr"), act())
    assert stranger == Ruling.refused(Refused.UNKNOWN)
    ours = taken_back.model_copy(update={"n": 3})
    assert pair.deliver(Side.SENDER, ours) == Ruling.refused(Refused.NOT_THIS_SIDE)


def test_a_withdrawal_that_is_refused_is_no_news_once_the_person_is_there() -> None:
    pair = at_status(Status.ARRIVED)
    late = event(pair.sender, BY_STEP[Step.WITHDRAWN], n=3, seen=9)
    assert pair.deliver(Side.RECEIVER, late) == Ruling.refused(Refused.SEEN_AHEAD)
    taken_back = event(pair.sender, BY_STEP[Step.CONSENT_WITHDRAWN], n=3, seen=9)
    assert pair.deliver(Side.RECEIVER, taken_back) != Ruling.refused(Refused.SEEN_AHEAD)
    assert closed_to_reader(pair.receiver, NOON) is Refused.ACCESS_ENDED


def test_the_same_event_again_changes_nothing() -> None:
    pair = Pair.of(offered())
    pair.say(Side.RECEIVER, Step.OPENED)
    (opened,) = pair.under_way[Side.SENDER]
    pair.deliver_all()
    assert pair.deliver(Side.SENDER, opened) == Ruling()


def test_two_events_under_one_number_are_evidence() -> None:
    pair = at_status(Status.OPENED)
    other = event(pair.sender, BY_STEP[Step.DECLINED], n=1, seen=1)
    assert pair.deliver(Side.SENDER, other) == Ruling.refused(Refused.FORKED)
    same_id = other.model_copy(update={"id": pair.sender.lane(Side.RECEIVER)[0].id})
    assert pair.deliver(Side.SENDER, same_id) == Ruling.refused(Refused.FORKED)


def test_another_organisation_cannot_speak_of_the_referral() -> None:
    pair = at_status(Status.OPENED)
    accepted = event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=1)
    stranger = OrganisationId("autre-fr")
    assert hearing.hear(pair.sender, accepted, stranger, act()) == Ruling.refused(Refused.UNKNOWN)
    assert hearing.hear(pair.sender, accepted, SENDER, act()) == Ruling.refused(Refused.UNKNOWN)


def test_an_event_counts_for_the_referral_that_it_names_and_for_no_other() -> None:
    pair = at_status(Status.OPENED)
    accepted = event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=1)
    elsewhere = accepted.model_copy(update={"referral": at_status(Status.OPENED).sender.id})
    assert pair.deliver(Side.SENDER, elsewhere) == Ruling.refused(Refused.UNKNOWN)
    heard = pair.deliver(Side.SENDER, accepted)
    assert isinstance(heard, Ruling)
    assert state(heard).status is Status.ACCEPTED


def test_an_event_of_another_conversation_is_refused() -> None:
    pair = at_status(Status.OPENED)
    accepted = event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=1)
    moved = accepted.model_copy(update={"conversation": ConversationId(next(FRESH))})
    assert pair.deliver(Side.SENDER, moved) == Ruling.refused(Refused.OTHER_CONVERSATION)


def test_nobody_has_seen_what_was_never_said() -> None:
    pair = at_status(Status.OPENED)
    ahead = event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=2)
    assert pair.deliver(Side.SENDER, ahead) == Ruling.refused(Refused.SEEN_AHEAD)


def test_nobody_unsees() -> None:
    pair = at_status(Status.DISCLOSED)
    back = event(pair.sender, BY_STEP[Step.ARRIVED], n=2, seen=1)
    assert pair.deliver(Side.SENDER, back) == Ruling.refused(Refused.NOT_IN_TABLE), "it had not seen the disclosure"
    pair.say(Side.RECEIVER, Step.MISSED)
    pair.deliver_all()
    back = event(pair.sender, BY_STEP[Step.ARRIVED], n=3, seen=1)
    assert pair.deliver(Side.SENDER, back) == Ruling.refused(Refused.SEEN_BACK)


def test_a_partner_cannot_pretend_to_have_lost_a_race_to_say_what_the_table_forbids() -> None:
    """An arrival before disclosure is refused however little its author claims to have seen."""
    pair = at_status(Status.OPENED)
    for seen in (0, 1):
        arrived = event(pair.sender, BY_STEP[Step.ARRIVED], n=2, seen=seen)
        heard = pair.deliver(Side.SENDER, arrived)
        assert isinstance(heard, Ruling)
        assert heard.refusal is not None
        assert pair.sender.status is Status.OPENED


def test_a_clock_that_runs_ahead_does_not_stop_the_clocks_of_today() -> None:
    offer = told(offered(at=NOON + hearing.AHEAD))
    assert isinstance(offer, ReferralOffered)
    heard = state(
        hearing.hear_offer(
            offer, SENDER, RECEIVER, act(at=NOON), case=CaseId(next(FRESH)), hours=BRUSSELS, kinds=EVERY_KIND
        )
    )
    assert heard.deadlines.decision == NOON + timedelta(hours=72)


@pytest.mark.parametrize(("hours_ago", "read_in_hours"), [(23, 1), (200_000, 0)])
def test_clocks_run_since_the_offer_was_made_and_none_is_due_before_it_came(hours_ago: int, read_in_hours: int) -> None:
    offer = told(offered()).model_copy(update={"at": NOON - timedelta(hours=hours_ago)})
    assert isinstance(offer, ReferralOffered)
    heard = hearing.hear_offer(
        offer, SENDER, RECEIVER, act(), case=CaseId(next(FRESH)), hours=BRUSSELS, kinds=EVERY_KIND
    )
    assert dial(state(heard)).next_due == NOON + timedelta(hours=read_in_hours)
    assert state(heard).deadlines.decision >= NOON


def test_nothing_is_heard_from_the_future() -> None:
    late = NOON + hearing.AHEAD + timedelta(microseconds=1)
    offer = told(offered(at=late))
    assert isinstance(offer, ReferralOffered)
    heard = hearing.hear_offer(
        offer, SENDER, RECEIVER, act(at=NOON), case=CaseId(next(FRESH)), hours=BRUSSELS, kinds=EVERY_KIND
    )
    assert heard == Ruling.refused(Refused.AHEAD)
    pair = at_status(Status.DISCLOSED)
    arrived = event(pair.sender, BY_STEP[Step.ARRIVED], n=2, seen=2).model_copy(update={"at": late})
    assert pair.deliver(Side.SENDER, arrived, NOON) == Ruling.refused(Refused.AHEAD)
    replayed = pair.deliver(Side.SENDER, arrived, NOON + timedelta(microseconds=1))
    assert isinstance(replayed, Ruling)
    assert state(replayed).status is Status.ARRIVED


def test_a_receipt_tells_the_sender_once() -> None:
    sent = state(offered())
    received = hearing.hear_receipt(sent, act())
    assert [entry.code for entry in received.entries] == ["referral.received"]
    assert len(received.says) == 1
    withdrawn = at_status(Status.OFFERED)
    withdrawn.say(Side.SENDER, Step.WITHDRAWN)
    assert hearing.hear_receipt(withdrawn.sender, act()).says == ()
    assert hearing.hear_receipt(at_status(Status.OPENED).receiver, act()) == Ruling()


def test_a_receipt_of_anything_later_is_kept_count_of_without_a_word() -> None:
    pair = at_status(Status.OPENED)
    pair.say(Side.SENDER, Step.WITHDRAWN)
    assert pair.sender.unproved == (2,)
    received = hearing.hear_receipt(pair.sender, act(), 2)
    assert (state(received).unproved, received.says, received.entries) == ((), (), ())
    assert hearing.hear_receipt(state(received), act(), 2) == Ruling()


def test_whoever_says_what_they_have_seen_proves_to_hold_it() -> None:
    pair = Pair.of(offered())
    pair.say(Side.RECEIVER, Step.ASKED)
    pair.deliver_all()
    pair.say(Side.SENDER, Step.ANSWERED)
    pair.say(Side.SENDER, Step.WITHDRAWN)
    assert pair.sender.unproved == (2, 3)
    heard = pair.deliver(Side.SENDER, event(pair.sender, BY_STEP[Step.ACCEPTED], n=2, seen=2))
    assert isinstance(heard, Ruling)
    assert state(heard).unproved == (3,)


def test_what_is_disclosed_replaces_the_terms_of_the_offer() -> None:
    pair = at_status(Status.ACCEPTED)
    narrower = Terms(purposes=frozenset({Purpose.SUPPORT}), until=NOON + timedelta(days=90))
    data = DisclosedData(packet=packet(), terms=narrower)
    pair.sender = state(said := say(pair.sender, act(), ReferralDisclosed, data, released(*Category)))
    heard = pair.deliver(Side.RECEIVER, told(said))
    assert isinstance(heard, Ruling)
    assert pair.receiver.terms == pair.sender.terms == narrower
    assert {paper.name for paper in heard.papers} == set(Category)


def test_each_event_leaves_its_papers_at_both_ends() -> None:
    expected = {
        Step.ASKED: {PaperName.QUESTION},
        Step.ACCEPTED: {PaperName.MEETING},
        Step.DECLINED: {PaperName.DECLINE},
        Step.REDIRECTED: {PaperName.REDIRECT},
        Step.OPENED: set(),
    }
    for step, names in expected.items():
        pair = at_status(Status.RECEIVED)
        said = pair.say(Side.RECEIVER, step)
        heard = pair.deliver_next(Side.SENDER)
        for ruling, copy in ((said, pair.receiver), (heard, pair.sender)):
            assert {paper.name for paper in ruling.papers} == names
            assert all(paper.case == copy.case for paper in ruling.papers)


def test_an_event_id_is_not_enough_to_be_the_same_event() -> None:
    pair = at_status(Status.OPENED)
    first = pair.sender.lane(Side.RECEIVER)[0]
    copied = event(pair.sender, BY_STEP[Step.OPENED], n=1, seen=1, at=first.at)
    assert pair.deliver(Side.SENDER, copied) == Ruling.refused(Refused.FORKED)
    assert pair.deliver(Side.SENDER, copied.model_copy(update={"id": EventId(first.id)})) == Ruling()


@pytest.mark.parametrize("step", sorted(FEEDBACK))
def test_news_that_the_person_does_not_let_flow_back_counts_without_its_words(step: Step) -> None:
    arrived = at_status(Status.ARRIVED)
    silent = replace(arrived.sender, terms=arrived.sender.terms.model_copy(update={"feedback": False}))
    taken_back = at_status(Status.ARRIVED)
    said = event(arrived.sender, BY_STEP[step], n=3, seen=2)
    allowed = hearing.hear(arrived.sender, said, RECEIVER, act())
    assert isinstance(allowed, Ruling)
    assert (len(allowed.papers), "refused" in allowed.entries[0].detail) == (1, False)
    state(taken_back.say(Side.SENDER, Step.CONSENT_WITHDRAWN))
    crossed = event(taken_back.sender, BY_STEP[step], n=3, seen=2)
    for referral, heard in ((silent, said), (taken_back.sender, crossed)):
        ruling = hearing.hear(referral, heard, RECEIVER, act())
        assert isinstance(ruling, Ruling)
        assert ruling.papers == ()
        assert ruling.entries[0].detail == {**allowed.entries[0].detail, "refused": "feedback-not-granted"}
        assert state(ruling).lane(Side.RECEIVER)[-1].step is step
        assert (Side.RECEIVER, 3) not in state(ruling).standing.superseded


@pytest.mark.parametrize("step", sorted(FEEDBACK))
def test_news_that_was_on_its_way_when_the_terms_ended_keeps_its_words(step: Step) -> None:
    arrived = at_status(Status.ARRIVED).sender
    until = NOON + timedelta(hours=1)
    referral = replace(arrived, terms=arrived.terms.model_copy(update={"until": until}))
    for at, words in ((NOON, 1), (until, 0)):
        heard = hearing.hear(referral, event(arrived, BY_STEP[step], n=3, seen=2, at=at), RECEIVER, act(at=until))
        assert isinstance(heard, Ruling)
        assert len(heard.papers) == words


def test_a_step_without_words_keeps_what_it_says_in_codes() -> None:
    arrived = at_status(Status.ARRIVED).sender
    silent = replace(arrived, terms=arrived.terms.model_copy(update={"feedback": False}))
    for data in (ClosedData(outcome=Outcome.GOT_HELP), ProgressedData(code=ProgressCode.SETTLED)):
        heard = hearing.hear(silent, event(arrived, data, n=3, seen=2), RECEIVER, act())
        assert isinstance(heard, Ruling)
        assert (len(heard.papers), "refused" in heard.entries[0].detail) == (1, False)
