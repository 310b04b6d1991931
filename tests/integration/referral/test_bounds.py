"""What a partner signs and seals, and is rubbish all the same: so much of it is kept, and nothing waits behind it."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.contracts.codes import Status
from shared.contracts.event_data import ConsentWithdrawnData, WithdrawnData
from shared.messaging import held
from shared.messaging.quarantine import QuarantineWatch
from shared.messaging.room import MOST_KEPT
from shared.sealing.keys import KeyPurpose
from shared.telemetry import metrics
from tests.support.desk import DeskAtWork, an_offer, further
from tests.support.partners import Sealed, Sender
from tests.support.wait import until

BOUND = 3


@pytest.fixture(autouse=True)
async def room(desk: DeskAtWork, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Let there be little room, and nothing in it."""
    monkeypatch.setattr("services.referral.hears.MOST_KEPT", BOUND)
    await desk.owner.execute("DELETE FROM held WHERE due_at IS NULL")
    yield
    await desk.owner.execute("DELETE FROM held WHERE due_at IS NULL")


def rubbish(by: Sender, times: int) -> list[Sealed]:
    """Return envelopes without a fault, each with something else in it that is no event."""
    return [by.seal(b'{"rubbish": "%s"}' % uuid4().hex.encode()) for _ in range(times)]


async def kept(desk: DeskAtWork, sealed: Sequence[Sealed]) -> int:
    """Return how many of these are kept whole."""
    query = "SELECT count(*) FROM held WHERE body = ANY($1::bytea[])"
    return int(await desk.owner.fetchval(query, [each.envelope for each in sealed]))


async def look(desk: DeskAtWork, *, full: int) -> None:
    """Look how many are parked of the origin that has most, where there is a bound: there should be ``full``."""
    office = desk.app.state.office
    await QuarantineWatch(office.pool, office.clock, "referral").step()
    ratio = metrics.REGISTRY.get_sample_value("relais_quarantine_full_ratio", {"service": "referral"})
    assert ratio == full / MOST_KEPT


async def test_ten_times_as_much_rubbish_as_there_is_room_for_pushes_out_nothing_and_rings_once_more(
    desk: DeskAtWork,
) -> None:
    others = rubbish(desk.other.voice, BOUND)
    flood, good = rubbish(desk.partner.voice, 10 * BOUND), [an_offer() for _ in range(3)]
    behind = [desk.partner.voice.seal(each.model_dump_json(exclude_none=True).encode()) for each in good]
    await desk.bring(*others[:1], *flood[:10], behind[0], *flood[10:], *behind[1:], *others[1:])
    for offer in good:
        await desk.stands(offer.referral, Status.RECEIVED)
    await until(lambda: kept(desk, others), what="what the other sent")
    for each in others:
        assert await desk.parked(each) == "event-unreadable"
    assert await kept(desk, flood) == BOUND
    query = "SELECT id, origin, reason, count, body FROM held WHERE due_at IS NULL AND size IS NOT NULL"
    (row,) = await desk.owner.fetch(query)
    assert (row["origin"], row["reason"], row["count"], row["body"]) == (
        desk.partner.id,
        "event-unreadable",
        9 * BOUND,
        b"",
    )
    ids = {each["id"] for each in await desk.owner.fetch("SELECT id FROM held WHERE due_at IS NULL")}
    assert len(ids) == 2 * BOUND + 1
    await until(lambda: len([fact for fact in desk.facts if fact.subject in ids]) >= len(ids), what="a fact for each")
    told = [fact for fact in desk.facts if fact.code.value == "message.parked" and fact.subject in ids]
    assert len(told) == len(ids)
    await look(desk, full=BOUND)


async def test_what_a_key_signs_that_is_for_something_else_takes_its_owners_room(
    desk: DeskAtWork,
) -> None:
    receipts = Sender.of(desk.partner.organisation, desk.us, KeyPurpose.RECEIPT)
    wrong = [receipts.seal(an_offer().model_dump_json(exclude_none=True).encode()) for _ in range(2 * BOUND)]
    await desk.bring(*wrong)

    async def counted() -> bool:
        query = "SELECT sum(count) FROM held WHERE origin = $1 AND reason = 'key-wrong-purpose' AND size IS NOT NULL"
        return bool(await desk.owner.fetchval(query, desk.partner.id) == BOUND)

    await until(counted, what="what there was no room for")
    assert await kept(desk, wrong) == BOUND


async def test_what_met_a_fault_of_ours_is_all_kept_and_has_its_effect_once_that_is_mended(
    desk: DeskAtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its receipt: its sender would never say it again."""
    voice, offers = desk.other.voice, [an_offer() for _ in range(BOUND + 3)]
    sealed = [voice.seal(offer.model_dump_json(exclude_none=True).encode()) for offer in offers]
    refused = rubbish(voice, BOUND + 2)
    with monkeypatch.context() as faulty:
        faulty.setattr("services.referral.domain.hearing.hear_offer", lambda *_, **__: 1 / 0)
        await desk.bring(*sealed, *refused)
        for each in sealed:
            assert await desk.parked(each) == "decision-failed"
        query = "SELECT sum(count) FROM held WHERE reason = 'event-unreadable'"
        await until(lambda: desk.owner.fetchval(f"{query} HAVING sum(count) = {len(refused)}"), what="what is refused")
    assert await kept(desk, refused) == BOUND
    await look(desk, full=BOUND)
    async with desk.app.state.office.pool.acquire() as connection:
        for parked in await held.parked(connection, reason="decision-failed"):
            assert await held.replay(connection, parked.id, datetime.now(UTC))
    for offer in offers:
        await desk.stands(offer.referral, Status.RECEIVED)
    assert await kept(desk, sealed) == 0


async def test_what_has_waited_too_long_for_an_agreement_is_all_kept(
    desk: DeskAtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.holding.PATIENCE", timedelta(days=-1))
    monkeypatch.setattr("services.referral.hears.not_heard", lambda *_: "agreement-none")
    sealed = [desk.partner.voice.seal(an_offer().model_dump_json(exclude_none=True).encode()) for _ in range(BOUND + 3)]
    await desk.bring(*sealed)
    for each in sealed:
        assert await desk.parked(each) == "agreement-none"
    await look(desk, full=0)


async def test_what_our_own_intake_says_is_all_kept_because_nobody_sends_it_again(desk: DeskAtWork) -> None:
    own = rubbish(Sender.of(desk.us, desk.us, KeyPurpose.RECEIPT), 2 * BOUND)
    await desk.bring(*own)
    for each in own:
        assert await desk.parked(each) == "event-unreadable"


async def test_copies_of_what_comes_early_are_kept_once_and_it_goes_when_its_turn_comes(desk: DeskAtWork) -> None:
    offer = await desk.was_offered()
    early = further(offer, ConsentWithdrawnData(), 3, 0).model_dump_json(exclude_none=True).encode()
    copies = [desk.partner.voice.seal(early) for _ in range(20)]
    await desk.bring(*copies[:10])
    assert await desk.waits(copies[0]) == "early"
    await desk.bring(*copies[10:])
    await desk.was_offered()
    assert await kept(desk, copies) == 1
    await desk.hear(further(offer, WithdrawnData(reason="no_longer_needed"), 2, 0))

    async def gone() -> bool:
        return await kept(desk, copies) == 0

    await until(gone, seconds=10, what="the one that waited, at its turn")
    assert (await desk.get(f"/referrals/{offer.referral}")).json()["status"] == "withdrawn"
