"""What every service is made of: its clock, keys, partners, people and database; opened in this order, closed again.

What must never happen: a part that was opened and is not closed, whatever failed after it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from faststream.rabbit import RabbitBroker
from pydantic import SecretStr

from shared.audit.note import Signer, Verifier
from shared.audit.sequencer import Sequencer
from shared.clock import Clock
from shared.contracts.services import Service
from shared.messaging.consumer import Consumer
from shared.messaging.desk import Desk
from shared.messaging.loops import Round
from shared.messaging.post import PostOffice, Review, as_they_are
from shared.messaging.publisher import RabbitPublisher
from shared.messaging.runtime import Connected, Runtime
from shared.messaging.schema import check_schema
from shared.messaging.shell import Shell
from shared.sealing.directory import Directory
from shared.sealing.keyring import Holder, Keyring, read_keyring
from shared.settings import NodeSettings
from shared.staff import STAFF_FILE, StaffBook
from shared.storage.pool import Pool, open_pool
from shared.telemetry import metrics
from shared.values import dataclass

SEQUENCER_SECONDS: Final = 1.0

What = TypeVar("What")
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open, and what is made of it in every service alike."""

    service: Service
    clock: Clock
    keyring: Keyring
    directory: Directory
    staff: StaffBook
    pool: Pool

    def post(self, brokers: Mapping[str, RabbitBroker], review: Review = as_they_are) -> PostOffice:
        """Return the post office that publishes on ``brokers``, by their names; ``review`` sees what is tried again."""
        publishers = {name: RabbitPublisher(broker) for name, broker in brokers.items()}
        return PostOffice(self.pool, publishers, self.clock, self.service, review)

    def shell(self, desk: Desk[What, State], post: PostOffice) -> Shell[What, State]:
        """Return the shell that makes the decisions of ``desk`` true."""
        return Shell(desk, pool=self.pool, post=post, clock=self.clock, service=self.service)

    def log_keys(self, at: datetime) -> tuple[Signer, Sequence[Verifier]]:
        """Return the key that signs the audit log at ``at``, and every key that was published for it.

        Raises:
            KeyringError: ``keyring-key-missing``.
        """
        return self.keyring.audit_signer(at), self.directory.book.audit_verifiers(self.service)

    def runtime(
        self,
        *,
        connections: Sequence[Connected],
        post: PostOffice,
        consumers: Sequence[Consumer[Any, Any]],
        rounds: Sequence[Round] = (),
    ) -> Runtime:
        """Return what runs while the service is up; numbering the audit log comes round in each.

        Raises:
            KeyringError: ``keyring-key-missing``: nothing can sign the log's checkpoints.
        """
        self.log_keys(self.clock.now())
        sequencer = Sequencer(self.pool, self.service, self.log_keys, self.clock)
        return Runtime(
            service=self.service,
            pool=self.pool,
            connections=connections,
            post=post,
            consumers=consumers,
            rounds=[*rounds, Round("sequencer", sequencer.step, SEQUENCER_SECONDS)],
            can_sign=lambda: self.keyring.can_sign(self.clock.now()),
        )


@asynccontextmanager
async def opened(
    service: Service, settings: NodeSettings, *, database: SecretStr, passphrase: SecretStr, migrations: Path
) -> AsyncIterator[Opened]:
    """Open what every service needs, and close it at the end.

    Args:
        service: which one; its schema and its keyring are called after it.
        settings: what all services are told.
        database: the address of the database, as the service's own role.
        passphrase: opens the keyring. Slow by intent, and therefore in a thread.
        migrations: the folder of the service's own.

    Raises:
        KeyringError: the passphrase is wrong, or the keyring is missing or damaged.
        DirectoryError: ``organisation-unreadable``: our own identity or key document is missing or refused.
        StaffError: ``staff.json`` is not there, or no list of members, or a member has another actor's id.
        MigrationError: the schema is not up to date.
        asyncpg.PostgresError: as :func:`shared.storage.pool.open_pool`.
    """
    keyring = await asyncio.to_thread(read_keyring, settings.folder, Holder(service), passphrase.get_secret_value())
    for purpose, end in keyring.ends().items():
        metrics.KEY_ENDS.set(end.timestamp(), service=service, kind=purpose.partition("/")[0])
    directory, staff = Directory(settings.folder), StaffBook.load(settings.folder / STAFF_FILE)
    pool = await open_pool(database.get_secret_value(), schema=service.value, application=service.value)
    try:
        await check_schema(pool, migrations)
        yield Opened(service, settings.clock(), keyring, directory, staff, pool)
    finally:
        await pool.close()
