"""The only place of the service that builds things; everything else is handed what it needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI

from services.referral.awaited_agreements import AwaitedAgreements
from services.referral.domain.clocks import Hours
from services.referral.hears import ReferralDesk
from services.referral.loading import Loading
from services.referral.opening import Opener
from services.referral.outgoing import OutgoingMail
from services.referral.recipients import Recipients
from services.referral.routes import cases, referrals, reports
from services.referral.routes.office import Office
from services.referral.settings import ReferralSettings
from services.referral.store.referrals import Referrals
from services.referral.store.reports import Reports
from services.referral.store.schema import MIGRATIONS
from services.referral.watch import Watch
from shared.contracts.ids import OrganisationId
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
from shared.sealing.keyring import Keyring
from shared.sealing.keys import KeyPurpose
from shared.storage.vault import Vault
from shared.telemetry.metrics import Dependency
from shared.web.opened import opened
from shared.web.service import Parts, make_service

SERVICE: Final = Service.REFERRAL
QUEUE: Final = places.node_queue(SERVICE)
PARKED: Final = places.parked_queue(SERVICE)
LOCALE: Final = Path(__file__).parent / "locale"

WATCH_SECONDS: Final = 1.0
AWAITED_AGREEMENTS_SECONDS: Final = 2.0


def create_app(settings: ReferralSettings) -> FastAPI:
    """Return the application, which opens everything when it starts and closes it when it stops."""
    return make_service(
        SERVICE,
        settings,
        build=partial(build, settings),
        api=[reports.router, cases.router, referrals.router],
        locale=LOCALE,
    )


@asynccontextmanager
async def build(settings: ReferralSettings) -> AsyncIterator[Parts]:
    """Put the service together; nothing runs yet.

    Raises:
        KeyringError, DirectoryError, StaffError, MigrationError: as :func:`shared.web.opened.opened`.
    """
    us, database, passphrase = settings.organisation, settings.referral_database, settings.referral_passphrase
    async with opened(SERVICE, settings, database=database, passphrase=passphrase, migrations=MIGRATIONS) as base:
        directory = base.directory
        at_node = settings.referral_node_broker.get_secret_value()
        at_exchange = settings.referral_exchange_broker.get_secret_value()
        hears = make_broker(at_node, description="What referral hears")
        to_node = make_broker(at_node, description="What referral says in its node")
        to_partners = make_broker(at_exchange, description="What referral says to partners")
        hours = Hours(ZoneInfo(settings.referral_time_zone))
        desk, kept, kept_reports, sealer = make_desk(us, base.keyring, directory, hours)
        recipients = Recipients(us, directory, hours)
        mail = OutgoingMail(kept, recipients, sealer)
        post = base.post({Broker.NODE: to_node, Broker.EXCHANGE: to_partners}, mail.review)
        shell = base.shell(desk, post)
        runtime = base.runtime(
            connections=[
                Connected(Dependency.NODE, to_node, exchanges=[places.node_exchange(SERVICE)]),
                Connected(Dependency.EXCHANGE, to_partners, exchanges=[places.from_exchange(us)]),
                Connected(Dependency.NODE, hears, queues=[QUEUE, PARKED]),
            ],
            post=post,
            consumers=[
                Consumer(hears, QUEUE, shell),
                Consumer(hears, PARKED, shell, parked=True),
            ],
            rounds=[
                Round("quarantine", QuarantineWatch(base.pool, base.clock, desk.name).step, LOOK_SECONDS),
                Round("watch", Watch(base.pool, base.clock, shell, recipients, sealer).step, WATCH_SECONDS),
                Round(
                    "awaited-agreements",
                    AwaitedAgreements(directory, shell, base.pool, base.clock).step,
                    AWAITED_AGREEMENTS_SECONDS,
                ),
            ],
        )
        office = Office(us, base.pool, shell, directory, base.clock, kept, kept_reports, recipients)
        yield Parts(base.staff, runtime, {"office": office})


def make_desk(
    us: OrganisationId, keyring: Keyring, directory: Directory, hours: Hours
) -> tuple[ReferralDesk, Referrals, Reports, Sealer]:
    """Return the desk of the organisation ``us``, the referrals and reports that it has, and what seals in its name."""
    vault, sealer = Vault(keyring.storage_keys()), Sealer(us, keyring, directory, KeyPurpose.SIGNING)
    kept, kept_reports = Referrals(us, vault), Reports(vault)
    desk = ReferralDesk(
        us,
        directory=directory,
        opener=Opener(us, directory, keyring),
        loading=Loading(kept, kept_reports, vault),
        sealer=sealer,
        vault=vault,
        hours=hours,
    )
    return desk, kept, kept_reports, sealer
