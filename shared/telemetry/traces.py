"""Traces: what took how long, across the services of a node and, by links alone, across organisations.

Inside a node the context of a trace travels with the message (a W3C ``traceparent``) through outbox and broker, and the
receiver's span is a child of the sender's. Between organisations it is never a parent: the receiver starts a trace of
its own and links it to the one that came sealed inside the envelope, so that nobody in between can follow a person's
way.

What must never happen: a span says anything that the allow-list does not admit (``export`` sees to it, for libraries
too); an exception's text is recorded; a collector that is away is felt by the service. Nothing here raises.

Cost, where a message is not sampled: a few microseconds. No provider is made global: libraries that are not handed
``Telemetry.provider`` make no spans.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import requests
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
)

from shared.contracts.ids import OrganisationId
from shared.telemetry import scope
from shared.telemetry.allowed import Value, is_code
from shared.telemetry.export import AllowListExporter, hush
from shared.uuids import random_uuid
from shared.values import dataclass

Attributes = Mapping[str, Value | UUID]
"""Names of the allow-list and their values; what is not on the list is dropped and counted when the span leaves."""

Kind = SpanKind
"""``INTERNAL``, ``SERVER``, ``CLIENT``, ``PRODUCER`` or ``CONSUMER``."""

NOTHING: Final[Attributes] = {}

NO_SPAN: Final[Span] = INVALID_SPAN
"""What stands for a span where nothing is traced."""

SOON_MILLIS: Final = 500
"""How long a span that has ended waits for others to leave with."""

EXPORT_SECONDS: Final = 2.0
"""How long one batch of spans may take to reach the collector before it is given up."""

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_ROOT: Final = Context()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The traces of one service: where its spans go, and under whose name."""

    scope: scope.Scope
    provider: TracerProvider
    """For a library that makes spans of its own; hand it over, it is nowhere global."""
    tracer: Tracer
    records: bool
    """Whether any span can be kept at all: there is a collector and the ratio is above zero."""

    @classmethod
    def start(
        cls,
        service: str,
        organisation: OrganisationId,
        otlp_endpoint: str | None = None,
        *,
        ratio: float = 1.0,
    ) -> Self:
        """Start telling the collector at ``otlp_endpoint`` (OTLP over HTTP, such as ``http://127.0.0.1:4318``).

        Without an endpoint no span is made, and a trace context that comes in is still passed on. ``ratio`` is the
        share of new traces that are kept, from 0 to 1; a message whose trace is kept stays in it, one whose trace is
        not stays out. The telemetry becomes the one at work in the calling task and in the tasks that it makes.
        """
        records = otlp_endpoint is not None and ratio > 0
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(min(ratio, 1.0)) if records else ALWAYS_OFF),
            resource=Resource(
                {
                    "service.name": service,
                    "service.namespace": organisation,
                    "service.instance.id": str(random_uuid()),
                    "organisation": organisation,
                    "telemetry.sdk.language": "python",
                    "telemetry.sdk.name": "opentelemetry",
                }
            ),
            shutdown_on_exit=False,
        )
        if otlp_endpoint is not None and records:
            provider.add_span_processor(
                BatchSpanProcessor(AllowListExporter(_collector(otlp_endpoint)), schedule_delay_millis=SOON_MILLIS)
            )
        hush()
        telemetry = cls(scope.Scope(service, organisation), provider, provider.get_tracer("relais"), records)
        telemetry.enter()
        return telemetry

    def enter(self) -> None:
        """Make this the telemetry at work, for this task and for the tasks that it makes from now on."""
        scope.enter(self.scope)
        _at_work.set(self)

    def begin(
        self, name: str, above: Context | None, kind: SpanKind, attributes: Attributes, links: Iterable[Link | None]
    ) -> Span:
        """Start a span that somebody else makes current and ends. ``span_from`` does both."""
        return self.tracer.start_span(
            name,
            above,
            kind,
            {key: str(value) if isinstance(value, UUID) else value for key, value in attributes.items()},
            [link for link in links if link is not None],
            record_exception=False,
            set_status_on_exception=False,
        )

    def stop(self) -> None:
        """Send what has ended and stop for good, within ``EXPORT_SECONDS`` or so when the collector is away.

        Blocks: call it with ``asyncio.to_thread`` from a coroutine.
        """
        self.provider.shutdown()
        if _at_work.get() is self:
            _at_work.set(None)
            scope.leave()


_at_work: Final[ContextVar[Telemetry | None]] = ContextVar("relais_telemetry", default=None)


def _collector(endpoint: str) -> OTLPSpanExporter:
    path = "/v1/traces"
    session = requests.Session()
    session.trust_env = False  # a proxy from the environment must not see spans meant for a collector on this machine
    return OTLPSpanExporter(
        endpoint=endpoint.removesuffix("/").removesuffix(path) + path,
        compression=Compression.Gzip,
        timeout=EXPORT_SECONDS,
        session=session,
    )


class _Active(AbstractContextManager[Span]):
    """A span that is the current one inside a ``with`` block. Slots and no generator: it runs once a message."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    def __enter__(self) -> Span:
        self._token = otel_context.attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
        if not self._span.is_recording():  # not sampled, or ended already
            return
        if isinstance(error, Exception):
            _record(self._span, error)
        self._span.end()


class _Absent(AbstractContextManager[Span]):
    """No span at all: what surrounds it stays as it is."""

    __slots__ = ()

    def __enter__(self) -> Span:
        return INVALID_SPAN

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        return None


_ABSENT: Final = _Absent()


def span_from(
    traceparent: str | None,
    name: str,
    kind: SpanKind = SpanKind.CONSUMER,
    attributes: Attributes = NOTHING,
    links: Iterable[Link | None] = (),
) -> AbstractContextManager[Span]:
    """Open a span whose parent is ``traceparent``, which comes from this node; a new trace if it cannot be read.

    What is current around it is left aside. For what came from another organisation, give ``None`` and a link.

    ``name`` is a code (``referral.accept``), an operation and its queue (``process referral.in``) or a method with its
    route's template. An exception that leaves the block marks the span with its class and its stable code, no more.
    """
    return _Active(begin_from(traceparent, name, kind, attributes, links))


class Carried(NonRecordingSpan):
    """A span of another service, passed on where nothing is recorded; taken apart only when somebody looks inside."""

    def __init__(self, traceparent: str) -> None:
        """Take a ``traceparent`` that is one."""
        self.traceparent = traceparent

    def get_span_context(self) -> SpanContext:
        """Return the trace and the span."""
        return _parse(self.traceparent) or INVALID_SPAN.get_span_context()


def begin_from(
    traceparent: str | None,
    name: str,
    kind: SpanKind = SpanKind.CONSUMER,
    attributes: Attributes = NOTHING,
    links: Iterable[Link | None] = (),
) -> Span:
    """Start such a span as ``span_from`` opens, without making it the current one; whoever starts it ends it.

    For a batch, where many spans are open side by side.
    """
    telemetry = _at_work.get()
    if telemetry is None or not telemetry.records:
        return Carried(traceparent) if traceparent and _TRACEPARENT.fullmatch(traceparent) else NO_SPAN
    parent = _parse(traceparent)
    if parent is not None and not parent.trace_flags.sampled:
        return NonRecordingSpan(parent)
    above = _ROOT if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), _ROOT)
    return telemetry.begin(name, above, kind, attributes, links)


def no_span() -> AbstractContextManager[Span]:
    """Return a block that nothing is said about, where a span is expected."""
    return _ABSENT


def current_traceparent() -> str | None:
    """Return the current span as a W3C ``traceparent`` (version 00) to keep with a message, or ``None``."""
    return traceparent_of(trace.get_current_span())


def traceparent_of(of: Span) -> str | None:
    """Return the span ``of`` as a W3C ``traceparent`` (version 00), or ``None`` where nothing is traced."""
    if isinstance(of, Carried):
        return of.traceparent
    context = of.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def link_to(traceparent: str | None) -> Link | None:
    """Return a link to another trace, such as the one that came sealed from a partner; ``None`` if unreadable."""
    context = _parse(traceparent)
    return None if context is None else Link(context)


def mark_failed(code: str) -> None:
    """Say that what the current span covers failed for a reason that has a code, and raised nothing."""
    current = trace.get_current_span()
    current.set_attribute("code", code)
    current.set_status(StatusCode.ERROR)


def _parse(traceparent: str | None) -> SpanContext | None:
    """Read a ``traceparent`` (W3C Trace Context, level 2); other versions and impossible ids are ``None``."""
    read = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if read is None:
        return None
    trace_id, span_id, flags = read.groups()
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return context if context.is_valid else None


def _record(failed: Span, error: Exception) -> None:
    """Mark ``failed`` with the class of ``error`` and, if it has one, with our stable code."""
    failed.set_attribute("error.type", type(error).__name__)
    code = getattr(error, "code", None)
    if isinstance(code, str) and is_code(code):
        failed.set_attribute("code", str(code))
    failed.set_status(StatusCode.ERROR)
