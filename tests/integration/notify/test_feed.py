"""The feed: everything once and in order, whatever happens to the connection, the database or the process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from hashlib import sha256
from itertools import count
from typing import Any

import asyncpg
import pytest
from starlette.types import Message, Scope

from deploy.local.databases import DatabaseRole
from services.notify import reading
from services.notify.bell import MOST_STREAMS
from services.notify.routes.feed import Feed
from services.notify.store import notifications
from services.notify.store.notifications import CHANNEL
from shared.contracts.facts import Fact, FactCode
from tests.integration.notify.conftest import Node, Reader, a_fact
from tests.support.feed import Event
from tests.support.wait import until


def subjects(events: list[Event]) -> list[str]:
    return [event.data["link"].rpartition("/")[2] for event in events]


def subjects_of(facts: list[Fact]) -> list[str]:
    return [str(fact.subject) for fact in facts]


async def test_a_reader_that_comes_back_gets_what_it_missed_once_and_in_order(reader: Reader) -> None:
    async with reader.feed() as feed:
        facts = await reader.tell(10)
        seen = await feed.take(10)
    facts += await reader.tell(20)
    await reader.told(30)
    async with reader.feed(Last_Event_ID=seen[-1].id) as feed:
        seen += await feed.take(20)
        facts += await reader.tell(10)
        seen += await feed.take(10)
    assert subjects(seen) == subjects_of(facts)
    assert [event.id for event in seen] == [str(n) for n in range(1, 41)]


async def test_a_reader_misses_nothing_across_a_restart_of_the_service(node: Node) -> None:
    running = await node.start()
    facts = [a_fact(FactCode.REFERRAL_OPENED) for _ in range(6)]
    async with node.feed(running, "ana") as feed:
        await node.tell(*facts[:2])
        seen = await feed.take(2)
        ended, _ = await asyncio.gather(feed.ended(), running.stop())
        assert ended, "a stop ends the streams instead of waiting for them"
    await node.tell(*facts[2:4])
    running = await node.start()
    async with node.feed(running, "ana", Last_Event_ID=seen[-1].id) as feed:
        seen += await feed.take(2)
        await node.tell(*facts[4:])
        seen += await feed.take(2)
    assert subjects(seen) == subjects_of(facts)


async def test_each_hears_their_own_and_nobody_elses(reader: Reader) -> None:
    another = reader.another()
    async with reader.feed() as feed, another.feed() as other:
        facts, theirs = await reader.tell(), await another.tell()
        facts += await reader.tell()
        assert subjects(await feed.take(2)) == subjects_of(facts)
        assert subjects(await other.take(1)) == subjects_of(theirs)
        with pytest.raises(TimeoutError):
            await other.next(0.1)


async def test_another_role_of_the_database_does_not_hear_whom_the_bell_rings_for(reader: Reader) -> None:
    heard = list[str]()
    thief = await asyncpg.connect(reader.node.database.dsn(DatabaseRole.INTAKE))
    await thief.add_listener(CHANNEL, lambda _connection, _pid, _channel, said: heard.append(str(said)))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await thief.fetch("SELECT secret FROM notify.bell")
    async with reader.feed() as feed:
        await reader.tell(2)
        await feed.take(2)
    await until(lambda: heard, what="the bell has rung")
    await thief.close()
    guesses = {reader.name, sha256(reader.name.encode()).hexdigest()}
    assert not guesses & set(heard)
    assert {len(each) for each in heard} == {64}


async def test_a_second_process_rings_for_what_the_first_one_heard(node: Node) -> None:
    first, second = await node.start(), await node.start()
    async with node.feed(first, "ana") as one, node.feed(second, "ana") as other:
        facts = [a_fact(FactCode.REFERRAL_OPENED) for _ in range(20)]
        for fact in facts:
            await node.tell(fact)
        seen, seen_there = await one.take(20), await other.take(20)
    assert subjects(seen) == subjects(seen_there)
    assert sorted(subjects(seen)) == sorted(subjects_of(facts))


async def test_who_is_new_begins_with_what_is_unread(reader: Reader) -> None:
    await reader.tell(3)
    await reader.told(3)
    assert (await reader.ask("POST", "/notifications/2/read")).status_code == 204
    async with reader.feed() as feed:
        assert [event.id for event in await feed.take(2)] == ["1", "3"]
    async with reader.feed(Last_Event_ID="0") as feed:
        seen = [(event.id, event.data["read"]) for event in await feed.take(3)]
    assert seen == [("1", False), ("2", True), ("3", False)]
    async with reader.feed("/feed?after=2") as feed:
        assert (await feed.next()).id == "3"


async def test_who_has_seen_more_than_there_is_begins_anew(reader: Reader) -> None:
    await reader.tell()
    await reader.told(1)
    async with reader.feed(Last_Event_ID="99") as feed:
        assert (await feed.next()).id == "1"


async def test_a_long_absence_is_caught_up_page_by_page(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", 7)
    await reader.tell(50)
    await reader.told(50)
    async with reader.feed() as feed:
        assert [event.id for event in await feed.take(50)] == [str(n) for n in range(1, 51)]


@pytest.mark.parametrize("lost", ["notify%", "notify listening"])
async def test_a_database_that_goes_away_delays_and_loses_nothing(reader: Reader, lost: str) -> None:
    async with reader.feed() as feed:
        await reader.tell()
        await feed.next()
        await reader.node.cut_database(lost)
        facts = await reader.tell(3)
        seen = await feed.take(3)
    assert [event.id for event in seen] == ["2", "3", "4"]
    assert subjects(seen) == subjects_of(facts)


async def test_a_look_that_failed_is_taken_again_though_nothing_rings(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reader.tell()
    await reader.told(1)
    look, failures = notifications.after, [asyncpg.ConnectionDoesNotExistError()]

    async def after(*asked: Any, **named: Any) -> list[notifications.Notification]:  # noqa: ANN401
        if failures:
            raise failures.pop()
        return await look(*asked, **named)

    monkeypatch.setattr(notifications, "after", after)
    monkeypatch.setattr(reading, "AWAY_SECONDS", 0.05)
    async with reader.feed() as feed:
        assert (await feed.next()).id == "1"
    assert not failures


async def test_a_silent_stream_says_that_it_is_alive(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "HEARTBEAT_SECONDS", 0.02)
    async with reader.feed() as feed:
        with pytest.raises(TimeoutError):
            await feed.next(0.3)
        assert feed.comments > 2


async def test_one_member_cannot_hold_streams_without_end(reader: Reader) -> None:
    async with AsyncExitStack() as streams:
        for _ in range(MOST_STREAMS):
            await streams.enter_async_context(reader.feed())
        refused = await reader.ask("GET", "/feed", Accept_Language="fr")
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
        assert refused.json()["title"].startswith("Trop de flux")
        async with reader.another().feed() as other:
            assert other.response.status_code == 200

    async def opens() -> bool:
        with suppress(AssertionError):
            async with reader.feed():
                return True
        return False

    await until(opens, what="the places of those that went given back")


@pytest.mark.parametrize("stuck_at", ["an event", "the end"])
async def test_a_reader_that_is_too_slow_is_let_go_and_its_place_is_given_back(stuck_at: str) -> None:
    closed = asyncio.Event()
    taken: list[bytes] = []

    async def events() -> AsyncGenerator[bytes]:
        try:
            for n in count():
                if stuck_at == "the end" and n == 2:
                    return
                yield b": event\n\n"
        finally:
            closed.set()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            taken.append(message["body"])
            if len(taken) == 3:
                await asyncio.Event().wait()  # its buffers are full, and stay full

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope: Scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    async with asyncio.timeout(5):
        await Feed(events(), "fr", slowest=0.05)(scope, receive, send)
    assert closed.is_set()
    assert len(taken) == 3


async def test_the_feed_is_a_stream_that_nothing_between_keeps_or_holds_back(reader: Reader) -> None:
    async with reader.feed() as feed:
        headers = feed.response.headers
    assert headers["Content-Type"].startswith("text/event-stream")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Content-Language"] == "fr"
