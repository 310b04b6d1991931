"""What nothing proves to have come is said again: sealed anew, until there is a receipt, over a restart, and once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.referral.store import referrals
from shared.contracts.codes import Step
from shared.contracts.event import encode
from tests.integration.referral.test_erased import case_of
from tests.integration.referral.test_key_away import key_away
from tests.support.desk import DeskAtWork, NewDesk, Partner, run
from tests.support.referrals import CANARY
from tests.support.wait import until


@pytest.fixture(scope="module")
async def desk(new_desk: NewDesk) -> AsyncIterator[DeskAtWork]:
    """Run the service for this module, which moves its clock by days."""
    async with new_desk() as desk:
        yield desk


def times_told(partner: Partner, referral: UUID, step: Step) -> int:
    return sum(event.step is step for _, event in partner.heard(referral))


async def told_again(partner: Partner, referral: UUID, step: Step, times: int) -> None:
    await until(lambda: times_told(partner, referral, step) == times, seconds=10, what=f"{step} said {times} times")


async def lines(desk: DeskAtWork, referral: UUID) -> int:
    """Return how many messages are known to have said something about a referral."""
    return len((await desk.get(f"/referrals/{referral}/receipts")).json())


async def test_it_is_sealed_anew_and_says_the_same_until_its_receipt_comes(desk: DeskAtWork, own_clock: None) -> None:
    assert own_clock is None
    referral = await desk.offered()
    first, offer = await desk.partner.told(referral, Step.OFFERED)
    desk.move_clock(timedelta(minutes=3))
    await told_again(desk.partner, referral, Step.OFFERED, 2)
    again, repeat = desk.partner.heard(referral)[-1]
    assert repeat.model_copy(update={"traceparent": offer.traceparent}) == offer
    assert again.header.id != first.header.id
    assert again.header.sequence > first.header.sequence
    assert await lines(desk, referral) == 2
    await desk.take_receipt(again)

    async def proved() -> bool:
        query = "SELECT repeat_at IS NULL FROM referral WHERE id = $1"
        return bool(await desk.owner.fetchval(query, referral))

    await until(proved, seconds=10, what="the proof")
    desk.move_clock(timedelta())
    other = await desk.offered()
    await desk.partner.told(other, Step.OFFERED)
    desk.move_clock(timedelta(days=2))
    await told_again(desk.partner, other, Step.OFFERED, 2)
    assert times_told(desk.partner, referral, Step.OFFERED) == 2, "what is proved is said no more"


async def test_two_processes_and_a_restart_say_it_once_each_time(desk: DeskAtWork, own_clock: None) -> None:
    assert own_clock is None
    referral, witness = await desk.offered(), await desk.offered()
    async with AsyncExitStack() as stack:
        await run(desk.settings, stack)
        desk.move_clock(timedelta(minutes=3))
        await told_again(desk.partner, referral, Step.OFFERED, 2)
    async with AsyncExitStack() as stack:
        await run(desk.settings, stack)
        desk.move_clock(timedelta(minutes=8))
        await told_again(desk.partner, referral, Step.OFFERED, 3)
        await told_again(desk.partner, witness, Step.OFFERED, 3)
    assert times_told(desk.partner, referral, Step.OFFERED) == 3
    assert await lines(desk, referral) == 3


async def test_when_consent_is_taken_back_nothing_personal_goes_again(desk: DeskAtWork, own_clock: None) -> None:
    assert own_clock is None
    case = await desk.new_case()
    given = await desk.grant(case)
    referral = UUID((await desk.offer(case)).json()["exchange_id"])
    await desk.partner.told(referral, Step.OFFERED)
    assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
    desk.move_clock(timedelta(minutes=3))
    await told_again(desk.partner, referral, Step.CONSENT_WITHDRAWN, 2)
    assert times_told(desk.partner, referral, Step.OFFERED) == 2
    assert CANARY.encode() not in b"".join(encode(event) for _, event in desk.partner.heard(referral)[1:])


async def test_what_has_yet_to_leave_is_not_said_again(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    envelope, _ = await desk.partner.told(referral, Step.OFFERED)
    soon, to = datetime.now(UTC) + timedelta(minutes=3), [desk.partner.id]
    letter = (envelope.header.id, soon + timedelta(days=1))
    put = """
    INSERT INTO outbox (id, due_at, broker, exchange, routing_key, headers, content_type, body)
    VALUES ($1, $2, '', '', '', '{}', '', '')
    """
    async with desk.owner.acquire() as connection:
        await until(lambda: _nothing_leaves(desk, envelope.header.id), seconds=10, what="the letter confirmed")
        assert referral in await referrals.repeating(connection, soon, to, [], 1000)
        assert referral not in await referrals.repeating(connection, soon, to, [referral], 1000)
        assert referral not in await referrals.repeating(connection, soon, [], [], 1000)
        await connection.execute(put, *letter)
        assert referral not in await referrals.repeating(connection, soon, to, [], 1000)
        await connection.execute("DELETE FROM outbox WHERE id = $1", envelope.header.id)


async def _nothing_leaves(desk: DeskAtWork, message: UUID) -> bool:
    return not await desk.owner.fetchval("SELECT count(*) FROM outbox WHERE id = $1", message)


async def test_staff_have_a_whole_lane_said_again_to_a_partner_that_has_lost_it(desk: DeskAtWork) -> None:
    referral = await desk.offered()
    envelope, _ = await desk.partner.told(referral, Step.OFFERED)
    await desk.take_receipt(envelope)
    await desk.told_staff(referral, "referral.receipted")
    for unseen in ("otto", "vic", "dana"):
        assert (await desk.post(f"/referrals/{referral}/repeat", by=unseen)).status_code == 404
    assert (await desk.post(f"/referrals/{uuid4()}/repeat")).status_code == 404
    shown = await desk.do(referral, "repeat")
    assert shown["overdue"] is False, "it was proved once, and nobody is alarmed"
    await told_again(desk.partner, referral, Step.OFFERED, 2)
    again, _ = desk.partner.heard(referral)[-1]
    await desk.take_receipt(again)
    query = "SELECT repeat_at IS NULL FROM referral WHERE id = $1"
    await until(lambda: desk.owner.fetchval(query, referral), seconds=10, what="the proof")


async def test_a_partner_that_has_lost_everything_is_told_everything(desk: DeskAtWork) -> None:
    told = [await desk.offered(), (await desk.was_offered()).referral]
    await desk.do(told[1], "open")
    case = await desk.new_case()
    await desk.grant(case, desk.other)
    elsewhere = UUID((await desk.offer(case, desk.other)).json()["exchange_id"])
    for referral, partner in ((told[0], desk.partner), (told[1], desk.partner), (elsewhere, desk.other)):
        await until(lambda: len(partner.heard(referral)) == 1, seconds=10)  # noqa: B023 - awaited here
    assert (await desk.post("/referrals/repeat", {"partner": desk.partner.id}, by="otto")).status_code == 404
    once: dict[str, str] = {"Idempotency-Key": str(uuid4())}
    async with key_away(desk, await case_of(desk, told[0])):
        answer = await desk.post("/referrals/repeat", {"partner": desk.partner.id}, **once)
    assert answer.status_code == 200
    assert answer.json()["referrals"] >= 1
    assert answer.json()["left"] == [{"referral": str(await desk.alias_of(told[0])), "code": "keyring-key-missing"}]
    await told_again(desk.partner, told[1], Step.OPENED, 2)
    answer = await desk.post("/referrals/repeat", {"partner": desk.partner.id}, **once)
    assert (answer.status_code, answer.json()["left"]) == (200, [])
    await told_again(desk.partner, told[0], Step.OFFERED, 2)
    count = "SELECT count(*) FROM said WHERE referral = $1"
    assert [await desk.owner.fetchval(count, each) for each in (*told, elsewhere)] == [2, 2, 1], "nothing is said twice"
