"""Two processes at the same tables: rows are locked in one order, and what one has claimed the other passes over."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.contracts.ids import OrganisationId
from shared.messaging import inbox, outbox, places, sealer
from shared.messaging.outbox import Letter
from shared.messaging.places import Broker
from shared.storage.pool import Connection
from tests.integration.messaging.conftest import OURS, Bench
from tests.support.wait import until

FIRST, LAST = UUID(int=1), UUID(int=2)

Locking = Callable[[Connection, list[int]], Awaitable[object]]
"""Locks some of two rows, named by 0 and 1, in the order in which it is given them."""


def admit(connection: Connection, rows: list[int]) -> Awaitable[object]:
    """Take messages in."""
    return inbox.admit(connection, {(FIRST, LAST)[row]: b"digest" for row in rows})


def number(connection: Connection, rows: list[int]) -> Awaitable[object]:
    """Take a number for each recipient."""
    recipients = OrganisationId("abri-be"), OrganisationId("ccem-fr")
    return sealer._take(connection, [recipients[row] for row in rows])  # noqa: SLF001 - what a seal takes, without one


@pytest.mark.parametrize("lock", [admit, number])
async def test_whoever_waits_for_the_first_row_has_not_locked_the_last(bench: Bench, lock: Locking) -> None:
    async with asyncio.timeout(20), AsyncExitStack() as stack:
        ahead, behind, other = [await stack.enter_async_context(bench.pool.acquire()) for _ in range(3)]
        transaction = ahead.transaction()
        await transaction.start()
        await lock(ahead, [0])
        waiting = asyncio.create_task(_in_transaction(behind, lock, [1, 0]))
        await until(lambda: other.fetchval("SELECT true FROM pg_locks WHERE NOT granted"), what="one waits")
        await _in_transaction(other, lock, [1])
        await transaction.rollback()
        await waiting


async def test_a_letter_that_somebody_has_claimed_is_passed_over(bench: Bench) -> None:
    letters = [Letter(uuid4(), "node", OURS, places.NOTIFY, {}, "text/plain", b"") for _ in range(2)]
    overdue = bench.clock.now() + timedelta(minutes=1)
    async with asyncio.timeout(20), bench.pool.acquire() as one, bench.pool.acquire() as other:
        await outbox.put(one, letters, bench.clock.now())
        async with one.transaction():
            [first] = await outbox.claim(one, Broker.NODE, overdue, 1)
            [second] = await outbox.claim(other, Broker.NODE, overdue, 2)
    assert [first.id, second.id] == [letter.id for letter in letters]


async def _in_transaction(connection: Connection, lock: Locking, rows: list[int]) -> None:
    async with connection.transaction():
        await lock(connection, rows)
