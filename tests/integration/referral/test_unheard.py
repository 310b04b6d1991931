"""A partner that does not hear what we would say: it is refused, or kept until the partner hears it, and staff know."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from shared.contracts.codes import Status, Step
from tests.support.desk import DeskAtWork, an_offer
from tests.support.referrals import CANARY
from tests.support.wait import until


@asynccontextmanager
async def deaf(desk: DeskAtWork, types: Collection[str]) -> AsyncIterator[None]:
    """Let the other partner say for a while that it does not hear these types."""
    await desk.knows(desk.other, desk.other.organisation.publish_again(desk.us, deaf_to=types))
    try:
        yield
    finally:
        await desk.knows(desk.other, desk.other.organisation.publish_again(desk.us))


@pytest.mark.parametrize("unheard", ["referral.offered.v1", "referral.withdrawn.v1", "referral.consent-withdrawn.v1"])
async def test_nobody_is_offered_to_whoever_could_not_be_told_that_it_is_taken_back(
    unheard: str, desk: DeskAtWork
) -> None:
    case = await desk.new_case()
    await desk.grant(case, desk.other)
    async with deaf(desk, {unheard}):
        refused = await desk.offer(case, desk.other)
        assert (refused.status_code, refused.json()["code"]) == (409, "event-type-unheard")
        assert "does not take such a message" in refused.json()["title"]
        assert (await desk.get(f"/cases/{case}/referrals")).json() == []
    assert (await desk.offer(case, desk.other)).status_code == 201


async def test_what_may_wait_for_another_decision_is_refused_and_what_has_happened_is_said_once_it_is_heard(
    desk: DeskAtWork, own_clock: None
) -> None:
    assert own_clock is None
    offer = an_offer()
    await desk.hear(offer, desk.other.voice)
    await desk.stands(offer.referral, Status.RECEIVED)
    async with deaf(desk, {"referral.asked.v1", "referral.declined.v1"}):
        refused = await desk.post(f"/referrals/{offer.referral}/ask", {"question": CANARY})
        assert (refused.status_code, refused.json()["code"]) == (409, "event-type-unheard")
        await desk.do(offer.referral, "decline", {"reason": "no_capacity", "by": "provider"})
        desk.move_clock(timedelta(minutes=6))
        await desk.told_staff(offer.referral, "receipt.missing")
        assert desk.other.heard(offer.referral) == []
    desk.move_clock(timedelta(minutes=8))  # what could not be moved was left alone for a minute
    await desk.other.told(offer.referral, Step.DECLINED)


async def test_what_is_not_heard_any_more_holds_up_nothing_that_is(desk: DeskAtWork, own_clock: None) -> None:
    assert own_clock is None
    offer = an_offer()
    await desk.hear(offer, desk.other.voice)
    await desk.stands(offer.referral, Status.RECEIVED)
    await desk.do(offer.referral, "open")
    await desk.do(offer.referral, "decline", {"reason": "no_capacity", "by": "provider"})
    await desk.other.told(offer.referral, Step.DECLINED)
    async with deaf(desk, {"referral.opened.v1"}):
        desk.move_clock(timedelta(minutes=3))
        await until(lambda: len(desk.other.heard(offer.referral)) == 3, seconds=10, what="one of two said again")
    said = [event.step for _, event in desk.other.heard(offer.referral)]
    assert said == [Step.OPENED, Step.DECLINED, Step.DECLINED]
