"""What was written for the exchange that the services shared leaves through the exchange of its writer."""

from pathlib import Path
from shutil import copy
from uuid import uuid4

import asyncpg

from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from shared.messaging import outbox, places
from shared.messaging.outbox import Letter
from shared.messaging.places import FORMER_EXCHANGE, Broker
from shared.storage.migrate import migrate
from tests.integration.messaging.conftest import OURS, SHELL, make_bench
from tests.support.servers import FreshDatabase, Rabbit, make_broker_pair
from tests.support.wait import until

FIRST_OF_NOW = "0008_speakers.sql"


async def test_a_letter_that_was_written_before_the_migration_leaves_after_it(
    rabbitmq: Rabbit, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    node, before = await fresh_database("ccem-fr"), schema_before(tmp_path / "before")
    ours = Letter(uuid4(), Broker.NODE, FORMER_EXCHANGE, places.NOTIFY, {}, "text/plain", b"to notify")
    theirs = Letter(uuid4(), Broker.EXCHANGE, "from.ccem-fr", "abri-fr", {}, "text/plain", b"to a partner")
    await write_before(node, before, ours, theirs)

    async def migrated_before(_organisation: str) -> NodeDatabase:
        return node

    pair = make_broker_pair(rabbitmq)
    bench = await make_bench(pair, migrated_before, tmp_path)
    try:
        rows = await bench.pool.fetch("SELECT id, exchange FROM outbox")
        assert {row["id"]: row["exchange"] for row in rows} == {ours.id: OURS, theirs.id: theirs.exchange}
        await bench.listen()
        await bench.runtime.start()
        [came] = await until(lambda: bench.said, what="the letter of the release before")
        assert (came.message_id, came.exchange, came.body) == (str(ours.id), OURS, ours.body)
    finally:
        await bench.close()
        pair.remove()


def schema_before(folder: Path) -> Path:
    """Put the migrations of the release before into ``folder``, and return that."""
    folder.mkdir()
    for path in SHELL.glob("*.sql"):
        if path.name < FIRST_OF_NOW:
            copy(path, folder)
    return folder


async def write_before(node: NodeDatabase, before: Path, *letters: Letter) -> None:
    """Make the schema that ``before`` makes, with ``letters`` in it that are long overdue."""
    owner = await asyncpg.connect(node.dsn(DatabaseRole.OWNER))
    role = role_name(node.organisation, DatabaseRole.REFERRAL)
    await migrate(owner, schema="referral", role=role, sources={"shell": before})
    await outbox.put(owner, letters, await owner.fetchval("SELECT now() - interval '1 hour'"))
    await owner.close()
