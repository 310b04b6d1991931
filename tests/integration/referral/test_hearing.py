"""What comes from intake: receipts, reports and events that a careless or hostile partner sends."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import pytest

from shared.contracts.codes import Status, Step, Verdict
from shared.contracts.event import EventId
from shared.contracts.event_data import (
    AcceptedData,
    AnsweredData,
    ConsentWithdrawnData,
    DeclinedData,
    OpenedData,
    WithdrawnData,
)
from shared.contracts.facts import Audience, FactCode
from shared.contracts.ids import MessageId, ReferralId, ReportId
from shared.contracts.receipt import ReceiptGivenData
from shared.contracts.report import ReportTaken, ReportTakenData, Screening
from shared.messaging import held
from shared.sealing.keys import KeyPurpose
from shared.sealing.receipts import Receipt
from tests.support.desk import DeskAtWork, NewDesk, an_offer, further, given, meeting, raw_of, receipt
from tests.support.partners import Organisation, Sender
from tests.support.referrals import BY_STEP, CANARY
from tests.support.reports import report
from tests.support.wait import until


async def proofs(desk: DeskAtWork, referral: UUID) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = (await desk.get(f"/referrals/{referral}/receipts")).json()
    return listed


async def test_a_receipt_proves_that_the_partner_has_the_message(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    envelope, _ = await desk.partner.told(referral, Step.OFFERED)
    digest = sha256(raw_of(desk.partner, envelope)).digest()
    right = given(desk.partner, receipt(desk.partner, desk, envelope.header.id, digest))
    assert [each["note"] for each in await proofs(desk, referral)] == [None]
    await desk.hear(right, desk.partner.door)
    await desk.stands(referral, Status.RECEIVED)
    await desk.told_staff(referral, "referral.receipted")
    (proof,) = await proofs(desk, referral)
    assert (proof["message"], proof["note"]) == (str(envelope.header.id), right.data.note)
    await desk.do(referral, "withdraw", {"reason": "no_longer_needed"})
    later, _ = await desk.partner.told(referral, Step.WITHDRAWN)
    digest = sha256(raw_of(desk.partner, later)).digest()
    await desk.hear(given(desk.partner, receipt(desk.partner, desk, later.header.id, digest)), desk.partner.door)

    async def both() -> bool:
        return all(each["note"] for each in await proofs(desk, referral))

    await until(both, seconds=10, what="the receipt of the withdrawal")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda said, _: replace(said, sealed=bytes(32)), "receipt-for-other-bytes"),
        (lambda said, _: replace(said, message=MessageId(uuid4())), "receipt-unknown"),
        (lambda said, desk: replace(said, sender=desk.other.id), "receipt-for-other-bytes"),
    ],
)
async def test_a_receipt_for_anything_else_counts_for_nothing(
    desk: DeskAtWork, spoil: Callable[[Receipt, DeskAtWork], Receipt], why: str
) -> None:
    referral = await desk.offered()
    envelope, _ = await desk.partner.told(referral, Step.OFFERED)
    said = receipt(desk.partner, desk, envelope.header.id, sha256(raw_of(desk.partner, envelope)).digest())
    sealed = await desk.hear(given(desk.partner, spoil(said, desk)), desk.partner.door)
    assert await desk.parked(sealed) == why
    assert await desk.status(referral) is Status.OFFERED
    assert [each["note"] for each in await proofs(desk, referral)] == [None]


async def test_nobody_gives_a_receipt_in_anothers_name(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    envelope, _ = await desk.partner.told(referral, Step.OFFERED)
    said = receipt(desk.partner, desk, envelope.header.id, sha256(raw_of(desk.partner, envelope)).digest())
    right = given(desk.partner, said)
    brought = await desk.hear(right, desk.other.door)
    assert await desk.parked(brought) == "receipt-unverified"
    forged = right.data.note[:-8] + ("AAAA" if right.data.note[-8:-4] != "AAAA" else "BBBB") + right.data.note[-4:]
    altered = right.model_copy(update={"data": ReceiptGivenData(message=said.message, note=forged)})
    assert await desk.parked(await desk.hear(altered, desk.partner.door)) == "receipt-forged"
    own = given(desk.other, replace(said, recipient=desk.other.id))
    assert await desk.parked(await desk.hear(own, desk.other.door)) == "receipt-unknown"
    elsewhere = right.model_copy(update={"data": ReceiptGivenData(message=MessageId(uuid4()), note=right.data.note)})
    assert await desk.parked(await desk.hear(elsewhere, desk.partner.door)) == "receipt-for-another-message"
    assert await desk.status(referral) is Status.OFFERED


async def test_a_receipt_key_says_nothing_but_receipts(desk: DeskAtWork) -> None:
    event = an_offer()
    sealed = await desk.hear(event, desk.partner.door)
    assert await desk.parked(sealed) == "key-wrong-purpose"
    assert await desk.status(event.referral) is None
    said = receipt(desk.partner, desk, MessageId(uuid4()), bytes(32))
    assert await desk.parked(await desk.hear(given(desk.partner, said))) == "key-wrong-purpose"


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("0001-01-01T00:00:00+14:00", "event-unreadable"),
        ("9999-12-31T23:59:59-14:00", "event-unreadable"),
        ("2099-12-31T00:00:00Z", "time-ahead"),
    ],
)
async def test_a_time_that_is_none_poisons_nothing(desk: DeskAtWork, at: str, why: str) -> None:
    referral = await desk.offered()
    _, offer = await desk.partner.told(referral, Step.OFFERED)
    opened = json.loads(further(offer, OpenedData(), 1, 1).model_dump_json(exclude_none=True))
    sealed = desk.partner.voice.seal(json.dumps({**opened, "at": at}).encode())
    await desk.bring(sealed)
    assert await desk.parked(sealed) == why
    assert (await desk.get("/referrals")).status_code == 200
    await desk.hear(further(offer, OpenedData(), 1, 1))
    await desk.stands(referral, Status.OPENED)
    await desk.do(referral, "withdraw-consent")


def taken(organisation: Organisation) -> ReportTaken:
    told = report(situation={"country": "FR", "account": CANARY}, urgency="urgent")
    screening = Screening(verdict=Verdict.IN_SCOPE, criteria_met=frozenset(), indicators_met=frozenset())
    return ReportTaken(
        id=EventId(uuid4()),
        at=datetime.now(UTC),
        by=organisation.id,
        report=ReportId(uuid4()),
        data=ReportTakenData(report=told, screening=screening),
    )


async def the_report(desk: DeskAtWork, report: ReportId) -> dict[str, object]:
    async def look() -> dict[str, object] | None:
        listed = (await desk.get("/reports?limit=200")).json()
        return next((each for each in listed if each["id"] == str(report)), None)

    return await until(look, seconds=10, what="the report")


async def test_a_report_of_our_own_intake_becomes_a_case(desk: DeskAtWork) -> None:
    intake = Sender.of(desk.us, desk.us, KeyPurpose.RECEIPT)
    event = taken(desk.us)
    await desk.hear(event, intake)
    assert (await the_report(desk, event.report))["status"] == "waiting"
    await desk.told_staff(event.report, "report.taken")
    (paper,) = (await desk.get(f"/reports/{event.report}/papers")).json()
    assert paper["content"]["report"]["situation"]["account"] == CANARY
    opened = (await desk.post(f"/reports/{event.report}/open-case")).json()
    assert opened["status"] == "in_case"
    assert (await desk.get(f"/cases/{opened['case']}")).json()["opened_for"] == str(event.report)
    again = await desk.post(f"/reports/{event.report}/open-case")
    assert (again.status_code, again.json()["code"]) == (409, "report-settled")
    nowhere = taken(desk.us)
    await desk.hear(nowhere, intake)
    await the_report(desk, nowhere.report)
    unknown = await desk.post(f"/reports/{nowhere.report}/link", {"case": str(uuid4())})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")
    linked = (await desk.post(f"/reports/{nowhere.report}/link", {"case": opened["case"]})).json()
    assert (linked["status"], linked["case"]) == ("in_case", opened["case"])
    outside = taken(desk.us)
    await desk.hear(outside, intake)
    await the_report(desk, outside.report)
    away = (await desk.post(f"/reports/{outside.report}/reorient", {"to": "labour_inspectorate"})).json()
    assert (away["status"], away["reoriented_to"]) == ("reoriented", "labour_inspectorate")


@pytest.mark.parametrize("offer_first", [True, False])
async def test_a_referral_called_as_a_report_takes_nothing_from_it(desk: DeskAtWork, *, offer_first: bool) -> None:
    event = taken(desk.us)
    offer = an_offer().model_copy(update={"referral": ReferralId(event.report)})
    hands = [(desk.partner.voice, offer), (Sender.of(desk.us, desk.us, KeyPurpose.RECEIPT), event)]
    sealed = [hand.seal(said.model_dump_json(exclude_none=True).encode()) for hand, said in hands]
    await desk.bring(*(sealed if offer_first else reversed(sealed)))
    await desk.stands(offer.referral, Status.RECEIVED)
    await the_report(desk, event.report)
    (report,) = (await desk.get(f"/reports/{event.report}/papers")).json()
    assert report["name"] == "report"
    (summary,) = (await desk.get(f"/referrals/{offer.referral}/papers")).json()
    assert summary["name"] == "summary"
    await desk.do(offer.referral, "decline", BY_STEP[Step.DECLINED])
    opened = (await desk.post(f"/reports/{event.report}/open-case")).json()
    assert opened["status"] == "in_case"
    assert opened["case"] != (await desk.get(f"/referrals/{offer.referral}")).json()["case"]


async def test_nobody_else_makes_a_report(desk: DeskAtWork) -> None:
    for organisation, by in (
        (desk.partner.organisation, desk.partner.door),
        (desk.us, desk.partner.door),
        (desk.us, desk.partner.voice),
        (desk.us, Sender.of(desk.us, desk.us)),
    ):
        assert await desk.parked(await desk.hear(taken(organisation), by)) == "key-wrong-purpose"
    impostor = await desk.hear(taken(desk.partner.organisation), Sender.of(desk.us, desk.us, KeyPurpose.RECEIPT))
    assert await desk.parked(impostor) == "referral-unknown"


async def test_a_partner_that_breaks_a_rule_changes_nothing(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    await desk.do(offer.referral, "open")
    withdrawn = WithdrawnData(reason="no_longer_needed")
    wrong = [
        (further(offer, withdrawn, 2, 1, conversation=uuid4()), "conversation-differs"),
        (further(offer, withdrawn, 2, 2), "seen-ahead"),
        (further(offer, AnsweredData(answer=CANARY), 2, 1), "transition-not-in-table"),
        (further(offer, OpenedData(), 2, 1), "not-said-by-this-side"),
        (an_offer().model_copy(update={"referral": offer.referral}), "conversation-differs"),
        (further(offer, withdrawn, 1, 0), "lane-forked"),
        (further(an_offer(), OpenedData(), 1, 1), "referral-unknown"),
    ]
    for event, why in wrong:
        assert await desk.parked(await desk.hear(event)) == why
    stranger = further(offer, withdrawn, 2, 1)
    assert await desk.parked(await desk.hear(stranger, desk.other.voice)) == "referral-unknown"
    assert await desk.status(offer.referral) is Status.OPENED


async def test_consent_taken_back_that_is_refused_shuts_the_packet_and_tells_staff_once(
    desk: DeskAtWork,
) -> None:
    offer = await desk.was_offered()
    assert (await desk.get(f"/referrals/{offer.referral}/papers")).status_code == 200
    taken_back = further(offer, ConsentWithdrawnData(), 2, 9)
    sealed = await desk.hear(taken_back)
    assert await desk.parked(sealed) == "seen-ahead"
    shut = await desk.get(f"/referrals/{offer.referral}/papers")
    assert (shut.status_code, shut.json()["code"]) == (409, "access-ended")
    lot = await desk.owner.fetchval("SELECT id FROM held WHERE body = $1", sealed.envelope)
    async with desk.owner.acquire() as connection:
        assert await held.replay(connection, lot, datetime.now(UTC))

    async def again() -> bool:
        return len(await desk.facts_about(lot)) > 1

    await until(again, seconds=10, what="an operator told again")
    about = await desk.facts_about(offer.referral)
    told = [fact.audience for fact in about if fact.code is FactCode.CONSENT_WITHDRAWN]
    assert told == [Audience.ASSIGNEE, Audience.COORDINATOR]


async def test_an_event_that_comes_early_waits_and_is_woken(desk: DeskAtWork) -> None:
    offer = an_offer()
    last = await desk.hear(further(offer, WithdrawnData(reason="no_longer_needed"), 2, 0))
    assert await desk.waits(last) == "early"
    await desk.hear(offer)
    await desk.stands(offer.referral, Status.WITHDRAWN)
    again = await desk.was_offered()
    await desk.do(again.referral, "ask", BY_STEP[Step.ASKED])
    third = await desk.hear(further(again, WithdrawnData(reason="no_longer_needed"), 3, 1))
    assert await desk.waits(third) == "early"
    await desk.hear(further(again, AnsweredData(answer=CANARY), 2, 1))
    await desk.stands(again.referral, Status.WITHDRAWN)


async def test_what_comes_twice_counts_once(desk: DeskAtWork) -> None:
    offer = an_offer()
    sealed = await desk.hear(offer)
    await desk.stands(offer.referral, Status.RECEIVED)
    await desk.bring(sealed, sealed)
    await desk.hear(offer)
    later = further(offer, WithdrawnData(reason="no_longer_needed"), 2, 0)
    await desk.hear(later)
    await desk.stands(offer.referral, Status.WITHDRAWN)
    await desk.told_staff(offer.referral, "referral.withdrawn")
    told = [fact.code.value for fact in await desk.facts_about(offer.referral)]
    assert told == ["referral.received", "referral.withdrawn"]
    other = desk.partner.voice.seal(
        further(offer, BY_STEP[Step.DISCLOSED], 3, 0).model_dump_json().encode(), id_=sealed.id
    )
    await desk.bring(other)
    assert await desk.parked(other) == "message-id-reused"


async def test_what_intake_has_not_vouched_for_is_not_read(desk: DeskAtWork) -> None:
    sealed = desk.partner.voice.seal(an_offer().model_dump_json(exclude_none=True).encode())
    await desk.bring(sealed, verdict=None)
    assert await desk.parked(sealed) == "verdict-missing"


async def test_what_is_no_event_is_parked_and_an_operator_is_told(desk: DeskAtWork) -> None:
    sealed = desk.partner.voice.seal(b'{"type": "referral.offered.v1", "note": "' + CANARY.encode() + b'"}')
    await desk.bring(sealed)
    assert await desk.parked(sealed) == "event-unreadable"
    held = await desk.owner.fetchval("SELECT id FROM held WHERE body = $1", sealed.envelope)
    await desk.told_staff(held, "message.parked")
    broken = replace(sealed, envelope=sealed.envelope[:-1] + bytes([sealed.envelope[-1] ^ 1]))
    await desk.bring(broken)
    assert await desk.parked(broken) == "envelope-altered"


async def test_a_key_that_has_run_out_since_still_speaks_for_what_it_sealed(new_desk: NewDesk) -> None:
    half_a_year = timedelta(days=200)
    offer, postdated = an_offer(), an_offer()
    async with new_desk() as desk:
        sealed = desk.partner.voice.seal(offer.model_dump_json(exclude_none=True).encode())
        desk.move_clock(half_a_year)
        await desk.bring(sealed)
        await desk.stands(offer.referral, Status.RECEIVED)
        body = postdated.model_dump_json(exclude_none=True).encode()
        late = desk.partner.voice.seal(body, at=datetime.now(UTC) + half_a_year)
        await desk.bring(late)
        assert await desk.parked(late) == "key-expired"


async def test_accepting_and_declining_are_heard_from_the_receiver_alone(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    _, offer = await desk.partner.told(referral, Step.OFFERED)
    accepted = further(offer, AcceptedData(meeting=meeting()), 1, 1)
    assert await desk.parked(await desk.hear(accepted, desk.other.voice)) == "referral-unknown"
    declined = BY_STEP[Step.DECLINED]
    assert isinstance(declined, DeclinedData)
    await desk.hear(further(offer, declined, 1, 1))
    await desk.stands(referral, Status.DECLINED)
    assert await desk.parked(await desk.hear(accepted)) == "lane-forked"
