"""An agreement that has ended: what is under way is concluded, in codes, for some weeks, and nothing else is said."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.contracts.codes import DeclinedBy, DeclineReason, Status, Step
from shared.contracts.event import encode
from shared.contracts.event_data import AcceptedData, AskedData, DeclinedData, EventData
from shared.contracts.exchange import ReferralEvent
from shared.sealing.agreement import CONCLUDED_WITHIN
from tests.support.desk import DeskAtWork, NewDesk, an_offer, further, meeting
from tests.support.referrals import CANARY
from tests.support.wait import until

AGREED_FOR = timedelta(days=30)
"""How long the agreements of the desk last."""
ENDED = AGREED_FOR + timedelta(hours=1)
LONG_AGO = ENDED + CONCLUDED_WITHIN

pytestmark = pytest.mark.usefixtures("own_clock")


@pytest.fixture(scope="module")
async def desk(new_desk: NewDesk) -> AsyncIterator[DeskAtWork]:
    """Run the service for this module, which moves its clock by days."""
    async with new_desk() as desk:
        yield desk


async def offered(desk: DeskAtWork) -> tuple[UUID, UUID, ReferralEvent]:
    """Offer somebody; return the case, the grant, and the offer as the partner has it."""
    case = await desk.new_case()
    given = await desk.grant(case)
    referral = UUID((await desk.offer(case)).json()["exchange_id"])
    return case, given, (await desk.partner.told(referral, Step.OFFERED))[1]


def after_the_end(offer: ReferralEvent, data: EventData, n: int = 1, seen: int = 1) -> ReferralEvent:
    return further(offer, data, n, seen, at=datetime.now(UTC) + ENDED)


async def put_off(desk: DeskAtWork, referral: UUID, now: datetime) -> None:
    """Wait until what is due of a referral has been looked at, and left for later."""

    async def look() -> bool:
        return bool(await desk.owner.fetchval("SELECT repeat_at > $2 FROM referral WHERE id = $1", referral, now))

    await until(look, seconds=10, what="what waits for an agreement")


async def test_a_receiver_says_no_word_more_and_does_not_leave_the_sender_waiting(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    desk.move_clock(ENDED)
    declined = {"reason": "no_capacity", "by": "provider"}
    agreed = {"meeting": meeting().model_dump(mode="json", exclude_none=True)}
    for step, body in (("accept", agreed), ("ask", {"question": CANARY}), ("decline", {**declined, "note": CANARY})):
        refused = await desk.post(f"/referrals/{offer.referral}/{step}", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "agreement-expired")
    await desk.do(offer.referral, "decline", declined)
    await desk.partner.told(offer.referral, Step.DECLINED)
    assert [event.step for _, event in desk.partner.heard(offer.referral)] == [Step.DECLINED]


async def test_an_address_that_nothing_proves_to_have_come_does_not_leave_again(desk: DeskAtWork) -> None:
    offer, unproved = await desk.was_offered(), (await offered(desk))[2]
    await desk.do(offer.referral, "accept", {"meeting": meeting().model_dump(mode="json", exclude_none=True)})
    _, first = await desk.partner.told(offer.referral, Step.ACCEPTED)
    assert CANARY.encode() in encode(first)
    desk.move_clock(ENDED)
    for referral in (offer.referral, unproved.referral):
        await put_off(desk, referral, datetime.now(UTC) + ENDED)
    assert len(desk.partner.heard(offer.referral)) == 1
    await desk.do(unproved.referral, "withdraw", {"reason": "no_longer_needed"})
    await desk.partner.told(unproved.referral, Step.WITHDRAWN)
    assert [event.step for _, event in desk.partner.heard(unproved.referral)] == [Step.OFFERED, Step.WITHDRAWN]


@pytest.fixture
async def renewed(desk: DeskAtWork) -> AsyncIterator[None]:
    """Let the desk know of a renewal that is signed early, for one test."""
    partner = desk.partner.organisation
    signed = desk.app.state.office.directory

    async def known(count: int) -> None:
        await until(lambda: len(signed.book.agreements[partner.id]) == count, seconds=20, what=f"{count} agreements")

    desk.us.agree_with(partner, AGREED_FOR - timedelta(days=1), 2 * AGREED_FOR, renews=True)
    await known(2)
    yield
    desk.us.agree_with(partner)
    await known(1)


@pytest.mark.usefixtures("renewed")
async def test_a_renewal_that_is_signed_early_stops_nothing_before_the_end_or_after_it(desk: DeskAtWork) -> None:
    await offered(desk)
    desk.move_clock(ENDED)
    await offered(desk)


async def test_consent_that_is_taken_back_is_passed_on_for_weeks_and_an_offer_is_not_made(desk: DeskAtWork) -> None:
    case, given, offer = await offered(desk)
    desk.move_clock(ENDED)
    refused = await desk.offer(case)
    assert (refused.status_code, refused.json()["detail"]) == (409, {"summary": "no-agreement"})
    assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
    await desk.partner.told(offer.referral, Step.CONSENT_WITHDRAWN)


async def test_in_the_end_nothing_leaves_and_consent_is_taken_back_all_the_same(desk: DeskAtWork) -> None:
    case, given, offer = await offered(desk)
    desk.move_clock(LONG_AGO)
    assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
    assert await desk.status(offer.referral) is Status.WITHDRAWN
    desk.move_clock(LONG_AGO + timedelta(minutes=6))
    await desk.told_staff(offer.referral, "receipt.missing")
    assert not await desk.said_all(offer.referral)
    desk.move_clock(ENDED)  # as with an agreement that is signed anew
    await desk.partner.told(offer.referral, Step.CONSENT_WITHDRAWN)
    await until(lambda: desk.said_all(offer.referral))


async def test_what_concludes_is_heard_and_what_goes_on_waits(desk: DeskAtWork) -> None:
    (_, _, first), (_, _, second) = await offered(desk), await offered(desk)
    desk.move_clock(ENDED)
    for going_on in (AcceptedData(meeting=meeting()), AskedData(question=CANARY)):
        assert await desk.waits(await desk.hear(after_the_end(first, going_on))) == "agreement-expired"
    await desk.hear(after_the_end(first, DeclinedData(reason=DeclineReason.NO_CAPACITY, by=DeclinedBy.PROVIDER)))
    await desk.stands(first.referral, Status.DECLINED)
    await desk.hear(further(second, AcceptedData(meeting=meeting()), 1, 1))  # said before the end, and late
    await desk.stands(second.referral, Status.ACCEPTED)
    refused = await desk.post(f"/referrals/{second.referral}/disclose", {"categories": ["identity"]})
    assert refused.json()["detail"] == {"identity": "no-agreement"}


async def test_nobody_is_offered_after_the_end(desk: DeskAtWork) -> None:
    desk.move_clock(ENDED)
    late = an_offer().model_copy(update={"at": datetime.now(UTC) + ENDED})
    assert await desk.waits(await desk.hear(late)) == "agreement-expired"
    assert await desk.status(late.referral) is None
