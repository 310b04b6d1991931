"""What leaves must still be allowed when it leaves: what is said again, and what the outbox still holds."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.contracts.codes import Category, RecipientKind, Status, Step
from shared.contracts.event import encode
from shared.contracts.event_data import AcceptedData
from shared.contracts.exchange import ReferralEvent, ReferralOffered
from shared.contracts.packet import NOTHING_DISCLOSED
from shared.messaging.publisher import RabbitPublisher
from shared.sealing.agreement import CONCLUDED_WITHIN
from shared.sealing.envelope import Envelope
from tests.support.desk import DeskAtWork, Partner, further, meeting
from tests.support.referrals import CANARY
from tests.support.wait import until

pytestmark = pytest.mark.usefixtures("own_clock")

TRIED = "SELECT min(attempts) FROM outbox JOIN said ON said.message = outbox.id WHERE referral = $1"
UNAGREED = "SELECT count(*) FROM outbox JOIN said ON said.message = outbox.id WHERE referral = $1 AND unagreed"
TANGLE = "UPDATE referral SET course = jsonb_set(course::jsonb, '{receiver,0,3}', '9')::text WHERE id = $1"
ASKED = {"categories": [Category.IDENTITY.value, Category.SAFE_CONTACT.value]}


@contextmanager
def brokers_away() -> Iterator[None]:
    """Let nothing that we say leave for a while."""

    async def refuse(*_args: object, **_options: object) -> None:
        raise OSError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RabbitPublisher, "publish", refuse)
        yield


@asynccontextmanager
async def agreed_otherwise(desk: DeskAtWork, changes: Mapping[str, Any]) -> AsyncIterator[None]:
    """Let another agreement with the partner take the place of the one before, for a while."""
    await _agree(desk, **changes)
    try:
        yield
    finally:
        await _agree(desk)


async def _agree(desk: DeskAtWork, **changes: Any) -> None:  # noqa: ANN401 - as the agreement has them
    directory = desk.app.state.office.directory
    before = directory.book.agreements[desk.partner.id]
    desk.us.agree_with(desk.partner.organisation, **changes)
    await until(lambda: directory.book.agreements[desk.partner.id] is not before, seconds=10, what="the new agreement")


async def another_try(desk: DeskAtWork, referral: UUID, tries: int) -> None:
    """Wait until everything about a referral that lies in the outbox was tried so many times."""

    async def look() -> bool:
        return int(await desk.owner.fetchval(TRIED, referral) or 0) >= tries

    await until(look, seconds=10, what="another try")


async def accepted(desk: DeskAtWork, to: Partner | None = None) -> tuple[UUID, UUID, UUID]:
    """Let a partner accept somebody; return the case, the grant and the referral."""
    case, partner = await desk.new_case(), to or desk.partner
    given = await desk.grant(case, partner)
    referral = UUID((await desk.offer(case, partner)).json()["exchange_id"])
    offer = (await partner.told(referral, Step.OFFERED))[1]
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1), partner.voice)
    await desk.stands(referral, Status.ACCEPTED)
    return case, given, referral


@asynccontextmanager
async def tangled(desk: DeskAtWork, referral: UUID) -> AsyncIterator[None]:
    """Let what the partner said claim, for a while, to have seen what we never said."""
    course = await desk.owner.fetchval("SELECT course FROM referral WHERE id = $1", referral)
    await desk.owner.execute(TANGLE, referral)
    try:
        yield
    finally:
        await desk.owner.execute("UPDATE referral SET course = $2 WHERE id = $1", referral, course)


def disclosed(desk: DeskAtWork, referral: UUID) -> list[tuple[Envelope, ReferralEvent]]:
    return [each for each in desk.partner.heard(referral) if each[1].step is Step.DISCLOSED]


def has_words(event: ReferralEvent) -> bool:
    return CANARY.encode() in encode(event) or b"family_name" in encode(event)


async def test_what_the_gate_would_refuse_today_is_not_said_again_whole(desk: DeskAtWork) -> None:
    case, _, referral = await accepted(desk)
    await desk.do(referral, "disclose", ASKED)
    assert has_words((await desk.partner.told(referral, Step.DISCLOSED))[1])
    # the offer is proved, and nobody opens it
    await desk.owner.execute("UPDATE paper SET body = 'x' WHERE about = $1 AND n = 1", referral)
    async with agreed_otherwise(desk, {"kind": RecipientKind.POLICE}):
        assert (await desk.offer(case)).json()["code"] == "not-released"
        desk.move_clock(timedelta(minutes=3))
        await until(lambda: len(disclosed(desk, referral)) > 1, seconds=10, what="it said again")
    assert [has_words(event) for _, event in disclosed(desk, referral)] == [True, False]


async def test_what_lies_in_the_outbox_when_consent_is_taken_back_leaves_without_its_words(desk: DeskAtWork) -> None:
    case, given, referral = await accepted(desk)
    with brokers_away():
        await desk.do(referral, "disclose", ASKED)
        assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
    desk.move_clock(timedelta(minutes=1))
    await desk.partner.told(referral, Step.CONSENT_WITHDRAWN)
    await desk.partner.told(referral, Step.DISCLOSED)
    heard = {envelope.header.sequence: event for envelope, event in desk.partner.heard(referral)}
    numbers = sorted(heard)
    assert [heard[number].step for number in numbers] == [Step.OFFERED, Step.DISCLOSED, Step.CONSENT_WITHDRAWN]
    assert not has_words(heard[numbers[1]])
    assert numbers == list(range(numbers[0], numbers[0] + 3)), "the partner misses no number"


async def test_an_offer_that_is_withdrawn_before_it_leaves_says_nothing_of_anybody_and_leaves_no_gap(
    desk: DeskAtWork,
) -> None:
    with brokers_away():
        referral = await desk.offered()
        await desk.do(referral, "withdraw", {"reason": "no_longer_needed"})
    desk.move_clock(timedelta(minutes=1))
    for step in (Step.OFFERED, Step.WITHDRAWN):
        await desk.partner.told(referral, step)
    (first, offer), (second, _) = sorted(desk.partner.heard(referral), key=lambda each: each[0].header.sequence)
    assert second.header.sequence == first.header.sequence + 1
    assert isinstance(offer, ReferralOffered)
    assert offer.data.packet == NOTHING_DISCLOSED


async def test_whoever_follows_the_referral_is_told_that_what_lies_in_the_outbox_leaves_without_its_words(
    desk: DeskAtWork,
) -> None:
    _, _, referral = await accepted(desk)
    with brokers_away():
        await desk.do(referral, "disclose", ASKED)
    async with agreed_otherwise(desk, {"kind": RecipientKind.POLICE}):
        desk.move_clock(timedelta(minutes=1))
        assert not has_words((await desk.partner.told(referral, Step.DISCLOSED))[1])
        desk.move_clock(timedelta(minutes=2))
        await desk.told_staff(referral, "referral.emptied")


async def test_it_is_emptied_once_however_long_the_exchange_is_away(desk: DeskAtWork) -> None:
    case, given, referral = await accepted(desk)
    with brokers_away():
        await desk.do(referral, "disclose", ASKED)
        assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
        for tries, minutes in enumerate((1, 10), 1):
            desk.move_clock(timedelta(minutes=minutes))
            await another_try(desk, referral, tries)
    desk.move_clock(timedelta(minutes=30))
    for step in (Step.DISCLOSED, Step.CONSENT_WITHDRAWN):
        await desk.partner.told(referral, step)
    count = "SELECT count(*) FROM said WHERE referral = $1 AND n = 2"
    assert await desk.owner.fetchval(count, referral) == 2


async def test_what_lies_in_the_outbox_leaves_for_no_key_that_the_partner_has_withdrawn(desk: DeskAtWork) -> None:
    partner = desk.other
    _, _, referral = await accepted(desk, partner)
    with brokers_away():
        await desk.do(referral, "disclose", ASKED)
        serial, new = partner.organisation.replace_inbox(desk.us)
        await desk.knows(partner, serial)
    partner.keyring = replace(partner.keyring, keys=(*partner.keyring.keys, new))
    try:
        desk.move_clock(timedelta(minutes=1))
        envelope, event = await partner.told(referral, Step.DISCLOSED)
    finally:
        await desk.knows(partner, partner.organisation.publish_again(desk.us))
    assert envelope.header.inbox_keys == (new.key.id,)
    assert has_words(event)
    assert [said.step for _, said in partner.heard(referral)] == [Step.OFFERED, Step.DISCLOSED]


async def test_a_letter_of_which_nothing_can_be_told_holds_up_no_other(desk: DeskAtWork) -> None:
    (_, _, damaged), (_, _, whole) = await accepted(desk), await accepted(desk)
    with brokers_away():
        for referral in (damaged, whole):
            await desk.do(referral, "disclose", ASKED)
    async with tangled(desk, damaged):
        desk.move_clock(timedelta(minutes=1))
        await desk.partner.told(whole, Step.DISCLOSED)
        assert not disclosed(desk, damaged)
    desk.move_clock(timedelta(minutes=2))
    await desk.partner.told(damaged, Step.DISCLOSED)


async def test_what_lies_in_the_outbox_waits_for_an_agreement_and_leaves_in_a_fresh_envelope(desk: DeskAtWork) -> None:
    _, _, referral = await accepted(desk)
    ended = timedelta(days=31)
    with brokers_away():
        await desk.do(referral, "disclose", ASKED)
    desk.move_clock(ended)
    await another_try(desk, referral, 1)
    assert not disclosed(desk, referral)
    assert await desk.owner.fetchval(UNAGREED, referral) == 1
    async with agreed_otherwise(desk, {"ends": timedelta(days=400)}):
        desk.move_clock(ended + timedelta(minutes=10))
        envelope, event = await desk.partner.told(referral, Step.DISCLOSED)
    assert has_words(event)
    assert envelope.header.expires > datetime.now(UTC) + ended


async def test_what_may_not_wait_waits_for_an_agreement_as_well_where_nothing_may_be_said_without_one(
    desk: DeskAtWork,
) -> None:
    """Or the alarm of a broker that confirms nothing would ring for ever."""
    case, given, referral = await accepted(desk)
    ended = timedelta(days=31) + CONCLUDED_WITHIN
    with brokers_away():
        assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
        desk.move_clock(timedelta(minutes=1))
        await another_try(desk, referral, 1)
    desk.move_clock(ended)
    await another_try(desk, referral, 2)
    assert await desk.owner.fetchval(UNAGREED, referral) == 1
    async with agreed_otherwise(desk, {"ends": timedelta(days=400)}):
        desk.move_clock(ended + timedelta(minutes=10))
        envelope, _ = await desk.partner.told(referral, Step.CONSENT_WITHDRAWN)
    assert envelope.header.expires > datetime.now(UTC) + ended
    assert not await desk.owner.fetchval(UNAGREED, referral)
