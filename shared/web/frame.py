"""The HTTP frame of a service: health, metrics, problems, limits and headers, the same in all three.

No page of an API's own is served: FastAPI's documentation pages load scripts from elsewhere. The OpenAPI description
is committed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry import metrics
from shared.telemetry.asgi import FASTAPI_OFF, Observed
from shared.telemetry.logs import get_logger
from shared.telemetry.traces import Telemetry
from shared.web import problem
from shared.web.body import Limited
from shared.web.documented import describe
from shared.words import Words

LOCALE = Path(__file__).parent / "locale"
LARGEST_BODY_BYTES = 1024 * 1024

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What an answer says unless its route says otherwise (OWASP Secure Headers; nothing stays in a cache or a history)."""

Ready = Callable[[], Awaitable[dict[str, bool]]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

log = get_logger(__name__)


class Secured:
    """Adds :data:`SECURITY_HEADERS` to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, secured)


def make_app(
    title: str,
    *,
    telemetry: Telemetry,
    lifespan: Lifespan,
    ready: Ready,
    routers: Sequence[APIRouter],
    locale: Path | None = None,
    largest_body_bytes: int = LARGEST_BODY_BYTES,
    body_seconds: float,
) -> FastAPI:
    """Return the application of a service.

    Args:
        title: what its OpenAPI description is headed.
        telemetry: observes every request by the template of its route.
        lifespan: builds what the routes need and keeps it in ``app.state``.
        ready: says for each thing that the service depends on whether it answers.
        routers: the service's own routes.
        locale: the service's own words, before the frame's.
        largest_body_bytes: what is longer is refused with 413, unread.
        body_seconds: what is not all there so long after its head is refused with 408.
    """
    words = Words(*([locale] if locale else []), LOCALE)
    app = FastAPI(
        title=title,
        version="1",
        lifespan=_saying_why(lifespan),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=FASTAPI_OFF,
    )
    app.state.words = words
    app.state.failure = None  # why it could not start, or stop
    app.state.on_stop = []  # functions without arguments; an application with streams puts there what ends them
    app.add_middleware(Limited, words=words, largest=largest_body_bytes, seconds=body_seconds)
    app.add_middleware(Secured)
    app.add_middleware(Observed, telemetry=telemetry)
    problem.install(app, words)
    describe(app)
    app.include_router(_health(ready))
    for router in routers:
        app.include_router(router)
    return app


def _saying_why(lifespan: Lifespan) -> Lifespan:
    """Return ``lifespan``, which says by its code why a service cannot start: what uvicorn says of it is reduced."""

    @asynccontextmanager
    async def said(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with lifespan(app):
                yield
        except Exception as error:
            app.state.failure = error
            log.exception("service.failed")
            raise

    return said


def _health(ready: Ready) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> Response:
        return Response(status_code=204)

    @router.get("/health/ready")
    async def is_ready() -> Response:
        answers = await ready()
        return JSONResponse(answers, 200 if all(answers.values()) else 503)

    @router.get("/metrics")
    async def exported() -> Response:
        return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)

    return router
