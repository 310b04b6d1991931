"""The sender's side: what staff do over HTTP, what the partner gets, and what the gate keeps back."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest

from shared.contracts.codes import AgeBand, Category, DeclinedBy, DeclineReason, MissReason, Status, Step
from shared.contracts.event_data import (
    AcceptedData,
    ArrivedData,
    AskedData,
    ClosedData,
    DeclinedData,
    DisclosedData,
    MissedData,
    OfferedData,
    OpenedData,
    ProgressedData,
    RedirectedData,
)
from shared.contracts.exchange import ReferralEvent
from tests.support.desk import DeskAtWork, further, meeting
from tests.support.referrals import BY_STEP, CANARY, summary
from tests.support.wait import until

EVERYTHING = [category.value for category in Category]


async def the_offer(desk: DeskAtWork, referral: UUID) -> ReferralEvent:
    return (await desk.partner.told(referral, Step.OFFERED))[1]


async def test_a_person_is_handed_over_and_every_step_is_told(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    offer = await the_offer(desk, referral)
    assert isinstance(offer.data, OfferedData)
    assert offer.data.packet.categories() == {Category.SUMMARY}
    await desk.hear(further(offer, OpenedData(), 1, 1))
    await desk.stands(referral, Status.OPENED)
    await desk.hear(further(offer, AskedData(question=CANARY), 2, 1))
    await desk.stands(referral, Status.ASKED)
    answer = {"answer": CANARY, "categories": ["health"]}
    assert (await desk.do(referral, "answer", answer))["status"] == "opened"
    answered = (await desk.partner.told(referral, Step.ANSWERED))[1]
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 3, answered.n))
    await desk.stands(referral, Status.ACCEPTED)
    shown = await desk.do(referral, "disclose", {"categories": EVERYTHING})
    assert (shown["status"], shown["responsible"]) == ("disclosed", desk.us.id)
    disclosed = (await desk.partner.told(referral, Step.DISCLOSED))[1]
    assert isinstance(disclosed.data, DisclosedData)
    assert disclosed.data.packet.categories() == frozenset(Category)
    await desk.hear(further(offer, MissedData(reason=MissReason.DID_NOT_COME), 4, 3))
    await desk.stands(referral, Status.MISSED)
    again = {"meeting": meeting().model_dump(mode="json", exclude_none=True)}
    assert (await desk.do(referral, "reschedule", again))["status"] == "disclosed"
    await desk.partner.told(referral, Step.RESCHEDULED)
    await desk.hear(further(offer, ArrivedData(), 5, 4))
    await desk.stands(referral, Status.ARRIVED)
    shown = (await desk.get(f"/referrals/{referral}")).json()
    assert (shown["responsible"], shown["possible"]) == (desk.partner.id, ["consent-withdrawn"])
    progressed, closed = BY_STEP[Step.PROGRESSED], BY_STEP[Step.CLOSED]
    assert isinstance(progressed, ProgressedData)
    assert isinstance(closed, ClosedData)
    await desk.hear(further(offer, progressed, 6, 4))
    await desk.hear(further(offer, closed, 7, 4))
    await desk.stands(referral, Status.CLOSED)
    for code in ("opened", "asked", "accepted", "missed", "arrived", "progressed", "closed"):
        await desk.told_staff(referral, f"referral.{code}")
    sequences = [envelope.header.sequence for envelope, _ in desk.partner.heard(referral)]
    assert sequences == sorted(sequences)

    def whole() -> bool:
        numbers = {envelope.header.sequence for envelope, _ in desk.partner.heard()}
        return set(range(1, sequences[-1] + 1)) <= numbers

    await until(whole, seconds=10, what="every number, in whatever order they come")


async def test_what_was_written_last_is_disclosed_also_when_the_clock_was_set_back(
    desk: DeskAtWork, own_clock: None
) -> None:
    assert own_clock is None
    case = await desk.new_case()
    desk.move_clock(-timedelta(hours=1))
    newer = summary().model_copy(update={"age_band": AgeBand.FROM_21_TO_24})
    body = newer.model_dump(mode="json", exclude_none=True)
    written = await desk.client.put(f"/cases/{case}/parts/summary", json=body, headers=desk.signed_in("noor"))
    assert written.status_code == 204, written.text
    desk.move_clock(timedelta())
    shown = [paper for paper in (await desk.get(f"/cases/{case}/papers")).json() if paper["name"] == "summary"]
    assert shown[-1]["content"]["age_band"] == newer.age_band
    await desk.grant(case)
    offer = await the_offer(desk, UUID((await desk.offer(case)).json()["exchange_id"]))
    assert isinstance(offer.data, OfferedData)
    assert offer.data.packet.summary == newer


async def test_staff_read_what_the_partner_said(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    offer = await the_offer(desk, referral)
    await desk.hear(further(offer, DeclinedData(reason=DeclineReason.OTHER, by=DeclinedBy.PROVIDER, note=CANARY), 1, 1))
    await desk.stands(referral, Status.DECLINED)
    papers = (await desk.get(f"/referrals/{referral}/papers")).json()
    assert [(paper["name"], paper["by"], paper["n"]) for paper in papers] == [
        ("summary", "sender", 1),
        ("decline", "receiver", 1),
    ]
    assert papers[1]["content"]["note"] == CANARY


async def test_a_redirection_is_heard(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    offer = await the_offer(desk, referral)
    await desk.hear(further(offer, RedirectedData(to=desk.other.id, reason=DeclineReason.OUT_OF_AREA), 1, 1))
    await desk.stands(referral, Status.REDIRECTED)
    case = UUID((await desk.get(f"/referrals/{referral}")).json()["case"])
    await desk.grant(case, desk.other)
    onward = await desk.offer(case, desk.other, conversation=str(offer.conversation))
    assert onward.status_code == 201
    assert onward.json()["conversation"] == str(offer.conversation)


async def test_a_referral_is_withdrawn_for_a_reason(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    assert (await desk.do(referral, "withdraw", {"reason": "no_longer_needed"}))["status"] == "withdrawn"
    await desk.partner.told(referral, Step.WITHDRAWN)
    refused = await desk.post(f"/referrals/{referral}/withdraw", {"reason": "no_longer_needed"})
    assert (refused.status_code, refused.json()["code"]) == (409, "transition-not-in-table")
    assert (await desk.do(referral, "withdraw-consent"))["status"] == "withdrawn"
    await desk.partner.told(referral, Step.CONSENT_WITHDRAWN)


async def test_what_no_grant_covers_does_not_leave_and_the_reason_is_said(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    nothing = await desk.offer(case)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "not-released")
    assert nothing.json()["detail"] == {"summary": "no-grant"}
    await desk.grant(case, desk.other)
    assert (await desk.offer(case)).json()["detail"] == {"summary": "no-grant"}
    unexplained = await desk.grant(case, explained=False)
    assert (await desk.offer(case)).json()["detail"] == {"summary": "grant-not-explained"}
    assert (await desk.post(f"/cases/{case}/grants/{unexplained}/withdraw")).status_code == 204
    assert (await desk.offer(case)).json()["detail"] == {"summary": "grant-withdrawn"}
    ended = str(datetime.now(UTC) - timedelta(minutes=1))
    other = await desk.new_case()
    await desk.grant(other, until=ended)
    assert (await desk.offer(other)).json()["detail"] == {"summary": "grant-ended"}
    stranger = await desk.post(
        f"/cases/{other}/referrals", {"to": "inconnu-fr", "kind": "transfer", "urgency": "urgent"}
    )
    assert stranger.json()["detail"] == {"summary": "no-agreement"}
    assert not [event for _, event in desk.partner.heard() if event.conversation in (case, other)]


async def test_who_it_is_stays_until_the_partner_has_accepted(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    await desk.grant(case)
    early = await desk.offer(case, categories=["summary", "identity"])
    assert early.status_code == 409
    assert early.json()["detail"] == {"identity": "identity-before-acceptance"}
    stated = await desk.offer(case, categories=["summary", "identity"], identity_reason=CANARY)
    assert stated.status_code == 201
    referral = UUID(stated.json()["exchange_id"])
    disclosed = await desk.post(f"/referrals/{referral}/disclose", {"categories": EVERYTHING})
    assert (disclosed.status_code, disclosed.json()["code"]) == (409, "transition-not-in-table")


async def test_staff_date_nothing_beyond_what_can_be_kept(desk: DeskAtWork) -> None:
    case, beyond = await desk.new_case(), "9999-12-31T23:59:59-14:00"
    asked = {"recipient": desk.partner.id, "categories": ["summary"], "form": "written", "language": "tgl"}
    refused = await desk.post(
        f"/cases/{case}/grants", {**asked, "given_by": "person", "explained": True, "until": beyond}
    )
    assert refused.status_code == 422
    assert [(each["pointer"], each["code"]) for each in refused.json()["fields"]] == [("/until", "time-out-of-range")]
    offer = await desk.was_offered()
    late = {"meeting": meeting().model_dump(mode="json", exclude_none=True), "expected": beyond}
    assert (await desk.post(f"/referrals/{offer.referral}/accept", late)).status_code == 422


async def test_a_child_needs_a_guardian(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    child = summary().model_copy(update={"age_band": AgeBand.IN_DOUBT})
    path = f"/cases/{case}/parts/summary"
    body = child.model_dump(mode="json", exclude_none=True)
    assert (await desk.client.put(path, json=body, headers=desk.signed_in("noor"))).status_code == 204
    await desk.grant(case)
    assert (await desk.offer(case)).json()["detail"] == {"summary": "child-needs-guardian"}
    await desk.grant(case, given_by="guardian")
    assert (await desk.offer(case)).status_code == 201


async def test_a_packet_is_all_that_was_asked_for_or_nothing(desk: DeskAtWork) -> None:
    case = await desk.new_case(Category.SUMMARY)
    await desk.grant(case)
    refused = await desk.offer(case, categories=["summary", "health"])
    assert (refused.status_code, refused.json()["code"]) == (409, "category-not-in-case")
    assert refused.json()["detail"] == {"health": "missing"}
    without = await desk.offer(case, categories=["health"])
    assert without.status_code == 422
    assert without.json()["fields"][0]["code"] == "summary-missing"


async def test_the_same_request_twice_is_one(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    asked = {"to": desk.partner.id, "kind": "transfer", "urgency": "urgent"}
    key = {"Idempotency-Key": str(uuid4())}
    refused = await desk.post(f"/cases/{case}/referrals", asked, **key)
    assert refused.status_code == 409
    await desk.grant(case)
    first = await desk.post(f"/cases/{case}/referrals", asked, **key)
    again = await desk.post(f"/cases/{case}/referrals", asked, **key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    changed = await desk.post(f"/cases/{case}/referrals", {**asked, "urgency": "standard"}, **key)
    assert (changed.status_code, changed.json()["code"]) == (409, "idempotency-key-reused")
    assert len((await desk.get(f"/cases/{case}/referrals")).json()) == 1
    opened = [await desk.post("/cases", **{"Idempotency-Key": "mine"}) for _ in range(2)]
    assert [each.status_code for each in opened] == [201, 200]
    assert opened[0].json() == opened[1].json()


async def test_a_conversation_belongs_to_its_case(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    conversation = (await desk.get(f"/referrals/{referral}")).json()["conversation"]
    case = await desk.new_case()
    await desk.grant(case)
    refused = await desk.offer(case, conversation=conversation)
    assert (refused.status_code, refused.json()["code"]) == (409, "conversation-differs")


async def test_nothing_that_went_outlives_its_grant(desk: DeskAtWork) -> None:
    case, soon = await desk.new_case(), datetime.now(UTC) + timedelta(days=2)
    await desk.grant(case, categories=["summary", "risk"], until=soon.isoformat())
    await desk.grant(case, categories=["identity"], until=(soon + timedelta(days=90)).isoformat())
    await desk.grant(case, categories=["health"], until=(soon - timedelta(days=1)).isoformat())
    referral = UUID((await desk.offer(case)).json()["exchange_id"])
    offer = await the_offer(desk, referral)
    await desk.hear(further(offer, AskedData(question=CANARY), 1, 1))
    await desk.stands(referral, Status.ASKED)
    refused = await desk.post(f"/referrals/{referral}/answer", {"answer": CANARY, "categories": ["health"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "terms-narrower")
    await desk.do(referral, "answer", {"answer": CANARY, "categories": ["risk"]})
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 2, 2))
    await desk.stands(referral, Status.ACCEPTED)
    await desk.do(referral, "disclose", {"categories": ["identity"]})
    disclosed = (await desk.partner.told(referral, Step.DISCLOSED))[1]
    assert isinstance(disclosed.data, DisclosedData)
    assert disclosed.data.packet.categories() == {Category.IDENTITY}
    assert disclosed.data.terms.until == soon


async def test_words_leave_only_where_the_summary_may(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    await desk.hear(further(await the_offer(desk, referral), AskedData(question=CANARY), 1, 1))
    await desk.stands(referral, Status.ASKED)
    refused = await desk.post(f"/referrals/{referral}/answer", {"answer": CANARY, "purpose": "police"})
    assert (refused.status_code, refused.json()["code"]) == (409, "not-released")
    assert refused.json()["detail"] == {"summary": "purpose-not-granted"}
    assert [event.step for _, event in desk.partner.heard(referral)] == [Step.OFFERED]
    assert (await desk.do(referral, "answer", {"answer": CANARY}))["status"] == "opened"


async def test_words_about_a_new_meeting_leave_only_for_what_was_granted(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    offer = await the_offer(desk, referral)
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1))
    await desk.stands(referral, Status.ACCEPTED)
    await desk.do(referral, "disclose", {"categories": ["identity"]})
    await desk.hear(further(offer, MissedData(reason=MissReason.DID_NOT_COME), 2, 2))
    await desk.stands(referral, Status.MISSED)
    again = {"meeting": meeting().model_dump(mode="json", exclude_none=True), "purpose": "police"}
    refused = await desk.post(f"/referrals/{referral}/reschedule", again)
    assert (refused.json()["code"], refused.json()["detail"]) == ("not-released", {"summary": "purpose-not-granted"})
    wordless = {"meeting": {"withheld": ["when", "where", "who"]}, "expected": datetime.now(UTC).isoformat()}
    assert (await desk.do(referral, "reschedule", wordless))["status"] == "disclosed"


@pytest.mark.parametrize("path", ["/referrals", "/cases", "/reports"])
@pytest.mark.parametrize(
    ("half", "absent"), [({"before": "2026-11-24T12:00:00Z"}, "/before_id"), ({"before_id": str(uuid4())}, "/before")]
)
async def test_half_a_page_marker_is_refused(desk: DeskAtWork, path: str, half: dict[str, str], absent: str) -> None:
    refused = await desk.get(f"{path}?{urlencode(half)}")
    assert refused.status_code == 422
    assert [(each["pointer"], each["code"]) for each in refused.json()["fields"]] == [(absent, "missing")]


@pytest.mark.parametrize("path", ["/referrals", "/cases", "/reports"])
@pytest.mark.parametrize("before", ["0001-01-01T00:00:00+14:00", "2026-11-24T12:00:00"])
async def test_a_page_begins_at_a_time_of_ours(desk: DeskAtWork, path: str, before: str) -> None:
    refused = await desk.get(f"{path}?{urlencode({'before': before, 'before_id': uuid4()})}")
    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["fields"]] == ["/before"]


async def test_the_other_candidates_are_withdrawn_with_the_disclosure(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    await desk.grant(case)
    await desk.grant(case, desk.other)
    chosen = (await desk.offer(case)).json()
    passed_over = (await desk.offer(case, desk.other)).json()
    assert passed_over["conversation"] == chosen["conversation"]
    legal_aid = (await desk.offer(case, desk.other, conversation=chosen["conversation"], kind="service")).json()
    offer = await the_offer(desk, UUID(chosen["exchange_id"]))
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1))
    await desk.stands(UUID(chosen["exchange_id"]), Status.ACCEPTED)
    await desk.do(UUID(chosen["exchange_id"]), "disclose", {"categories": EVERYTHING})
    assert await desk.status(UUID(passed_over["exchange_id"])) is Status.WITHDRAWN
    assert await desk.status(UUID(legal_aid["exchange_id"])) is Status.OFFERED
    withdrawn = (await desk.other.told(UUID(passed_over["exchange_id"]), Step.WITHDRAWN))[1]
    assert withdrawn.data.model_dump(mode="json") == {"reason": "no_longer_needed"}
    assert desk.partner.id not in withdrawn.model_dump_json()
    who = await desk.offer(case, desk.other, categories=["summary", "identity"], identity_reason=CANARY)
    assert (who.status_code, who.json()["code"]) == (409, "another-organisation-chosen")
    late = (await desk.offer(case, desk.other)).json()
    accepted = further(
        (await desk.other.told(UUID(late["exchange_id"]), Step.OFFERED))[1], AcceptedData(meeting=meeting()), 1, 1
    )
    await desk.hear(accepted, desk.other.voice)
    await desk.stands(UUID(late["exchange_id"]), Status.ACCEPTED)
    refused = await desk.post(f"/referrals/{late['exchange_id']}/disclose", {"categories": EVERYTHING})
    assert (refused.status_code, refused.json()["code"]) == (409, "another-organisation-chosen")


async def test_consent_that_is_taken_back_twice_is_told_once(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    for _ in range(2):
        assert (await desk.do(referral, "withdraw-consent"))["status"] == "withdrawn"
    assert await desk.said_all(referral)
    query = "SELECT DISTINCT n FROM said WHERE referral = $1 ORDER BY n"
    assert [row["n"] for row in await desk.owner.fetch(query, referral)] == [1, 2]


async def test_a_grant_that_is_taken_back_reaches_whoever_holds_something(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    given, _ = await desk.grant(case), await desk.grant(case, desk.other)
    told, spared = (await desk.offer(case)).json(), (await desk.offer(case, desk.other)).json()
    for _ in range(2):
        assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
    await desk.partner.told(UUID(told["exchange_id"]), Step.CONSENT_WITHDRAWN)
    assert await desk.status(UUID(told["exchange_id"])) is Status.WITHDRAWN
    assert await desk.status(UUID(spared["exchange_id"])) is Status.OFFERED
    steps = [event.step for _, event in desk.partner.heard(UUID(told["exchange_id"]))]
    assert steps == [Step.OFFERED, Step.CONSENT_WITHDRAWN]
    (shown,) = [g for g in (await desk.get(f"/cases/{case}/grants")).json() if g["id"] == str(given)]
    assert shown["withdrawn_at"] is not None
    unknown = await desk.post(f"/cases/{case}/grants/{uuid4()}/withdraw")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")
