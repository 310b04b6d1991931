"""A service of a node as an application: it opens everything when it starts, and closes it when it stops.

What the three services have in common stands here and in :mod:`shared.web.opened`; what each is made of stands in its
``app.py``. What must never happen: something that runs is not stopped, whichever step of the start failed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import field
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, FastAPI

from shared.contracts.services import API, Service
from shared.messaging.runtime import Runtime
from shared.settings import NodeSettings
from shared.staff import StaffBook
from shared.telemetry.traces import Telemetry
from shared.values import dataclass
from shared.web.frame import make_app

NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service keeps hold of while it is up."""

    staff: StaffBook
    runtime: Runtime
    shown: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    """What the routes find in ``app.state``, by name."""
    ends: Sequence[Callable[[], None]] = ()
    """What ends streams: called first of all, because a server waits for its answers to end."""


def make_service(
    service: Service,
    settings: NodeSettings,
    *,
    build: Callable[[], AbstractAsyncContextManager[Parts]],
    api: Sequence[APIRouter],
    routers: Sequence[APIRouter] = (),
    locale: Path,
) -> FastAPI:
    """Return the application of a service.

    Args:
        service: which one.
        settings: what it was told.
        build: opens what the service needs and puts it together, and closes it again; nothing runs by itself.
        api: its routes for staff.
        routers: its routes for partners and the public.
        locale: its words, before the frame's.
    """
    for_staff = APIRouter(prefix=API)
    for router in api:
        for_staff.include_router(router)
    telemetry = Telemetry.start(service, settings.organisation, settings.otlp_endpoint, ratio=settings.trace_ratio)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.enter()
        try:
            async with build() as parts:
                app.state.staff, app.state.runtime = parts.staff, parts.runtime
                for each, part in parts.shown.items():
                    setattr(app.state, each, part)
                app.state.on_stop.extend(parts.ends)
                try:
                    await parts.runtime.start()
                    yield
                finally:
                    for end in parts.ends:
                        end()
                    await parts.runtime.stop()
        finally:
            await asyncio.to_thread(telemetry.stop)

    async def ready() -> dict[str, bool]:
        runtime: Runtime = app.state.runtime
        return await runtime.ready()

    app = make_app(
        f"Relais: {service}",
        telemetry=telemetry,
        lifespan=lifespan,
        ready=ready,
        routers=[*routers, for_staff],
        locale=locale,
        body_seconds=settings.request_seconds,
    )
    return app
