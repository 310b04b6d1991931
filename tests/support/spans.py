"""Spans for tests of the trace page: made one by one, or by hypothesis as any exporter might send them."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st

from deploy.traces.spans import Event, LinkTo, Span, SpanId, SpanKind, Speaker, TraceId, Value

MS = 1_000_000
NOON = 1_800_000_000_000_000_000
"""A moment in 2027, in nanoseconds since 1970."""


def trace_id(number: int) -> TraceId:
    """Return a trace id."""
    return TraceId(f"{number:032x}")


def span_id(number: int) -> SpanId:
    """Return a span id."""
    return SpanId(f"{number:016x}")


def made(  # noqa: PLR0913, PLR0917  # everything has a default
    trace: int = 1,
    number: int = 1,
    parent: int | None = None,
    speaker: str = "ccem-fr intake",
    name: str = "work.done",
    began: float = 0,
    took: float = 10,
    *,
    failed: bool = False,
    attributes: Mapping[str, Value] | None = None,
    events: tuple[Event, ...] = (),
    links: tuple[tuple[int, int], ...] = (),
) -> Span:
    """Return a span: times in milliseconds after noon, ids as numbers, links as pairs of trace and span."""
    organisation, _, service = speaker.partition(" ")
    return Span(
        trace=trace_id(trace),
        id=span_id(number),
        parent=None if parent is None else span_id(parent),
        speaker=Speaker(organisation, service),
        name=name,
        kind=SpanKind.INTERNAL,
        started=NOON + int(began * MS),
        ended=NOON + int((began + took) * MS),
        failed=failed,
        attributes=attributes or {},
        events=events,
        links=tuple(LinkTo(trace_id(to), span_id(at)) for to, at in links),
    )


SPANS = st.lists(
    st.builds(
        made,
        trace=st.integers(1, 3),
        number=st.integers(1, 12),
        parent=st.one_of(st.none(), st.integers(1, 14)),
        speaker=st.sampled_from(["ccem-fr intake", "ccem-fr referral", "abri-be intake", " alone"]),
        began=st.floats(0, 1e7),
        took=st.floats(0, 1e5),
        failed=st.booleans(),
        links=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 14)), max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda span: (span.trace, span.id),
)
"""Any spans: with parents that are missing or go round in circles, and links to nowhere or to themselves."""


def one_trace(spans: list[Span]) -> list[Span]:
    """Put spans into one trace, keeping their ids apart."""
    return [replace(span, trace=trace_id(1), id=span_id(number)) for number, span in enumerate(spans, start=1)]
