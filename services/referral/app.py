"""The only place of the service that builds things; everything else is handed what it needs."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI

from services.referral.domain.clocks import Hours
from services.referral.hears import ReferralDesk
from services.referral.routes import cases, referrals, reports
from services.referral.routes.office import Office
from services.referral.settings import ReferralSettings
from services.referral.store.schema import MIGRATIONS, SCHEMA
from services.referral.watch import Watch
from shared.audit.note import Signer
from shared.audit.sequencer import Sequencer
from shared.clock import Clock
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
from shared.storage.vault import Vault
from shared.web.service import Parts, make_service

SERVICE: Final = places.REFERRAL
QUEUE: Final = places.node_queue(SERVICE)
PARKED: Final = places.parked_queue(SERVICE)
LOCALE: Final = Path(__file__).parent / "locale"
STAFF_FILE: Final = "staff.json"

WATCH_SECONDS: Final = 1.0
SEQUENCER_SECONDS: Final = 1.0


def create_app(settings: ReferralSettings) -> FastAPI:
    """Return the application, which opens everything when it starts and closes it when it stops."""
    return make_service(
        SERVICE,
        settings,
        build=partial(build, settings),
        routers=[reports.router, cases.router, referrals.router],
        locale=LOCALE,
    )


async def build(settings: ReferralSettings) -> Parts:
    """Open what the service needs and put it together; nothing runs yet.

    Raises:
        KeyringError: the passphrase is wrong, or the keyring is missing, damaged or without its keys.
        DirectoryError: ``organisation-unreadable``: our own identity or key document is missing or refused.
        StaffError: ``staff.json`` is not there, or is not a list of members.
        MigrationError: the schema is not up to date.
    """
    clock, us = settings.clock(), settings.organisation
    keyring = await asyncio.to_thread(
        read_keyring, settings.folder, Holder.REFERRAL, settings.referral_passphrase.get_secret_value()
    )
    signer = audit_signer(keyring, clock)
    directory = Directory.load(settings.folder)
    staff = StaffBook.load(settings.folder / STAFF_FILE)
    pool = await open_pool(settings.referral_database.get_secret_value(), schema=SCHEMA, application=SERVICE)
    try:
        await check_schema(pool, MIGRATIONS)
    except BaseException:
        await pool.close()
        raise
    node = make_broker(settings.referral_node_broker.get_secret_value(), description="What referral hears")
    exchange = make_broker(settings.referral_exchange_broker.get_secret_value(), description="What referral says")
    post = PostOffice(pool, {"node": RabbitPublisher(node), "exchange": RabbitPublisher(exchange)}, clock, SERVICE)
    vault = Vault(keyring.storage_keys())
    desk = ReferralDesk(
        us,
        directory=directory,
        keyring=keyring,
        sealer=Sealer(us, keyring, directory, KeyPurpose.SIGNING),
        vault=vault,
        clock=clock,
        hours=Hours(ZoneInfo(settings.referral_time_zone)),
    )
    shell = Shell(desk, pool=pool, post=post, clock=clock, service=SERVICE)
    runtime = Runtime(
        service=SERVICE,
        pool=pool,
        connections={
            "node": Connected(node, queues=[QUEUE, PARKED], exchanges=[places.NODE_EXCHANGE]),
            "exchange": Connected(exchange, exchanges=[places.from_exchange(us)]),
        },
        post=post,
        consumers=[
            Consumer(node, QUEUE, shell, description="Sealed envelopes that intake has let in"),
            Consumer(node, PARKED, shell, description="Envelopes that the broker gave up on", parked=True),
        ],
        rounds=[
            Round("watch", Watch(pool, clock, shell, directory).step, WATCH_SECONDS),
            Round("sequencer", Sequencer(pool, signer, clock).step, SEQUENCER_SECONDS),
        ],
    )
    return Parts(staff, runtime, {"office": Office(us, pool, clock, shell, desk, directory, vault)})


def audit_signer(keyring: Keyring, clock: Clock) -> Signer:
    """Return what signs the audit log's checkpoints.

    Raises:
        KeyringError: ``keyring-key-missing``.
    """
    key = keyring.signing_key(KeyPurpose.AUDIT_REFERRAL, clock.now())
    return note_signer(keyring.organisation, KeyPurpose.AUDIT_REFERRAL, key)
