"""What was refused and is said again: let in once its reason is gone, and then exactly once."""

import asyncio
from datetime import timedelta
from io import StringIO

import pytest

from services.intake.hears import Door
from shared.messaging import held, places
from shared.messaging.delivery import Delivery
from shared.sealing.keys import InboxKey, InboxPublicKey
from shared.sealing.receipts import verify_receipt
from shared.sealing.suites import KeyKind
from tests.integration.intake.conftest import AtWork, Knocking, is_problem
from tests.support.partners import Sealed, Sender
from tests.support.wait import until

TABLES = ("held", "inbox", "receipt")


@pytest.fixture
def sender(knocking: Knocking) -> Sender:
    """The partner's referral service."""
    return Sender.of(knocking.partner, knocking.us)


@pytest.fixture
def key() -> InboxPublicKey:
    """Return an inbox key of ours that our folder does not have yet."""
    return InboxKey.generate(KeyKind.X_WING).public


@pytest.fixture(autouse=True)
async def empty(door: AtWork) -> None:
    """Let nothing be kept back."""
    await door.owner.execute("TRUNCATE held")


def arrives(knocking: Knocking, key: InboxPublicKey) -> None:
    """Let our folder have the key."""
    knocking.us.hear_of_inbox({key: timedelta()})


async def rows(door: AtWork) -> list[int]:
    """Return how much is kept, known, given and written down of messages."""
    written = [len(await door.entries(code)) for code in ("message.refused", "message.received")]
    return [*[await door.count(table) for table in TABLES], sum(written)]


async def received(door: AtWork, sealed: Sealed) -> int:
    """Return how often the audit log says that the message came in."""
    return sum(str(sealed.id) in entry for entry in await door.entries("message.received"))


async def all_through(door: AtWork, sealed: list[Sealed]) -> None:
    """Wait until each has been handed on; none may have been twice, or have been written down twice."""
    for each in sealed:
        await door.went_through(each)
    assert [await received(door, each) for each in sealed] == [1] * len(sealed)


async def test_what_was_refused_a_moment_too_early_is_let_in_when_it_is_said_again(
    door: AtWork, knocking: Knocking, sender: Sender, key: InboxPublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Door, "most_kept", lambda *_: 2)
    early = [sender.seal(inbox=key) for _ in range(5)]
    await door.bring(*early, behind := sender.seal())
    await door.went_through(behind)
    assert await door.owner.fetchval("SELECT count(*) FROM held WHERE size IS NULL") == 2
    before = await rows(door)
    await door.bring(*early[:2], behind := sender.seal())
    await door.went_through(behind)
    assert await rows(door) == [before[0], *(count + 1 for count in before[1:])], "only what was behind them is new"

    arrives(knocking, key)
    await door.bring(*early, *early)
    await all_through(door, early)
    for each in early:
        assert (await door.post(each)).status_code == 200, "its receipt is there"

    before = await rows(door)
    now = door.app.state.entrance.clock.now()
    for row in await door.owner.fetch("SELECT id FROM held WHERE size IS NULL"):
        async with door.app.state.entrance.pool.acquire() as connection:
            assert await held.replay(connection, row["id"], now)
    await until(lambda: door.count_is("held", before[0] - 2), what="the replayed copies being dealt with")
    await door.bring(behind := sender.seal())
    await door.went_through(behind)
    await all_through(door, early)
    assert await rows(door) == [before[0] - 2, *(count + 1 for count in before[1:])]


async def test_over_http_it_gets_its_receipt_then(
    door: AtWork, knocking: Knocking, sender: Sender, key: InboxPublicKey
) -> None:
    sealed = sender.seal(inbox=key)
    assert is_problem(await door.post(sealed), 400, "envelope-unknown-key")
    before = await rows(door)
    assert is_problem(await door.post(sealed), 409, "message-not-taken")
    assert await rows(door) == before
    arrives(knocking, key)
    answer = await door.post(sealed)
    assert answer.status_code == 202
    receipt = verify_receipt(answer.content, knocking.partner.directory.book.document(knocking.us.id))
    assert receipt.covers(sealed.id, sealed.envelope)
    again = await door.post(sealed)
    assert (again.status_code, again.content) == (200, answer.content)
    await all_through(door, [sealed])


async def test_of_copies_that_come_together_one_is_let_in_and_none_is_in_the_way(
    door: AtWork, knocking: Knocking, sender: Sender, key: InboxPublicKey, lines: StringIO
) -> None:
    sealed = sender.seal(inbox=key)
    shell = door.app.state.entrance.events
    delivery = Delivery(sealed.envelope, sealed.headers, places.to_queue(door.us, door.partner))
    await shell.take(shell.read([delivery]))
    arrives(knocking, key)
    await shell.take(shell.read([delivery, delivery]))
    await all_through(door, [sealed])
    assert "batch.halved" not in lines.getvalue()


async def test_whoever_takes_it_it_is_let_in_once(
    door: AtWork, knocking: Knocking, sender: Sender, key: InboxPublicKey
) -> None:
    """Copies come to several workers at once."""
    early = [sender.seal(inbox=key) for _ in range(12)]
    shell = door.app.state.entrance.events
    queue = places.to_queue(door.us, door.partner)
    deliveries = [Delivery(each.envelope, each.headers, queue) for each in early]
    await shell.take(shell.read(deliveries))
    numbers = await door.count("receipt")
    arrives(knocking, key)
    turned = [deliveries[place:] + deliveries[:place] for place in (0, 3, 6, 9)]
    await asyncio.gather(*(shell.take(shell.read(each)) for each in turned))
    await all_through(door, early)
    assert await door.count("receipt") == numbers + len(early)
    assert [each.reason for each in await _parked(door)] == ["envelope-unknown-key"] * len(early)


async def _parked(door: AtWork) -> list[held.Parked]:
    async with door.app.state.entrance.pool.acquire() as connection:
        return await held.parked(connection)
