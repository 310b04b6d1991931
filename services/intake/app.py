"""The only place of the service that builds things; everything else is handed what it needs."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from services.intake.hears import Door
from services.intake.newcomers import Newcomers
from services.intake.routes import events, quarantine, reports
from services.intake.routes.entrance import Entrance, Paces
from services.intake.settings import IntakeSettings
from services.intake.store.schema import MIGRATIONS, SCHEMA
from services.intake.takes import ReportDesk
from services.intake.watch import Watch
from shared.audit.note import Signer
from shared.audit.sequencer import Sequencer
from shared.clock import Clock
from shared.contracts.report import Report
from shared.messaging import places
from shared.messaging.consumer import Consumer
from shared.messaging.post import PostOffice
from shared.messaging.publisher import RabbitPublisher
from shared.messaging.rabbit import make_broker
from shared.messaging.runtime import Connected, Round, Runtime
from shared.messaging.schema import check_schema
from shared.messaging.sealer import Sealer
from shared.messaging.shell import Shell
from shared.sealing.directory import Directory
from shared.sealing.documents import note_signer
from shared.sealing.keyring import Holder, Keyring, read_keyring
from shared.sealing.keys import KeyPurpose
from shared.staff import StaffBook
from shared.storage.pool import open_pool
from shared.web.documented import describe
from shared.web.service import Parts, make_service

SERVICE: Final = "intake"
LOCALE: Final = Path(__file__).parent / "locale"
STAFF_FILE: Final = "staff.json"

NEWCOMERS_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 10.0
SEQUENCER_SECONDS: Final = 1.0


def create_app(settings: IntakeSettings) -> FastAPI:
    """Return the application, which opens everything when it starts and closes it when it stops."""
    app = make_service(
        SERVICE,
        settings,
        build=partial(build, settings),
        routers=[events.router, reports.router, quarantine.router],
        locale=LOCALE,
    )
    describe(app, Report)
    return app


async def build(settings: IntakeSettings) -> Parts:
    """Open what the service needs and put it together; nothing runs yet.

    Raises:
        KeyringError: the passphrase is wrong, or the keyring is missing, damaged or without its keys.
        DirectoryError: ``organisation-unreadable``: our own identity or key document is missing or refused.
        StaffError: ``staff.json`` is not there, or is not a list of members.
        MigrationError: the schema is not up to date.
    """
    clock, us = settings.clock(), settings.organisation
    keyring = await asyncio.to_thread(
        read_keyring, settings.folder, Holder.INTAKE, settings.intake_passphrase.get_secret_value()
    )
    signer = audit_signer(keyring, clock)
    directory = Directory.load(settings.folder)
    staff = StaffBook.load(settings.folder / STAFF_FILE)
    pool = await open_pool(settings.intake_database.get_secret_value(), schema=SCHEMA, application=SERVICE)
    try:
        await check_schema(pool, MIGRATIONS)
    except BaseException:
        await pool.close()
        raise
    node = make_broker(settings.intake_node_broker.get_secret_value(), description="What intake says in its node")
    exchange = make_broker(settings.intake_exchange_broker.get_secret_value(), description="What intake hears")
    post = PostOffice(pool, {"node": RabbitPublisher(node), "exchange": RabbitPublisher(exchange)}, clock, SERVICE)
    sealer = Sealer(us, keyring, directory, KeyPurpose.RECEIPT)
    door = Door(us, directory, keyring, sealer)
    heard = Shell(door, pool=pool, post=post, clock=clock, service=SERVICE)
    taken = Shell(ReportDesk(us, sealer), pool=pool, post=post, clock=clock, service=SERVICE)
    queue, parked = places.to_queue(us), places.parked_queue(us)
    runtime = Runtime(
        service=SERVICE,
        pool=pool,
        connections={
            "node": Connected(node, exchanges=[places.NODE_EXCHANGE]),
            "exchange": Connected(exchange, queues=[queue, parked], exchanges=[places.from_exchange(us)]),
        },
        post=post,
        consumers=[
            Consumer(exchange, queue, heard, description="Sealed envelopes from partners, their receipts among them"),
            Consumer(exchange, parked, heard, description="Envelopes that the broker gave up on", parked=True),
        ],
        rounds=[
            Round("newcomers", Newcomers(directory, heard, pool, clock).step, NEWCOMERS_SECONDS),
            Round("watch", Watch(pool, clock).step, WATCH_SECONDS),
            Round("sequencer", Sequencer(pool, signer, clock).step, SEQUENCER_SECONDS),
        ],
    )
    paces = Paces(events_a_second=settings.intake_events_a_second, reports_a_minute=settings.intake_reports_a_minute)
    entrance = Entrance(pool, clock, door, heard, taken, settings.remit, paces)
    return Parts(staff, runtime, {"entrance": entrance})


def audit_signer(keyring: Keyring, clock: Clock) -> Signer:
    """Return what signs the audit log's checkpoints.

    Raises:
        KeyringError: ``keyring-key-missing``.
    """
    key = keyring.signing_key(KeyPurpose.AUDIT_INTAKE, clock.now())
    return note_signer(keyring.organisation, KeyPurpose.AUDIT_INTAKE, key)
