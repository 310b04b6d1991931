"""The only place of the service that builds things; everything else is handed what it needs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from fastapi import FastAPI

from services.notify.bell import Bell
from services.notify.domain.retention import KEEP_READ
from services.notify.domain.who import Person, present
from services.notify.handing_on import HandingOn
from services.notify.hears import NotifyDesk
from services.notify.mail.delivery import MailDelivery
from services.notify.mail.letter import Composer
from services.notify.mail.outcome import Outcomes
from services.notify.mail.server import MailServer
from services.notify.people import people
from services.notify.reading import Reading
from services.notify.routes import feed, notifications
from services.notify.settings import NotifySettings
from services.notify.store import notifications as store
from services.notify.store.schema import MIGRATIONS
from services.notify.voice import LOCALE, Voice
from shared.contracts.services import Service
from shared.messaging import places
from shared.messaging.consumer import Consumer
from shared.messaging.fact_letters import lines_of
from shared.messaging.loops import Round
from shared.messaging.rabbit import make_broker
from shared.messaging.runtime import Connected
from shared.storage.pool import Pool
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import Dependency
from shared.web.opened import opened
from shared.web.service import Parts, make_service

SERVICE: Final = Service.NOTIFY
QUEUE: Final = places.node_queue(SERVICE)
PARKED: Final = places.parked_queue(SERVICE)


MAIL_SECONDS: Final = 1.0
"""How often mail is looked for that no bell announced: what was put off, or left by a process that died."""
BELL_SECONDS: Final = 0.5
FORGET_SECONDS: Final = 3600.0
HANDING_ON_SECONDS: Final = 3600.0

log = get_logger(__name__)


def create_app(settings: NotifySettings) -> FastAPI:
    """Return the application, which opens everything when it starts and closes it when it stops."""
    return make_service(
        SERVICE,
        settings,
        build=partial(build, settings),
        api=[notifications.router, feed.router],
        locale=LOCALE,
    )


@asynccontextmanager
async def build(settings: NotifySettings) -> AsyncIterator[Parts]:
    """Put the service together; nothing runs yet.

    Raises:
        MailServerAddressError: ``RELAIS_NOTIFY_SMTP`` is not the address of a mail server.
        KeyringError, DirectoryError, StaffError, MigrationError: as :func:`shared.web.opened.opened`.
    """
    us, database, passphrase = settings.organisation, settings.notify_database, settings.notify_passphrase
    server = MailServer.at(settings.notify_smtp.get_secret_value(), settings.notify_mail_from)
    async with opened(SERVICE, settings, database=database, passphrase=passphrase, migrations=MIGRATIONS) as base:
        bell, voice, everybody = Bell(database.get_secret_value()), Voice(), people(base.staff)
        hears = make_broker(settings.notify_node_broker.get_secret_value(), description="What notify hears")
        post = base.post({})
        shell = base.shell(NotifyDesk(everybody, us, base.clock), post)
        mail = MailDelivery(
            pool=base.pool,
            clock=base.clock,
            server=server,
            composer=Composer(voice),
            outcomes=Outcomes(base.pool, base.clock, everybody, us),
            staff=base.staff,
            sender=settings.notify_mail_from,
            site=str(settings.public_url),
        )
        runtime = base.runtime(
            connections=[Connected(Dependency.NODE, hears, queues=[QUEUE, PARKED])],
            post=post,
            consumers=[
                Consumer(hears, QUEUE, shell, split=lines_of),
                Consumer(hears, PARKED, shell, split=lines_of, parked=True),
            ],
            rounds=[
                Round("bell", bell.listen, BELL_SECONDS),
                Round("mail", mail.step, MAIL_SECONDS, bell.rung),
                Round("handing-on", HandingOn(base.pool, base.clock, everybody, us).step, HANDING_ON_SECONDS),
                Round("retention", partial(forget, base.pool, everybody), FORGET_SECONDS),
            ],
        )
        reading = Reading(
            pool=base.pool,
            clock=base.clock,
            bell=bell,
            voice=voice,
            staff=base.staff,
            site=str(settings.public_url),
        )
        yield Parts(base.staff, runtime, {"reading": reading}, ends=[bell.stop])


async def forget(pool: Pool, people: Sequence[Person]) -> None:
    """Delete what was read, or handed on, long ago, and say how much that was."""
    async with pool.acquire() as connection:
        count = await store.forget(connection, KEEP_READ, present(people))
    if count:
        log.info("notifications.forgotten", count=count)
