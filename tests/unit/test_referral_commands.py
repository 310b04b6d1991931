"""What staff can do besides moving along the table: the gate at every outlet, terms that end, the other candidates."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.referral.domain import access, receiving, sending
from services.referral.domain.grants import Grant
from services.referral.domain.life import Side
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Paper, Ruling, Tell, Words
from services.referral.domain.saying import RESERVED, say
from services.referral.domain.standing import Course
from shared.contracts.codes import (
    EVERY_KIND,
    Category,
    DeclinedBy,
    DeclineReason,
    Outcome,
    ProgressCode,
    Purpose,
    ReferralKind,
    Status,
    Step,
    Urgency,
    WithdrawReason,
)
from shared.contracts.exchange import (
    EVENTS,
    LANE_LIMIT,
    AnsweredData,
    AskedData,
    ClosedData,
    DeclinedData,
    OfferedData,
    ProgressedData,
    RedirectedData,
    Terms,
)
from shared.contracts.ids import CaseId, ConversationId, OrganisationId, ReferralId
from shared.contracts.packet import IDENTIFYING, Packet
from tests.support.referral_pairs import Pair, at_status
from tests.support.referrals import (
    BRUSSELS,
    BY_STEP,
    CANARY,
    FRESH,
    MEETING,
    NOON,
    NOOR,
    RECEIVER,
    SENDER,
    ZOE,
    act,
    grant,
    grounds,
    offered,
    only,
    packet,
    state,
    told,
)

LEG = sending.Leg(ReferralId(next(FRESH)), ConversationId(next(FRESH)), CaseId(next(FRESH)), SENDER)


def offer(given: Packet, *grants: Grant, identity_reason: str | None = None) -> Ruling[Referral]:
    """Offer ``given`` on the ground of ``grants``."""
    asked = sending.Offer(
        kind=ReferralKind.TRANSFER, urgency=Urgency.URGENT, packet=given, identity_reason=identity_reason
    )
    return sending.offer(asked, LEG, act(), by=NOOR, grounds=grounds(*grants), hours=BRUSSELS)


def test_an_offer_tells_the_recipient_alone_and_keeps_what_it_told() -> None:
    ruling = offer(only(Category.SUMMARY, Category.HEALTH), grant(until=NOON + timedelta(days=30)))
    (said,) = ruling.says
    assert isinstance(said, Tell)
    assert said.to == RECEIVER
    assert isinstance(said.event.data, OfferedData)
    assert said.event.data.packet.categories() == {Category.SUMMARY, Category.HEALTH}
    assert said.event.data.terms.until == NOON + timedelta(days=30)
    assert {paper.name for paper in ruling.papers} == {Category.SUMMARY, Category.HEALTH}
    assert {paper.case for paper in ruling.papers} == {LEG.case}
    detail = ruling.entries[0].detail
    assert (detail["categories"], detail["bases"], detail["receiver"]) == ("health summary", "grant", RECEIVER)
    assert state(ruling).assignee == NOOR


def test_an_offer_that_is_not_wholly_covered_does_not_leave_at_all() -> None:
    ruling = offer(only(Category.SUMMARY, Category.HEALTH, Category.RISK), grant(Category.SUMMARY))
    assert ruling == Ruling.refused(Refused.NOT_RELEASED, health="no-grant", risk="no-grant")


@pytest.mark.parametrize("category", sorted(IDENTIFYING))
def test_who_it_is_is_not_in_an_offer_without_a_reason(category: Category) -> None:
    given = only(Category.SUMMARY, category)
    assert offer(given, grant()) == Ruling.refused(
        Refused.NOT_RELEASED, **{category.value: "identity-before-acceptance"}
    )
    ruling = offer(given, grant(), identity_reason=CANARY)
    assert {paper.name for paper in ruling.papers} == {Category.SUMMARY, category, Words.IDENTITY_REASON}


def test_a_kind_that_is_not_agreed_is_not_sent() -> None:
    asked = sending.Offer(kind=ReferralKind.SERVICE, urgency=Urgency.URGENT, packet=only(Category.SUMMARY))
    agreed = grounds(grant())
    fewer = replace(agreed, recipient=replace(agreed.recipient, kinds=EVERY_KIND - {ReferralKind.SERVICE}))
    assert sending.offer(asked, LEG, act(), by=NOOR, grounds=agreed, hours=BRUSSELS).refusal is None
    ruling = sending.offer(asked, LEG, act(), by=NOOR, grounds=fewer, hours=BRUSSELS)
    assert ruling == Ruling.refused(Refused.KIND_NOT_AGREED)


def test_nobody_refers_to_themselves() -> None:
    asked = sending.Offer(kind=ReferralKind.SERVICE, urgency=Urgency.URGENT, packet=only(Category.SUMMARY))
    to_self = grounds(grant(recipient=SENDER), organisation=SENDER)
    ruling = sending.offer(asked, LEG, act(), by=NOOR, grounds=to_self, hours=BRUSSELS)
    assert ruling == Ruling.refused(Refused.NOT_WITH_ITSELF)


def test_an_answer_passes_the_same_gate() -> None:
    asked = at_status(Status.ASKED).sender
    health = AnsweredData(answer=CANARY, packet=only(Category.HEALTH))
    assert sending.answer(asked, act(), health, grounds()).refusal is not None
    assert state(sending.answer(asked, act(), health, grounds(grant()))).status is Status.OPENED
    assert state(sending.answer(asked, act(), AnsweredData(answer=CANARY), grounds())).status is Status.OPENED
    opened = at_status(Status.OPENED).sender
    assert (
        sending.answer(opened, act(), health, grounds()).refusal
        == Ruling.refused(Refused.NOT_IN_TABLE, status="opened").refusal
    )


def test_disclosing_passes_the_gate_and_follows_acceptance() -> None:
    accepted = at_status(Status.ACCEPTED).sender
    assert sending.disclose(accepted, act(), packet(), grounds(grant(Category.IDENTITY))).refusal is not None
    ruling = sending.disclose(accepted, act(), packet(), grounds(grant()))
    assert state(ruling).status is Status.DISCLOSED
    assert ruling.entries[0].detail["bases"] == "grant"
    early = sending.disclose(at_status(Status.OPENED).sender, act(), packet(), grounds(grant()))
    assert early == Ruling.refused(Refused.NOT_IN_TABLE, status="opened")


def test_a_person_on_the_way_to_one_organisation_is_handed_to_no_second_one() -> None:
    chosen, other = at_status(Status.DISCLOSED).sender, at_status(Status.ACCEPTED).sender
    other = replace(other, conversation=chosen.conversation)
    ruling = sending.disclose(other, act(), packet(), grounds(grant()), legs=(chosen, other))
    assert ruling == Ruling.refused(Refused.ANOTHER_CHOSEN, status="accepted")
    service = replace(other, kind=ReferralKind.SERVICE)
    assert (
        state(sending.disclose(service, act(), packet(), grounds(grant()), legs=(chosen,))).status is Status.DISCLOSED
    )


def test_the_other_candidates_are_withdrawn_and_learn_nothing() -> None:
    chosen = at_status(Status.ACCEPTED).sender
    open_one, accepted = (
        replace(at_status(status).sender, conversation=chosen.conversation)
        for status in (Status.OPENED, Status.ACCEPTED)
    )
    closed = replace(at_status(Status.DECLINED).sender, conversation=chosen.conversation)
    elsewhere = at_status(Status.OPENED).sender
    legal_aid = replace(open_one, id=elsewhere.id, kind=ReferralKind.SERVICE)
    ruling = sending.disclose(
        chosen, act(), packet(), grounds(grant()), (chosen, open_one, accepted, closed, elsewhere, legal_aid)
    )
    assert state(ruling).status is Status.DISCLOSED
    assert [state(other).id for other in ruling.also] == [open_one.id, accepted.id]
    for other in ruling.also:
        assert told(other).data.model_dump() == {"reason": WithdrawReason.NO_LONGER_NEEDED}


def test_taking_a_grant_back_reaches_every_holder_once() -> None:
    given = grant()
    waiting, closed = at_status(Status.OPENED).sender, at_status(Status.CLOSED).sender
    elsewhere = replace(at_status(Status.OPENED).sender, receiver=OrganisationId("accueil-fr"))
    received = at_status(Status.OPENED).receiver
    ruling = sending.take_back(given, (waiting, closed, elsewhere, received), act(at=NOON))
    assert ruling.state is not None
    assert ruling.state.withdrawn_at == NOON
    assert [state(other).id for other in ruling.also] == [waiting.id, closed.id]
    assert {told(other).step for other in ruling.also} == {Step.CONSENT_WITHDRAWN}
    again = sending.take_back(ruling.state, [state(other) for other in ruling.also], act())
    assert again == Ruling()


LATER = NOON + timedelta(days=1)


ENDED = Terms(purposes=frozenset({Purpose.SUPPORT}), until=NOON, feedback=True)


def test_when_the_grant_has_run_out_reading_and_deciding_wait() -> None:
    received = replace(at_status(Status.RECEIVED).receiver, terms=ENDED)
    refused: Ruling[Referral] = Ruling.refused(Refused.TERMS_ENDED, status="received")
    assert receiving.read_first(received, act(ZOE), ZOE) == refused
    assert receiving.ask(received, act(ZOE), AskedData(question=CANARY)) == refused
    assert receiving.accept(received, act(ZOE), MEETING) == refused
    assert access.closed_to_reader(received, NOON) is Refused.TERMS_ENDED
    before = NOON - timedelta(seconds=1)
    assert state(receiving.read_first(received, act(ZOE, before), ZOE)).status is Status.OPENED
    assert access.closed_to_reader(received, before) is None


def test_what_protects_the_person_never_waits_for_a_grant() -> None:
    received = replace(at_status(Status.RECEIVED).receiver, terms=ENDED)
    declined = DeclinedData(reason=DeclineReason.NO_CAPACITY, by=DeclinedBy.PROVIDER)
    assert state(receiving.decline(received, act(ZOE), declined)).status is Status.DECLINED
    elsewhere = RedirectedData(name=CANARY, reason=DeclineReason.OUT_OF_AREA)
    assert state(receiving.redirect(received, act(ZOE), elsewhere)).status is Status.REDIRECTED
    disclosed = replace(at_status(Status.DISCLOSED).receiver, terms=ENDED)
    arrived = state(receiving.arrive(disclosed, act(ZOE)))
    assert state(receiving.close(arrived, act(ZOE), ClosedData(outcome=Outcome.GOT_HELP))).status is Status.CLOSED
    progressed = receiving.progress(arrived, act(ZOE), ProgressedData(code=ProgressCode.SETTLED))
    assert progressed == Ruling.refused(Refused.NO_FEEDBACK, status="arrived")


def test_nothing_flows_back_that_the_person_did_not_allow() -> None:
    arrived = at_status(Status.ARRIVED).receiver
    settled = ProgressedData(code=ProgressCode.SETTLED)
    assert state(receiving.progress(arrived, act(ZOE), settled)).status is Status.ARRIVED
    silent = replace(arrived, terms=arrived.terms.model_copy(update={"feedback": False}))
    assert receiving.progress(silent, act(ZOE), settled) == Ruling.refused(Refused.NO_FEEDBACK, status="arrived")
    early = receiving.progress(at_status(Status.OPENED).receiver, act(ZOE), settled)
    assert early == Ruling.refused(Refused.NOT_IN_TABLE, status="opened")


@pytest.mark.parametrize("status", Status)
def test_access_ends_where_the_referral_does(status: Status) -> None:
    pair = at_status(status)
    over = status in (Status.DECLINED, Status.REDIRECTED, Status.WITHDRAWN)
    pair.deliver_all()
    assert access.closed_to_reader(pair.receiver, NOON) is (Refused.ACCESS_ENDED if over else None)
    assert access.closed_to_reader(pair.sender, NOON) is None


def test_access_ends_at_once_when_consent_is_withdrawn() -> None:
    pair = at_status(Status.ARRIVED)
    pair.sender = state(ruling := sending.withdraw_consent(pair.sender, act()))
    pair.deliver(Side.RECEIVER, told(ruling))
    assert pair.receiver.status is Status.CLOSED
    assert access.closed_to_reader(pair.receiver, NOON) is Refused.ACCESS_ENDED


def test_whoever_reads_first_follows_it() -> None:
    received = Pair.of(offered()).receiver
    assert state(receiving.read_first(received, act(ZOE), ZOE)).assignee == ZOE
    assigned = replace(received, assignee=NOOR)
    assert state(receiving.read_first(assigned, act(ZOE), ZOE)).assignee == NOOR


def test_a_full_lane_still_lets_the_person_arrive_and_leave() -> None:
    arrived = at_status(Status.ARRIVED).receiver
    lane = arrived.lane(Side.RECEIVER)
    progressed = replace(lane[-1], step=Step.PROGRESSED)
    room = LANE_LIMIT - RESERVED - len(lane)
    lanes = replace(arrived.course.lanes, receiver=(*lane, *[progressed] * room))
    full = replace(arrived, course=Course(lanes))
    refused = say(full, act(ZOE), EVENTS[Step.PROGRESSED], BY_STEP[Step.PROGRESSED])
    assert refused == Ruling.refused(Refused.LANE_FULL, status="arrived")
    assert state(receiving.close(full, act(ZOE), ClosedData(outcome=Outcome.GOT_PART))).status is Status.CLOSED


def test_withdrawing_and_rescheduling_say_what_staff_meant() -> None:
    withdrawn = sending.withdraw(at_status(Status.OPENED).sender, act(), WithdrawReason.UNSAFE)
    assert state(withdrawn).lane(Side.SENDER)[-1].codes == ("unsafe",)
    assert withdrawn.entries[0].detail == {"codes": "unsafe"}
    again = sending.reschedule(at_status(Status.MISSED).sender, act(), MEETING, LATER)
    assert state(again).standing.expected == LATER
    assert [paper.name for paper in again.papers] == [Words.MEETING]


def test_no_ruling_shows_what_it_holds() -> None:
    ruling = sending.disclose(at_status(Status.ACCEPTED).sender, act(), packet(), grounds(grant()))
    assert len(ruling.papers) == len(Category)
    assert all(isinstance(paper, Paper) for paper in ruling.papers)
    for shown in (repr(ruling), str(ruling), f"{ruling}", repr(ruling.papers), repr(ruling.says)):
        assert CANARY not in shown
