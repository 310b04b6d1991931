"""Every default of the client libraries that loses or leaks, shown to be turned the other way on a real broker.

The numbers are those of ``docs/architecture/messaging.md``.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from time import monotonic
from typing import Any, cast
from uuid import uuid4

import aio_pika
import aiormq
import httpx
import pytest
from aiormq import spec
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.frame import marshal

from deploy.broker.topology import BrokerRole, node_host
from shared.messaging import outbox, places
from shared.messaging.batch import Batch
from shared.messaging.consumer import LARGEST_BATCH
from shared.messaging.decision import Decision
from shared.messaging.delivery import LARGEST_KEPT
from shared.messaging.outbox import Letter
from shared.messaging.places import Broker
from shared.messaging.publisher import RabbitPublisher
from shared.messaging.rabbit import BrokerError, check_topology, connect, make_broker
from shared.telemetry.metrics import Sent
from tests.integration.messaging.conftest import OURS, QUEUE, Bench
from tests.support.parcels import Add, Parcel, message
from tests.support.wait import until


def letter(routing_key: str = places.NOTIFY, body: bytes = b"{}") -> Letter:
    """Return a letter to the node."""
    return Letter(uuid4(), "node", OURS, routing_key, {"relais-test": "yes"}, "application/json", body)


async def test_1_a_message_whose_batch_fails_stays_on_the_queue_and_is_not_tried_in_a_hot_loop(bench: Bench) -> None:
    await bench.runtime.start()
    await bench.pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND usename = current_user"
    )
    parcel = uuid4()
    tries = 0
    original = bench.shell._transact  # noqa: SLF001

    async def failing(batch: Batch[Add]) -> dict[int, Decision[Parcel]]:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise ConnectionResetError
        return await original(batch)

    bench.shell._transact = failing  # type: ignore[method-assign]  # noqa: SLF001
    await bench.send([message(parcel, 1)])
    await until(lambda: _total_is(bench, parcel, 1), seconds=10)
    assert tries == 4


async def test_2_and_4_what_is_published_is_persistent_and_has_the_letters_own_id(bench: Bench) -> None:
    await bench.listen()
    await connect(bench.speaks, "node")
    sent = letter()
    outcomes = await RabbitPublisher(bench.speaks).publish(sent.exchange, [sent], within=10)
    assert outcomes == {sent.id: Sent.CONFIRMED}
    await until(lambda: bench.said)
    [got] = bench.said
    assert got.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert got.message_id == str(sent.id)
    assert got.headers == {"relais-test": "yes"}
    assert got.content_type == "application/json"


async def test_3_a_letter_that_no_queue_takes_is_not_taken_for_sent(bench: Bench) -> None:
    await connect(bench.speaks, "node")
    lost, good = letter("nobody"), letter()
    outcomes = await RabbitPublisher(bench.speaks).publish(lost.exchange, [lost, good], within=10)
    assert outcomes == {lost.id: Sent.UNROUTABLE, good.id: Sent.CONFIRMED}
    post = bench.runtime.post
    async with bench.pool.acquire() as connection:
        await outbox.put(connection, [lost, good], bench.clock.now())
    post.send([lost, good])
    await post.drain()
    assert [row["id"] for row in await bench.pool.fetch("SELECT id FROM outbox")] == [lost.id]


async def test_4_a_confirm_that_never_comes_ends_the_wait_and_keeps_the_letter(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(bench.speaks, "node")
    monkeypatch.setattr("shared.messaging.post.CONFIRM_SECONDS", 0.0)
    kept, post = letter(), bench.runtime.post
    async with bench.pool.acquire() as connection:
        await outbox.put(connection, [kept], bench.clock.now())
    post.send([kept])
    await post.drain()
    assert await bench.count("outbox") == 1


async def test_4_who_stops_waiting_does_not_mix_up_the_answers_to_the_others(bench: Bench) -> None:
    await connect(bench.speaks, "node")
    publisher = RabbitPublisher(bench.speaks)

    async def hurried(seconds: float) -> None:
        await publisher.publish(OURS, [letter("nobody"), letter()], within=seconds)

    async def patient() -> None:
        lost, good = letter("nobody"), letter()
        outcomes = await publisher.publish(OURS, [good, lost, letter()], within=30)
        assert (outcomes[lost.id], outcomes[good.id], len(outcomes)) == (Sent.UNROUTABLE, Sent.CONFIRMED, 3)

    await asyncio.gather(*(work for n in range(60) for work in (hurried(n / 20_000), patient())))


async def test_4_a_letter_is_never_on_the_wire_twice_and_what_came_back_is_never_taken_for_confirmed(
    bench: Bench,
) -> None:
    await connect(bench.speaks, "node")
    publisher, again = RabbitPublisher(bench.speaks), letter("nobody")
    at_once = await asyncio.gather(
        *(publisher.publish(OURS, [again], within=10 if n == 0 else n / 1_000) for n in range(10))
    )
    assert at_once[0] == {again.id: Sent.UNROUTABLE}
    assert {outcome for outcomes in at_once for outcome in outcomes.values()} == {Sent.UNROUTABLE}
    assert await publisher.publish(OURS, [again], within=10) == {again.id: Sent.UNROUTABLE}


async def test_4_letters_of_any_size_go_in_one_batch(bench: Bench) -> None:
    await bench.listen()
    await connect(bench.speaks, "node")
    letters = [letter(body=b"x" * size) for size in (0, 1, 131_063, 131_064, 131_065, 262_144, 1 << 20, 1 << 20, 7)]
    outcomes = await RabbitPublisher(bench.speaks).publish(OURS, letters, within=30)
    assert outcomes == dict.fromkeys((sent.id for sent in letters), Sent.CONFIRMED)
    await until(lambda: len(bench.said) == len(letters))
    assert [got.body for got in bench.said] == [sent.body for sent in letters]


async def test_4_a_channel_that_the_broker_closes_ends_the_wait_and_the_next_batch_has_a_new_one(bench: Bench) -> None:
    await connect(bench.speaks, "node")
    publisher, good = RabbitPublisher(bench.speaks), letter()
    refused = replace(good, exchange="exchange-that-is-not-there")
    began = monotonic()
    assert await publisher.publish(refused.exchange, [refused], within=60) == {}
    assert monotonic() - began < 30
    assert await publisher.publish(good.exchange, [good], within=10) == {good.id: Sent.CONFIRMED}
    assert await publisher.publish(refused.exchange, [refused], within=60) == {}


DEEP = b"\x01a" + b"F" + (0).to_bytes(4, "big")
for _ in range(2_000):
    DEEP = b"\x01a" + b"F" + len(DEEP).to_bytes(4, "big") + DEEP

PROPERTIES = {
    "a time after the year 9999": (0x0040).to_bytes(2, "big") + (2**63).to_bytes(8, "big"),
    "a content type that is no UTF-8": (0x8000).to_bytes(2, "big") + b"\x02\xff\xfe",
    "a header name that is no UTF-8": (0x2000).to_bytes(2, "big") + (3).to_bytes(4, "big") + b"\x01\xffV",
    "tables within tables": (0x2000).to_bytes(2, "big") + len(DEEP).to_bytes(4, "big") + DEEP,
}


@pytest.mark.parametrize("properties", PROPERTIES.values(), ids=PROPERTIES.keys())
async def test_5_properties_that_cannot_be_decoded_end_no_connection(bench: Bench, properties: bytes) -> None:
    """Whoever may write to the exchange may set any property; the message is heard without any, and so is the next."""
    parcel = uuid4()
    await bench.runtime.start()
    await _publish_raw(bench, properties, message(parcel, 1)[1])
    await bench.send([message(parcel, 2)])
    await until(lambda: _total_is(bench, parcel, 3), seconds=20)
    assert all((await bench.runtime.ready()).values())


async def _publish_raw(bench: Bench, properties: bytes, body: bytes) -> None:
    """Publish with content properties as they are, byte by byte (AMQP 0-9-1, 4.2.6.1)."""
    channel = cast("aiormq.Channel", await (await bench.sender.channel()).get_underlay_channel())
    header = (60).to_bytes(2, "big") + bytes(2) + len(body).to_bytes(8, "big") + properties
    method = spec.Basic.Publish(exchange=places.node_exchange(places.INTAKE), routing_key=places.REFERRAL)
    frames = (
        marshal(method, channel.number),
        b"\x02" + channel.number.to_bytes(2, "big") + len(header).to_bytes(4, "big") + header + b"\xce",
        marshal(ContentBody(body), channel.number),
    )
    await channel.write_queue.put(ChannelFrame(b"".join(frames), should_close=False))


async def test_6_each_subscriber_has_a_limited_channel_of_its_own(bench: Bench) -> None:
    await bench.runtime.start()
    consumers = await until(lambda: _consumers(bench), seconds=10)
    assert {consumer["queue"]["name"] for consumer in consumers} == {QUEUE, "parked.referral"}
    assert {consumer["prefetch_count"] for consumer in consumers} == {2 * LARGEST_BATCH}
    assert len({consumer["channel_details"]["name"] for consumer in consumers}) == 2
    assert all(consumer["ack_required"] for consumer in consumers)


async def test_7_a_missing_queue_or_exchange_is_found_at_the_start(bench: Bench) -> None:
    await connect(bench.speaks, "node")
    await check_topology(bench.speaks, queues=[QUEUE], exchanges=[OURS])
    with pytest.raises(BrokerError, match="broker-topology-missing"):
        await check_topology(bench.speaks, queues=["nowhere.in"], exchanges=[])
    with pytest.raises(BrokerError, match="broker-topology-missing"):
        await check_topology(bench.speaks, queues=[], exchanges=["from.nowhere"])


async def test_7_a_wrong_password_is_said_at_once(bench: Bench) -> None:
    url = httpx.URL(bench.pair.url(bench.pair.ccem, BrokerRole.REFERRAL)).copy_with(password="wrong")
    broker = make_broker(str(url), description="wrong password")
    with pytest.raises(BrokerError, match="broker-refused-login"):
        await connect(broker, "node")


async def test_whoever_asks_for_the_connection_at_the_same_time_gets_the_same(bench: Bench) -> None:
    connections = await asyncio.gather(*(bench.speaks.connect() for _ in range(3)))
    assert len(set(map(id, connections))) == 1


async def test_9_a_service_is_ready_only_when_its_consumers_are(bench: Bench) -> None:
    await connect(bench.speaks, "node")
    assert not all((await bench.runtime.ready()).values())
    await bench.runtime.start()
    assert await bench.runtime.ready() == {"node": True, "consumers": True, "keys": True, "database": True}


async def test_10_stopping_finishes_the_batch_and_leaves_the_rest_to_the_broker(bench: Bench) -> None:
    parcel = uuid4()
    await bench.send([message(parcel, 1) for _ in range(600)])
    async with bench.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE parcel")
        await bench.runtime.start()
        await until(lambda: connection.fetchval("SELECT true FROM pg_locks WHERE NOT granted"), seconds=10)
        stopping = asyncio.create_task(bench.runtime.stop())
    await stopping
    assert 0 < len(bench.desk.decided) < 600
    await until(lambda: _waiting(bench, QUEUE, 600 - len(bench.desk.decided)), seconds=15)


async def test_10_stopping_lets_letters_leave_before_the_broker_goes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, stop, publishing, leave = RabbitPublisher.publish, bench.speaks.stop, asyncio.Event(), asyncio.Event()
    left_behind = list[int]()

    async def slow(self: RabbitPublisher, exchange: str, letters: Sequence[Letter], *, within: float) -> Any:  # noqa: ANN401 - passed on
        publishing.set()
        await leave.wait()
        return await publish(self, exchange, letters, within=within)

    async def noted() -> None:
        left_behind.append(await bench.count("outbox"))
        await stop()

    monkeypatch.setattr(RabbitPublisher, "publish", slow)
    monkeypatch.setattr(bench.speaks, "stop", noted)
    await bench.runtime.start()
    await bench.send([message(uuid4(), 1)])
    await publishing.wait()
    stopping = asyncio.create_task(bench.runtime.stop())
    await until(lambda: all(task.done() for task in bench.runtime._coming_round), seconds=10)  # noqa: SLF001
    leave.set()
    await stopping
    assert left_behind == [0]


async def test_14_a_batch_is_acknowledged_with_one_frame(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    frames: list[tuple[int, bool]] = []
    original = aiormq.Channel.basic_ack

    async def counting(self: aiormq.Channel, delivery_tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        frames.append((delivery_tag, multiple))
        await original(self, delivery_tag, multiple=multiple, wait=wait)

    monkeypatch.setattr(aiormq.Channel, "basic_ack", counting)
    await bench.send([message(uuid4(), 1) for _ in range(300)])
    await bench.runtime.start()
    await until(lambda: frames and frames[-1] == (300, True), seconds=10)
    assert len(frames) < 30
    await until(lambda: _waiting(bench, QUEUE, 0))


@pytest.mark.parametrize("size", [10, LARGEST_KEPT, LARGEST_KEPT + 1])
async def test_15_what_kills_whoever_takes_it_ends_in_the_one_parking_lot(bench: Bench, size: int) -> None:
    """As it came, or, where it is larger than anything that can be read, as its size and digest."""
    body = b"x" * size
    await bench.send([(uuid4(), body)])
    connection = await aio_pika.connect(bench.pair.url(bench.pair.ccem, BrokerRole.REFERRAL))
    queue = await (await connection.channel()).get_queue(QUEUE, ensure=False)

    async def give_back() -> bool:
        """Take it and give it back, as the broker does for a process that dies of it; say when it is gone."""
        taken = await queue.get(fail=False)
        if taken is not None:
            await taken.reject(requeue=True)
        return taken is None

    await until(give_back, seconds=20)
    await connection.close()
    await bench.runtime.start()
    await until(lambda: _held(bench, "delivery-limit"), seconds=10)
    row = await bench.pool.fetchrow("SELECT body, size, digest, due_at FROM held")
    assert row is not None
    kept = (body, None, None) if size <= LARGEST_KEPT else (b"", size, sha256(body).digest())
    assert (row["body"], row["size"], row["digest"]) == kept
    assert row["due_at"] is None


async def test_a_letter_left_by_a_crash_is_swept_up_and_goes_out_once(bench: Bench) -> None:
    await bench.listen()
    left = letter(body=b'{"left": "behind"}')
    async with bench.pool.acquire() as connection:
        await outbox.put(connection, [left], bench.clock.now())
    await bench.runtime.start()
    bench.clock_file.write_text("20")
    await until(lambda: bench.said, seconds=10)
    await until(lambda: _outbox_is_empty(bench), seconds=5)
    assert [each.message_id for each in bench.said] == [str(left.id)]


async def test_all_that_was_left_is_swept_up_at_once_and_in_order(bench: Bench) -> None:
    await bench.listen()
    await connect(bench.speaks, "node")
    left = [letter() for _ in range(5)]
    async with bench.pool.acquire() as connection:
        await outbox.put(connection, left, bench.clock.now())
    bench.clock_file.write_text("20")
    assert await bench.runtime.post.sweep(Broker.NODE) == 5
    assert await bench.count("outbox") == 0
    await until(lambda: [each.message_id for each in bench.said] == [str(each.id) for each in left])


async def _total_is(bench: Bench, parcel: object, total: int) -> bool:
    return bool(await bench.pool.fetchval("SELECT total = $2 FROM parcel WHERE id = $1", parcel, total))


async def _held(bench: Bench, reason: str) -> bool:
    return bool(await bench.pool.fetchval("SELECT count(*) FROM held WHERE reason = $1", reason))


async def _outbox_is_empty(bench: Bench) -> bool:
    return await bench.count("outbox") == 0


async def _consumers(bench: Bench) -> list[dict[str, Any]]:
    """Ask the broker who consumes on the node, and on which channel; it counts either with some delay."""
    url = httpx.URL(bench.pair.server.admin_url)
    async with httpx.AsyncClient(trust_env=False, auth=(url.username, url.password)) as client:
        answer = await client.get(f"http://{url.host}:{url.port}/api/consumers/{node_host(bench.pair.ccem)}")
    found: list[dict[str, Any]] = answer.json()
    return found if len(found) == 2 and all(each["channel_details"] for each in found) else []


async def _waiting(bench: Bench, queue: str, expected: int) -> bool:
    connection = await aio_pika.connect(
        bench.pair.url(bench.pair.ccem, BrokerRole.REFERRAL if queue == QUEUE else BrokerRole.NOTIFY)
    )
    channel = await connection.channel()
    declared = await channel.declare_queue(queue, passive=True)
    await connection.close()
    count = declared.declaration_result.message_count
    return count == expected
