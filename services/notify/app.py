"""The only place of the service that builds things; everything else is handed what it needs."""

import asyncio
from datetime import datetime
from functools import partial
from typing import Final

from fastapi import FastAPI

from services.notify.bell import Bell
from services.notify.domain.retention import cutoffs
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
from services.notify.store.schema import MIGRATIONS, SCHEMA
from services.notify.voice import LOCALE, Voice
from shared.audit.note import Signer
from shared.audit.sequencer import Sequencer
from shared.clock import Clock
from shared.messaging import places
from shared.messaging.consumer import Consumer
from shared.messaging.post import PostOffice
from shared.messaging.rabbit import make_broker
from shared.messaging.runtime import Connected, Round, Runtime
from shared.messaging.schema import check_schema
from shared.messaging.shell import Shell
from shared.sealing.documents import note_signer
from shared.sealing.keyring import Holder, read_keyring
from shared.sealing.keys import KeyPurpose
from shared.staff import StaffBook
from shared.storage.pool import Pool, open_pool
from shared.web.service import Parts, make_service

SERVICE: Final = places.NOTIFY
QUEUE: Final = places.node_queue(SERVICE)
PARKED: Final = places.parked_queue(SERVICE)
STAFF_FILE: Final = "staff.json"

MAIL_SECONDS: Final = 1.0
"""How often mail is looked for that no bell announced: what was put off, or left by a process that died."""
BELL_SECONDS: Final = 0.5
SEQUENCER_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 3600.0


def create_app(settings: NotifySettings) -> FastAPI:
    """Return the application, which opens everything when it starts and closes it when it stops."""
    return make_service(
        SERVICE,
        settings,
        build=partial(build, settings),
        routers=[notifications.router, feed.router],
        locale=LOCALE,
    )


async def build(settings: NotifySettings) -> Parts:
    """Open what the service needs and put it together; nothing runs yet.

    Raises:
        KeyringError: the passphrase is wrong, or the keyring is missing, damaged or without an audit key.
        MailServerAddressError: ``RELAIS_NOTIFY_SMTP`` is not the address of a mail server.
        StaffError: ``staff.json`` is not there, or is not a list of members.
        MigrationError: the schema is not up to date.
    """
    server = MailServer.at(settings.notify_smtp.get_secret_value(), settings.notify_mail_from)
    signer = await asyncio.to_thread(audit_signer, settings, settings.clock().now())
    staff = StaffBook.load(settings.folder / STAFF_FILE)
    pool = await open_pool(settings.notify_database.get_secret_value(), schema=SCHEMA, application=SERVICE)
    try:
        await check_schema(pool, MIGRATIONS)
        return put_together(settings, pool, staff, server, signer)
    except BaseException:
        await pool.close()
        raise


def put_together(settings: NotifySettings, pool: Pool, staff: StaffBook, server: MailServer, signer: Signer) -> Parts:
    """Hand everything what it needs."""
    clock, site, everybody = settings.clock(), str(settings.public_url), people(staff)
    bell, voice = Bell(settings.notify_database.get_secret_value()), Voice()
    mail = MailDelivery(
        pool=pool,
        clock=clock,
        server=server,
        composer=Composer(voice),
        outcomes=Outcomes(pool, clock, everybody, settings.organisation),
        staff=staff,
        sender=settings.notify_mail_from,
        site=site,
    )
    broker = make_broker(settings.notify_node_broker.get_secret_value(), description="What notify hears")
    post = PostOffice(pool, {}, clock, SERVICE)
    desk = NotifyDesk(everybody, settings.organisation)
    shell = Shell(desk, pool=pool, post=post, clock=clock, service=SERVICE)
    runtime = Runtime(
        service=SERVICE,
        pool=pool,
        connections={"node": Connected(broker, queues=[QUEUE, PARKED])},
        post=post,
        consumers=[
            Consumer(broker, QUEUE, shell, description="Facts: that something happened, and somebody must know"),
            Consumer(broker, PARKED, shell, description="Facts that the broker gave up on", parked=True),
        ],
        rounds=[
            Round("bell", bell.listen, BELL_SECONDS),
            Round("mail", mail.step, MAIL_SECONDS, bell.rung),
            Round("sequencer", Sequencer(pool, signer, clock).step, SEQUENCER_SECONDS),
            Round("retention", partial(forget, pool, clock), FORGET_SECONDS),
        ],
    )
    reading = Reading(pool=pool, clock=clock, bell=bell, voice=voice, staff=staff, site=site)
    return Parts(staff, runtime, {"reading": reading}, ends=[bell.stop])


def audit_signer(settings: NotifySettings, at: datetime) -> Signer:
    """Return what signs the audit log's checkpoints. Slow by intent: it derives a key from the passphrase.

    Raises:
        KeyringError: as :func:`shared.sealing.keyring.read_keyring`, or ``keyring-key-missing``.
    """
    keyring = read_keyring(settings.folder, Holder.NOTIFY, settings.notify_passphrase.get_secret_value())
    key = keyring.signing_key(KeyPurpose.AUDIT_NOTIFY, at)
    return note_signer(settings.organisation, KeyPurpose.AUDIT_NOTIFY, key)


async def forget(pool: Pool, clock: Clock) -> None:
    """Delete what is older than it need be."""
    async with pool.acquire() as connection:
        await store.forget(connection, cutoffs(clock.now()))
