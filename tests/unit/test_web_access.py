"""No route is forgotten: to whoever may not use one it is not there, and what is open to anybody is listed here."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from services.intake.app import create_app as create_intake
from services.intake.settings import IntakeSettings
from services.notify.app import create_app as create_notify
from services.notify.domain.notice import Matter, notice
from services.notify.settings import NotifySettings
from services.referral.app import create_app as create_referral
from services.referral.settings import ReferralSettings
from shared.contracts.codes import Urgency
from shared.contracts.ids import StaffId
from shared.contracts.services import API, Service
from shared.staff import Role, StaffBook, StaffMember, token_digest

WATCHING = {"GET /health/live", "GET /health/ready", "GET /metrics"}
OPEN = {
    Service.INTAKE: WATCHING | {"POST /events", "POST /reports"},
    Service.REFERRAL: WATCHING,
    Service.NOTIFY: WATCHING,
}
"""What anybody may ask who reaches the service. The door is reached by strangers, who bring reports and envelopes."""

WHO_MAY = {
    Service.INTAKE: {Role.OPERATOR},
    Service.REFERRAL: {Role.CASEWORKER, Role.COORDINATOR},
    Service.NOTIFY: set(Role),
}
"""Who may use everything else."""

TOLD = {
    "organisation": "ccem-fr",
    "folder": Path("nowhere"),
    "notify_smtp": "smtp://nowhere",
    "notify_mail_from": "relais@example.org",
    **{
        f"{service}_{name}": value
        for service in Service
        for name, value in (
            ("database", "postgresql://nowhere"),
            ("node_broker", "amqp://nowhere"),
            ("exchange_broker", "amqp://nowhere"),
            ("passphrase", "nothing"),
        )
    },
}
NEEDED = ("entrance", "office", "reading")
"""What the routes find in the application's state. It is not there: whoever is let in meets a fault of ours."""


@cache
def application(service: Service) -> FastAPI:
    """Return the service as an application that opens nothing, with one member of staff for each role."""
    match service:
        case Service.INTAKE:
            app = create_intake(IntakeSettings.model_validate(TOLD))
        case Service.REFERRAL:
            app = create_referral(ReferralSettings.model_validate(TOLD))
        case Service.NOTIFY:
            app = create_notify(NotifySettings.model_validate(TOLD))
    app.state.staff = StaffBook(
        StaffMember(id=StaffId(role.value), roles=frozenset({role}), token_sha256=token_digest(role)) for role in Role
    )
    for name in NEEDED:
        setattr(app.state, name, None)
    return app


def routes(service: Service) -> Iterator[str]:
    """Yield every method and path of a service, described or not."""
    for found in iter_route_contexts(application(service).routes):
        assert isinstance(found.route, APIRoute), "a route of a kind that this test does not know"
        yield from (f"{method} {found.path}" for method in sorted(found.route.methods or ()))


def closed() -> list[tuple[Service, str]]:
    """Return every route that is not open."""
    return [(service, route) for service in Service for route in routes(service) if route not in OPEN[service]]


async def ask(service: Service, route: str, role: Role | None) -> httpx.Response:
    """Ask for ``route`` as somebody who has ``role``, or as nobody."""
    method, _, path = route.partition(" ")
    path = path.replace("{notification}", "1")
    path = re.sub(r"\{\w+\}", str(UUID(int=7, version=4)), path)
    headers = {"authorization": f"Bearer {role}"} if role else {}
    transport = httpx.ASGITransport(application(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        return await client.request(method, path, headers=headers)


def test_what_is_open_is_there() -> None:
    assert {service: OPEN[service] - set(routes(service)) for service in Service} == {each: set() for each in Service}


def test_what_is_for_staff_stands_under_one_prefix_and_nothing_else_does() -> None:
    for service in Service:
        under = {route for route in routes(service) if route.partition(" ")[2].startswith(f"{API}/")}
        assert under == set(routes(service)) - OPEN[service]


def test_one_address_can_serve_all_three_and_the_pages() -> None:
    answered = Counter(route for service in Service for route in set(routes(service)) - WATCHING)
    assert not {route for route, services in answered.items() if services > 1}
    paths = {route.partition(" ")[2] for route in answered}
    for matter in Matter:
        page = urlsplit(notice(UUID(int=7, version=4), Urgency.URGENT, matter, "https://node/").link).path
        assert not {path for path in paths if path == page or path.startswith(f"{page}/")}
        assert not page.startswith(f"{API}/")


@pytest.mark.parametrize(("service", "route"), closed())
async def test_nobody_gets_in_without_a_token(service: Service, route: str) -> None:
    answer = await ask(service, route, None)
    assert (answer.status_code, answer.json()["code"]) == (401, "not-signed-in")


@pytest.mark.parametrize(("service", "route"), closed())
async def test_a_route_is_not_there_for_whoever_may_not_use_it(service: Service, route: str) -> None:
    unknown = await ask(service, "GET /nowhere", None)
    assert unknown.status_code == 404
    for role in Role:
        answer = await ask(service, route, role)
        if role in WHO_MAY[service]:
            assert answer.status_code not in {401, 404}, role
        else:
            assert (answer.status_code, answer.content) == (404, unknown.content), role
