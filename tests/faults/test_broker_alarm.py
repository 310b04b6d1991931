"""A broker that runs out of memory takes nothing more: what it holds is dealt with all the same, and the rest waits.

Trap 16 of ``docs/architecture/messaging.md``.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.broker.management import Management
from deploy.broker.topology import node_host
from deploy.local.rabbitmq import PrivateRabbit, private_rabbitmq
from tests.integration.messaging.conftest import QUEUE, Bench, make_bench
from tests.support.parcels import message
from tests.support.servers import FreshDatabase, make_broker_pair
from tests.support.wait import until


@asynccontextmanager
async def alarm(broker: PrivateRabbit) -> AsyncIterator[None]:
    """Let ``broker`` have too little memory for as long as the block lasts."""

    async def may_use(share: str) -> None:
        command = [str(broker._binaries.scripts / "rabbitmqctl"), "set_vm_memory_high_watermark", share]  # noqa: SLF001
        environment = broker._files.environment(broker._binaries, broker.ports)  # noqa: SLF001
        await asyncio.to_thread(subprocess.run, command, env=environment, check=True, capture_output=True)

    await may_use("0.0000001")
    try:
        yield
    finally:
        await may_use("0.4")


@pytest.mark.timeout(180)
async def test_under_an_alarm_what_is_queued_is_dealt_with_and_what_is_said_waits_for_its_end(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    with private_rabbitmq(tmp_path / "rabbitmq") as rabbitmq:
        bench = await make_bench(make_broker_pair(rabbitmq), fresh_database, tmp_path)
        parcel = uuid4()
        await bench.listen()
        await bench.send(message(parcel, 1) for _ in range(900))
        async with alarm(rabbitmq):
            await bench.runtime.start()
            await until(lambda: is_dealt_with(bench), seconds=40, what="all taken and acknowledged")
            assert await bench.total(parcel) == 900
            assert await bench.count("outbox") == 900
        bench.clock_file.write_text("400")
        await until(lambda: nothing_waits(bench), seconds=40, what="all gone")
        await until(lambda: len({each.message_id for each in bench.said}) == 900)
        await bench.close()


async def is_dealt_with(bench: Bench) -> bool:
    """Tell whether the queue is empty, and nothing of it is unacknowledged."""
    if await bench.count("inbox") < 900:
        return False
    with Management(bench.pair.server.admin_url) as broker:
        queue = await asyncio.to_thread(broker.get, "queues", node_host(bench.pair.ccem), QUEUE)
    return bool(queue.get("messages") == 0)


async def nothing_waits(bench: Bench) -> bool:
    """Tell whether the outbox is empty."""
    return await bench.count("outbox") == 0
