"""A partner that has no key to seal to: what protects the person is true at once, and said when it can be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from shared.contracts.codes import Category, Purpose, Status, Step
from shared.contracts.event_data import AcceptedData, DisclosedData, OpenedData, Terms
from shared.sealing.keys import KeyPurpose
from tests.support.desk import DeskAtWork, Partner, an_offer, further, given, meeting, raw_of, receipt
from tests.support.referrals import BY_STEP, CANARY, packet
from tests.support.wait import until

EVERYTHING = [category.value for category in Category]


@asynccontextmanager
async def without_a_key(desk: DeskAtWork, partner: Partner) -> AsyncIterator[None]:
    """Let the desk know no key to seal to of ``partner`` for a while."""
    await _known(desk, partner, partner.organisation.publish_again(desk.us, but=KeyPurpose.INBOX))
    try:
        yield
    finally:
        await _known(desk, partner, partner.organisation.publish_again(desk.us))


async def _known(desk: DeskAtWork, partner: Partner, serial: int) -> None:
    directory = desk.app.state.office.directory
    await until(lambda: directory.book.document(partner.id).serial == serial, seconds=10, what="the new document")


def steps(partner: Partner, referral: UUID) -> list[Step]:
    return [event.step for _, event in partner.heard(referral)]


async def test_consent_that_is_taken_back_is_said_once_when_the_partner_can_be_told(
    desk: DeskAtWork, own_clock: None
) -> None:
    assert own_clock is None
    case = await desk.new_case()
    grant = await desk.grant(case, desk.other)
    referral = UUID((await desk.offer(case, desk.other)).json()["exchange_id"])
    envelope, offer = await desk.other.told(referral, Step.OFFERED)
    proof = receipt(desk.other, desk, envelope.header.id, sha256(raw_of(desk.other, envelope)).digest())
    await desk.hear(given(desk.other, proof), desk.other.door)  # an offer that is not proved is said again, emptied
    await desk.told_staff(referral, "referral.receipted")
    async with without_a_key(desk, desk.other):
        for _ in range(2):
            assert (await desk.post(f"/cases/{case}/grants/{grant}/withdraw")).status_code == 204
        assert await desk.status(referral) is Status.WITHDRAWN
        assert not await desk.said_all(referral)
        desk.move_clock(timedelta(minutes=6))
        await desk.told_staff(referral, "receipt.missing")
        assert steps(desk.other, referral) == [Step.OFFERED]
        early = await desk.hear(further(offer, OpenedData(), 1, 2), desk.other.voice)
        assert await desk.parked(early) == "seen-ahead"
    await desk.other.told(referral, Step.CONSENT_WITHDRAWN)
    await until(lambda: desk.said_all(referral))
    assert steps(desk.other, referral) == [Step.OFFERED, Step.CONSENT_WITHDRAWN]


async def test_what_has_happened_is_never_refused_and_what_may_wait_for_a_decision_is(desk: DeskAtWork) -> None:
    offer, another = an_offer(), an_offer()
    for event in (offer, another):
        await desk.hear(event, desk.other.voice)
        await desk.stands(event.referral, Status.RECEIVED)
    case = await desk.new_case()
    await desk.grant(case, desk.other)
    accepted = {"meeting": meeting().model_dump(mode="json", exclude_none=True)}
    async with without_a_key(desk, desk.other):
        for refused in (
            await desk.post(f"/referrals/{offer.referral}/accept", accepted),
            await desk.post(f"/referrals/{offer.referral}/ask", {"question": CANARY}),
            await desk.offer(case, desk.other),
        ):
            assert (refused.status_code, refused.json()["code"]) == (409, "key-unknown")
        assert (await desk.get(f"/referrals/{offer.referral}/papers")).status_code == 200
        await desk.do(offer.referral, "decline", BY_STEP[Step.DECLINED])
        assert await desk.status(offer.referral) is Status.DECLINED
        assert not await desk.said_all(offer.referral)
    await desk.other.told(offer.referral, Step.DECLINED)
    await until(lambda: desk.said_all(offer.referral))
    assert steps(desk.other, offer.referral) == [Step.OPENED, Step.DECLINED]


async def test_a_candidate_that_cannot_be_told_is_withdrawn_all_the_same(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    await desk.grant(case)
    await desk.grant(case, desk.other)
    chosen = (await desk.offer(case)).json()
    passed_over = UUID((await desk.offer(case, desk.other, conversation=chosen["conversation"])).json()["exchange_id"])
    _, offer = await desk.partner.told(UUID(chosen["exchange_id"]), Step.OFFERED)
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1))
    await desk.stands(offer.referral, Status.ACCEPTED)
    async with without_a_key(desk, desk.other):
        await desk.do(offer.referral, "disclose", {"categories": EVERYTHING})
        assert await desk.status(passed_over) is Status.WITHDRAWN
        await desk.partner.told(offer.referral, Step.DISCLOSED)
        assert steps(desk.other, passed_over) == [Step.OFFERED]
    await desk.other.told(passed_over, Step.WITHDRAWN)


async def test_staff_are_told_of_a_person_who_does_not_come_whoever_else_can_be(
    desk: DeskAtWork, own_clock: None
) -> None:
    assert own_clock is None
    offer = an_offer()
    await desk.hear(offer, desk.other.voice)
    await desk.stands(offer.referral, Status.RECEIVED)
    soon = datetime.now(UTC) + timedelta(hours=2)
    agreed = {"when": soon.isoformat(), "where": CANARY, "who": CANARY}
    await desk.do(offer.referral, "accept", {"meeting": agreed, "expected": soon.isoformat()})
    terms = Terms(purposes=frozenset({Purpose.SUPPORT}))
    await desk.hear(further(offer, DisclosedData(packet=packet(), terms=terms), 2, 1), desk.other.voice)
    await desk.stands(offer.referral, Status.DISCLOSED)
    async with without_a_key(desk, desk.other):
        desk.move_clock(timedelta(hours=4))
        await desk.stands(offer.referral, Status.MISSED)
        await desk.told_staff(offer.referral, "referral.missed")
        assert Step.MISSED not in steps(desk.other, offer.referral)
    await desk.other.told(offer.referral, Step.MISSED)
    await until(lambda: desk.said_all(offer.referral))
