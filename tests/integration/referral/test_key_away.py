"""A storage key that the keyring has not: what it wraps waits for it, nothing of it is lost, and the rest goes on."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest

from shared.contracts.codes import Status, Step
from shared.contracts.event_data import WithdrawnData
from shared.telemetry import metrics
from tests.integration.referral.test_erased import case_of
from tests.integration.referral.test_leaving import ASKED, accepted, another_try, brokers_away, disclosed, has_words
from tests.support.desk import DeskAtWork, an_offer, further

NEVER_MADE = 99
"""A storage key that no keyring has."""


def waited_for_a_key() -> float:
    """Return how often something was tried in vain for want of a key, as the metrics have it."""
    labels = {"service": "referral", "outcome": "retried", "code": "keyring-key-missing"}
    return metrics.REGISTRY.get_sample_value("relais_messages_handled_total", labels) or 0.0


@asynccontextmanager
async def key_away(desk: DeskAtWork, folder: UUID) -> AsyncIterator[None]:
    """Let a folder's key be wrapped under a storage key that is not at hand, and bring that back afterwards."""
    epoch = await desk.owner.fetchval("SELECT epoch FROM folder WHERE id = $1", folder)
    await desk.owner.execute("UPDATE folder SET epoch = $2 WHERE id = $1", folder, NEVER_MADE)
    try:
        yield
    finally:
        await desk.owner.execute("UPDATE folder SET epoch = $2 WHERE id = $1", folder, epoch)


async def test_what_a_missing_storage_key_wraps_waits_for_it_and_nothing_else_does(desk: DeskAtWork) -> None:
    offer, other = await desk.was_offered(), an_offer()
    withdrawn = further(offer, WithdrawnData(reason="no_longer_needed"), 2, 0)
    async with key_away(desk, await case_of(desk, offer.referral)):
        first, second = (
            desk.partner.voice.seal(event.model_dump_json(exclude_none=True).encode()) for event in (withdrawn, other)
        )
        await desk.bring(first, second)
        assert await desk.waits(first) == "keyring-key-missing"
        await desk.stands(other.referral, Status.RECEIVED)
        for asked in (
            await desk.get(f"/referrals/{offer.referral}/papers"),
            await desk.post(f"/referrals/{offer.referral}/open"),
        ):
            assert (asked.status_code, asked.json()["code"]) == (503, "keyring-key-missing")
            assert "Retry-After" in asked.headers
    await desk.stands(offer.referral, Status.WITHDRAWN)
    held = "SELECT count(*) FROM held WHERE body = ANY($1::bytea[])"
    assert await desk.owner.fetchval(held, [first.envelope, second.envelope]) == 0


@pytest.mark.usefixtures("own_clock")
async def test_what_has_no_words_leaves_while_the_key_of_its_case_is_away_and_what_has_some_waits(
    desk: DeskAtWork, lines: StringIO
) -> None:
    (case, given, referral), (other_case, _, other) = await accepted(desk), await accepted(desk)
    with brokers_away():
        await desk.do(other, "disclose", ASKED)
        assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
        desk.move_clock(timedelta(minutes=1))
        for each in (referral, other):
            await another_try(desk, each, 1)
    async with key_away(desk, case), key_away(desk, other_case):
        desk.move_clock(timedelta(minutes=2))
        await desk.partner.told(referral, Step.CONSENT_WITHDRAWN)
        await another_try(desk, other, 2)
        before = waited_for_a_key()
        desk.move_clock(timedelta(minutes=5))
        await another_try(desk, other, 3)
        assert not disclosed(desk, other), "whether its words may leave, nobody could look"
        assert waited_for_a_key() > before, "the alarm rings for as long as it lasts"
    said = [json.loads(line) for line in lines.getvalue().splitlines() if "letter.stuck" in line]
    assert [(line["referral_id"], line["code"]) for line in said] == [(str(other), "keyring-key-missing")]
    desk.move_clock(timedelta(minutes=20))
    assert has_words((await desk.partner.told(other, Step.DISCLOSED))[1])
