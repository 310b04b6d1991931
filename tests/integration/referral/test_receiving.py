"""The receiver's side: what staff do over HTTP, what the partner is told, and when the packet is closed to readers."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.contracts.codes import Purpose, Status, Step, WithdrawReason
from shared.contracts.event_data import (
    AnsweredData,
    ConsentWithdrawnData,
    DisclosedData,
    RescheduledData,
    Terms,
    WithdrawnData,
)
from shared.contracts.exchange import ReferralEvent
from tests.support.desk import DeskAtWork, further, meeting
from tests.support.referrals import BY_STEP, CANARY, packet, summary

ALLOWED = Terms(purposes=frozenset({Purpose.SUPPORT}), feedback=True)


def body(step: Step) -> object:
    return BY_STEP[step].model_dump(mode="json", exclude_none=True)


def a_meeting() -> dict[str, object]:
    agreed = meeting()
    return {"meeting": agreed.model_dump(mode="json", exclude_none=True), "expected": str(agreed.when)}


async def disclosed(desk: DeskAtWork, terms: Terms = ALLOWED) -> ReferralEvent:
    offer = await desk.was_offered(terms=terms)
    await desk.do(offer.referral, "accept", a_meeting())
    await desk.hear(further(offer, DisclosedData(packet=packet(), terms=terms), 2, 1))
    await desk.stands(offer.referral, Status.DISCLOSED)
    return offer


async def test_a_person_is_received_and_every_step_is_told(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    referral = offer.referral
    await desk.told_staff(referral, "referral.received")
    opened = await desk.do(referral, "open")
    assert (opened["status"], opened["assignee"]) == ("opened", "noor")
    await desk.do(referral, "ask", body(Step.ASKED))
    await desk.hear(further(offer, AnsweredData(answer=CANARY), 2, 2))
    await desk.stands(referral, Status.OPENED)
    await desk.do(referral, "accept", a_meeting())
    await desk.hear(further(offer, DisclosedData(packet=packet(), terms=ALLOWED), 3, 3))
    await desk.stands(referral, Status.DISCLOSED)
    await desk.do(referral, "miss", body(Step.MISSED))
    await desk.hear(further(offer, RescheduledData(meeting=meeting()), 4, 4))
    await desk.stands(referral, Status.DISCLOSED)
    arrived = await desk.do(referral, "arrive")
    assert (arrived["status"], arrived["responsible"]) == ("arrived", desk.us.id)
    await desk.do(referral, "progress", body(Step.PROGRESSED))
    await desk.do(referral, "close", body(Step.CLOSED))
    await desk.partner.told(referral, Step.CLOSED)
    steps = [event.step for _, event in desk.partner.heard(referral)]
    assert steps == [
        Step.OPENED,
        Step.ASKED,
        Step.ACCEPTED,
        Step.MISSED,
        Step.ARRIVED,
        Step.PROGRESSED,
        Step.CLOSED,
    ]
    assert [event.n for _, event in desk.partner.heard(referral)] == list(range(1, 8))
    names = {paper["name"] for paper in (await desk.get(f"/referrals/{referral}/papers")).json()}
    assert names > {"identity", "narrative", "question", "answer", "meeting", "progress", "closing"}


async def test_to_open_the_papers_of_an_offer_tells_its_sender(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    assert (await desk.get(f"/referrals/{offer.referral}/papers")).status_code == 200
    await desk.partner.told(offer.referral, Step.OPENED)
    shown = (await desk.get(f"/referrals/{offer.referral}")).json()
    assert (shown["status"], shown["assignee"]) == ("opened", "noor")
    assert (await desk.get(f"/referrals/{offer.referral}/papers")).status_code == 200
    assert [event.step for _, event in desk.partner.heard(offer.referral)] == [Step.OPENED]


@pytest.mark.parametrize("step", [Step.DECLINED, Step.REDIRECTED])
async def test_a_referral_that_is_turned_down_is_closed_to_readers(desk: DeskAtWork, step: Step) -> None:
    offer = await desk.was_offered()
    assert (await desk.get(f"/referrals/{offer.referral}/papers")).status_code == 200
    command = {Step.DECLINED: "decline", Step.REDIRECTED: "redirect"}[step]
    assert (await desk.do(offer.referral, command, body(step)))["status"] == step.value
    assert (await desk.partner.told(offer.referral, step))[1].data == BY_STEP[step]
    closed = await desk.get(f"/referrals/{offer.referral}/papers")
    assert (closed.status_code, closed.json()["code"]) == (409, "access-ended")


async def test_consent_that_is_taken_back_closes_the_packet_at_once(desk: DeskAtWork) -> None:
    offer = await disclosed(desk)
    await desk.do(offer.referral, "arrive")
    await desk.hear(further(offer, ConsentWithdrawnData(), 3, 2))
    await desk.stands(offer.referral, Status.CLOSING)
    await desk.told_staff(offer.referral, "referral.consent-withdrawn")
    assert (await desk.get(f"/referrals/{offer.referral}/papers")).json()["code"] == "access-ended"
    words = await desk.post(f"/referrals/{offer.referral}/close", body(Step.CLOSED))
    assert (words.status_code, words.json()["code"]) == (409, "feedback-not-granted")
    shown = await desk.do(offer.referral, "close", {"outcome": "person_left"})
    assert (shown["status"], shown["possible"]) == ("closed", [])
    assert (await desk.partner.told(offer.referral, Step.CLOSED))[1].seen == 3
    assert (await desk.get(f"/referrals/{offer.referral}/papers")).json()["code"] == "access-ended"


async def test_terms_that_have_run_out_hold_up_reading_and_deciding(desk: DeskAtWork) -> None:
    over = Terms(purposes=frozenset({Purpose.SUPPORT}), until=datetime.now(UTC) - timedelta(minutes=1))
    offer = await desk.was_offered(terms=over)
    for step, said in (("open", None), ("accept", a_meeting()), ("ask", body(Step.ASKED))):
        refused = await desk.post(f"/referrals/{offer.referral}/{step}", said)
        assert (refused.status_code, refused.json()["code"]) == (409, "terms-ended")
    assert (await desk.get(f"/referrals/{offer.referral}/papers")).json()["code"] == "terms-ended"
    assert (await desk.get(f"/referrals/{offer.referral}")).json()["possible"] == ["declined", "redirected"]
    await desk.do(offer.referral, "decline", body(Step.DECLINED))


async def test_nothing_flows_back_that_the_person_did_not_allow(desk: DeskAtWork) -> None:
    offer = await disclosed(desk, Terms(purposes=frozenset({Purpose.SUPPORT}), feedback=False))
    await desk.do(offer.referral, "arrive")
    refused = await desk.post(f"/referrals/{offer.referral}/progress", body(Step.PROGRESSED))
    assert (refused.status_code, refused.json()["code"]) == (409, "feedback-not-granted")


async def test_two_sides_at_once_end_in_one_outcome_and_the_loser_is_told(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    await desk.do(offer.referral, "accept", a_meeting())
    await desk.hear(further(offer, WithdrawnData(reason=WithdrawReason.NO_LONGER_NEEDED), 2, 0))
    await desk.stands(offer.referral, Status.WITHDRAWN)
    await desk.told_staff(offer.referral, "referral.conflicted")
    refused = await desk.post(f"/referrals/{offer.referral}/arrive")
    assert (refused.status_code, refused.json()["code"]) == (409, "transition-not-in-table")


async def test_what_the_other_side_says_is_refused_here(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    for step, said in (("withdraw", body(Step.WITHDRAWN)), ("reschedule", a_meeting()), ("withdraw-consent", None)):
        refused = await desk.post(f"/referrals/{offer.referral}/{step}", said)
        assert (refused.status_code, refused.json()["code"]) == (409, "not-said-by-this-side")


async def test_what_a_partner_disclosed_is_not_passed_on(desk: DeskAtWork) -> None:
    offer = await disclosed(desk)
    case = (await desk.get(f"/referrals/{offer.referral}")).json()["case"]
    await desk.grant(case, desk.other)
    onward = await desk.offer(case, desk.other)
    assert (onward.status_code, onward.json()["code"]) == (409, "category-not-in-case")


async def test_whoever_does_not_answer_for_the_person_yet_hands_them_to_nobody(desk: DeskAtWork) -> None:
    offer = await disclosed(desk)
    case = (await desk.get(f"/referrals/{offer.referral}")).json()["case"]
    part = summary().model_dump(mode="json", exclude_none=True)
    written = await desk.client.put(f"/cases/{case}/parts/summary", json=part, headers=desk.signed_in("noor"))
    assert written.status_code == 204, written.text
    await desk.grant(case, desk.other)
    for kind in ("transfer", "brokered"):
        refused = await desk.offer(case, desk.other, kind=kind)
        assert (refused.status_code, refused.json()["code"]) == (409, "not-ours-to-hand-over")
    assert [each["exchange_id"] for each in (await desk.get(f"/cases/{case}/referrals")).json()] == [
        str(offer.referral)
    ]
    assert (await desk.offer(case, desk.other, kind="service")).status_code == 201
    await desk.do(offer.referral, "arrive")
    assert (await desk.offer(case, desk.other)).status_code == 201


async def test_unknown_and_forbidden_look_the_same(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    case = (await desk.get(f"/referrals/{offer.referral}")).json()["case"]
    paths = [
        "/referrals",
        "/reports",
        "/cases",
        f"/referrals/{offer.referral}",
        f"/referrals/{offer.referral}/papers",
        f"/referrals/{offer.referral}/receipts",
        f"/cases/{case}",
        f"/cases/{case}/papers",
        f"/cases/{case}/grants",
        f"/cases/{case}/referrals",
    ]
    unknown = (await desk.get(f"/referrals/{uuid4()}")).json()
    for path in paths:
        assert (await desk.get(path)).status_code == 200
        for nobody in ("vic", "otto", "dana"):
            answer = await desk.get(path, by=nobody)
            assert (answer.status_code, answer.json()) == (404, unknown)
    for path in (f"/cases/{uuid4()}{tail}" for tail in ("", "/papers", "/grants", "/referrals")):
        assert (await desk.get(path)).json() == unknown
    for path in (f"/referrals/{uuid4()}{tail}" for tail in ("", "/papers", "/receipts")):
        assert (await desk.get(path)).json() == unknown
    assert (await desk.post(f"/referrals/{uuid4()}/open")).json() == unknown
    assert (await desk.post(f"/referrals/{offer.referral}/open", by="vic")).json() == unknown
    anonymous = await desk.client.get(f"/referrals/{offer.referral}")
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "not-signed-in")


async def test_lists_come_in_pages_newest_first(desk: DeskAtWork) -> None:
    made = [(await desk.was_offered()).referral for _ in range(3)]
    first = (await desk.get("/referrals?limit=2")).json()
    last = first[-1]
    rest = await desk.client.get(
        "/referrals",
        params={"before": last["offered_at"], "before_id": last["id"], "limit": 2},
        headers=desk.signed_in("coralie"),
    )
    whole = (await desk.get("/referrals?limit=200")).json()
    assert [*first, *rest.json()] == whole[:4]
    ids, times = [each["exchange_id"] for each in whole], [datetime.fromisoformat(each["offered_at"]) for each in whole]
    assert times == sorted(times, reverse=True)
    assert sorted(made, key=lambda referral: ids.index(str(referral)), reverse=True) == made
    opened = (await desk.get("/referrals?status=opened&limit=200")).json()
    assert {each["status"] for each in opened} <= {"opened"}
    cases = (await desk.get("/cases?limit=1")).json()
    params = {"before": cases[0]["opened_at"], "before_id": cases[0]["id"], "limit": "1"}
    following = await desk.client.get("/cases", params=params, headers=desk.signed_in("noor"))
    assert following.json()[0]["id"] != cases[0]["id"]
