"""HTTP as telemetry sees it: a span and metrics for each request, by the template of its route and nothing else.

The query, headers and body of a request, the caller's address and agent are never looked at, and its path only to leave
out what machines ask for; so none can be recorded. This is why the middleware is written here, and why FastAPI's
own telemetry and its instrumentation package are not used (docs/decisions/0003-one-gate-for-telemetry.md). A trace
context that a caller sends is left aside: every request starts a trace of its own.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from time import perf_counter
from typing import Final

from fastapi.routing import iter_route_contexts
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import Span, StatusCode
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry import metrics, traces
from shared.telemetry.allowed import OTHER

FASTAPI_OFF: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own telemetry, off: it would send paths, queries and the texts of exceptions to a collector."""

QUIET: Final = frozenset({"/health/live", "/health/ready", "/metrics"})
"""What machines ask for every few seconds: counted, not traced."""


class Observed:
    """Pure ASGI middleware: ``app.add_middleware(Observed, telemetry=telemetry)``."""

    def __init__(self, app: ASGIApp, telemetry: traces.Telemetry, quiet: Collection[str] = QUIET) -> None:
        self._app = app
        self._telemetry = telemetry
        self._quiet = quiet
        self._templates: dict[int, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what the application raises goes on to whoever called."""
        self._telemetry.enter()
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(self._telemetry.scope.service, metrics.method_label(scope["method"]))
        with self._span(scope, request) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    request.status = message["status"]
                    if _is_stream(message):
                        request.finish(span, self._template(scope))
                        span.end()
                await send(message)

            try:
                await self._app(scope, receive, watched)
            except Exception:
                request.status = request.status or 500
                raise
            finally:
                request.finish(span, self._template(scope))

    def _span(self, scope: Scope, request: "_Request") -> AbstractContextManager[Span]:
        if scope["path"] in self._quiet:
            return traces.no_span()
        return traces.span_from(None, request.method, traces.Kind.SERVER)

    def _template(self, scope: Scope) -> str | None:
        """Return the template of the route that served the request, or ``None`` when there was none."""
        if self._templates is None:
            self._templates = dict(_templates(scope["app"].routes))
        return self._templates.get(id(scope.get("endpoint")))


class _Request:
    """What is kept of one request until it is answered, or until its stream has begun."""

    def __init__(self, service: str, method: str) -> None:
        self.service = service
        self.method = method
        self.status: int | None = None
        self._began = perf_counter()
        self._finished = False

    def finish(self, span: Span, template: str | None) -> None:
        """Tell the metrics and the span, once."""
        if self._finished:
            return
        self._finished = True
        route = template or OTHER
        metrics.HTTP_REQUESTS.add(service=self.service, method=self.method, route=route, status=self.status or OTHER)
        metrics.HTTP_SECONDS.observe(perf_counter() - self._began, service=self.service, route=route)
        span.set_attribute("http.request.method", self.method)
        if template is not None:
            span.update_name(f"{self.method} {template}")
            span.set_attribute("http.route", template)
        if self.status is not None:
            span.set_attribute("http.response.status_code", self.status)
            if self.status >= 500:  # noqa: PLR2004  # RFC 9110, 15.6: the server failed
                span.set_status(StatusCode.ERROR)


def _templates(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[int, str]]:
    """Walk all routes, through routers that were included and applications that were mounted.

    Yields the identity of what serves a route, because not all of that can be a key itself, and the route's template.
    """
    for route in iter_route_contexts(routes):
        under = route.original_route
        if isinstance(under, Mount):
            yield id(under.app), f"{prefix}{under.path}/{{path}}"
            yield from _templates(under.routes or [], prefix + under.path)
        elif route.path_format is not None:
            yield id(route.endpoint), prefix + route.path_format


def _is_stream(message: Message) -> bool:
    """Say whether the answer is a stream of events, which lasts as long as somebody listens."""
    kind = next((value for name, value in message.get("headers", ()) if name.lower() == b"content-type"), b"")
    return bool(kind.startswith(b"text/event-stream"))
