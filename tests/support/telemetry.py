"""Telemetry as a test sees it: what would leave the process, and what must never be in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.contracts.ids import OrganisationId
from shared.telemetry.export import AllowListExporter
from shared.telemetry.scope import Scope
from shared.telemetry.traces import Telemetry

CANARIES: Final = (
    "Aminata Diallo",
    "Élodie",
    "أمينة",
    "阮氏玉",
    "12 rue des Lilas, 75020 Paris",
    "+33 6 12 34 56 78",
    "06-12-34-56-78",
    "0612345678",
    "+33612345678",
    "aminata@example.org",
    "née le 14/05/1990",
    "She was held in a flat near the station.",
    "2 90 05 75 116 001 42",
    "290057511600142",
    "FR76 3000 6000 0112 3456 7890 189",
    "https://example.org/?name=Aminata",
    "line one\nline two",
    "",
)
"""Texts as somebody would type them into a personal field."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The spans that passed the gate, and the telemetry that made them."""

    telemetry: Telemetry
    exporter: InMemorySpanExporter

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Return the spans that have ended, in that order."""
        return self.exporter.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        """Return the one span of that name."""
        (found,) = (span for span in self.spans if span.name == name)
        return found


@contextmanager
def recorded(service: str = "intake") -> Iterator[Recorded]:
    """Put telemetry to work whose spans pass the real gate and are then kept for the test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(AllowListExporter(exporter)))
    scope = Scope(service, OrganisationId("ccem-fr"))
    telemetry = Telemetry(scope, provider, provider.get_tracer("relais"), records=True)
    telemetry.enter()
    try:
        yield Recorded(telemetry, exporter)
    finally:
        telemetry.stop()
