"""The batch shell on a real broker and a real database: nothing lost, nothing doubled, nothing in the way."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.messaging import held
from shared.messaging.batch import Batch, Work
from shared.messaging.consumer import Arrived
from shared.messaging.decision import Decision, Early
from shared.messaging.delivery import Delivery, Heard, Later, Read, Unreadable
from shared.messaging.desk import Said
from shared.messaging.outbox import Letter
from shared.messaging.shell import UnsayableError
from shared.sealing.codes import KeyringCode, KeyringError
from shared.storage.pool import Connection
from shared.telemetry import logs, metrics
from tests.integration.messaging.conftest import Bench
from tests.support.parcels import Add, Parcel, message
from tests.support.telemetry import recorded
from tests.support.wait import until


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """Give what this process logs, as it does when a service runs, and more of it: libraries' debugging too."""
    stream = StringIO()
    logs.configure("debug", "json", stream)
    logging.getLogger().setLevel(logging.DEBUG)
    yield stream
    logs.restore()


async def settled(bench: Bench, inbox: int) -> None:
    """Wait until the service has taken in ``inbox`` messages and said all that it has to say."""

    async def is_settled() -> bool:
        return await bench.count("inbox") == inbox and await bench.count("outbox") == 0

    await until(is_settled, seconds=20, what=f"{inbox} in the inbox and nothing in the outbox")


async def parked(bench: Bench, count: int = 1) -> list[held.Parked]:
    """Wait until ``count`` messages are parked, and return them."""

    async def look() -> list[held.Parked]:
        async with bench.pool.acquire() as connection:
            found = await held.parked(connection)
        return found if len(found) == count else []

    return await until(look, seconds=10, what=f"{count} parked")


async def test_every_message_has_its_effect_once_however_often_it_comes(bench: Bench) -> None:
    parcels = [uuid4() for _ in range(7)]
    messages = [message(parcels[n % 7], 1) for n in range(400)]
    await bench.send([*messages, *messages[::3], *messages[::5]])
    await bench.listen()
    await bench.runtime.start()
    await settled(bench, 400)
    assert [await bench.total(parcel) for parcel in parcels] == [58, 57, 57, 57, 57, 57, 57]
    await until(lambda: len(bench.said) >= 400, seconds=10)
    said = Counter((json.loads(each.body)[1], json.loads(each.body)[2]) for each in bench.said)
    assert said == Counter({(str(p), n): 1 for i, p in enumerate(parcels) for n in range(1, 58 + (i == 0))})
    assert await bench.count("audit_leaf") == 400


async def test_what_comes_in_one_letter_is_dealt_with_one_by_one_and_acknowledged_with_the_last(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter of more messages than a batch has, and one with a message that cannot be read."""
    consumer, parcel = bench.runtime.consumers[0], uuid4()
    acknowledge, finished = consumer._acknowledge, list[list[int]]()  # noqa: SLF001

    async def noted(batch: list[Arrived]) -> None:
        assert await bench.count("inbox") >= 40 * (len(finished) + 1) or len(batch) < 40
        finished.append([arrived.tag for arrived in batch if arrived.tag is not None])
        await acknowledge(batch)

    monkeypatch.setattr(consumer, "_largest", 40)
    monkeypatch.setattr(consumer, "_acknowledge", noted)
    lines = [message(parcel, 1)[1] for _ in range(100)]
    poisoned = b"\n".join([lines[0], b"no parcel", lines[1]])
    await bench.send([(uuid4(), b"\n".join(lines)), (uuid4(), poisoned)])
    await bench.runtime.start()
    [lot] = await parked(bench)
    assert lot.reason == "parcel-unreadable"
    await settled(bench, 100)
    assert await bench.total(parcel) == 100
    await until(lambda: [tag for tags in finished for tag in tags] == [1, 2])
    assert finished[:2] == [[], []]


async def test_messages_of_one_parcel_keep_their_order(bench: Bench) -> None:
    parcel = uuid4()
    await bench.send(message(parcel, n % 5) for n in range(150))
    await bench.runtime.start()
    await settled(bench, 150)
    assert await bench.pool.fetchval("SELECT steps FROM parcel WHERE id = $1", parcel) == [n % 5 for n in range(150)]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [("unreadable", "parcel-unreadable"), ("forbidden", "parcel-forbidden"), ("bug", "decision-failed")],
)
async def test_a_poisoned_message_is_parked_and_the_ones_behind_it_go_on(
    bench: Bench, trouble: str, reason: str
) -> None:
    parcel = uuid4()
    await bench.send(
        [*(message(parcel, 1) for _ in range(5)), message(parcel, 500, trouble=trouble), message(parcel, 1)]
    )
    await bench.runtime.start()
    [lot] = await parked(bench)
    assert lot.reason == reason
    await until(lambda: bench.total(parcel), seconds=5)
    await settled(bench, 6 if trouble == "unreadable" else 7)
    assert await bench.total(parcel) == 6


async def test_a_message_that_the_database_refuses_is_found_by_halving(bench: Bench) -> None:
    good, bad = uuid4(), uuid4()
    await bench.send(
        [*(message(good, 1) for _ in range(40)), message(bad, 5000), *(message(good, 1) for _ in range(40))]
    )
    await bench.runtime.start()
    [lot] = await parked(bench)
    assert lot.reason == "decision-failed"
    await settled(bench, 80)
    assert await bench.total(good) == 80
    assert await bench.total(bad) == 0


async def test_a_parked_message_can_be_replayed_once_what_was_wrong_is_mended(bench: Bench) -> None:
    parcel = uuid4()
    await bench.send([message(parcel, 3, trouble="bug"), message(parcel, 4, trouble="unreadable")])
    await bench.runtime.start()
    lots = await parked(bench, 2)
    bench.desk.troubles.clear()
    async with bench.pool.acquire() as connection:
        for lot in lots:
            assert await held.replay(connection, lot.id, bench.clock.now())
    await until(lambda: _is(bench, parcel, 7), seconds=5)
    assert await bench.count("held") == 0
    async with bench.pool.acquire() as connection:
        assert not await held.replay(connection, lots[0].id, bench.clock.now())


async def test_a_dropped_message_is_gone(bench: Bench) -> None:
    await bench.send([message(uuid4(), 3, trouble="forbidden")])
    await bench.runtime.start()
    [lot] = await parked(bench)
    async with bench.pool.acquire() as connection:
        assert await held.drop(connection, lot.id)
        assert not await held.drop(connection, lot.id)
        assert await held.parked(connection) == []


async def test_a_message_that_comes_too_early_waits_for_the_one_before_it(bench: Bench) -> None:
    parcel = uuid4()
    await bench.runtime.start()
    await bench.send([message(parcel, 7, after=2), message(parcel, 8, after=1)])
    await until(lambda: _rows(bench, "held", 2), seconds=5)
    await bench.send([message(parcel, 9)])
    await until(lambda: _is(bench, parcel, 24), seconds=10)
    assert await bench.pool.fetchval("SELECT steps FROM parcel WHERE id = $1", parcel) == [9, 8, 7]
    assert await bench.count("held") == 0


async def test_what_was_parked_as_too_early_is_tried_when_the_one_before_it_comes_after_all(bench: Bench) -> None:
    parcel = uuid4()
    await bench.runtime.start()
    await bench.send([message(parcel, 8, after=1)])
    await until(lambda: _rows(bench, "held", 1), seconds=5)
    bench.clock_file.write_text("90000")
    [lot] = await parked(bench)
    assert lot.reason == "early"
    await bench.send([message(parcel, 9)])
    await until(lambda: _is(bench, parcel, 17), seconds=10)
    assert await bench.count("held") == 0


async def test_what_is_not_possible_yet_is_tried_again_and_parked_after_a_day(bench: Bench) -> None:
    parcel = uuid4()
    await bench.runtime.start()
    await bench.send([message(parcel, 2, trouble="later")])
    await until(lambda: _rows(bench, "held", 1), seconds=5)
    await until(lambda: _tries(bench, 2), seconds=10)
    bench.clock_file.write_text("90000")
    [lot] = await parked(bench)
    assert lot.reason == "parcel-later"
    bench.desk.troubles.clear()
    async with bench.pool.acquire() as connection:
        await held.replay(connection, lot.id, bench.clock.now())
    await until(lambda: _is(bench, parcel, 2), seconds=5)


async def test_the_same_id_with_other_bytes_is_kept_as_evidence(bench: Bench) -> None:
    parcel, id_ = uuid4(), uuid4()
    await bench.send([message(parcel, 1, id_=id_)])
    await bench.runtime.start()
    await settled(bench, 1)
    await bench.send([message(parcel, 100, id_=id_)])
    [lot] = await parked(bench)
    assert lot.reason == "message-id-reused"
    assert await bench.total(parcel) == 1


async def test_the_same_id_twice_in_one_batch_counts_once(bench: Bench) -> None:
    parcel, id_ = uuid4(), uuid4()
    same = message(parcel, 1, id_=id_)
    other = message(parcel, 100, id_=id_)
    outcomes = await bench.take([Delivery(body, {}, "test") for _, body in (same, same, other)])
    assert [outcome.refusal.code if outcome.refusal else None for outcome in outcomes] == [
        None,
        None,
        "message-id-reused",
    ]
    assert await bench.total(parcel) == 1


async def test_a_replay_of_other_bytes_under_a_taken_id_meets_the_inbox_again(bench: Bench) -> None:
    parcel, id_ = uuid4(), uuid4()
    await bench.take([Delivery(body, {}, "test") for _, body in (message(parcel, n, id_=id_) for n in (1, 100))])
    await bench.runtime.start()
    [lot] = await parked(bench)
    async with bench.pool.acquire() as connection:
        assert await held.replay(connection, lot.id, bench.clock.now())
    await until(lambda: _tries(bench, 2), seconds=5)
    [again] = await parked(bench)
    assert (again.id, again.reason) == (lot.id, "message-id-reused")
    assert await bench.total(parcel) == 1


async def test_what_lies_parked_and_comes_again_and_has_only_to_wait_waits(bench: Bench) -> None:
    parcel = uuid4()
    delivery = Delivery(message(parcel, 5, trouble="later")[1], {}, "test")
    parked_before: Read[Add] = Read(delivery, Unreadable("key-withdrawn"))
    waits: Read[Add] = Read(delivery, Later("key-unknown"))
    for read, due in ((parked_before, False), (waits, True), (parked_before, True)):
        await bench.shell.take([read])
        [row] = await bench.pool.fetch("SELECT reason, due_at FROM held")
        assert (row["reason"], row["due_at"] is not None) == ("key-unknown" if due else "key-withdrawn", due)
    assert await bench.count("held") == 1


async def test_the_same_garbage_is_announced_and_counted_once_however_often_it_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced, before = list[str](), _handled()

    def announce(_held: UUID, code: str, _at: datetime) -> tuple[object, ...]:
        announced.append(code)
        return ()

    monkeypatch.setattr(bench.desk, "parked", announce)
    for _ in range(3):
        await bench.take([Delivery(b"no parcel", {}, "test")] * 2)
    assert announced == ["parcel-unreadable"]
    assert (_handled() - before)["parked"] == 1


async def test_a_value_that_cannot_be_written_is_found_by_halving_and_not_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel, original = uuid4(), bench.desk.keep

    async def keep(connection: Connection, states: Any, decisions: Any, at: datetime) -> None:  # noqa: ANN401 - passed on
        if any(parcel.total >= 500 for parcel in states.values()):
            await connection.execute("SELECT $1::integer", "no number")
        await original(connection, states, decisions, at)

    monkeypatch.setattr(bench.desk, "keep", keep)
    bodies = [message(parcel, 1)[1], message(uuid4(), 500)[1], message(parcel, 1)[1]]
    outcomes = await bench.take([Delivery(body, {}, "test") for body in bodies])
    assert [outcome.refusal.code if outcome.refusal else "" for outcome in outcomes] == ["", "decision-failed", ""]
    assert await bench.total(parcel) == 2


async def test_a_saying_that_the_desk_does_not_know_is_refused_and_not_dropped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel, strange, original = uuid4(), uuid4(), bench.desk.decide

    def decide(state: Parcel | None, heard: Heard[Add], at: datetime) -> Decision[Parcel] | Early:
        decision = original(state, heard, at)
        if isinstance(decision, Early) or heard.key != strange:
            return decision
        return replace(decision, says=("a word",))

    monkeypatch.setattr(bench.desk, "decide", decide)
    bodies = [message(parcel, 1)[1], message(strange, 1)[1], message(parcel, 1)[1]]
    outcomes = await bench.take([Delivery(body, {}, "test") for body in bodies])
    assert [outcome.refusal.code if outcome.refusal else "" for outcome in outcomes] == ["", "decision-failed", ""]
    assert (await bench.total(parcel), await bench.total(strange)) == (2, 0)
    assert [lot.reason for lot in await parked(bench)] == ["decision-failed"]
    with pytest.raises(UnsayableError, match="saying-unknown"):
        await bench.shell.act(bench.desk.read(Delivery(message(strange, 1)[1], {}, "http")))


async def test_what_became_of_each_message_is_counted_once_and_after_the_commit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel, before = uuid4(), _handled()
    good = [message(parcel, 1) for _ in range(10)]
    bad = [(uuid4(), b"no parcel %d" % n) for n in range(5)]
    refusing, original = [True, True], bench.shell._keep  # noqa: SLF001

    async def keep(connection: Connection, work: Work[Parcel], at: datetime) -> Sequence[Letter]:
        if refusing and refusing.pop():
            raise ConnectionResetError
        return await original(connection, work, at)

    monkeypatch.setattr(bench.shell, "_keep", keep)
    await bench.take([Delivery(body, {}, "test") for _, body in (*good, *bad, good[0], good[1])])
    assert _handled() - before == Counter({"decided": 10, "duplicate": 2, "parked": 5})


async def test_what_fails_after_the_commit_neither_parks_what_has_happened_nor_answers_as_if_it_had_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel = uuid4()

    def committed(_decisions: object, _said: object) -> None:
        raise NameError

    monkeypatch.setattr(bench.desk, "committed", committed)
    await bench.runtime.start()
    await bench.listen()
    await bench.take([Delivery(message(parcel, 5)[1], {}, "test"), Delivery(b"no parcel", {}, "test")])
    assert (await bench.shell.act(bench.desk.read(Delivery(message(parcel, 2)[1], {}, "http")))).state is not None
    assert await bench.total(parcel) == 7
    assert await bench.count("held") == 1
    await until(lambda: len(bench.said) == 2, seconds=10, what="both letters have left")


async def test_while_nothing_can_be_dealt_with_everything_waits_and_nothing_is_parked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel, refusing, original = uuid4(), [True, True], bench.desk.say

    async def say(connection: Connection, said: Sequence[Said], at: datetime) -> Sequence[Letter]:
        if refusing and refusing.pop():
            raise KeyringError(KeyringCode.KEY_MISSING)
        return await original(connection, said, at)

    monkeypatch.setattr(bench.desk, "say", say)
    await bench.take([Delivery(message(parcel, 1)[1], {}, "test") for _ in range(3)])
    assert await bench.total(parcel) == 3
    assert await bench.count("held") == 0


async def test_the_span_of_a_message_that_was_given_up_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    loading, never = asyncio.Event(), asyncio.Event()

    async def load(*_: object) -> dict[UUID, Parcel]:
        loading.set()
        await never.wait()
        return {}

    monkeypatch.setattr(bench.desk, "load", load)
    with recorded("referral") as here:
        taking = asyncio.create_task(bench.take([Delivery(message(uuid4(), 1)[1], {}, "test")]))
        await loading.wait()
        taking.cancel()
        await asyncio.wait([taking])
        assert [span.name for span in here.spans] == ["process parcels"]


async def test_held_messages_that_cannot_be_kept_together_are_kept_one_by_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = bench.shell._transact  # noqa: SLF001

    async def transact(batch: Batch[Add]) -> dict[int, Decision[Parcel]]:
        if len(batch.holds) > 1:
            raise asyncpg.ProgramLimitExceededError
        return await original(batch)

    monkeypatch.setattr(bench.shell, "_transact", transact)
    outcomes = await bench.take([Delivery(b"no parcel %d" % n, {}, "test") for n in range(9)])
    assert [outcome.refusal and outcome.refusal.code for outcome in outcomes] == ["parcel-unreadable"] * 9
    assert await bench.count("held") == 9


async def test_nothing_of_a_message_is_in_any_log(bench: Bench, lines: StringIO) -> None:
    canary = b'{"trouble": "unreadable", "name": "Canary Name"}'
    await bench.send([(uuid4(), canary), message(uuid4(), 1, trouble="bug"), (uuid4(), b"Canary Name, no JSON")])
    await bench.runtime.start()
    await until(lambda: lines.getvalue().count("message.parked") == 3, seconds=10, what="three said to be parked")
    assert "parcel-unreadable" in lines.getvalue()
    assert "Canary" not in lines.getvalue()


async def test_two_workers_that_look_at_the_same_held_message_deal_with_it_once(bench: Bench) -> None:
    parcel = uuid4()
    await bench.take([Delivery(message(parcel, 5, trouble="later")[1], {}, "test")])
    bench.desk.troubles.clear()
    async with bench.pool.acquire() as connection:
        waiting = await held.due(connection, "parcels", bench.clock.now() + timedelta(minutes=1), 10)
    await asyncio.gather(*(bench.take(waiting) for _ in range(4)))
    assert await bench.total(parcel) == 5
    assert await bench.count("held") == 0


async def test_two_workers_on_one_queue_double_nothing(bench: Bench) -> None:
    parcel = uuid4()
    bodies = [message(parcel, 1)[1] for _ in range(60)]
    takes = [
        bench.take([Delivery(body, {}, "test") for body in bodies[start : start + 40]]) for start in (0, 20, 0, 20)
    ]
    await asyncio.gather(*takes)
    assert await bench.total(parcel) == 60
    assert await bench.count("inbox") == 60


def _handled() -> Counter[str]:
    """Return what the metrics say became of messages, by outcome."""
    found: Counter[str] = Counter()
    for metric in metrics.REGISTRY.collect():
        for sample in metric.samples:
            if sample.name == "relais_messages_handled_total":
                found[sample.labels["outcome"]] += int(sample.value)
    return found


async def _is(bench: Bench, parcel: UUID, total: int) -> bool:
    return await bench.total(parcel) == total


async def _rows(bench: Bench, table: str, count: int) -> bool:
    return await bench.count(table) == count


async def _tries(bench: Bench, attempts: int) -> bool:
    return bool(await bench.pool.fetchval("SELECT count(*) FROM held WHERE attempts >= $1", attempts))
