"""Our own receipt key runs out: messages wait and are never parked, whoever comes is told so, and it shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.intake.awaited_keys import AwaitedKeys
from shared.sealing.keyring import Holder, write_keyring
from shared.sealing.keys import KeyPurpose
from shared.telemetry import metrics
from tests.integration.intake.conftest import AtWork, Knocking, MoveClock, is_problem
from tests.support.partners import CHEAP, DAY, PASSPHRASE, Sealed, Sender
from tests.support.reports import SILENT
from tests.support.wait import until


@pytest.fixture(scope="module")
def ends() -> datetime:
    """Return when our receipt key runs out."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


@pytest.fixture(scope="module")
def knocking(knocking: Knocking, ends: datetime) -> Knocking:
    """Give the same organisations, of which ours has a receipt key that runs out soon."""
    us = knocking.us
    keyring = us.keyring(Holder.INTAKE)
    keys = [replace(held, valid_until=ends) if held.purpose is KeyPurpose.RECEIPT else held for held in keyring.keys]
    write_keyring(us.folder, replace(keyring, keys=tuple(keys)), PASSPHRASE, CHEAP.cost)
    return knocking


@pytest.fixture
def sender(knocking: Knocking) -> Sender:
    """The partner's referral service."""
    return Sender.of(knocking.partner, knocking.us)


async def waits(door: AtWork, sealed: Sealed) -> int:
    """Wait until the envelope is held for our key, and return how often it was tried."""
    query = "SELECT attempts FROM held WHERE body = $1 AND reason = 'keyring-key-missing' AND due_at IS NOT NULL"

    async def look() -> int:
        return int(await door.owner.fetchval(query, sealed.envelope) or 0)

    return await until(look, what="the envelope waiting for our key")


async def test_without_our_key_messages_wait_for_it_however_long_and_what_needs_none_goes_on(
    door: AtWork, knocking: Knocking, sender: Sender, move_clock: MoveClock
) -> None:
    brought, posted = sender.seal(lives=9 * DAY), sender.seal(lives=9 * DAY)
    receipt = Sender.of(knocking.partner, knocking.us, KeyPurpose.RECEIPT).seal(lives=9 * DAY)
    given = sender.seal(lives=9 * DAY)
    await door.bring(given)
    await door.went_through(given)
    move_clock(timedelta(hours=2))
    await door.bring(given, brought, receipt)
    await door.went_through(receipt)
    assert is_problem(await door.post(posted), 503, "keyring-key-missing")
    tried = await waits(door, brought)
    move_clock(3 * DAY)
    await until(lambda: _tried_again(door, brought, tried), what="another try, days later")
    assert await waits(door, posted)
    assert door.handed_on(brought) == door.handed_on(posted) == []

    move_clock(timedelta())
    entrance = door.app.state.entrance
    await AwaitedKeys(knocking.us.directory, entrance.events, entrance.pool, entrance.clock).step()
    await door.went_through(brought)
    await door.went_through(posted)
    assert (await door.post(posted)).status_code == 200


async def _tried_again(door: AtWork, sealed: Sealed, tried: int) -> bool:
    return await waits(door, sealed) > tried


async def test_whoever_reports_is_told_to_come_again(door: AtWork, move_clock: MoveClock) -> None:
    move_clock(timedelta(hours=2))
    answer = await door.report(SILENT)
    assert is_problem(answer, 503, "keyring-key-missing")
    assert int(answer.headers["retry-after"]) > 60
    move_clock(timedelta())
    assert (await door.report(SILENT)).status_code == 201


async def test_readiness_says_so(door: AtWork, move_clock: MoveClock) -> None:
    move_clock(timedelta(hours=2))
    answer = await door.client.get("/health/ready")
    assert (answer.status_code, answer.json()["keys"]) == (503, False)
    move_clock(timedelta())
    answer = await door.client.get("/health/ready")
    assert (answer.status_code, answer.json()["keys"]) == (200, True)


@pytest.mark.usefixtures("door")
async def test_when_it_ends_is_known_long_before(ends: datetime) -> None:
    labels = {"service": "intake", "kind": "receipt"}
    assert metrics.REGISTRY.get_sample_value("relais_key_ends_timestamp_seconds", labels) == ends.timestamp()
