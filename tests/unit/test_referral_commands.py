"""What staff can do besides moving along the table: the gate at every outlet, terms that end, the other candidates."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.referral.domain import access, casework, life, receiving, sending
from services.referral.domain.casefile import CaseFile
from services.referral.domain.grants import Grant
from services.referral.domain.life import SAID_BY, Side
from services.referral.domain.moves import contents, has_words, rests_on
from services.referral.domain.policy import Recipient
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Paper, PaperName, Ruling, Tell
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
from shared.contracts.event_data import (
    AskedData,
    ClosedData,
    DeclinedData,
    EventData,
    OfferedData,
    ProgressedData,
    RedirectedData,
    Terms,
)
from shared.contracts.exchange import EVENTS, LANE_LIMIT
from shared.contracts.ids import OrganisationId
from shared.contracts.packet import IDENTIFYING
from tests.support.referral_pairs import Pair, at_status
from tests.support.referrals import (
    BY_STEP,
    CANARY,
    MEETING,
    NOON,
    NOOR,
    RECEIVER,
    SENDER,
    ZOE,
    act,
    casefile,
    grant,
    leg,
    offered,
    only,
    recipient,
    released,
    state,
    told,
)

EVERYTHING = frozenset(Category)


def offer(*categories: Category, given: CaseFile, to: Recipient | None = None, **changes: object) -> Ruling[Referral]:
    """Offer these categories of a case, to the receiver, with a few ``changes``."""
    fields = {"to": RECEIVER, "kind": ReferralKind.TRANSFER, "urgency": Urgency.URGENT, "categories": categories}
    asked = sending.OfferAsked.model_validate({**fields, **changes})
    return sending.offer(leg(), act(), asked, given, to or recipient())


def answer(referral: Referral, *categories: Category, given: CaseFile, **changes: object) -> Ruling[Referral]:
    """Answer with these categories of a case."""
    asked = sending.AnswerAsked.model_validate({"answer": CANARY, "categories": categories, **changes})
    return sending.answer(referral, act(), asked, given, recipient())


def disclose(
    referral: Referral, *grants: Grant, legs: tuple[Referral, ...] = (), categories: frozenset[Category] = EVERYTHING
) -> Ruling[Referral]:
    """Disclose everything, or these categories, of a case with these ``grants``."""
    asked = sending.DiscloseAsked(categories=categories)
    return sending.disclose(referral, act(), asked, casefile(*grants, legs=legs), recipient())


def test_an_offer_tells_the_recipient_alone_and_keeps_what_it_told() -> None:
    given = casefile(grant(until=NOON + timedelta(days=30)))
    ruling = offer(Category.SUMMARY, Category.HEALTH, given=given)
    (said,) = ruling.says
    assert isinstance(said, Tell)
    assert said.to == RECEIVER
    assert isinstance(said.event.data, OfferedData)
    assert said.event.data.packet.categories() == {Category.SUMMARY, Category.HEALTH}
    assert said.event.data.terms.until == NOON + timedelta(days=30)
    assert {paper.name for paper in ruling.papers} == {Category.SUMMARY, Category.HEALTH}
    assert {paper.case for paper in ruling.papers} == {state(ruling).case}
    detail = ruling.entries[0].detail
    assert (detail["categories"], detail["bases"], detail["receiver"]) == ("health summary", "grant", RECEIVER)
    assert state(ruling).assignee == NOOR


def test_an_offer_that_is_not_wholly_covered_does_not_leave_at_all() -> None:
    ruling = offer(Category.SUMMARY, Category.HEALTH, Category.RISK, given=casefile(grant(Category.SUMMARY)))
    assert ruling == Ruling.refused(Refused.NOT_RELEASED, health="no-grant", risk="no-grant")


@pytest.mark.parametrize("category", sorted(IDENTIFYING))
def test_who_it_is_is_not_in_an_offer_without_a_reason(category: Category) -> None:
    refused = offer(Category.SUMMARY, category, given=casefile(grant()))
    assert refused == Ruling.refused(Refused.NOT_RELEASED, **{category.value: "identity-before-acceptance"})
    ruling = offer(Category.SUMMARY, category, given=casefile(grant()), identity_reason=CANARY)
    assert {paper.name for paper in ruling.papers} == {Category.SUMMARY, category, PaperName.IDENTITY_REASON}


def test_a_kind_that_is_not_agreed_is_not_sent() -> None:
    fewer = replace(recipient(), kinds=EVERY_KIND - {ReferralKind.SERVICE})
    given = casefile(grant())
    assert offer(Category.SUMMARY, given=given, kind=ReferralKind.SERVICE).refusal is None
    ruling = offer(Category.SUMMARY, given=given, to=fewer, kind=ReferralKind.SERVICE)
    assert ruling == Ruling.refused(Refused.KIND_NOT_AGREED)


def test_without_an_agreement_it_is_the_agreement_that_is_missing() -> None:
    stranger = replace(recipient(), agreed=False, kinds=frozenset())
    ruling = offer(Category.SUMMARY, given=casefile(grant()), to=stranger)
    assert ruling == Ruling.refused(Refused.NOT_RELEASED, summary="no-agreement")


def test_nobody_refers_to_themselves() -> None:
    ruling = offer(Category.SUMMARY, given=casefile(grant(recipient=SENDER)), to=recipient(SENDER))
    assert ruling == Ruling.refused(Refused.NOT_WITH_ITSELF)


def test_a_packet_is_cut_from_the_case_and_from_nothing_else() -> None:
    thin = replace(casefile(grant()), parts=only(Category.SUMMARY).parts())
    lacking: Ruling[Referral] = Ruling.refused(Refused.NOT_IN_CASE, health="missing", risk="missing")
    assert offer(Category.SUMMARY, Category.RISK, Category.HEALTH, given=thin) == lacking
    assert answer(at_status(Status.ASKED).sender, Category.RISK, Category.HEALTH, given=thin) == lacking
    asked = sending.DiscloseAsked(categories=frozenset({Category.RISK, Category.HEALTH}))
    accepted = at_status(Status.ACCEPTED).sender
    assert sending.disclose(accepted, act(), asked, thin, recipient()) == lacking


def test_a_further_leg_starts_from_the_case_of_its_conversation() -> None:
    first = at_status(Status.OPENED).sender
    second = offer(Category.SUMMARY, given=casefile(grant(), legs=(first,)), conversation=first.conversation)
    assert state(second).conversation == first.conversation
    elsewhere = offer(Category.SUMMARY, given=casefile(grant()), conversation=first.conversation)
    assert elsewhere == Ruling.refused(Refused.OTHER_CONVERSATION)


def test_an_answer_passes_the_same_gate() -> None:
    asked, health = at_status(Status.ASKED).sender, Category.HEALTH
    given = casefile(grant(Category.SUMMARY))
    assert answer(asked, health, given=given) == Ruling.refused(Refused.NOT_RELEASED, health="no-grant")
    assert state(answer(asked, health, given=casefile(grant()))).status is Status.OPENED
    opened = at_status(Status.OPENED).sender
    assert answer(opened, health, given=casefile()) == Ruling.refused(Refused.NOT_IN_TABLE, status="opened")


def test_an_answer_that_says_who_it_is_says_why() -> None:
    asked, given = at_status(Status.ASKED).sender, casefile(grant())
    refused = answer(asked, Category.IDENTITY, given=given)
    assert refused == Ruling.refused(Refused.NOT_RELEASED, identity="identity-before-acceptance")
    assert state(answer(asked, Category.IDENTITY, given=given, identity_reason=CANARY)).status is Status.OPENED


def test_disclosing_passes_the_gate_and_follows_acceptance() -> None:
    accepted = at_status(Status.ACCEPTED).sender
    assert disclose(accepted, grant(Category.IDENTITY)).refusal is not None
    ruling = disclose(accepted, grant())
    assert state(ruling).status is Status.DISCLOSED
    assert ruling.entries[0].detail["bases"] == "grant"
    early = disclose(at_status(Status.OPENED).sender, grant())
    assert early == Ruling.refused(Refused.NOT_IN_TABLE, status="opened")


def test_taking_a_grant_back_reaches_every_holder_once() -> None:
    given = grant()
    waiting, closed = at_status(Status.OPENED).sender, at_status(Status.CLOSED).sender
    elsewhere = replace(at_status(Status.OPENED).sender, receiver=OrganisationId("accueil-fr"))
    received = at_status(Status.OPENED).receiver
    legs = (waiting, closed, elsewhere, received)
    ruling = casework.take_back(casefile(given, legs=legs), act(at=NOON), given.id)
    assert ruling.grant == replace(given, withdrawn_at=NOON)
    assert [state(other).id for other in ruling.also] == [waiting.id, closed.id]
    assert {told(other).step for other in ruling.also} == {Step.CONSENT_WITHDRAWN}
    taken = casefile(ruling.grant, legs=tuple(state(other) for other in ruling.also))
    assert casework.take_back(taken, act(), given.id) == Ruling()


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


def with_words(step: Step) -> EventData:
    """Return what ``step`` says, with a note where it may have one."""
    data = BY_STEP[step]
    return data.model_copy(update={"note": CANARY}) if "note" in type(data).model_fields else data


@pytest.mark.parametrize("step", sorted(life.FEEDBACK))
@pytest.mark.parametrize("terms", ["no feedback", "ended", "taken back"])
def test_no_command_says_in_words_after_the_arrival_what_the_person_does_not_allow(step: Step, terms: str) -> None:
    pair = at_status(Status.CLOSING if terms == "taken back" else Status.ARRIVED)
    here = pair.receiver
    if terms != "taken back":
        here = replace(here, terms=ENDED if terms == "ended" else here.terms.model_copy(update={"feedback": False}))
    said = say(here, act(ZOE), EVENTS[step], with_words(step))
    code = Refused.NO_FEEDBACK if life.after(here.status, step) else Refused.NOT_IN_TABLE
    assert said == Ruling.refused(code, status=here.status.value)


DISCLOSES = [step for step, by in SAID_BY.items() if by is Side.SENDER and rests_on(contents(BY_STEP[step]).items())]


@pytest.mark.parametrize("step", sorted({*DISCLOSES} - {Step.OFFERED}))
def test_a_sender_says_nothing_that_the_gate_was_not_asked_about(step: Step) -> None:
    here = at_status(next(status for status, each in life.TABLE if each is step and status is not None)).sender
    data, refused = BY_STEP[step], Ruling[Referral].refused(Refused.NOT_RELEASED, status=here.status.value)
    wanted = rests_on(contents(data).items())
    assert say(here, act(), EVENTS[step], data) == refused
    for category in wanted:
        assert say(here, act(), EVENTS[step], data, released(*wanted - {category})) == refused
    assert state(say(here, act(), EVENTS[step], data, released(*wanted))).lane(Side.SENDER)[-1].step is step


@pytest.mark.parametrize("step", EVENTS)
def test_whatever_has_words_has_a_paper_that_the_gate_can_be_asked_about(step: Step) -> None:
    assert has_words(BY_STEP[step]) == bool(contents(BY_STEP[step]))


@pytest.mark.parametrize("status", Status)
def test_access_ends_where_the_referral_does(status: Status) -> None:
    pair = at_status(status)
    over = status in (Status.DECLINED, Status.REDIRECTED, Status.CLOSING, Status.WITHDRAWN)
    pair.deliver_all()
    assert access.closed_to_reader(pair.receiver, NOON) is (Refused.ACCESS_ENDED if over else None)
    assert access.closed_to_reader(pair.sender, NOON) is None


def test_access_ends_at_once_when_consent_is_withdrawn() -> None:
    pair = at_status(Status.ARRIVED)
    pair.sender = state(ruling := sending.withdraw_consent(pair.sender, act()))
    pair.deliver(Side.RECEIVER, told(ruling))
    assert pair.receiver.status is Status.CLOSING
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


@pytest.mark.parametrize("status", Status)
def test_consent_that_was_taken_back_already_is_told_nobody_again(status: Status) -> None:
    pair = at_status(status)
    if pair.sender.standing.consent_withdrawn_at is None:
        pair.sender = state(sending.withdraw_consent(pair.sender, act()))
    assert sending.withdraw_consent(pair.sender, act()) == Ruling()
    refused: Ruling[Referral] = Ruling.refused(Refused.NOT_THIS_SIDE, status=pair.receiver.status.value)
    assert sending.withdraw_consent(pair.receiver, act()) == refused


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("side", Side)
def test_where_a_lane_has_no_place_left_all_is_refused_and_nothing_fails(side: Side, status: Status) -> None:
    referral = at_status(status).copy(side)
    lanes = referral.course.lanes
    idle = replace(lanes.sender[0], step=Step.OFFERED, seen=0)
    full = replace(lanes, **{side.value: (*lanes.of(side), *[idle] * LANE_LIMIT)})
    for step in (step for step, by in SAID_BY.items() if by is side):
        ruling = say(replace(referral, course=Course(full)), act(), EVENTS[step], BY_STEP[step])
        assert ruling.refusal is not None
        assert ruling.refusal.code in (Refused.LANE_FULL, Refused.NOT_IN_TABLE)


def test_withdrawing_and_rescheduling_say_what_staff_meant() -> None:
    withdrawn = sending.withdraw(at_status(Status.OPENED).sender, act(), WithdrawReason.UNSAFE)
    assert state(withdrawn).lane(Side.SENDER)[-1].codes == ("unsafe",)
    assert withdrawn.entries[0].detail == {"codes": "unsafe"}
    asked = sending.RescheduleAsked(meeting=MEETING, expected=LATER)
    again = sending.reschedule(at_status(Status.MISSED).sender, act(), asked, casefile(grant()), recipient())
    assert state(again).standing.expected == LATER
    assert [paper.name for paper in again.papers] == [PaperName.MEETING]


def test_no_ruling_shows_what_it_holds() -> None:
    ruling = disclose(at_status(Status.ACCEPTED).sender, grant())
    assert len(ruling.papers) == len(Category)
    assert all(isinstance(paper, Paper) for paper in ruling.papers)
    for shown in (repr(ruling), str(ruling), f"{ruling}", repr(ruling.papers), repr(ruling.says)):
        assert CANARY not in shown
