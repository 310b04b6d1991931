"""A case whose key was destroyed: who asks is told so, what is owed goes on in codes, and nothing else stops."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from io import StringIO
from uuid import UUID, uuid4

import httpx

from shared.audit.log import SALT_BYTES
from shared.contracts.codes import Outcome, Status, Step
from shared.contracts.event_data import ClosedData, ConsentWithdrawnData, OfferedData, WithdrawnData
from shared.contracts.exchange import ReferralEvent
from shared.contracts.packet import NOTHING_DISCLOSED
from shared.sealing.keys import KeyPurpose
from tests.integration.referral.test_clocks import looked_at, overdue
from tests.integration.referral.test_hearing import taken, the_report
from tests.integration.referral.test_receiving import disclosed
from tests.support.desk import DeskAtWork, further, given, raw_of, receipt
from tests.support.partners import Sender
from tests.support.referrals import BY_STEP, summary
from tests.support.wait import until

WITHDRAWN = WithdrawnData(reason="no_longer_needed")


@asynccontextmanager
async def erased(desk: DeskAtWork, folder: UUID) -> AsyncIterator[None]:
    """Destroy a key, and bring it back afterwards: other tests read the whole audit log."""
    key = await desk.owner.fetchval("SELECT wrapped FROM folder WHERE id = $1", folder)
    await desk.owner.execute("UPDATE folder SET wrapped = NULL WHERE id = $1", folder)
    try:
        yield
    finally:
        await desk.owner.execute("UPDATE folder SET wrapped = $2 WHERE id = $1", folder, key)


async def case_of(desk: DeskAtWork, referral: UUID) -> UUID:
    """Return the case of a referral."""
    return UUID((await desk.get(f"/referrals/{referral}")).json()["case"])


async def heard_too_late(desk: DeskAtWork, referral: UUID) -> list[tuple[str, dict[str, str]]]:
    """Return who has said what about a referral since it was erased."""
    rows = await desk.owner.fetch("SELECT content FROM audit_leaf WHERE case_id IS NULL ORDER BY id")
    entries = [json.loads(row["content"][SALT_BYTES:]) for row in rows]
    found = [each for each in entries if each["code"] == "referral.heard-erased" and each["subject"] == str(referral)]
    return [(each["actor"], each["detail"]) for each in found]


def gone(answer: httpx.Response) -> bool:
    """Tell whether somebody was told that what they asked for was erased."""
    return (answer.status_code, answer.json()["code"]) == (410, "erased")


async def test_what_is_said_of_an_erased_referral_is_written_down_and_stops_nothing(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    async with erased(desk, await case_of(desk, offer.referral)):
        sealed = [
            desk.partner.voice.seal(event.model_dump_json(exclude_none=True).encode())
            for event in (offer, further(offer, WITHDRAWN, 2, 0))
        ]
        await desk.bring(*sealed)
        stranger = await desk.hear(further(offer, WITHDRAWN, 2, 0), desk.other.voice)
        await desk.was_offered()
        assert await desk.parked(stranger) == "referral-unknown"
        assert await heard_too_late(desk, offer.referral) == [
            (desk.partner.id, {"step": "offered", "n": "1"}),
            (desk.partner.id, {"step": "withdrawn", "n": "2"}),
        ]
        held = "SELECT count(*) FROM held WHERE body = ANY($1::bytea[])"
        assert await desk.owner.fetchval(held, [each.envelope for each in sealed]) == 0


async def test_a_receipt_for_an_erased_referral_is_kept(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    envelope, _ = await desk.partner.told(referral, Step.OFFERED)
    digest = sha256(raw_of(desk.partner, envelope)).digest()
    proof = given(desk.partner, receipt(desk.partner, desk, envelope.header.id, digest))
    async with erased(desk, await case_of(desk, referral)):
        sealed = await desk.hear(proof, desk.partner.door)
        await desk.was_offered()
        assert not await desk.owner.fetchval("SELECT count(*) FROM held WHERE body = $1", sealed.envelope)
    (line,) = (await desk.get(f"/referrals/{referral}/receipts")).json()
    assert line["note"] == proof.data.note
    assert await desk.status(referral) is Status.RECEIVED


async def test_staff_are_told_that_it_was_erased(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    referral, case = offer.referral, await case_of(desk, offer.referral)
    await desk.hear(event := taken(desk.us), Sender.of(desk.us, desk.us, KeyPurpose.RECEIPT))
    report = await the_report(desk, event.report)
    declined = BY_STEP[Step.DECLINED].model_dump(mode="json", exclude_none=True)
    written = summary().model_dump(mode="json", exclude_none=True)
    async with erased(desk, case):
        for path in ("", "/papers", "/receipts"):
            assert gone(await desk.get(f"/referrals/{referral}{path}"))
        for path in ("", "/papers", "/grants", "/referrals"):
            assert gone(await desk.get(f"/cases/{case}{path}"))
        assert gone(await desk.post(f"/referrals/{referral}/decline", declined))
        assert gone(await desk.post(f"/cases/{case}/grants/{uuid4()}/withdraw"))
        assert gone(await desk.offer(case))
        assert gone(await desk.client.put(f"/cases/{case}/parts/summary", json=written, headers=desk.signed_in("noor")))
        assert gone(await desk.post(f"/reports/{report['id']}/link", {"case": str(case)}))
        alias = await desk.alias_of(referral)
        found = await desk.post("/referrals/find", {"exchange_id": str(referral)})
        assert found.json()["id"] == str(alias), "what is owed to the person can still be done"
        for listed in ("/referrals?limit=200", "/cases?limit=200"):
            answer = await desk.get(listed)
            assert answer.status_code == 200
            assert not {str(alias), str(case)} & {each["id"] for each in answer.json()}


async def test_a_case_that_was_made_and_erased_is_not_made_again(desk: DeskAtWork) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    case = UUID((await desk.post("/cases", **key)).json()["id"])
    async with erased(desk, case):
        assert gone(await desk.post("/cases", **key))


async def test_a_report_that_was_erased_is_heard_again_in_vain(desk: DeskAtWork) -> None:
    intake, event = Sender.of(desk.us, desk.us, KeyPurpose.RECEIPT), taken(desk.us)
    await desk.hear(event, intake)
    await the_report(desk, event.report)
    folder = await desk.owner.fetchval("SELECT folder FROM report WHERE id = $1", event.report)
    async with erased(desk, folder):
        sealed = await desk.hear(event, intake)
        await desk.was_offered()
        assert not await desk.owner.fetchval("SELECT count(*) FROM held WHERE body = $1", sealed.envelope)
        assert gone(await desk.get(f"/reports/{event.report}/papers"))
        assert gone(await desk.post(f"/reports/{event.report}/open-case"))
        assert str(event.report) not in [each["id"] for each in (await desk.get("/reports?limit=200")).json()]


async def test_no_clock_rings_for_what_was_erased(desk: DeskAtWork, own_clock: None, lines: StringIO) -> None:
    assert own_clock is None
    referral, whole = await desk.offered(urgency="immediate"), await desk.offered(urgency="immediate")
    async with erased(desk, await case_of(desk, referral)):
        desk.move_clock(timedelta(hours=5))
        await until(lambda: looked_at(desk, whole), seconds=10, what="the clocks of the referral that is whole")
        await until(lambda: overdue(desk, whole), seconds=10)
        assert await overdue(desk, referral) == []
        assert str(referral) not in lines.getvalue(), "nobody has tried"


async def test_consent_taken_back_is_said_again_without_the_key_until_it_is_proved(
    desk: DeskAtWork, own_clock: None
) -> None:
    assert own_clock is None
    referral = await desk.offered()
    await desk.partner.told(referral, Step.OFFERED)
    await desk.do(referral, "withdraw-consent")
    await desk.partner.told(referral, Step.CONSENT_WITHDRAWN)
    async with erased(desk, await case_of(desk, referral)):
        desk.move_clock(timedelta(minutes=3))
        steps = [Step.OFFERED, Step.CONSENT_WITHDRAWN] * 2
        said = await until(lambda: told_all(desk, referral, steps), seconds=10, what="both, once more")
        assert isinstance(said[2].data, OfferedData)
        assert said[2].data.packet == NOTHING_DISCLOSED, "without its papers"
        for envelope, _ in desk.partner.heard(referral)[2:]:
            await desk.take_receipt(envelope)

        async def proved() -> bool:
            query = "SELECT repeat_at IS NULL FROM referral WHERE id = $1"
            return bool(await desk.owner.fetchval(query, referral))

        await until(proved, seconds=10, what="the proofs of both")
    lines = (await desk.get(f"/referrals/{referral}/receipts")).json()
    assert [bool(line["note"]) for line in lines] in ([True, False, True, False], [False, True, False, True])


def told_all(desk: DeskAtWork, referral: UUID, steps: list[Step]) -> list[ReferralEvent]:
    """Return what the partner was told of a referral, once that is ``steps``, said once and then again."""
    said = [event for _, event in desk.partner.heard(referral)]
    return said if [event.step for event in said] == steps else []


async def test_the_person_can_take_consent_back_after_the_erasure_and_the_partner_hears_it(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    case = await case_of(desk, referral)
    key = {"Idempotency-Key": str(uuid4())}
    async with erased(desk, case):
        shown = await desk.post(f"/referrals/{referral}/withdraw-consent", **key)
        assert (shown.status_code, shown.json()["status"]) == (200, "withdrawn")
        assert (await desk.post(f"/referrals/{referral}/withdraw-consent", **key)).json() == shown.json()
        await desk.partner.told(referral, Step.CONSENT_WITHDRAWN)
        assert gone(await desk.get(f"/referrals/{referral}"))
        assert (await desk.post(f"/referrals/{referral}/repeat")).status_code == 200, "the partner may have lost it"
    written = await desk.owner.fetch("SELECT content FROM audit_leaf WHERE case_id IS NULL ORDER BY id")
    entries = [json.loads(row["content"][SALT_BYTES:]) for row in written]
    codes = [each["code"] for each in entries if each["subject"] == str(referral)]
    assert codes[:2] == ["referral.consent-withdrawn", "referral.repeated"]


async def test_a_person_who_is_there_can_leave_after_the_erasure(desk: DeskAtWork) -> None:
    offer = await disclosed(desk)
    await desk.do(offer.referral, "arrive")
    await desk.hear(further(offer, ConsentWithdrawnData(), 3, 2))
    await desk.stands(offer.referral, Status.CLOSING)
    async with erased(desk, await case_of(desk, offer.referral)):
        path = f"/referrals/{offer.referral}"
        assert gone(await desk.get(f"{path}/papers"))
        closed = await desk.post(f"{path}/close", {"outcome": "person_left"})
        assert (closed.status_code, closed.json()["status"]) == (200, "closed")
        (_, event) = await desk.partner.told(offer.referral, Step.CLOSED)
        assert event.data == ClosedData(outcome=Outcome.PERSON_LEFT)
    assert await desk.status(offer.referral) is Status.CLOSED
