"""What the broker ends is taken up again, and until then the service does not say that it is ready."""

import asyncio
from io import StringIO
from typing import Any
from uuid import uuid4

import aiormq
import asyncpg
import pytest

from deploy.broker.management import Management
from deploy.broker.topology import BrokerRole, node_host, user_name
from shared.messaging import outbox
from shared.messaging.batch import Batch
from shared.messaging.decision import Decision
from shared.messaging.delivery import Read
from shared.messaging.outbox import Letter
from shared.telemetry import logs, metrics
from tests.integration.messaging.conftest import OURS, QUEUE, Bench
from tests.support.parcels import Add, Parcel, message
from tests.support.wait import until


def asked(bench: Bench, *path: str) -> Any:  # noqa: ANN401 - whatever JSON the broker answers
    """Return what the broker says."""
    with Management(bench.pair.server.admin_url) as broker:
        return broker.get(*path)


async def works(bench: Bench) -> None:
    """Wait until a new message has had its effect, and the service says that it is ready."""
    parcel = uuid4()
    await bench.send([message(parcel, 3)])

    async def is_there() -> bool:
        return await bench.total(parcel) == 3

    async def is_ready() -> bool:
        return all((await bench.runtime.ready()).values())

    await until(is_there, seconds=20, what="a message has its effect")
    await until(is_ready, seconds=10, what="the service is ready")


def channel_of(bench: Bench) -> aiormq.Channel:
    """Return the channel on which the service hears its queue now."""
    channel = bench.runtime.consumers[0].subscription._channel  # noqa: SLF001
    assert channel is not None
    return channel


async def is_not_ready(bench: Bench) -> bool:
    return not (await bench.runtime.ready())["consumers"]


async def test_a_connection_that_the_broker_closes_comes_back(bench: Bench) -> None:
    await bench.runtime.start()
    await works(bench)
    own = user_name(bench.pair.ccem, BrokerRole.REFERRAL)

    def connections() -> list[str]:
        found = asked(bench, "vhosts", node_host(bench.pair.ccem), "connections")
        return [each["name"] for each in found if each["user"] == own]

    channel = channel_of(bench)
    names = await until(connections, seconds=20, what="the broker counts our connection")
    with Management(bench.pair.server.admin_url) as broker:
        for name in names:
            broker.delete("connections", name)
    await until(lambda: channel.is_closed, seconds=10)
    await works(bench)


async def test_a_channel_that_the_broker_closes_comes_back(bench: Bench) -> None:
    await bench.runtime.start()
    await works(bench)
    channel = channel_of(bench)
    await channel.basic_ack(9_999)  # PRECONDITION_FAILED: unknown delivery tag
    await until(lambda: channel.is_closed, seconds=10)
    await works(bench)


async def test_a_consumer_that_is_gone_while_its_channel_is_open_is_subscribed_again(bench: Bench) -> None:
    await bench.runtime.start()
    await works(bench)
    await channel_of(bench).basic_cancel(QUEUE)
    assert await is_not_ready(bench)
    await works(bench)


async def test_a_queue_that_goes_and_comes_back_is_heard_again(bench: Bench) -> None:
    await bench.runtime.start()
    await works(bench)
    host = node_host(bench.pair.ccem)
    with Management(bench.pair.server.admin_url) as broker:
        broker.delete("queues", host, QUEUE)  # the consumer is cancelled, as when a queue moves
    await until(lambda: is_not_ready(bench), seconds=10)
    bench.pair.agree((bench.pair.ccem, bench.pair.abri))
    await works(bench)


async def test_a_channel_that_cannot_be_opened_while_the_queue_is_away_is_opened_later(bench: Bench) -> None:
    await bench.runtime.start()
    await works(bench)
    channel = channel_of(bench)
    with Management(bench.pair.server.admin_url) as broker:
        broker.delete("queues", node_host(bench.pair.ccem), QUEUE)
    await channel.basic_ack(9_999)
    await until(lambda: channel.is_closed, seconds=10)
    await until(lambda: is_not_ready(bench), seconds=10)
    bench.pair.agree((bench.pair.ccem, bench.pair.abri))
    await works(bench)


async def test_a_consumer_that_meets_a_fault_of_ours_begins_with_the_same_batch_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, met = bench.shell.take, asyncio.Event()

    async def failing(messages: list[Read[Add]]) -> list[Decision[Parcel]]:
        if not met.is_set():
            met.set()
            text = "Canary Name"
            raise RuntimeError(text)
        return await original(messages)

    monkeypatch.setattr(bench.shell, "take", failing)
    stream = StringIO()
    logs.configure("info", "json", stream)
    try:
        await bench.runtime.start()
        await works(bench)
    finally:
        logs.restore()
    assert met.is_set()
    assert '"event": "consumer.failed"' in stream.getvalue()
    assert "Canary" not in stream.getvalue()


async def test_what_cannot_even_be_kept_is_kept_as_soon_as_it_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[bool] = []
    original = bench.shell._transact  # noqa: SLF001

    async def failing(batch: Batch[Add]) -> dict[int, Decision[Parcel]]:
        tries.append(batch.announced)
        if len(tries) <= 2:
            raise asyncpg.CheckViolationError
        return await original(batch)

    monkeypatch.setattr(bench.shell, "_transact", failing)
    await bench.send([(uuid4(), b"no parcel")])
    await bench.runtime.start()

    async def is_kept() -> bool:
        return await bench.count("held") == 1

    await until(is_kept, seconds=10)
    assert tries == [True, False, False]
    await works(bench)


async def test_a_database_that_says_no_for_now_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    original = bench.shell._transact  # noqa: SLF001

    async def failing(batch: Batch[Add]) -> dict[int, Decision[Parcel]]:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise asyncpg.ObjectNotInPrerequisiteStateError
        return await original(batch)

    monkeypatch.setattr(bench.shell, "_transact", failing)
    await bench.runtime.start()
    await works(bench)
    assert await bench.count("held") == 0


async def test_a_letter_to_an_exchange_that_is_gone_stops_no_other(bench: Bench) -> None:
    await bench.listen()
    await bench.runtime.start()
    lost, good = letter("notify", exchange="gone"), letter("notify")
    async with bench.pool.acquire() as connection:
        await outbox.put(connection, [lost, good], bench.clock.now())
    bench.runtime.post.send([lost])  # the broker closes the channel: there is no such exchange
    await bench.runtime.post.drain()
    bench.runtime.post.send([good])
    await bench.runtime.post.drain()
    await until(lambda: [each.message_id for each in bench.said] == [str(good.id)], seconds=10)
    assert [row["id"] for row in await bench.pool.fetch("SELECT id FROM outbox")] == [lost.id]


def letter(routing_key: str, exchange: str = OURS) -> Letter:
    """Return a letter to the node."""
    return Letter(uuid4(), "node", exchange, routing_key, {}, "application/json", b"{}")


async def test_a_broker_that_does_not_answer_is_told_to_the_metrics_though_there_is_nothing_to_do(bench: Bench) -> None:
    def says(dependency: str) -> float | None:
        labels = {"service": "referral", "dependency": dependency}
        return metrics.REGISTRY.get_sample_value("relais_dependency_available", labels)

    await bench.runtime.start()
    await until(lambda: (says("node"), says("database")) == (1, 1), seconds=20)
    await bench.hears.stop()
    await bench.runtime._tell_available()  # noqa: SLF001
    assert (says("node"), says("database")) == (0, 1)
