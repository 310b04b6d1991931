"""The only place of the service that builds things; everything else is handed what it needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from services.intake.awaited_keys import AwaitedKeys
from services.intake.domain.retention import KEEP_RECEIPTS, KEEP_REPORT_KEYS
from services.intake.gaps import GapWatch
from services.intake.hears import Door
from services.intake.report_desk import ReportDesk
from services.intake.routes import events, quarantine, reports
from services.intake.routes.entrance import Entrance, Paces
from services.intake.settings import IntakeSettings
from services.intake.store import receipts
from services.intake.store import reports as report_keys
from services.intake.store.schema import MIGRATIONS
from shared.contracts.report import Report
from shared.contracts.services import Service
from shared.messaging import places
from shared.messaging.consumer import Consumer
from shared.messaging.loops import Round
from shared.messaging.places import Broker
from shared.messaging.quarantine import LOOK_SECONDS, QuarantineWatch
from shared.messaging.rabbit import make_broker
from shared.messaging.runtime import Connected
from shared.messaging.sealer import Sealer
from shared.sealing.directory import Directory
from shared.sealing.keys import KeyPurpose
from shared.storage.pool import Pool
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import Dependency
from shared.web.documented import describe
from shared.web.opened import opened
from shared.web.service import Parts, make_service

SERVICE: Final = Service.INTAKE
LOCALE: Final = Path(__file__).parent / "locale"

AWAITED_KEYS_SECONDS: Final = 5.0
GAPS_SECONDS: Final = 10.0
FORGET_SECONDS: Final = 600.0
FORGOTTEN_AT_ONCE: Final = 1_000
"""Rows that are forgotten in one statement, so that it holds nobody up."""

log = get_logger(__name__)


def create_app(settings: IntakeSettings) -> FastAPI:
    """Return the application, which opens everything when it starts and closes it when it stops."""
    app = make_service(
        SERVICE,
        settings,
        build=partial(build, settings),
        routers=[events.router, reports.router],
        api=[quarantine.router],
        locale=LOCALE,
    )
    describe(app, Report)
    return app


@asynccontextmanager
async def build(settings: IntakeSettings) -> AsyncIterator[Parts]:
    """Put the service together; nothing runs yet.

    Raises:
        KeyringError, DirectoryError, StaffError, MigrationError: as :func:`shared.web.opened.opened`.
    """
    us, database, passphrase = settings.organisation, settings.intake_database, settings.intake_passphrase
    async with opened(SERVICE, settings, database=database, passphrase=passphrase, migrations=MIGRATIONS) as base:
        directory = base.directory
        at_node = settings.intake_node_broker.get_secret_value()
        at_exchange = settings.intake_exchange_broker.get_secret_value()
        hears = make_broker(at_exchange, description="What intake hears")
        to_node = make_broker(at_node, description="What intake says in its node")
        to_partners = make_broker(at_exchange, description="What intake says to partners")
        post = base.post({Broker.NODE: to_node, Broker.EXCHANGE: to_partners})
        sealer = Sealer(us, base.keyring, directory, KeyPurpose.RECEIPT)
        door = Door(us, directory, base.keyring, sealer, base.clock)
        heard, taken = base.shell(door, post), base.shell(ReportDesk(us, sealer), post)
        parked = places.parked_queue(us)
        runtime = base.runtime(
            connections=[
                Connected(Dependency.NODE, to_node, exchanges=[places.node_exchange(SERVICE)]),
                Connected(Dependency.EXCHANGE, to_partners, exchanges=[places.from_exchange(us)]),
                Connected(Dependency.EXCHANGE, hears, queues=[parked]),
            ],
            post=post,
            consumers=[
                Consumer(hears, places.to_queues(us), heard, queues=partial(partners_queues, directory)),
                Consumer(hears, parked, heard, parked=True),
            ],
            rounds=[
                Round("awaited-keys", AwaitedKeys(directory, heard, base.pool, base.clock).step, AWAITED_KEYS_SECONDS),
                Round("gaps", GapWatch(base.pool, base.clock).step, GAPS_SECONDS),
                Round("retention", partial(forget, base.pool), FORGET_SECONDS),
                Round("quarantine", QuarantineWatch(base.pool, base.clock, door.name).step, LOOK_SECONDS),
            ],
        )
        paces = Paces(
            events_a_second=settings.intake_events_a_second,
            reports_a_minute=settings.intake_reports_a_minute,
            all_events_a_second=settings.intake_all_events_a_second,
            all_reports_a_minute=settings.intake_all_reports_a_minute,
        )
        entrance = Entrance(base.pool, base.clock, heard, taken, settings.remit, paces)
        yield Parts(base.staff, runtime, {"entrance": entrance})


async def forget(pool: Pool) -> bool:
    """Delete receipts and keys of reports that nobody may come again for; tell whether there may be more of them."""
    async with pool.acquire() as connection:
        given = await receipts.forget(connection, KEEP_RECEIPTS, FORGOTTEN_AT_ONCE)
        keys = await report_keys.forget(connection, KEEP_REPORT_KEYS, FORGOTTEN_AT_ONCE)
    if given:
        log.info("receipts.forgotten", count=given)
    if keys:
        log.info("report-keys.forgotten", count=keys)
    return FORGOTTEN_AT_ONCE in {given, keys}


def partners_queues(directory: Directory) -> list[str]:
    """Return the queue of each partner that the directory has now; one whose agreement has ended is a partner still."""
    directory.refresh()
    book = directory.book
    return [places.to_queue(book.us, partner) for partner in book.agreements]
