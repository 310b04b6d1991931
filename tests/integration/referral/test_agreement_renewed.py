"""An agreement that is renewed early or late: what was said between the two is said and heard, and nobody is deaf."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.contracts.codes import Status, Step
from shared.contracts.event import encode
from shared.contracts.event_data import AcceptedData, ConsentWithdrawnData, DisclosedData
from shared.contracts.exchange import ReferralEvent, ReferralOffered
from tests.support.desk import DeskAtWork, NewDesk, further, meeting
from tests.support.referrals import CANARY, packet
from tests.support.wait import until

YEAR = timedelta(days=365)
SOON = timedelta(hours=6)


@pytest.fixture
async def desk(new_desk: NewDesk) -> AsyncIterator[DeskAtWork]:
    """Run the service for one test, which changes its agreement."""
    async with new_desk() as desk:
        yield desk


async def renewed(desk: DeskAtWork, begins: timedelta) -> None:
    """Sign a new agreement with the partner, and wait until the desk knows it."""
    desk.us.agree_with(desk.partner.organisation, begins=begins, ends=YEAR)
    directory, half = desk.app.state.office.directory, datetime.now(UTC) + YEAR / 2

    def known() -> bool:
        return any(each.valid_until > half for each in directory.book.agreements[desk.partner.id])

    await until(known, seconds=10, what="the agreement")


async def offered(desk: DeskAtWork) -> tuple[UUID, UUID, ReferralEvent]:
    """Offer somebody; return the case, the grant, and the offer as the partner has it."""
    case = await desk.new_case()
    given = await desk.grant(case)
    referral = UUID((await desk.offer(case)).json()["exchange_id"])
    return case, given, (await desk.partner.told(referral, Step.OFFERED))[1]


async def disclosed(desk: DeskAtWork) -> tuple[UUID, UUID, UUID]:
    """Disclose who somebody is, of which nothing proves that it has come; return the case, the grant, the referral."""
    case, given, offer = await offered(desk)
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1))
    await desk.stands(offer.referral, Status.ACCEPTED)
    await desk.do(offer.referral, "disclose", {"categories": ["identity", "safe_contact"]})
    await desk.partner.told(offer.referral, Step.DISCLOSED)
    return case, given, offer.referral


async def test_what_is_said_between_two_agreements_waits_for_the_next_and_consent_taken_back_does_not(
    desk: DeskAtWork,
) -> None:
    case, given, over = await disclosed(desk)
    _, _, lost = await offered(desk)
    await renewed(desk, begins=SOON)
    assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
    await desk.partner.told(over, Step.CONSENT_WITHDRAWN)
    desk.move_clock(timedelta(minutes=3))
    again = await until(lambda: desk.partner.heard(over)[3:], seconds=10, what="said again")
    assert [event.step for _, event in again] == [Step.DISCLOSED, Step.CONSENT_WITHDRAWN]
    assert CANARY.encode() not in b"".join(encode(event) for _, event in again)
    assert len(desk.partner.heard(lost.referral)) == 1
    desk.move_clock(SOON + timedelta(minutes=1))
    _, whole = (await until(lambda: desk.partner.heard(lost.referral)[1:], seconds=10, what="offered again"))[0]
    assert whole.data == lost.data


async def accepted(desk: DeskAtWork) -> ReferralOffered:
    """Accept whom the partner has offered."""
    offer = await desk.was_offered()
    await desk.do(offer.referral, "accept", {"meeting": meeting().model_dump(mode="json", exclude_none=True)})
    await desk.partner.told(offer.referral, Step.ACCEPTED)
    return offer


def discloses(offer: ReferralOffered, at: datetime) -> ReferralEvent:
    return further(offer, DisclosedData(packet=packet(), terms=offer.data.terms), 2, 1, at=at)


async def test_what_comes_before_the_renewed_agreement_begins_is_heard_as_soon_as_it_does(desk: DeskAtWork) -> None:
    offer = await accepted(desk)
    await renewed(desk, begins=SOON)
    now = datetime.now(UTC)
    assert await desk.waits(await desk.hear(discloses(offer, now))) == "agreement-none"
    assert (await desk.get(f"/referrals/{offer.referral}/papers")).status_code == 200
    assert await desk.waits(await desk.hear(further(offer, ConsentWithdrawnData(), 3, 1, at=now))) == "early"
    assert await desk.status(offer.referral) is Status.ACCEPTED
    shut = await desk.get(f"/referrals/{offer.referral}/papers")
    assert (shut.status_code, shut.json()["code"]) == (409, "access-ended")
    await desk.told_staff(offer.referral, "referral.consent-withdrawn")
    desk.move_clock(SOON + timedelta(minutes=1))
    await desk.stands(offer.referral, Status.WITHDRAWN)


async def test_what_was_parked_because_the_agreement_comes_late_is_heard_once_it_is_there(desk: DeskAtWork) -> None:
    offer = await accepted(desk)
    ended = timedelta(days=30, hours=1)
    desk.move_clock(ended)
    at = datetime.now(UTC) + ended
    said = await desk.hear(discloses(offer, at))
    assert await desk.waits(said) == "agreement-expired"
    desk.move_clock(ended + timedelta(hours=25))
    assert await desk.parked(said) == "agreement-expired"
    await renewed(desk, begins=timedelta(days=29))
    await desk.stands(offer.referral, Status.DISCLOSED)
