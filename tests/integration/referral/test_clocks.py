"""Clocks on the real store: each rings once, whichever process looks, and the person who does not come is missed."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.contracts.codes import Purpose, Status, Step
from shared.contracts.exchange import DisclosedData, MissedData, Terms
from tests.support.desk import DeskAtWork, further, run
from tests.support.referrals import CANARY, packet
from tests.support.wait import until


def overdue(desk: DeskAtWork, referral: UUID) -> list[str]:
    """Return who was told that something is overdue."""
    codes = ("referral.overdue", "receipt.missing")
    return sorted(
        f"{fact.code.value} {fact.audience.value}"
        for fact in desk.facts
        if fact.subject == referral and fact.code.value in codes
    )


async def looked_at(desk: DeskAtWork, referral: UUID) -> bool:
    """Whether no clock of the referral is due any more."""
    query = "SELECT due_at IS NULL OR due_at > $2 FROM referral WHERE id = $1"
    return bool(await desk.owner.fetchval(query, referral, desk.settings.clock().now()))


async def test_what_is_overdue_is_said_once_by_however_many_services(desk: DeskAtWork, own_clock: None) -> None:
    assert own_clock is None
    referral = await desk.offered(urgency="immediate")
    async with AsyncExitStack() as stack:
        await run(desk.settings, stack)
        desk.move_clock(timedelta(minutes=6))
        await until(lambda: len(overdue(desk, referral)) == 2, seconds=10, what="the receipt that is missing")
        desk.move_clock(timedelta(hours=5))
        await until(lambda: len(overdue(desk, referral)) == 4, seconds=10, what="the read and the decision overdue")
        await until(lambda: looked_at(desk, referral))
    assert overdue(desk, referral) == [
        "receipt.missing assignee",
        "receipt.missing operator",
        "referral.overdue assignee",
        "referral.overdue assignee",
    ]
    shown = (await desk.get(f"/referrals/{referral}")).json()
    assert (shown["status"], shown["overdue"]) == ("offered", True)


async def test_a_person_who_does_not_come_is_missed_by_the_clock(desk: DeskAtWork, own_clock: None) -> None:
    assert own_clock is None
    offer = await desk.was_offered()
    soon = datetime.now(UTC) + timedelta(hours=2)
    agreed = {"when": soon.isoformat(), "where": CANARY, "who": CANARY}
    await desk.do(offer.referral, "accept", {"meeting": agreed, "expected": soon.isoformat()})
    terms = Terms(purposes=frozenset({Purpose.SUPPORT}))
    await desk.hear(further(offer, DisclosedData(packet=packet(), terms=terms), 2, 1))
    await desk.stands(offer.referral, Status.DISCLOSED)
    desk.move_clock(timedelta(hours=4))
    await desk.stands(offer.referral, Status.MISSED)
    _, missed = await desk.partner.told(offer.referral, Step.MISSED)
    assert isinstance(missed.data, MissedData)
    assert missed.data.reason.value == "time_passed"
    await desk.told_staff(offer.referral, "referral.missed")
    assert (await desk.do(offer.referral, "arrive"))["responsible"] == desk.us.id
