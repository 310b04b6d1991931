"""Clocks on the real store: each rings once, whichever process looks, and the person who does not come is missed."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.referral import watch
from shared.contracts.codes import Purpose, Status, Step, Urgency
from shared.contracts.event_data import AcceptedData, DisclosedData, MissedData, Terms
from shared.contracts.facts import Audience
from shared.messaging.decision import Decision
from shared.messaging.delivery import Heard
from shared.messaging.shell import Shell
from shared.telemetry import metrics
from tests.support.desk import DeskAtWork, further, meeting, run
from tests.support.referrals import BY_STEP, CANARY, packet
from tests.support.wait import until


async def overdue(desk: DeskAtWork, referral: UUID) -> list[str]:
    """Return who was told that something is overdue."""
    codes = ("referral.overdue", "receipt.missing")
    return sorted(
        f"{fact.code.value} {fact.audience.value}"
        for fact in await desk.facts_about(referral)
        if fact.code.value in codes
    )


async def rang(desk: DeskAtWork, referral: UUID, times: int) -> bool:
    """Whether staff were told so often that something is overdue."""
    return len(await overdue(desk, referral)) == times


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
        await until(lambda: rang(desk, referral, 2), seconds=10, what="the receipt that is missing")
        desk.move_clock(timedelta(hours=5))
        await until(lambda: rang(desk, referral, 4), seconds=10, what="the read and the decision overdue")
        await until(lambda: looked_at(desk, referral))
    assert await overdue(desk, referral) == [
        "receipt.missing assignee",
        "receipt.missing operator",
        "referral.overdue assignee",
        "referral.overdue assignee",
    ]
    shown = (await desk.get(f"/referrals/{referral}")).json()
    assert (shown["status"], shown["overdue"]) == ("offered", True)


async def test_a_referral_that_somebody_has_locked_holds_up_no_other_clock(
    desk: DeskAtWork, own_clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_clock is None
    locked, other = [await desk.offered(urgency="immediate") for _ in range(2)]
    original = Shell.act

    async def act(shell: Shell[Any, Any], heard: Heard[Any]) -> Decision[Any]:
        if heard.key == locked:
            raise asyncpg.LockNotAvailableError
        return await original(shell, heard)

    monkeypatch.setattr(Shell, "act", act)
    desk.move_clock(timedelta(minutes=6))
    await until(lambda: rang(desk, other, 2), seconds=10, what="the other's receipt that is missing")
    assert await overdue(desk, locked) == []
    monkeypatch.setattr(Shell, "act", original)
    desk.move_clock(timedelta(minutes=6, seconds=10))
    await until(lambda: rang(desk, locked, 2), seconds=10, what="its own, soon after the lock is gone")


def missing() -> float:
    """Return how many receipts the metrics count as missing."""
    labels = {"service": "referral", "outcome": "missing"}
    return metrics.REGISTRY.get_sample_value("relais_receipts_total", labels) or 0.0


async def test_a_withdrawal_that_was_swallowed_is_noticed_once_and_its_late_receipt_counts(
    desk: DeskAtWork, own_clock: None
) -> None:
    assert own_clock is None
    before = missing()
    offer = await desk.was_offered()
    await desk.do(offer.referral, "decline", BY_STEP[Step.DECLINED])
    envelope, _ = await desk.partner.told(offer.referral, Step.DECLINED)
    async with AsyncExitStack() as stack:
        await run(desk.settings, stack)
        desk.move_clock(timedelta(minutes=6))
        await until(lambda: rang(desk, offer.referral, 2), seconds=10, what="the receipt that is missing")
        desk.move_clock(timedelta(minutes=12))
        await until(lambda: looked_at(desk, offer.referral))
    async with AsyncExitStack() as stack:
        await run(desk.settings, stack)
        assert await looked_at(desk, offer.referral), "a service that starts anew knows what has rung"
    assert await overdue(desk, offer.referral) == ["receipt.missing caseworkers", "receipt.missing operator"]
    assert missing() >= before + 1  # others' events, of tests before, may be missed by now as well
    assert (await desk.get(f"/referrals/{offer.referral}")).json()["overdue"] is True
    await desk.take_receipt(envelope)

    async def settled() -> bool:
        return (await desk.get(f"/referrals/{offer.referral}")).json()["overdue"] is False

    await until(settled, seconds=10, what="the late receipt counted")


async def test_a_referral_that_cannot_be_moved_holds_up_no_other(
    desk: DeskAtWork, own_clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_clock is None
    monkeypatch.setattr(watch, "AT_ONCE", 1)
    broken = [await desk.offered() for _ in range(3)]
    kept = await desk.owner.fetch("SELECT id, course FROM referral WHERE id = ANY($1::uuid[])", broken)
    for referral in broken:
        await desk.partner.told(referral, Step.OFFERED)
    whole = await desk.offered()
    await desk.owner.execute("UPDATE referral SET course = '[]' WHERE id = ANY($1::uuid[])", broken)
    try:
        desk.move_clock(timedelta(minutes=6))
        await until(lambda: rang(desk, whole, 2), seconds=10, what="the clock of the referral that is whole")
        assert [await overdue(desk, each) for each in broken] == [[]] * 3
    finally:
        for row in kept:
            await desk.owner.execute("UPDATE referral SET course = $2 WHERE id = $1", row["id"], row["course"])


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


async def test_a_person_whose_hour_nobody_has_named_is_asked_after_when_the_term_ends(
    desk: DeskAtWork, own_clock: None
) -> None:
    assert own_clock is None
    referral = await desk.offered(urgency="immediate")
    _, offer = await desk.partner.told(referral, Step.OFFERED)
    century = datetime(2099, 1, 1, tzinfo=UTC)
    await desk.hear(further(offer, AcceptedData(meeting=meeting(), expected=century), 1, 1))
    await desk.stands(referral, Status.ACCEPTED)
    shown = await desk.do(referral, "disclose", {"categories": ["identity"]})
    assert datetime.fromisoformat(shown["clocks"]["arrival"]) < datetime.now(UTC) + timedelta(hours=5)
    envelope, _ = await desk.partner.told(referral, Step.DISCLOSED)
    await desk.take_receipt(envelope)
    desk.move_clock(timedelta(hours=4, minutes=1))
    told = await desk.told_staff(referral, "referral.overdue")
    assert (told.audience, told.urgency) == (Audience.ASSIGNEE, Urgency.IMMEDIATE)
    assert await desk.status(referral) is Status.DISCLOSED


async def test_no_hour_is_named_that_would_silence_the_clock(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    agreed = {"meeting": meeting().model_dump(mode="json", exclude_none=True)}
    for days in (-1, 91):
        hour = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        refused = await desk.post(f"/referrals/{offer.referral}/accept", {**agreed, "expected": hour})
        assert (refused.status_code, refused.json()["code"]) == (409, "expected-out-of-bounds")
    assert (await desk.do(offer.referral, "accept", agreed))["status"] == "accepted"
