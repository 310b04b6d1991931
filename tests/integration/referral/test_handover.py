"""A person who comes where nobody awaits them any more: what becomes of the hand-over elsewhere, and who is told."""

from uuid import UUID

from shared.contracts.codes import Status, Step, Urgency
from shared.contracts.event_data import AcceptedData, ArrivedData, WithdrawnData
from shared.contracts.exchange import ReferralEvent
from shared.contracts.facts import Audience
from tests.support.desk import DeskAtWork, Partner, further, meeting
from tests.support.wait import until

WHO = {"categories": ["identity"]}


async def accepted(desk: DeskAtWork, case: UUID, by: Partner) -> ReferralEvent:
    """Offer the person of ``case`` to a partner, let it accept, and return the offer."""
    await desk.grant(case, by)
    referral = UUID((await desk.offer(case, by)).json()["exchange_id"])
    _, offer = await by.told(referral, Step.OFFERED)
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1), by.voice)
    await desk.stands(referral, Status.ACCEPTED)
    return offer


async def withdrawn_on_the_way(desk: DeskAtWork, case: UUID) -> ReferralEvent:
    """Let the person of ``case`` be on the way to the partner, and then not, without a receipt; return the offer."""
    first = await accepted(desk, case, desk.partner)
    await desk.do(first.referral, "disclose", WHO)
    await desk.do(first.referral, "withdraw", {"reason": "unsafe"})
    return first


async def told_at_once(desk: DeskAtWork, referral: UUID, code: str) -> None:
    """Wait until whoever follows a referral and the coordinator are told ``code``, both immediately."""

    async def both() -> bool:
        facts = [fact for fact in await desk.facts_about(referral) if fact.code.value == code]
        urgent = {fact.audience for fact in facts if fact.urgency is Urgency.IMMEDIATE}
        return urgent == {Audience.ASSIGNEE, Audience.COORDINATOR}

    await until(both, seconds=10, what=f"{code}, told at once to both")


async def test_an_arrival_after_a_withdrawal_ends_the_hand_over_elsewhere(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    first = await withdrawn_on_the_way(desk, case)
    second = await accepted(desk, case, desk.other)
    early = await desk.post(f"/referrals/{second.referral}/disclose", WHO)
    assert (early.status_code, early.json()["code"]) == (409, "perhaps-expected-elsewhere")
    for step in (Step.DISCLOSED, Step.WITHDRAWN):
        envelope, _ = await desk.partner.told(first.referral, step)
        await desk.take_receipt(envelope)

    async def disclosed() -> bool:
        return (await desk.post(f"/referrals/{second.referral}/disclose", WHO)).status_code == 200

    await until(disclosed, seconds=10, what="the receipts of all that was said")
    await desk.hear(further(first, ArrivedData(), 2, 2))
    await desk.stands(first.referral, Status.ARRIVED)
    assert await desk.status(second.referral) is Status.WITHDRAWN
    _, withdrawn = await desk.other.told(second.referral, Step.WITHDRAWN)
    assert isinstance(withdrawn.data, WithdrawnData)
    assert withdrawn.data.reason == "no_longer_needed"
    await told_at_once(desk, first.referral, "referral.arrived")
    await told_at_once(desk, second.referral, "referral.withdrawn")


async def test_staff_who_know_disclose_all_the_same(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    await withdrawn_on_the_way(desk, case)
    second = await accepted(desk, case, desk.other)
    shown = await desk.do(second.referral, "disclose", {**WHO, "although_expected": True})
    assert shown["status"] == "disclosed"
