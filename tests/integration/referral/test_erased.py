"""A case whose key was destroyed: who asks is told so, who speaks of it is written down, and nothing else stops."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import StringIO
from uuid import UUID, uuid4

import httpx

from services.referral.store import referrals
from shared.audit.log import SALT_BYTES
from shared.contracts.codes import Step
from shared.contracts.event_data import WithdrawnData
from shared.contracts.ids import ReferralId
from shared.sealing.keys import KeyPurpose
from tests.integration.referral.test_clocks import looked_at, overdue
from tests.integration.referral.test_hearing import taken, the_report
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


async def test_a_receipt_for_an_erased_referral_is_nobodys_trouble(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    envelope, _ = await desk.partner.told(referral, Step.OFFERED)
    digest = sha256(raw_of(desk.partner, envelope)).digest()
    proof = given(desk.partner, receipt(desk.partner, desk, envelope.header.id, digest))
    async with erased(desk, await case_of(desk, referral)):
        sealed = await desk.hear(proof, desk.partner.door)
        await desk.was_offered()
        assert not await desk.owner.fetchval("SELECT count(*) FROM held WHERE body = $1", sealed.envelope)


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
        for listed in ("/referrals?limit=200", "/cases?limit=200"):
            answer = await desk.get(listed)
            assert answer.status_code == 200
            assert not {str(referral), str(case)} & {each["id"] for each in answer.json()}


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
        assert overdue(desk, referral) == []
        assert str(referral) not in lines.getvalue(), "nobody has tried"


async def test_nothing_is_said_again_of_what_was_erased(desk: DeskAtWork) -> None:
    referral, whole = await desk.offered(), await desk.offered()
    for each in (referral, whole):
        await desk.partner.told(each, Step.OFFERED)
    at, partner = datetime.now(UTC) + timedelta(days=1), desk.partner.id
    async with erased(desk, await case_of(desk, referral)), desk.owner.acquire() as connection:

        async def due() -> list[ReferralId]:
            return await referrals.repeating(connection, at, [partner], [], 10_000)

        await until(lambda: _holds(due, whole), what="the one that is whole, once its letter has left")
        assert referral not in await due()
        found = await referrals.of_partner(connection, partner)
        assert whole in found
        assert referral not in found


async def _holds(look: Callable[[], Awaitable[list[ReferralId]]], referral: UUID) -> bool:
    return referral in await look()
