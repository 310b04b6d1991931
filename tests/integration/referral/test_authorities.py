"""Police and immigration receive nothing that was not granted for them: the agreement says what a partner is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.contracts.codes import RecipientKind, Status, Step
from shared.contracts.event_data import AcceptedData
from tests.support.desk import DeskAtWork, NewDesk, further, meeting

WHO_SHE_IS = {"categories": ["summary", "identity"], "identity_reason": "to see whether she is missed"}


@pytest.fixture(scope="module", params=[RecipientKind.POLICE, RecipientKind.IMMIGRATION])
async def authority(request: pytest.FixtureRequest, new_desk: NewDesk) -> AsyncIterator[tuple[DeskAtWork, str]]:
    """Give a desk whose partners are an authority, and the purpose for which such a one is told."""
    async with new_desk(request.param) as desk:
        agreement = desk.us.directory.book.agreement(desk.partner.id, datetime.now(UTC))
        assert agreement.partner_of(desk.us.id).kind is request.param
        yield desk, {"police": "police", "immigration": "authorities"}[request.param]


async def test_under_a_grant_for_support_an_authority_is_offered_nothing(authority: tuple[DeskAtWork, str]) -> None:
    desk, purpose = authority
    before = len(desk.partner.heard())
    case = await desk.new_case()
    await desk.grant(case, purposes=["support"])
    refused = await desk.offer(case, None, **WHO_SHE_IS)
    assert (refused.status_code, refused.json()["code"]) == (409, "not-released")
    assert refused.json()["detail"] == dict.fromkeys(("identity", "summary"), "authority-not-granted")
    claimed = await desk.offer(case, None, **WHO_SHE_IS, purpose=purpose)
    assert claimed.json()["detail"] == dict.fromkeys(("identity", "summary"), "purpose-not-granted")
    assert (await desk.get(f"/cases/{case}/referrals")).json() == []
    assert len(desk.partner.heard()) == before


async def test_what_was_granted_for_the_authority_goes_for_that_purpose_alone(
    authority: tuple[DeskAtWork, str],
) -> None:
    desk, purpose = authority
    case = await desk.new_case()
    await desk.grant(case, purposes=["support", purpose])
    as_support = await desk.offer(case)
    assert as_support.json()["detail"] == {"summary": "authority-not-granted"}
    offered = await desk.offer(case, purpose=purpose)
    assert offered.status_code == 201
    referral = UUID(offered.json()["exchange_id"])
    offer = (await desk.partner.told(referral, Step.OFFERED))[1]
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1))
    await desk.stands(referral, Status.ACCEPTED)
    refused = await desk.post(f"/referrals/{referral}/disclose", {"categories": ["identity"]})
    assert (refused.status_code, refused.json()["detail"]) == (409, {"identity": "authority-not-granted"})
    await desk.do(referral, "disclose", {"categories": ["identity"], "purpose": purpose})
    await desk.partner.told(referral, Step.DISCLOSED)
