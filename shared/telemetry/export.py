"""The last gate before a span leaves the process: an exporter that rebuilds every span from what the allow-list admits.

It stands in front of the collector, so that spans of libraries pass it too. What a span keeps: its ids, times, kind,
the code of its status, a name of the closed pattern, admitted attributes, and events and links made the same way. What
it loses: texts of exceptions, descriptions of the status, trace state, attributes of scopes and every attribute that is
not on the list.

What must never happen: a collector that is away, slow or broken delays or disturbs the service. Spans are lost instead,
and counted; the log says so once when it goes and once when it is back.
"""

import logging
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status

from shared.telemetry import logs, metrics
from shared.telemetry.allowed import Value, admit_all, is_code, is_library, is_span_name

UNNAMED: Final = "unnamed"
"""What stands in for the name of a span, an event, a tracer or a log line that has no allowed one."""

REST_SECONDS: Final = 5.0
"""How long a collector that did not answer is left alone; spans that end meanwhile are lost at once."""

_log = logs.get_logger(__name__)


class AllowListExporter(SpanExporter):
    """Hands spans to ``inner`` after taking away all that may not be said. Safe to call from any one thread."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._away = False
        self._rests_until = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send ``spans``; never raises. The result says whether the collector took them."""
        if monotonic() < self._rests_until:
            return self._lose(spans)
        try:
            result = self._inner.export([clean(span) for span in spans])
        except Exception as error:  # noqa: BLE001  # telemetry never disturbs what it watches
            _log.warning("collector.failed", error=type(error))
            result = SpanExportResult.FAILURE
        return self._take(spans) if result is SpanExportResult.SUCCESS else self._lose(spans)

    def shutdown(self) -> None:
        """Close the connection to the collector."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is kept back here."""
        return self._inner.force_flush(timeout_millis)

    def _take(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        metrics.SPANS.add(len(spans), outcome="exported")
        if self._away:
            self._away = False
            _log.info("collector.back")
        return SpanExportResult.SUCCESS

    def _lose(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        metrics.SPANS.add(len(spans), outcome="lost")
        if monotonic() >= self._rests_until:
            self._rests_until = monotonic() + REST_SECONDS
        if not self._away:
            self._away = True
            _log.warning("collector.away")
        return SpanExportResult.FAILURE


def hush() -> None:
    """Silence the SDK's loggers: they write a line for every batch that fails, which is said once here."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


def clean(span: ReadableSpan) -> ReadableSpan:
    """Return a copy of ``span`` that holds nothing but what the allow-list admits."""
    return ReadableSpan(
        name=span.name if is_span_name(span.name) else _unnamed(),
        context=_bare(span.context),
        parent=_bare(span.parent),
        resource=Resource(_admit(span.resource.attributes)),
        attributes=_admit(span.attributes),
        events=[_event(event) for event in span.events],
        links=[Link(_bare(link.context) or link.context, _admit(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=_scope(span.instrumentation_scope),
    )


def _bare(context: SpanContext | None) -> SpanContext | None:
    """Drop the trace state: a place where any library may leave any text."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def _event(event: Event) -> Event:
    name = event.name if is_code(event.name) else _unnamed()
    return Event(name, _admit(event.attributes), event.timestamp)


def _scope(scope: InstrumentationScope | None) -> InstrumentationScope | None:
    if scope is None:
        return None
    return InstrumentationScope(scope.name if is_library(scope.name) else _unnamed())


def _admit(attributes: Mapping[str, object] | None) -> dict[str, Value]:
    said, dropped = admit_all(attributes or {})
    if dropped:
        metrics.dropped("traces", dropped)
    return said


def _unnamed() -> str:
    metrics.dropped("traces")
    return UNNAMED
