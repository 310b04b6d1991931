"""Builds the trace page: the receiver of OTLP, the pages, and the same answers as JSON.

What must never happen: it answers to anybody but this machine. It listens on loopback alone (``__main__`` sees to it)
and takes no request that names another host, so that a page of some web site cannot read it through the reader's own
browser (DNS rebinding).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.traces import api
from deploy.traces.pages import Pages
from deploy.traces.receive import MOST_BYTES, Received, UnreadableError, read
from deploy.traces.store import Store
from shared.clock import Clock

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1", "[::1]")
PROTOBUF: Final = "application/x-protobuf"
TIDY_SECONDS: Final = 600

_STATUS: Final = {"too-large": 413, "unknown-encoding": 415}

_HEADERS: Final = {
    b"content-security-policy": b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}


class Guarded:
    """Puts the headers on every answer that keep a browser from loading, framing or keeping anything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS.items()]
            await send(message)

        await self._app(scope, receive, guarded)


def build(store: Store, clock: Clock) -> Starlette:
    """Return the application; it closes ``store`` when it ends."""

    def now() -> float:
        return clock.now().timestamp()

    async def receive_traces(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != PROTOBUF:
            return PlainTextResponse("not-protobuf", 415)
        try:
            received = await asyncio.to_thread(
                _keep, store, await request.body(), request.headers.get("content-encoding", "")
            )
        except UnreadableError as error:
            return PlainTextResponse(error.code, _STATUS.get(error.code, 400))
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = received.refused
        return Response(answer.SerializeToString(), media_type=PROTOBUF)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tidying = asyncio.create_task(_tidy(store))
        try:
            yield
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)
            store.close()

    return Starlette(
        routes=[
            Route("/v1/traces", receive_traces, methods=["POST"]),
            Route("/health", health),
            *api.routes(store, now),
            *Pages(store, now).routes(),
        ],
        middleware=[
            Middleware(Guarded),
            Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False),
            Middleware(RequestBodyLimitMiddleware, max_body_size=MOST_BYTES),
        ],
        lifespan=lifespan,
    )


def _keep(store: Store, body: bytes, encoding: str) -> Received:
    received = read(body, encoding)
    store.add(received.spans)
    return received


async def _tidy(store: Store) -> None:
    """Let go of what is too old, also while nothing new comes."""
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        await asyncio.to_thread(store.expire)
